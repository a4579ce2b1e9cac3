"""Tiled against whole-image upscaling, in one process: python tests/bench/infer.py.

Prints how much tiling costs beyond the pixels of its halos, which are computed twice and cannot be saved.
With `--large` it then upscales one picture to 10,000 x 10,000 as experiments/upscale.py does, reading and
writing files included, and prints time and peak memory of the process.
"""

import argparse
import os
import pty
import resource
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from orchestrator.console.bars import BatchProgress
from trainers.config import GeneratorConfig
from trainers.inference.files import UpscaleJob, jobs, upscale_file, upscale_files
from trainers.inference.tiling import footprint, plan, upscale
from trainers.models import build_generator


def large(side: int, channels: int) -> None:
    """One picture file to a `side` x `side` PNG."""
    config = GeneratorConfig(num_blocks=4, channels=channels, norm="none", global_skip="bicubic")
    network = build_generator(config).eval()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        coarse = rng.integers(256, size=(64, 64, 3), dtype=np.uint8)
        source, target = Path(folder) / "a.png", Path(folder) / "a_x4.png"
        Image.fromarray(coarse).resize((side // 4, side // 4)).save(source)
        began, done = time.process_time(), []
        upscale_file(network, UpscaleJob(source, target), scale=4, progress=lambda k, n: done.append(n))
        spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{side} x {side} px out, 4 blocks of {channels} channels, {len(done)} tiles: "
        f"{spent:.0f} CPU s, peak {peak:.2f} GB"
    )


def tiled_against_whole(side: int = 384, max_pixels: int = 160 * 160) -> None:
    """The time of 9 tiles over the time of one."""
    config = GeneratorConfig(num_blocks=4, channels=32, norm="none", scale=2)
    network = build_generator(config).eval()
    need = footprint(network, config.scale)
    image = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)
    tiles = plan(side, side, need.halo, max_pixels)
    read = sum((t.read[0].stop - t.read[0].start) * (t.read[1].stop - t.read[1].start) for t in tiles)
    overhead = read / side**2

    def seconds(pixels: int) -> float:
        memory_mb = pixels * need.bytes_per_pixel / 2**20
        start = time.process_time()
        upscale(network, image, scale=config.scale, memory_mb=memory_mb)
        return time.process_time() - start

    whole = min(seconds(side**2) for _ in range(3))
    tiled = min(seconds(max_pixels) for _ in range(3))
    print(
        f"{side} px input, x{config.scale}, halo {need.halo}: {len(tiles)} tiles, x{overhead:.2f} the pixels"
    )
    print(f"tiled takes x{tiled / whole:.2f} of whole: x{tiled / whole / overhead:.2f} of what these explain")


def batch(pictures: int, rounds: int = 3, side: int = 8) -> None:
    """The time of a batch in a terminal over that of single predictions: with files, and network alone."""
    config = GeneratorConfig(num_blocks=4, channels=32, norm="none", global_skip="bicubic")
    network = build_generator(config).eval()
    rng = np.random.default_rng(0)
    master, terminal = pty.openpty()
    threading.Thread(target=_discard, args=(master,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, os.fdopen(terminal, "w") as screen:
        (Path(folder) / "in").mkdir()
        for i in range(pictures):
            pixels = rng.integers(256, size=(side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder) / f"in/{i}.png")
        todo = jobs([f"{folder}/in"], Path(folder) / "out", "png", 4)
        need = footprint(network, 4)

        def in_a_terminal() -> None:
            with BatchProgress(len(todo), Console(file=screen, force_terminal=True)) as bar:
                progress = lambda job, k, n: bar.update(str(job.source), k, n)  # noqa: E731
                upscale_files(network, todo, scale=4, say=print, progress=progress)

        def single_files() -> None:
            for job in todo:
                upscale_file(network, job, scale=4, need=need)

        def network_alone() -> None:
            x = torch.zeros(1, 3, side, side)
            with torch.inference_mode():
                for _ in todo:
                    network(x)

        spent: dict[str, float] = {}
        for work in rounds * (network_alone, single_files, in_a_terminal):
            began = time.process_time()
            work()
            seconds = time.process_time() - began
            spent[work.__name__] = min(seconds, spent.get(work.__name__, seconds))
    ratios = [spent["in_a_terminal"] / spent[k] for k in ("single_files", "network_alone")]
    print(
        f"{pictures} pictures of {side} px in a terminal: x{ratios[0]:.2f} of single predictions with their "
        f"files, x{ratios[1]:.2f} of the network alone"
    )


def _discard(descriptor: int) -> None:
    with suppress(OSError):  # the other end was closed
        while os.read(descriptor, 1 << 16):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also a 10,000 x 10,000 output (minutes)")
    parser.add_argument("--batch", type=int, default=0, help="also so many tiny pictures in a terminal")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--channels", type=int, default=32, help="of the network that makes it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tiled_against_whole()
    if args.batch:
        batch(args.batch, args.rounds)
    if args.large:
        large(10_000, args.channels)


if __name__ == "__main__":
    main()
