"""Optimizers without torch's decorators step as torch's own, and can be copied and pickled."""

import copy
import pickle

import pytest
import torch

from trainers import optimizers
from trainers.config import OptimConfig


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("adam", lambda p, c: torch.optim.Adam(p, 1e-2, (c.beta1, c.beta2), fused=True)),
        (
            "adamw",
            lambda p, c: torch.optim.AdamW(
                p, 1e-2, (c.beta1, c.beta2), weight_decay=c.weight_decay, fused=True
            ),
        ),
        ("sgd", lambda p, c: torch.optim.SGD(p, 1e-2, c.momentum, fused=True)),
    ],
)
def test_steps_are_those_of_torch(kind, reference):
    config = OptimConfig(kind=kind, weight_decay=0.1) if kind == "adamw" else OptimConfig(kind=kind)
    torch.manual_seed(0)
    ours = torch.nn.Linear(3, 2)
    theirs = copy.deepcopy(ours)
    made, plain = (
        optimizers.build_optimizer(ours, config, 1e-2),
        reference(list(theirs.parameters()), config),
    )
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
