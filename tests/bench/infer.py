"""Tiled against whole-image upscaling, in one process: python tests/bench/infer.py.

Prints how much tiling costs beyond the pixels of its halos, which are computed twice and cannot be saved.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from trainers.config import GeneratorConfig
from trainers.infer import footprint, plan, upscale
from trainers.models import build_generator


def main(side: int = 384, max_pixels: int = 160 * 160) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
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


if __name__ == "__main__":
    main()
