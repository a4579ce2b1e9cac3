"""Which device a run gets, on machines that this one is not."""

import pytest
import torch

from datasets.errors import UserError
from trainers import device


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU of a modern driver that torch can use, to be changed by a test."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "has_gpu", lambda: True)
    monkeypatch.setattr(device, "driver_version", lambda: "580.65.06")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    return monkeypatch


def test_only_cuda_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    device.wait_for_device(torch.device("cpu"))
    assert waited == []
    device.wait_for_device(torch.device("cuda", 1))
    assert waited == [torch.device("cuda", 1)]


def test_auto_takes_the_gpu_then_mps_then_the_cpu(machine):
    assert device.pick_device() == torch.device("cuda")
    machine.setattr(device, "has_gpu", lambda: False)
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick_device() == torch.device("mps")
    machine.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device() == torch.device("cpu")


def test_an_old_driver_is_named_with_the_one_that_is_needed(machine):
    machine.setattr(device, "driver_version", lambda: "535.104.05")
    machine.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        UserError, match=r"driver \(535.104.05\).*needs driver 580.65.06 or later.*run.device cpu"
    ):
        device.pick_device()
    assert device.pick_device("cpu") == torch.device("cpu"), "the remedy works"


def test_a_torch_without_cuda_on_a_machine_with_a_gpu_is_refused(machine):
    machine.setattr(torch.version, "cuda", None)
    with pytest.raises(UserError, match="built without CUDA: reinstall torch and torchvision"):
        device.pick_device()


def test_a_card_older_than_torch_supports_is_named(machine):
    machine.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    machine.setattr(torch.cuda, "get_device_name", lambda: "GeForce GTX 1080 Ti")
    with pytest.raises(UserError, match=r"GTX 1080 Ti is sm_61, older than .*\(sm_75\)"):
        device.pick_device("cuda:0")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_hidden_on_purpose_is_no_mistake(machine, hidden):
    machine.setenv("CUDA_VISIBLE_DEVICES", hidden)
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device() == torch.device("cpu")


def test_a_container_that_was_given_no_gpu_of_its_host_runs_on_the_cpu(machine, tmp_path):
    machine.setattr(device, "has_gpu", lambda: False)
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device() == torch.device("cpu")


def test_a_gpu_is_seen_by_its_device_node(tmp_path):
    assert not device.has_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert not device.has_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert device.has_gpu(tmp_path)


@pytest.mark.parametrize("name", ["gpu", "cuda:x"])
def test_a_device_that_no_torch_knows_is_named(name):
    with pytest.raises(UserError, match=f"no device '{name}'; set run.device to auto, cpu, cuda"):
        device.pick_device(name)


def test_a_gpu_that_is_not_there_is_named(machine):
    with pytest.raises(UserError, match="cuda:2 does not exist: torch sees 2 GPUs"):
        device.pick_device("cuda:2")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\nGCC version", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release", "580.65.06"),
        ("something else", "of unknown version"),
    ],
)
def test_the_driver_says_its_version(tmp_path, text, version):
    path = tmp_path / "version"
    path.write_text(text)
    assert device.driver_version(path) == version


def test_no_driver_and_no_nvidia_smi_is_no_version(tmp_path, monkeypatch):
    monkeypatch.setattr(device.shutil, "which", lambda name: None)
    assert device.driver_version(tmp_path / "absent") is None


def test_the_hardware_of_a_record_is_one_line(machine):
    assert device.describe_hardware() == "2 x NVIDIA H200"
    machine.setattr(torch.cuda, "is_available", lambda: False)
    assert "cores, no GPU" in device.describe_hardware()
