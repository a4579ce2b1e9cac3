"""The check of a worker before the first trial, on devices that this machine does not have."""

from types import SimpleNamespace

import pytest
import torch
from helpers import own_code
from helpers.tiny import tiny

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity
from orchestrator.search.space import Choice
from orchestrator.sweep import worker_check
from orchestrator.sweep.request import Request
from orchestrator.sweep.worker_check import WorkerCheck, check_worker, largest_config, try_largest_step
from trainers import plugins
from trainers.config import override
from trainers.preflight import check_plugins
from trainers.train_step import TrainStep

CPU = torch.device("cpu")


def plan(axes=None, architectures=(), config=None, **options):
    request = Request(config=config or tiny(), name="s", **options)
    return SimpleNamespace(
        request=request, architectures=list(architectures), space=SimpleNamespace(axes=axes or {})
    )


def machine(gpus=0):
    return Capacity("here", True, 1, 8, gpus)


def test_the_largest_network_and_batch_of_a_plan_are_tried():
    blocks = [{"generator.num_blocks": n} for n in (2, 5, 3)]
    config = largest_config(plan({"data.batch_size": Choice((4, 16, 8))}, blocks, ranks_per_trial=2))
    assert (config.generator.num_blocks, config.data.batch_size) == (5, 8), "16 images over two ranks"
    assert largest_config(plan()) == tiny()


def test_trials_on_the_cpu_need_no_worker():
    check = check_worker(plan(), machine())
    assert check.total_bytes == 0 and "cores" in check.hardware


def test_own_code_runs_on_a_worker_before_anything_is_trained(tmp_path, monkeypatch):
    """It imports on the driver; a worker lacks a package that it needs."""
    path = own_code.write(tmp_path)
    loss = plugins.pin("loss.extra", f"{path}:edge_loss")
    net = plugins.pin("generator.kind", f"{path}:Net")
    config = override(tiny(), {"loss.extra": loss, "loss.extra_weight": 0.1})
    asked = []

    def run_tasks(function, arguments):
        asked.extend(own for (own,) in arguments)
        assert function is check_plugins
        raise UserError(f"generator.kind {net}: ModuleNotFoundError: No module named 'timm'")

    monkeypatch.setattr(worker_check, "run_tasks", run_tasks)
    with pytest.raises(UserError, match=r"mine\.py:Net-\w+: ModuleNotFoundError: No module named 'timm'"):
        check_worker(plan({"generator.kind": Choice(("srresnet", net))}, config=config), machine())
    assert [c.loss.extra for c in asked] == [loss] * 2, "once for the settings, once for the axis"
    assert [c.generator.kind for c in asked] == [config.generator.kind, net]


def test_a_gpu_is_tried_in_a_task_with_the_resources_of_a_trial(monkeypatch):
    asked, found = [], WorkerCheck("NVIDIA A10G, driver 580", 3 * 2**30, 22 * 2**30)

    def run_tasks(function, arguments, *, gpus):
        asked.append((function, arguments[0][1], gpus))
        return [found]

    monkeypatch.setattr(worker_check, "run_tasks", run_tasks)
    assert check_worker(plan(gpus_per_trial=0.5), machine(gpus=1)) is found
    assert asked == [(try_largest_step, 0.5, 0.5)]
    words = "checked on NVIDIA A10G, driver 580: the largest step takes 3.0 of 22.0 GiB"
    assert found.describe() == words
    check_worker(plan(config=tiny(run__device="mps")), machine())
    assert asked[1:] == [(try_largest_step, 0.0, 0.0)], "Ray counts no GPU of a Mac"


@pytest.mark.parametrize("gan_steps", [6, 0])
def test_a_step_of_the_last_phase_is_trained(monkeypatch, gan_steps):
    trained = []
    step = TrainStep.__call__

    def note(self, hr, lr_image, target=None):
        step(self, hr, lr_image, target)
        trained.append((self.state.phase, len(hr)))

    monkeypatch.setattr(TrainStep, "__call__", note)
    check = try_largest_step(tiny(run__gan_steps=gan_steps, run__device="auto"), 0.0)
    assert trained == [("gan" if gan_steps else "psnr", 4)] * worker_check.STEPS and "cores" in check.hardware


def failing(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(TrainStep, "__call__", fail)


def test_a_gpu_that_is_too_small_is_an_error_with_what_to_change(monkeypatch):
    failing(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(UserError, match="needs more memory than a share of 0.5 of .*--gpus-per-trial$"):
        try_largest_step(tiny(), 0.5)


def test_a_worker_that_cannot_compile_says_what_to_install(monkeypatch):
    failing(monkeypatch, RuntimeError("Failed to find C compiler. Please specify via CC env"))
    words = "run.compile does not work on .*: Failed to find C compiler.*gcc python3-dev.*run.compile False"
    with pytest.raises(UserError, match=words):
        try_largest_step(tiny(run__compile=True), 1.0)
    with pytest.raises(RuntimeError, match="^Failed to find"):
        try_largest_step(tiny(), 1.0)


def test_mps_is_compared_with_the_cpu_first(monkeypatch):
    compared = []
    monkeypatch.setattr(worker_check, "open_device", lambda run, gpus: torch.device("mps"))
    monkeypatch.setattr(worker_check, "check_agreement", lambda config, device: compared.append(device.type))
    monkeypatch.setattr(worker_check, "_train", lambda config, device: compared.append("trained"))
    assert try_largest_step(tiny(run__device="mps"), 0.0).hardware.endswith(", mps")
    assert compared == ["mps", "trained"]
