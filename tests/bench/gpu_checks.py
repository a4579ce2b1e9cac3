"""What must be true on a GPU: equal gradients, equal inputs, exact resume, divergence named, no waiting."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from gpu_place import Place, Row, largest, passed
from PIL import Image
from torch import Tensor

from datasets.degrade import down
from datasets.errors import UserError
from datasets.loader import Pair, TrainLoader
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.cuda_graph import WARM_UP, accelerated
from trainers.evaluate import Evaluator
from trainers.inference.tiling import footprint, upscale
from trainers.monitor import FolderMonitor
from trainers.optimizers import set_rate
from trainers.state import Diverged, TrainState, new_state
from trainers.train_step import TrainStep, build_features
from trainers.training import TrainingRun

DESIGNS: dict[str, dict[str, object]] = {
    "batch norm, pixel shuffle": {"generator__norm": "batch"},
    "no norm, transposed": {"generator__norm": "none", "generator__upsampler": "transposed_conv"},
    "bf16": {"run__precision": "bf16"},
    "bf16, graph": {"run__precision": "bf16", "run__cuda_graph": True},
    "tf32, graph, sgd": {"run__cuda_graph": True, "optim__kind": "sgd"},
    "r1, spectral": {"loss__r1_weight": 1.0, "discriminator__norm": "spectral"},
    "wgan-gp, layer norm": {
        "loss__adversarial": "wgan_gp",
        "loss__gradient_penalty_weight": 10.0,
        "discriminator__norm": "layer",
    },
}


def gradients(place: Place) -> Iterator[Row]:
    """Compare the gradients of both networks in float64 with those of a CPU, per recipe and order."""
    torch.set_default_dtype(torch.float64)
    try:
        for recipe, order in itertools.product(("srgan_8", "esrgan"), ("d_first", "simultaneous")):
            config = place.config(
                recipe, data__batch_size=2, generator__num_blocks=2, optim__update_order=order
            )
            here = _gradients(config, place.device, place)
            there = _gradients(config, torch.device("cpu"), place)
            worst = largest(zip(here, there, strict=True))
            yield passed(
                f"gradients, {recipe}, {order}", worst < 1e-9, f"{worst:.1e}", "below 1e-9 of the CPU's"
            )
    finally:
        torch.set_default_dtype(torch.float32)


def _gradients(config: TrainConfig, device: torch.device, place: Place) -> list[Tensor]:
    state = new_state(config, "gan", device)
    for network in (state.generator, state.discriminator):
        assert network is not None
        network.double()
    features = build_features(config, device)
    kept: list[Tensor] = []
    for optimizer in (state.opt_g, state.opt_d):
        assert optimizer is not None
        optimizer.register_step_pre_hook(
            lambda o, *_: kept.append(
                torch.cat([p.grad.flatten() for g in o.param_groups for p in g["params"]])
            )
        )
    hr, lr_image = (x.to(device) for x in place.batch(config, dtype=torch.float64))
    TrainStep(config, state, features.double() if features else None)(hr, lr_image)
    return kept


def inputs(place: Place, matlab: Path | None = None) -> Iterator[Row]:
    """Compare network inputs to the pixel with those of a CPU, and with MATLAB's files if they are given."""
    differ = 0
    for scale, side in itertools.product((2, 3, 4, 8), (48, 96, 240)):
        hr = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
        differ += int((down(hr.to(place.device), scale).cpu() != down(hr, scale)).sum())
    yield passed("network inputs, device = CPU", differ == 0, f"{differ} pixels differ", "0")
    if matlab is None:
        return
    differ = files = 0
    for path in sorted((matlab / "HR").glob("*.png")):
        hr = _pixels(path)
        for scale in (2, 3, 4):
            height, width = (n // scale * scale for n in hr.shape[-2:])
            expected = _pixels(matlab / f"X{scale}" / f"{path.stem}x{scale}.png")
            differ += int((down(hr[..., :height, :width].to(place.device), scale).cpu() != expected).sum())
            files += 1
    yield passed(f"network inputs = {files} files of MATLAB", differ == 0, f"{differ} pixels differ", "0")


def _pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None]


def waits(place: Place) -> Iterator[Row]:
    """Run loader and step with every wait for the device made an error."""
    for precision, graph in (("tf32", False), ("bf16", False), ("bf16", True)):
        config = place.config(
            "srgan_8",
            run__precision=precision,
            run__cuda_graph=graph,
            data__crop_px=96,
            data__batch_size=4,
        )
        loader = TrainLoader(place.images(config, 128, 16), config.data, 4, device=place.device)
        plain = TrainStep(
            config, new_state(config, "gan", place.device), build_features(config, place.device)
        )
        step = accelerated(plain)
        batches = loader.batches()
        for _ in range(1 if place.small else WARM_UP + 1):  # allocates memory, records the graph
            batch = next(batches)
            step(batch.hr, batch.lr_image, None)
        found = ""
        with _waits_are_errors(place):
            try:
                for _ in range(place.steps):
                    batch = next(batches)
                    step(batch.hr, batch.lr_image, None)
                    plain.state.step += 1
            except RuntimeError as error:
                found = str(error).split("\n")[0][:120]
        del batches  # ends the loader's thread
        yield passed(
            f"loader and step do not wait, {precision}{', graph' * graph}",
            not found,
            found or f"no wait in {place.steps} steps",
            "none",
        )


@contextmanager
def _waits_are_errors(place: Place) -> Iterator[None]:
    if place.device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def resume(place: Place) -> Iterator[Row]:
    """Resume each design half-way through its GAN phase; the end must equal the straight run's to the bit."""
    for name, design in list(DESIGNS.items())[: 1 if place.small else None]:
        config = _short(place, **design)
        folder = place.folder / name.replace(" ", "-").replace(",", "")
        straight = _ended(_train(config, place, folder / "straight"))
        again = _ended(_train(config, place, folder / "again"))
        repeats = _same(straight, again)
        last = checkpoint.whole(folder / "straight" / "kept")
        half = next(p for p in last if p.name == "gan-00000004")
        resumed = _same(straight, _ended(_train(config, place, folder / "resumed", half)))
        yield passed(
            f"resume to the bit, {name}",
            repeats and resumed,
            f"repeated {'equal' if repeats else 'DIFFERENT'}, resumed {'equal' if resumed else 'DIFFERENT'}",
            "equal",
        )


def _short(place: Place, **design: object) -> TrainConfig:
    sizes = {"data__batch_size": 4, "data__crop_px": 64, "generator__num_blocks": 2}
    run = {"psnr_steps": 4, "gan_steps": 8, "psnr_eval_every_steps": 4, "eval_every_steps": 4}
    run |= {"log_every_steps": 4, "checkpoint_every_steps": 4}
    changes = sizes | {f"run__{k}": v for k, v in run.items()} | design
    return place.config("srgan_8", **changes)


def graphs(place: Place) -> Iterator[Row]:
    """Take 12 steps at changing rates with and without a CUDA graph; all weights must be equal to the bit."""
    cases = [("srgan_8", "bf16", False), ("srgan_8", "tf32", False), ("esrgan", "bf16", False)]
    for recipe, precision, compiled in cases + [("srgan_8", "bf16", True)] * (not place.small):
        config = place.config(
            recipe,
            run__compile=compiled,
            run__precision=precision,
            data__batch_size=4,
            generator__num_blocks=2,
            run__cuda_graph=True,
        )
        ends = []
        for wrap in (accelerated, lambda step: step):
            state = new_state(config, "gan", place.device)
            step = wrap(TrainStep(config, state, build_features(config, place.device)))
            for index in range(2 if place.small else 12):
                for optimizer in (state.opt_g, state.opt_d):
                    assert optimizer is not None
                    set_rate(optimizer, 2.0 ** -(10 + index))
                step(*place.batch(config, seed=index), None)
                state.step += 1
            ends.append(_ended(state))
        same = _same(*ends)
        name = f"graph = plain steps, {recipe}, {precision}{', compiled' * compiled}"
        yield passed(name, same, "equal" if same else "DIFFERENT", "equal")


class _Keeper(FolderMonitor):
    """Keeps every checkpoint of a run."""

    def save(self, state, history):
        name = f"{state.phase}-{state.step:08d}"
        checkpoint.save(self.folder / "kept" / name, self.config, state, {"progress": vars(history)})


class _Measure:
    """Stands for the evaluator; the network still runs."""

    def __init__(self, place: Place, config: TrainConfig) -> None:
        self.hr, self.lr_image = place.batch(config, seed=9)

    def measure(self, network: torch.nn.Module) -> SimpleNamespace:
        with torch.inference_mode():
            sr = network(self.lr_image)
        mse = (sr - self.hr).square().mean().item()
        return SimpleNamespace(summary={"psnr_y": -10 * np.log10(mse), "swd": sr.std().item(), "lpips": mse})


def _train(config: TrainConfig, place: Place, folder: Path, start: Path | None = None) -> TrainState:
    loader = TrainLoader(place.images(config, 128, 16), config.data, 4, device=place.device)
    monitor = _Keeper(folder, config, say=lambda line: None)
    monitor.restore = lambda: start  # type: ignore[method-assign]
    run = TrainingRun(config, loader, _Measure(place, config), monitor, place.device)  # type: ignore[arg-type]
    return run.train()[0]


def _ended(state: TrainState) -> list[Tensor]:
    networks = [state.generator, state.ema, state.discriminator]
    tensors = [v for n in networks if n is not None for v in n.state_dict().values()]
    for optimizer in (state.opt_g, state.opt_d):
        if optimizer is not None:
            tensors += [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
    return [t.detach().cpu().clone() for t in tensors]


def _same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def divergence(place: Place) -> Iterator[Row]:
    """Feed a batch that is not finite at step 7; every weight must stay as it was after step 6."""
    config = place.config("srgan_8", data__batch_size=4, data__crop_px=64, run__cuda_graph=True)
    state = new_state(config, "gan", place.device)
    step = TrainStep(config, state, build_features(config, place.device))
    advance = accelerated(step)
    before: list[Tensor] = []
    for index in range(12):
        hr, lr_image = place.batch(config, seed=index)
        if index == 6:
            before = _ended(step.state)
            hr = hr * float("nan")
        advance(hr, lr_image, None)
        state.step += 1
    try:
        step.check()
        told = "not noticed"
    except Diverged as diverged:
        told = f"step {diverged.step}, {diverged.term}"
    unchanged = _same(before, _ended(step.state))
    ok = told.startswith("step 7") and unchanged
    yield passed(
        "NaN at step 7, read later",
        ok,
        f"{told}; weights {'kept' if unchanged else 'CHANGED'}",
        "step 7, kept",
    )


def images(place: Place) -> Iterator[Row]:
    """Compare evaluation and upscaling with the CPU's, tiles with the whole, and bf16 with fp32."""
    config = place.config("srgan_8")
    network = new_state(config, "psnr", place.device).ema
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    try:
        halo = footprint(network, 4).halo
        whole = upscale(network, small, scale=4, memory_mb=4096)
        tiled = upscale(network, small, scale=4, memory_mb=24 if not place.small else 2)
        apart = np.abs(whole.astype(int) - tiled.astype(int)).max()
        cpu = upscale(network.cpu(), small, scale=4, memory_mb=4096)
        network.to(place.device)
        expected = footprint(new_state(config, "psnr", torch.device("cpu")).ema, 4).halo
        far = np.abs(whole.astype(int) - cpu.astype(int)).max()
        yield passed("halo of the network", halo == expected, f"{halo} px", f"{expected} px, as on the CPU")
        yield passed(
            "tiles equal the whole", apart <= 1, f"{apart} grey levels at most", "at most 1 (0 on a CPU)"
        )
        yield passed("upscaled image, device = CPU", far <= 1, f"{far} grey levels at most", "at most 1")
    except UserError as error:
        yield passed("upscaling in tiles", False, str(error)[:120], "no error")
    hr = rng.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    pairs = [Pair(str(i), x, x[::4, ::4].copy()) for i, x in enumerate(hr)]
    values = {}
    for device in (place.device, torch.device("cpu")):
        evaluator = Evaluator(pairs, ["psnr_y", "ssim_y", "swd"], scale=4, device=device, protocol={})
        values[device.type] = evaluator.measure(network.to(device)).summary
    here, there = values[place.device.type], values["cpu"]
    worst = max(abs(here[k] - there[k]) / abs(there[k]) for k in there)
    yield passed("metrics, device = CPU", worst < 1e-3, f"{worst:.1e} relative", "below 1e-3")


CHECKS = (inputs, gradients, waits, divergence, graphs, resume, images)
