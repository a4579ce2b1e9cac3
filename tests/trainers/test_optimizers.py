"""Optimizers without torch's decorators step as torch's own, and can be copied and pickled."""

import copy
import pickle

import pytest
import torch

from trainers import optimizers
from trainers.config import OptimConfig


@pytest.mark.parametrize(
    ("kind", "made_by_torch", "options"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999), "weight_decay": 0.1}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
    ],
)
def test_steps_are_those_of_torch(kind, made_by_torch, options):
    decay = {"weight_decay": 0.1} if kind == "adamw" else {}
    config = OptimConfig(kind=kind, beta1=0.9, beta2=0.999, momentum=0.9, **decay)
    torch.manual_seed(0)
    ours = torch.nn.Linear(3, 2)
    theirs = copy.deepcopy(ours)
    made = optimizers.build_optimizer(ours, config, 1e-2)
    plain = made_by_torch(theirs.parameters(), lr=1e-2, fused=True, **options)
    for step in range(4):
        for network, optimizer in ((ours, made), (theirs, plain)):
            for p in network.parameters():
                p.grad = torch.full_like(p, 1.0 + step)
            optimizer.step()
            optimizer.zero_grad()
        if step == 1:  # as a checkpoint does
            made.load_state_dict(copy.deepcopy(made.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert ours.weight.grad is None
    assert type(pickle.loads(pickle.dumps(made))) is type(made) and isinstance(made, type(plain))
