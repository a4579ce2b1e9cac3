"""What a GPU is worth: step time beside its convolutions and peers, memory, packing, waiting for data."""

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import torch
from gpu_place import Place, Row, passed
from peers import PEERS, TIMED_ONLY, Rival
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from datasets.loader import TrainLoader
from trainers.config import TrainConfig, override
from trainers.config.training import PRECISIONS
from trainers.cuda_graph import WARM_UP, accelerated
from trainers.numerics import training_numerics
from trainers.state import new_state
from trainers.train_step import TrainStep, build_features

BATCHES = (16, 64)
MODES: dict[str, dict[str, object]] = {
    **{p: {"run.precision": p, "run.cuda_graph": False} for p in PRECISIONS},
    "tf32, graph": {"run.precision": "tf32", "run.cuda_graph": True},
    "bf16, graph": {"run.precision": "bf16", "run.cuda_graph": True},
    "bf16, graph, not deterministic": {
        "run.precision": "bf16",
        "run.cuda_graph": True,
        "run.deterministic": False,
    },
}
COMPILED = {"bf16, graph, compiled": MODES["bf16, graph"] | {"run.compile": True}}
RECIPES = ("srgan_8", "esrgan")
DENSE_TFLOPS = {"bf16": {"H100": 989, "H200": 989, "A100": 312, "L4": 121, "4090": 165, "A10G": 70}}
"""Published dense matrix rate of a card in 10^12 operations per second, from NVIDIA's data sheets."""
WANTED = {  # (peer, batch) -> mode, and the least ratio in it
    ("basicsr", 64): ("bf16, graph, compiled", 2.5),
    ("leftthomas", 64): ("bf16, graph, compiled", 3.0),
    ("basicsr_esrgan", 16): ("bf16, graph", 1.5),
}


class Convolutions(TorchDispatchMode):
    """Records the arguments of every convolution, forward and backward, as shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[tuple] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name() in ("aten::convolution", "aten::convolution_backward"):
            self.calls[func, tuple(map(_shape, args))] += 1
        return func(*args, **(kwargs or {}))


def _shape(value: object) -> object:
    if isinstance(value, Tensor):
        return ("tensor", tuple(value.shape), value.dtype, tuple(value.stride()))
    return tuple(value) if isinstance(value, list) else value


def _made(value: object, device: torch.device) -> object:
    if isinstance(value, tuple) and value and value[0] == "tensor":
        _, shape, dtype, strides = value
        return torch.empty_strided(shape, strides, device=device, dtype=dtype).normal_()
    return list(value) if isinstance(value, tuple) else value


def step_times(place: Place) -> Iterator[Row]:
    """Time one GAN step per recipe, batch and precision, beside its convolutions alone and its memory."""
    for recipe, batch in ((r, b) for r in RECIPES for b in BATCHES[: 1 if place.small else None]):
        for mode, values in list(MODES.items())[-2 if place.small else 0 :]:
            config = override(place.config(recipe, data__batch_size=batch), values)
            yield _step_row(place, f"{recipe}, batch {batch}, {mode}", config)


def compiled_times(place: Place) -> Iterator[Row]:
    """Time one GAN step in bf16 through torch.compile, with the seconds that compiling took."""
    if place.small:
        return  # a CPU compiles for minutes; tests/trainers has the compiled step
    for recipe, batch in (("srgan_8", 16), ("srgan_8", 64), ("esrgan", 16)):
        for mode, values in COMPILED.items():
            config = override(place.config(recipe, data__batch_size=batch), values)
            yield _step_row(place, f"{recipe}, batch {batch}, {mode}", config, compiled=True)


def _step_row(place: Place, name: str, config: TrainConfig, compiled: bool = False) -> Row:
    _empty(place)
    plain = TrainStep(config, new_state(config, "gan", place.device), build_features(config, place.device))
    step = accelerated(plain)
    hr, lr_image = place.batch(config)
    began = perf_counter()
    for _ in range(2 if place.small else WARM_UP + 1):
        step(hr, lr_image, None)
    place.wait()
    first = perf_counter() - began
    if place.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place.device)
    seconds = place.seconds(lambda: step(hr, lr_image, None))
    numbers = {"ms": 1000 * seconds, "images_per_s": config.data.batch_size / seconds, "first_s": first}
    if place.device.type == "cuda":
        numbers["peak_gib"] = torch.cuda.max_memory_allocated(place.device) / 2**30
    if place.device.type == "cuda":
        numbers["busy_ms"] = _busy(lambda: step(hr, lr_image, None))
    if compiled or config.run.cuda_graph:
        return Row(name, _text(numbers), numbers=numbers)
    with FlopCounterMode(display=False) as counted:
        plain(hr, lr_image)
    numbers["tflop"] = counted.get_total_flops() / 1e12
    numbers["tflop_per_s"] = numbers["tflop"] / seconds
    with Convolutions() as convolutions:
        plain(hr, lr_image)
    with training_numerics(config.run, place.device):
        numbers["convolutions_ms"] = 1000 * _alone(place, convolutions.calls)
    if place.device.type == "cuda":
        dense = next((v for k, v in DENSE_TFLOPS["bf16"].items() if k in torch.cuda.get_device_name()), 0)
        if dense and config.run.precision == "bf16":
            numbers["share_of_peak"] = numbers["tflop_per_s"] / dense
    return Row(name, _text(numbers), numbers=numbers)


def _text(numbers: dict[str, float]) -> str:
    return ", ".join(f"{k} {v:.3g}" if v < 100 else f"{k} {v:.0f}" for k, v in numbers.items())


def _alone(place: Place, calls: Counter[tuple]) -> float:
    """Return the seconds of all recorded convolutions, each kind timed alone on tensors of its shapes."""
    total = 0.0
    for (func, shapes), count in calls.items():
        args = [_made(s, place.device) for s in shapes]
        total += count * place.seconds(lambda func=func, args=args: func(*args), lasting=0.005)
    return total


def _busy(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the milliseconds per call in which the device computes: the sum of its kernels' times."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(repeats):
            call()
        torch.cuda.synchronize()
    return sum(e.self_device_time_total for e in recorded.key_averages()) / 1000 / repeats


def _empty(place: Place) -> None:
    gc.collect()
    if place.device.type == "cuda":
        torch.cuda.empty_cache()


def loop(place: Place) -> Iterator[Row]:
    """Train through the real loader and compare with steps on one batch that is there."""
    for batch in BATCHES[: 1 if place.small else None]:
        config = override(place.config("srgan_8", data__batch_size=batch), MODES["bf16, graph"])
        loader = TrainLoader(
            place.images(config, 160, 4 if place.small else 512), config.data, 4, device=place.device
        )
        plain = TrainStep(
            config, new_state(config, "gan", place.device), build_features(config, place.device)
        )
        step = accelerated(plain)
        batches = loader.batches()
        steps, waited = (2, 0.0) if place.small else (150, 0.0)
        for index in range(steps + 10):
            if index == 10:
                place.wait()
                began, waited = perf_counter(), 0.0
            asked = perf_counter()
            upcoming = next(batches)
            waited += perf_counter() - asked
            step(upcoming.hr, upcoming.lr_image, None)
            plain.state.step += 1
        place.wait()
        spent = perf_counter() - began
        del batches
        alone = place.seconds(
            lambda step=step, batch=upcoming: step(batch.hr, batch.lr_image, None), lasting=2
        )
        # what waiting costs is what the card loses: the host may wait while the card works on the last step
        share = 1 - alone / (spent / steps)
        numbers = {"ms": 1000 * spent / steps, "alone_ms": 1000 * alone, "host_share": waited / spent}
        yield passed(
            f"real loader, srgan_8, batch {batch}, bf16",
            share < 0.02 or place.small,
            f"{numbers['ms']:.1f} ms a step, {1000 * alone:.1f} on one batch: {100 * share:.1f} % lost",
            "less than 2 % lost",
            **numbers,
        )


def packing(place: Place) -> Iterator[Row]:
    """Run 1, 2 and 4 processes that train on one card at once, and report the images per second of all."""
    if place.small:
        return  # processes of a CPU share cores, which says nothing about cards
    alone = 0.0
    for count in (1, 2, 4):
        command = [sys.executable, __file__.replace("gpu_times", "gpu"), "--worker", str(place.device)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        total = sum(json.loads(w.communicate(timeout=120)[0].strip().split("\n")[-1]) for w in workers)
        alone = alone or total
        numbers = {"images_per_s": total, "over_one": total / alone}
        text = f"{total:.0f} images/s together, {total / alone:.2f} of one alone"
        yield Row(f"{count} trials of srgan_8, batch 16, bf16 on one card", text, numbers=numbers)


def worker(device: str) -> None:
    """Train for eight seconds after a start of five, and print images per second of the eight."""
    place = Place(torch.device(device), small=False)
    config = override(place.config("srgan_8", data__batch_size=16), MODES["bf16, graph"])
    state = new_state(config, "gan", place.device)
    step = accelerated(TrainStep(config, state, build_features(config, place.device)))
    hr, lr_image = place.batch(config)
    place.seconds(lambda: step(hr, lr_image, None), lasting=5.0)
    print(json.dumps(16 / place.seconds(lambda: step(hr, lr_image, None), lasting=8.0)))


def peers(place: Place) -> Iterator[Row]:
    """Time the peers' own loops and our step on their networks, weights and batch, in turn."""
    for name, path in place.peers.items():
        for batch in BATCHES:
            _empty(place)
            rival = (PEERS | TIMED_ONLY)[name](path, place.device, batch if not place.small else 2)
            yield from _against(place, name, batch, rival)


def _against(place: Place, name: str, batch: int, rival: Rival) -> Iterator[Row]:
    seconds: dict[str, list[float]] = {}
    mode_wanted, least = WANTED.get((name, batch), ("", 0.0))
    modes = MODES | (COMPILED if mode_wanted in COMPILED and not place.small else {})
    steps = {mode: _our_step(rival, values) for mode, values in modes.items()}
    for _ in range(1 if place.small else 2):
        with _cudnn_benchmark():  # as both peers set it
            seconds.setdefault("peer", []).append(place.seconds(rival.step))
        for precision, call in steps.items():
            seconds.setdefault(precision, []).append(place.seconds(call))
    theirs = sorted(seconds["peer"])[len(seconds.pop("peer")) // 2]
    for precision, values in seconds.items():
        ours = sorted(values)[len(values) // 2]
        numbers = {"peer_ms": 1000 * theirs, "ours_ms": 1000 * ours, "ratio": theirs / ours}
        text = f"{theirs / ours:.2f}x ({1000 * theirs:.1f} ms theirs, {1000 * ours:.1f} ms ours)"
        row = f"{name}, batch {batch}, ours in {precision}"
        if precision != mode_wanted or place.small:
            yield Row(row, text, numbers=numbers)
        else:
            yield passed(row, theirs / ours >= least, text, f"{least}x", **numbers)


def _our_step(rival: Rival, values: dict[str, object]) -> Callable[[], None]:
    config = override(rival.config, values)
    step = accelerated(TrainStep(config, rival.state(config), rival.features))
    return lambda: step(rival.hr, rival.lr_image, None)


@contextmanager
def _cudnn_benchmark() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


TIMES = (step_times, peers, loop, packing, compiled_times)
