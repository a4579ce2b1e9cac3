"""Comparison pictures: input, bicubic, warm start, ours and target side by side, at fixed crops."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

from datasets.degrade import up
from datasets.pixels import preview

CELL_PX = 192
ROWS = 2
LABEL_PX = 18


def draw(pairs: Sequence[Any], models: Mapping[str, nn.Module], scale: int, device: torch.device) -> bytes:
    """Return a PNG with one row per image and the columns input, bicubic, each model, target.

    `pairs` are HR/LR pairs of one format, which pixels.preview shows as 8-bit RGB. The most detailed ROWS
    of them are shown, so that all trials show equal ones, each cropped to its centre. A model maps
    (N, bands, h, w) in [0, 1] to `scale` times the size.
    """
    chosen = sorted(pairs, key=lambda p: -_detail(p.hr))[:ROWS]
    return tabulate([_cells(pair, models, scale, device) for pair in chosen], models)


def tabulate(rows: Sequence[Sequence[np.ndarray]], models: Iterable[str]) -> bytes:
    """Return a PNG of square uint8 RGB pictures: per row input, bicubic, one of each model, target."""
    titles = ["input", "bicubic", *models, "target"]
    sheet = Image.new("RGB", (CELL_PX * len(titles), (CELL_PX + 2) * len(rows) + LABEL_PX), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * CELL_PX + 4, 3), title, fill="black")
    for row, pictures in enumerate(rows):
        for column, image in enumerate(pictures):
            # enlarged without smoothing, so that single pixels stay visible
            cell = Image.fromarray(image).resize((CELL_PX, CELL_PX), Image.Resampling.NEAREST)
            sheet.paste(cell, (column * CELL_PX, LABEL_PX + row * (CELL_PX + 2)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _detail(image: np.ndarray) -> float:
    """Return the mean difference between neighbouring pixels, a measure of what upscaling must add."""
    pixels = np.asarray(image, np.float32)
    return float(np.abs(np.diff(pixels, axis=0)).mean() + np.abs(np.diff(pixels, axis=1)).mean())


@torch.no_grad()
def _cells(pair: Any, models: Mapping[str, nn.Module], scale: int, device: torch.device) -> list[np.ndarray]:
    peak = pair.format.peak
    lr_image = torch.from_numpy(np.array(pair.lr_image)).permute(2, 0, 1)[None].to(device)
    upscaled = [model(lr_image.float() / peak) for model in models.values()]
    images = [(sr.clamp(0, 1) * peak).round().to(lr_image.dtype) for sr in upscaled]
    return row_of(pair, [i[0].permute(1, 2, 0).cpu().numpy() for i in images], scale)


def row_of(pair: Any, results: Sequence[np.ndarray], scale: int) -> list[np.ndarray]:
    """Return input, bicubic, `results` (H, W, bands) and target of an HR/LR pair as uint8 RGB pictures.

    Of pictures larger than a cell it is the centre, pixel for pixel.
    """
    of, (height, width) = pair.format, pair.lr_image.shape[:2]
    side = min(height, width, CELL_PX // scale)
    top, left = (height - side) // 2, (width - side) // 2
    lr_image = torch.from_numpy(np.array(pair.lr_image)).permute(2, 0, 1)[None]
    bicubic = up(lr_image, scale, peak=of.peak)[0].permute(1, 2, 0).numpy()

    def centre(image: np.ndarray, k: int) -> np.ndarray:
        return preview(image[k * top : k * (top + side), k * left : k * (left + side)], of)

    return [centre(pair.lr_image, 1), *(centre(image, scale) for image in (bicubic, *results, pair.hr))]
