"""The device of a Ray worker, on declared GPUs that this machine does not have."""

import sys
from types import SimpleNamespace

import pytest
import torch

from orchestrator.cluster import worker
from orchestrator.cluster.connect import connect
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import open_device, worker_device
from trainers.config import RunConfig
from trainers.device import DeviceError

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def inside(monkeypatch):
    """inside(held, sees): this process is a worker that holds these GPUs, and torch sees a GPU or not."""

    def go(held, sees=True):
        context = SimpleNamespace(worker=SimpleNamespace(mode=1), get_accelerator_ids=lambda: {"GPU": held})
        ray = SimpleNamespace(is_initialized=lambda: True, WORKER_MODE=1, get_runtime_context=lambda: context)
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setattr(worker, "pick_device", lambda name: CUDA if sees and name != "cpu" else CPU)
        return context

    return go


def test_a_worker_without_a_gpu_leaves_alone_the_one_that_it_sees(inside):
    inside([])
    assert worker_device("auto") == worker_device("cpu") == CPU
    with pytest.raises(
        DeviceError, match="run.device cuda needs a GPU, but Ray assigned none on .*nvidia-smi"
    ):
        worker_device("cuda")


def test_a_worker_that_holds_a_gpu_uses_it_or_says_why_not(inside):
    inside(["1"])
    assert worker_device("auto") == worker_device("cuda") == CUDA
    assert worker_device("cpu") == CPU
    inside(["1"], sees=False)
    with pytest.raises(
        DeviceError, match="Ray assigned GPU 1 of .*, but torch sees no GPU there: .*run.device cpu"
    ):
        worker_device("auto")


def test_outside_of_a_worker_the_machine_decides(inside):
    inside([]).worker.mode = 0  # a driver
    assert worker_device("auto") == CUDA
    sys.modules["ray"].is_initialized = lambda: False
    assert worker_device("auto") == CUDA


def test_a_device_is_opened_with_its_share_of_memory_and_its_precision(inside, monkeypatch):
    inside(["0"])
    asked = []
    monkeypatch.setattr(worker, "check_precision", lambda device, precision: asked.append(precision))
    monkeypatch.setattr(worker, "limit_memory", lambda device, share: asked.append(share))
    assert open_device(RunConfig(precision="bf16"), 0.25) == CUDA
    assert asked == ["bf16", 0.25]


@pytest.mark.ray
def test_ray_with_two_declared_gpus(monkeypatch):
    """What workers hold and see, how many trials run, and a trial whose GPU torch cannot see."""

    def look():
        import os

        from orchestrator.cluster.worker import held_gpus, worker_device
        from trainers.device import DeviceError

        try:
            device = str(worker_device("auto"))
        except DeviceError as error:
            device = str(error)
        return held_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["PYTORCH_ALLOC_CONF"], device

    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 8, "GPU": 2}')
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with connect(None) as place:
        assert (place.gpus, place.cpus) == (2, 8)
        for share in (0.5, 1):
            held, visible, allocator, refusal = run_tasks(look, [()], gpus=share)[0]
            assert (held, visible, allocator) == (["0"], "0", "expandable_segments:True")
            assert "Ray assigned GPU 0 of" in refusal and "but torch sees no GPU there" in refusal
        held, visible, _, device = run_tasks(look, [()])[0]
        assert (held, device) == ([], "cpu"), "asked for none"
        assert visible is None, "Ray hides no GPU from it: worker.py must not trust what it sees"

        for share in (0.3, 0.4, 0.5, 0.6, 1.0):
            assert run_at_once(place.slots(share, 1), share), share


def run_at_once(count, share):
    """Return True if Ray grants `count` placements of such a share at once, and not one more."""
    from ray.util.placement_group import placement_group, remove_placement_group

    def ask():
        return placement_group([{"CPU": 0.1, "GPU": share}])

    groups = [ask() for _ in range(count)]
    granted = all(group.wait(60) for group in groups)
    groups.append(ask())  # only now: while GPUs of an earlier call are being freed, Ray grants in any order
    granted = granted and not groups[-1].wait(0.5)
    for group in groups:
        remove_placement_group(group)
    return granted
