"""The choice of the device, and a clear error if the machine has a GPU that torch cannot use."""

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


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; "auto" prefers CUDA, then MPS, then the CPU.

    Raises:
        UserError: a GPU is present that this torch cannot use, or the named device does not exist.
    """
    if name == "auto":
        refuse_unusable_gpu()
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device '{name}'; set run.device to auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        refuse_unusable_gpu()
        if (device.index or 0) >= torch.cuda.device_count():
            raise UserError(f"run.device {name} does not exist: torch sees {torch.cuda.device_count()} GPUs")
    return device


def refuse_unusable_gpu() -> None:
    """Raise UserError if the system has a GPU that torch cannot use, with the driver and the remedy."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return  # hidden on purpose, as Ray does for a task that asked for no GPU
    driver = driver_version() if has_gpu() else None
    if driver is None:
        return
    cuda = torch.version.cuda
    remedy = "set run.device cpu to run without it"
    if cuda is None:
        raise UserError(
            f"this machine has an NVIDIA driver ({driver}) but torch {torch.__version__} was built without "
            f"CUDA: reinstall torch and torchvision from the ordinary package index, or {remedy}"
        )
    if not torch.cuda.is_available():
        needed = MIN_DRIVER.get(cuda.split(".")[0], "a newer one")
        raise UserError(
            f"this machine has an NVIDIA driver ({driver}) that torch {torch.__version__} (CUDA {cuda}) "
            f"cannot use; it needs driver {needed} or later: update the driver, or {remedy}"
        )
    capability = torch.cuda.get_device_capability()
    built = [int(m.group(1)) for a in torch.cuda.get_arch_list() if (m := re.match(r"sm_(\d+)", a))]
    if built and capability[0] * 10 + capability[1] < min(built):
        raise UserError(
            f"{torch.cuda.get_device_name()} is sm_{capability[0]}{capability[1]}, older than what torch "
            f"{torch.__version__} supports (sm_{min(built)}): install an older torch, or {remedy}"
        )


def wait_for_device(device: torch.device) -> None:
    """Wait until `device` has done its work: CUDA kernels run after the call that starts them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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


def describe_hardware() -> str:
    """Return one line for records: number and name of the GPUs, or the CPU with its number of cores."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
        name = match.group(1) if match else name
    return f"{name}, {os.cpu_count()} cores, no GPU"
