"""Which device a run gets, on machines that this one is not."""

from types import SimpleNamespace

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


def test_auto_takes_the_gpu_then_the_cpu_and_mps_only_by_its_name(machine):
    assert device.pick_device() == torch.device("cuda")
    machine.setattr(device, "has_gpu", lambda: False)
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick_device() == torch.device("cpu")
    assert device.pick_device("mps") == torch.device("mps")


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:5"])
def test_a_device_that_fails_is_the_fault_of_the_machine(machine, name):
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(device.DeviceError):
        device.pick_device(name)


def test_bf16_by_emulation_is_refused_with_the_remedy(machine):
    machine.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla T4")
    machine.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    gpu = torch.device("cuda")
    with pytest.raises(
        device.DeviceError, match="Tesla T4 computes bf16 only by emulation.*run.precision fp32"
    ):
        device.check_precision(gpu, "bf16")
    device.check_precision(gpu, "fp32")
    device.check_precision(torch.device("cpu"), "bf16")
    machine.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    device.check_precision(gpu, "bf16")


@pytest.mark.parametrize(
    ("share", "fraction"),
    [(0.5, (12 - 0.6) / 24), (0.25, (6 - 0.6) / 24), (0.01, 0.0), (1.0, None), (0.0, None)],
)
def test_a_share_of_a_gpu_is_a_limit_of_memory_less_its_context(machine, share, fraction):
    set_to = []
    gib = 1000 * 2**20
    machine.setattr(torch.cuda, "get_device_properties", lambda d: SimpleNamespace(total_memory=24 * gib))
    machine.setattr(torch.cuda, "set_per_process_memory_fraction", set_to.append)
    device.limit_memory(torch.device("cuda"), share)
    device.limit_memory(torch.device("cpu"), share)
    assert set_to == ([] if fraction is None else [pytest.approx(fraction)])


def test_out_of_memory_is_recognised_whichever_library_says_so():
    assert device.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert device.is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    assert device.is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not device.is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


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


def test_a_record_names_card_driver_and_libraries(machine):
    machine.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA A10G")
    machine.setattr(torch.backends.cudnn, "version", lambda: 91002)
    told = device.describe_device(torch.device("cuda"))
    assert told == "NVIDIA A10G, driver 580.65.06, CUDA 13.0, cuDNN 91002"
    assert device.describe_device(torch.device("cpu")).endswith("cores")
