"""Training through torch.compile: equal updates in both orders, for any number of designs in a process."""

import shutil

import pytest
import torch
from helpers.tiny import batch, snapshot, tiny

from trainers.state import new_state
from trainers.step_losses import StepLosses, build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1}


def trained(config, steps=2):
    state = new_state(config, "gan", CPU)
    step = TrainStep(config, state, build_features(config, CPU))
    for index in range(steps):
        step(*batch(index))
        state.step += 1
    step.check()
    return snapshot(state.generator, state.discriminator)


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory):
    """One cache of kernels for both orders, as the workers of a storage share one; none from before."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("kernels")))
        yield


def test_orders_whose_backward_passes_differ_share_no_cached_kernel():
    tags = []
    for order in ("d_first", "simultaneous"):
        config = tiny(run__compile=True, optim__update_order=order)
        StepLosses(config, new_state(config, "psnr", CPU), None)
        tags.append((torch._functorch.config.donated_buffer, torch.compiler.config.cache_key_tag))
    assert tags == [(True, "donated=True"), (False, "donated=False")]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="inductor compiles for the CPU with g++, which is absent"
)
@pytest.mark.parametrize("order", ["d_first", "simultaneous"])
def test_inductor_gives_the_update_of_eager_torch(order, empty_cache):
    """In this order: what was compiled for d_first must not serve simultaneous updates."""
    settings = {"optim__update_order": order, "optim__kind": "sgd", **CONTENT}  # Adam would magnify rounding
    plain, compiled = trained(tiny(**settings)), trained(tiny(run__compile=True, **settings))
    assert all(torch.allclose(plain[k].float(), compiled[k].float(), atol=1e-6) for k in plain)


@pytest.mark.slow
def test_a_design_beyond_the_limit_of_recompilations_is_compiled(monkeypatch):
    """One design more than torch compiles of one function; the backend counts graphs and compiles nothing."""
    graphs = []

    def count(graph, _example):
        graphs.append(graph)
        return graph.forward

    eager = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: eager(module, backend=count))
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    per_design = []
    for blocks in (1, 2, 3, 4):
        config = tiny(run__compile=True, generator__num_blocks=blocks, loss__adversarial_weight=0.0)
        before = len(graphs)
        losses = StepLosses(config, new_state(config, "psnr", CPU), None)
        losses.generate(batch()[1])
        per_design.append(len(graphs) - before)
    assert all(n > 0 for n in per_design)
