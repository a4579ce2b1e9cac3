"""Make docs/images/front.png: a portrait enlarged four times by bicubic and by networks of runs.

    python tools/front_picture.py "ours, warm start=runs/train/faces/candidates/00000000" \
        "ours, GAN=runs/train/faces/candidates/00000500"

The portrait is scikit-image's `astronaut` (NASA, public domain), on which no network was trained.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.degrade import down, up  # noqa: E402
from orchestrator.registry.load_model import load_model  # noqa: E402
from trainers.inference.tiling import upscale  # noqa: E402

LEFT, TOP, SIDE = 164, 48, 144
ZOOM, GAP, LABEL, SCALE = 2, 6, 26, 4


def panels(networks: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return label -> uint8 picture (SIDE, SIDE, 3) of input, bicubic, each network of SCALE, and target."""
    target = np.ascontiguousarray(data.astronaut()[TOP : TOP + SIDE, LEFT : LEFT + SIDE])
    small = down(torch.from_numpy(target).permute(2, 0, 1)[None], SCALE)
    lr_image = small[0].permute(1, 2, 0).contiguous().numpy()
    pictures = {
        f"input, {SIDE // SCALE} px": lr_image.repeat(SCALE, 0).repeat(SCALE, 1),
        "bicubic": up(small, SCALE)[0].permute(1, 2, 0).numpy(),
    }
    for label, place in networks.items():
        pictures[label] = upscale(load_model(place, "")[0], lr_image, scale=SCALE, memory_mb=256, peak=0)
    return pictures | {f"target, {SIDE} px": target}


def sheet(pictures: Mapping[str, np.ndarray]) -> Image.Image:
    """Return the pictures in a row, enlarged without smoothing, each below its label."""
    step = SIDE * ZOOM + GAP
    out = Image.new("RGB", (step * len(pictures) - GAP, SIDE * ZOOM + LABEL), "white")
    pen, font = ImageDraw.Draw(out), ImageFont.load_default(17)
    for place, (label, picture) in enumerate(pictures.items()):
        pen.text((place * step + 2, 2), label, fill="black", font=font)
        large = Image.fromarray(picture).resize((SIDE * ZOOM,) * 2, Image.Resampling.NEAREST)
        out.paste(large, (place * step, LABEL))
    return out


if __name__ == "__main__":
    named = dict(word.split("=", 1) for word in sys.argv[1:])
    sheet(panels(named)).save(ROOT / "docs" / "images" / "front.png", optimize=True)
