"""The choice of the device, a clear error if its GPU cannot be used, and the memory of a GPU."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import torch

from datasets.errors import UserError

# Smallest Linux driver per CUDA major version (NVIDIA CUDA compatibility guide, table of minimum drivers).
MIN_DRIVER = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
CONTEXT_BYTES = 600 * 2**20
"""GPU memory that a process takes beside torch's allocations: CUDA's context and the libraries' kernels."""


class DeviceError(UserError):
    """The device of this machine cannot be used: every other run on the machine would fail as well."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; "auto" is CUDA, or the CPU if there is none.

    "auto" never means MPS: convolutions on MPS have returned wrong values without an error in several
    versions of torch (pytorch#180984, #188335), so it must be asked for (trainers/device_check.py).

    Raises:
        DeviceError: a GPU is present that this torch cannot use, or the named device does not exist.
        UserError: torch knows no device of that name.
    """
    if name == "auto":
        refuse_unusable_gpu()
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device '{name}'; set run.device to auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        refuse_unusable_gpu()
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceError(
                f"run.device {name} does not exist: torch sees {torch.cuda.device_count()} GPUs"
            )
    return device


def check_precision(device: torch.device, precision: str) -> None:
    """Raise DeviceError if `device` only emulates run.precision bf16, which is slower than fp32 (sm_75)."""
    is_slow = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and is_slow:
        raise DeviceError(
            f"{torch.cuda.get_device_name(device)} computes bf16 only by emulation, slower than fp32: set "
            f"run.precision fp32, or use a GPU of compute capability 8.0 or newer"
        )


def refuse_unusable_gpu() -> None:
    """Raise DeviceError if the system has a GPU that torch cannot use, with the driver and the remedy."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return  # hidden on purpose, as Ray does for a task that asked for no GPU
    driver = driver_version() if has_gpu() else None
    if driver is None:
        return
    cuda = torch.version.cuda
    remedy = "set run.device cpu to run without it"
    if cuda is None:
        raise DeviceError(
            f"this machine has an NVIDIA driver ({driver}) but torch {torch.__version__} was built without "
            f"CUDA: reinstall torch and torchvision from the ordinary package index, or {remedy}"
        )
    if not torch.cuda.is_available():
        needed = MIN_DRIVER.get(cuda.split(".")[0], "a newer one")
        raise DeviceError(
            f"this machine has an NVIDIA driver ({driver}) that torch {torch.__version__} (CUDA {cuda}) "
            f"cannot use; it needs driver {needed} or later: update the driver, or {remedy}"
        )
    capability = torch.cuda.get_device_capability()
    built = [int(m.group(1)) for a in torch.cuda.get_arch_list() if (m := re.match(r"sm_(\d+)", a))]
    if built and capability[0] * 10 + capability[1] < min(built):
        raise DeviceError(
            f"{torch.cuda.get_device_name()} is sm_{capability[0]}{capability[1]}, older than what torch "
            f"{torch.__version__} supports (sm_{min(built)}): install an older torch, or {remedy}"
        )


def wait_for_device(device: torch.device) -> None:
    """Wait until `device` has done its work: CUDA kernels run after the call that starts them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limit_memory(device: torch.device, share: float) -> None:
    """Limit what this process allocates to its `share` of a GPU's memory, of which CUDA itself takes a part.

    Processes that share a GPU then run out of memory by their own fault only. A whole GPU has no limit.
    """
    if device.type == "cuda" and 0 < share < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(max(share * total - CONTEXT_BYTES, 0) / total)


def release_memory(device: torch.device) -> None:
    """Return what torch keeps for later allocations to the GPU, for other processes or larger blocks."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Return True if `error` says that a GPU has no memory left, for torch, cuBLAS or cuDNN."""
    return isinstance(error, torch.OutOfMemoryError) or "_STATUS_ALLOC_FAILED" in str(error)


def has_gpu(dev: Path = Path("/dev")) -> bool:
    """Return True if this machine or container has an NVIDIA GPU (in WSL: /dev/dxg)."""
    return any(dev.glob("nvidia[0-9]*")) or (dev / "dxg").exists()


def driver_version(proc: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """Return the version of the loaded NVIDIA kernel driver, or None if there is none."""
    if proc.exists():
        match = re.search(r"\s(\d{3,}(?:\.\d+)+)\s", proc.read_text())
        return match.group(1) if match else "of unknown version"
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    return answer.stdout.split("\n")[0].strip() or None if answer.returncode == 0 else None


def describe_device(device: torch.device) -> str:
    """Return one line for records: the GPU with driver and libraries, or the CPU with its cores."""
    if device.type != "cuda":
        return f"{_cpu_name()}, {os.cpu_count()} cores" + ("" if device.type == "cpu" else f", {device.type}")
    libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{torch.cuda.get_device_name(device)}, driver {driver_version()}, {libraries}"


def describe_hardware() -> str:
    """Return one line for records: number and name of the GPUs, or the CPU with its number of cores."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{_cpu_name()}, {os.cpu_count()} cores, no GPU"


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    match = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return match.group(1) if match else platform.processor() or platform.machine()
