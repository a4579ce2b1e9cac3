"""The arithmetic of a device: if float32 convolutions may round to TF32, and if a run repeats to the bit.

From Ampere on, torch lets cuDNN round the factors of float32 convolutions to TF32 (10 bits of mantissa)
unless it is told otherwise. Here run.precision decides that for training, and everything that is measured is
computed without TF32. A CPU has none of these settings; its number of threads decides the last bits of sums.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from threadpoolctl import threadpool_limits

from trainers.config import RunConfig


def use_threads(count: int) -> None:
    """Compute with `count` CPU threads in this process from now on, in torch and in numpy's matrix products.

    Another number of threads sums in another order. Here, and not in a variable of the shell that started the
    process, because results must be equal to the bit whoever starts it.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def training_numerics(run: RunConfig, device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which a run trains: TF32 unless run.precision is fp32."""
    fast = not run.deterministic
    return _numerics(device, tf32=run.precision != "fp32", deterministic=run.deterministic, benchmark=fast)


def measuring_numerics(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which networks and metrics are evaluated: float32 without TF32, for any run.

    Evaluated images have many shapes, for each of which cuDNN's benchmark would time its algorithms again.
    """
    return _numerics(device, tf32=False, deterministic=True, benchmark=False)


@contextmanager
def _numerics(device: torch.device, *, tf32: bool, deterministic: bool, benchmark: bool) -> Iterator[None]:
    """Set cuDNN for `device` within the block.

    With `deterministic`, equal inputs give equal results to the bit on one model of card and one build of
    torch; without it cuDNN times its algorithms for each shape and takes the fastest (`benchmark`).
    """
    if device.type != "cuda":
        yield
        return
    cudnn, warn_only = torch.backends.cudnn, torch.is_deterministic_algorithms_warn_only_enabled()
    before = cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    enabled = torch.are_deterministic_algorithms_enabled()
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = tf32, deterministic, benchmark
    _deterministic_algorithms(deterministic, warn_only=True)
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
        _deterministic_algorithms(enabled, warn_only=warn_only)


def _deterministic_algorithms(enabled: bool, *, warn_only: bool) -> None:
    """Choose deterministic kernels outside of cuDNN, too: bilinear upsampling and edge padding have both."""
    if enabled == torch.are_deterministic_algorithms_enabled():
        return
    # cuBLAS reads this at its first use; torch warns about each matrix product without it
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it would write every new tensor once more
