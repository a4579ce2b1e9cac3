"""Batch norm: equal to torch's, synchronised over ranks, recalibrated by a plain mean."""

import pytest
import torch
from helpers.tiny import batch, same, snapshot
from torch import nn

from datasets.errors import UserError
from trainers.distributed import ALONE, Ranks
from trainers.models.batch_norm import recalibrate_batch_norm, synchronise
from trainers.models.layers import norm_layers


def test_a_batch_norm_that_sees_its_share_alone_is_refused():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    with pytest.raises(UserError, match="BatchNorm2d '1' is not synchronised over several processes"):
        synchronise(module, Ranks(0, 2))
    synchronise(module, ALONE)


def test_batch_norm_is_torchs_own_but_for_the_counter():
    ours, theirs = norm_layers("batch", 4)[0], torch.nn.BatchNorm2d(4)
    for index in range(3):
        image = batch(index)[0].repeat(1, 2, 1, 1)[:, :4]
        assert torch.equal(ours(image), theirs(image))
    ours.eval(), theirs.eval()
    assert torch.equal(ours(image), theirs(image)) and torch.equal(ours.running_var, theirs.running_var)
    assert int(ours.num_batches_tracked) == 0 and int(theirs.num_batches_tracked) == 3


def test_recalibration_is_the_plain_mean_over_its_batches():
    norm = nn.BatchNorm2d(3, momentum=0.3)
    norm.running_mean.fill_(99)
    images = [batch(i)[1] for i in range(3)]
    recalibrate_batch_norm(norm, images)
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in images]).mean(0))
    variances = torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in images]).mean(0)
    torch.testing.assert_close(norm.running_var, variances)
    assert norm.momentum == 0.3 and not norm.training


def test_recalibration_leaves_a_network_without_norms_alone():
    network = nn.Conv2d(3, 3, 1)
    before = snapshot(network)
    recalibrate_batch_norm(network, iter(()))
    assert same(before, snapshot(network)) and not network.training
