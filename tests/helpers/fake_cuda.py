"""A CUDA device that computes nothing: training steps run forward and backward on fake tensors of `cuda`.

Fake tensors take the paths of a GPU and report a second device, a read by the host, or a copy that waits.
Their backward pass asks the CUDA library for a context, which fails without a card; here that is answered.
"""

import collections
import ctypes
import mmap
import pathlib
import platform
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainers.memory import fake_batch, fake_networks
from trainers.train_step import TrainStep

CUDA = torch.device("cuda")
# Slots in the table of virtual functions of CUDAHooks (torch 2.15, ATen/detail/CUDAHooksInterface.h).
# The two answers on bf16 are one function, by which another table is noticed.
HAS_PRIMARY_CONTEXT, DEPTHWISE, BF16_CONV, BF16_RNN, SLOTS = 4, 31, 32, 33, 162
RETURN_FALSE, RETURN_TRUE = b"\x31\xc0\xc3", b"\xb8\x01\x00\x00\x00\xc3"  # x86-64
VIEWS = "view as_strided detach alias expand permute split select slice chunk transpose unsqueeze squeeze"
NO_KERNELS = "unbind _unsafe_view empty new_empty lift_fresh profiler:: promote_types prim::"
FREE = (*VIEWS.split(), *NO_KERNELS.split())
READS = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "equal", "_unique", "masked_select")


def why_not():
    """Return why this torch cannot be given a fake card, or None."""
    if torch.cuda.is_available():
        return "there is a real GPU, on which tests/bench/gpu.py measures"
    if torch.version.cuda is None or platform.machine() != "x86_64" or platform.system() != "Linux":
        return "fake CUDA tensors need torch's CUDA build for Linux on x86-64"
    table = _table()[1]
    return None if table[BF16_CONV] == table[BF16_RNN] else "the table of CUDAHooks is another in this torch"


def _table():
    """Return the pointer to the table of CUDAHooks, and a copy of it whose entry 0 is the first function."""
    library = ctypes.CDLL(str(pathlib.Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    hooks = library._ZN2at6detail12getCUDAHooksEv
    hooks.restype = ctypes.c_void_p
    pointer = ctypes.c_void_p.from_address(hooks())
    whole = (ctypes.c_void_p * (SLOTS + 2))()  # two words of type information stand before the functions
    ctypes.memmove(whole, pointer.value - 16, 8 * (SLOTS + 2))
    return pointer, (ctypes.c_void_p * SLOTS).from_buffer(whole, 16), whole


@contextmanager
def fake_cuda():
    """Answer as an Ampere card for the duration of the context: no context yet, bf16 in convolutions."""
    pointer, table, whole = _table()
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(RETURN_FALSE + RETURN_TRUE)
    no = ctypes.addressof(ctypes.c_char.from_buffer(code))
    table[HAS_PRIMARY_CONTEXT] = no
    table[DEPTHWISE] = table[BF16_CONV] = no + len(RETURN_FALSE)
    before, pointer.value = pointer.value, ctypes.addressof(whole) + 16
    try:
        with (
            mock.patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            mock.patch("torch.cuda.is_bf16_supported", lambda including_emulation=True: True),
        ):
            yield
    finally:
        pointer.value = before
        _KEEP.append((code, whole))  # a thread of autograd may still hold the address


_KEEP: list = []


class Launches(TorchDispatchMode):
    """Counts what a GPU would be given: kernels, casts, copies and layout conversions before convolutions."""

    def __init__(self):
        super().__init__()
        self.kernels = self.casts = self.layouts = 0
        self.names = collections.Counter()
        self.reads, self.waits, self.collectives = [], [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.name().removeprefix("aten::")
        if name.startswith(READS):
            self.reads.append(name)
        out = func(*args, **kwargs)
        if name.startswith("c10d"):
            message = args[0] if isinstance(args[0], list) else [args[0]]
            self.collectives.append((name, tuple((x.dtype, x.numel()) for x in message)))
        elif not name.startswith(FREE) and name != "t":
            gradients = args[-1][:2] if name.startswith("convolution_backward") else (True,)
            self.kernels += max(1, sum(gradients))
            self.names[name] += 1
        if name.startswith("_to_copy") or name.startswith("copy_"):
            self._copied(name, args, kwargs, out)
        if name.startswith("convolution"):
            self.layouts += any(_other_layout(x) for x in args[: 1 + name.startswith("convolution_backward")])
        return out

    def _copied(self, name, args, kwargs, out):
        source = args[1] if name.startswith("copy_") else args[0]
        waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        if source.device != out.device:
            self.waits += [f"{source.device} -> {out.device}"] if waits else []
        elif source.dtype != out.dtype:
            self.casts += 1


def _other_layout(x: Tensor) -> bool:
    """Return True if a convolution would first copy `x` into channels_last."""
    return x.dim() == 4 and min(x.shape[1:]) > 1 and not x.is_contiguous(memory_format=torch.channels_last)


def step_launches(config, phase="gan", *, ranks=None, device=CUDA, spoil=lambda step: None):
    """Return the launches of the second step of `phase` on fake tensors; `spoil` plants a fault."""
    world = ranks.world if ranks else 1
    with fake_networks(config, phase, device) as (config, state, features):
        step = TrainStep(config, state, features, *([ranks] if ranks else []))
        spoil(step)
        step(*fake_batch(config, device, world))
        state.step += 1
        with Launches() as launches:
            step(*fake_batch(config, device, world))
        for module in filter(None, (state.generator, state.ema, state.discriminator)):
            assert {x.device.type for x in (*module.parameters(), *module.buffers())} == {device.type}
    return launches
