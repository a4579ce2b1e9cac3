"""Upscale images of any size in bounded memory, by overlapping tiles that equal the whole image.

A tile is computed with as many surrounding pixels as the network sees (its halo) and cropped, so that there
is no seam and nothing to blend; an image that fits is one tile. A network that sees the whole image, by
attention, pooling or norms over all pixels, gets the overlap of its row in trainers/config/generators.py: its
tiles are then close to the whole image, not equal. trainers/inference/image_io.py reads files.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.models import bands_of
from trainers.numerics import measuring_numerics

MAX_HALO = 2048  # input pixels; beyond it a network counts as seeing the whole image
SQUARE = 64  # side of the image on which the memory of a network with an overlap is measured
COPIES = 4  # of the largest feature map alive at once: input, output, convolution workspace, skip


@dataclass(frozen=True)
class Footprint:
    """The surroundings and the memory that a network needs per input pixel."""

    halo: int
    """Input pixels seen on each side."""
    bytes_per_pixel: int
    """Memory of a forward pass per input pixel, an upper estimate."""


@dataclass(frozen=True)
class Tile:
    """Half-open ranges of input rows and columns: the part that is read, and the core that is kept."""

    read: tuple[slice, slice]
    core: tuple[slice, slice]


def footprint(network: nn.Module, scale: int) -> Footprint:
    """Measure the receptive field and the memory of `network` on a strip of one row.

    A network with an `overlap` has that instead of a receptive field. Otherwise a NaN at one pixel reaches
    exactly the outputs that depend on it, through every kind of layer, so that no table of kernel sizes is
    needed. It is measured on the CPU: algorithms of a GPU that transform tiles of the image (Winograd, FFT)
    would spread the NaN over a tile.

    Raises:
        UserError: if the network sees further than MAX_HALO.
    """
    if next(network.parameters()).device.type != "cpu":
        network = copy.deepcopy(network).cpu()
    if overlap := getattr(network, "overlap", 0):
        with torch.inference_mode():
            _, largest = _largest_output(network, torch.zeros(1, bands_of(network), SQUARE, SQUARE))
        return Footprint(overlap, ceil(COPIES * 4 * largest / SQUARE**2))
    side = 64
    while side <= MAX_HALO:
        strip = torch.zeros(1, bands_of(network), 1, 2 * side + 1)
        strip[..., side] = torch.nan
        with torch.inference_mode():
            sr, largest = _largest_output(network, strip)
        seen = torch.isnan(sr).any(1).any(1)[0].nonzero()
        reach = max(side - int(seen.min()) // scale, int(seen.max()) // scale - side)
        if reach < side:
            return Footprint(reach, ceil(COPIES * 4 * largest / strip.shape[-1]))
        side *= 2
    raise UserError(f"the network sees more than {MAX_HALO} pixels around each pixel and cannot be tiled")


def _largest_output(network: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """Return the output for `x`, and the number of elements of the largest tensor that a layer returned."""
    sizes = [x.numel()]

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        return network(x), max(sizes)
    finally:
        for handle in handles:
            handle.remove()


def plan(height: int, width: int, halo: int, max_pixels: int, align: int = 1) -> list[Tile]:
    """Return tiles of at most `max_pixels` input pixels, halo included, in the grid that computes least.

    An image that fits is one tile. A core is at least a quarter of the halo wide, even if the tile is then
    larger than `max_pixels`: smaller cores would be too many to ever finish. Tiles start at multiples of
    `align`, for networks that fold `align` pixels into one.
    """
    smallest = max(1, halo // 4)
    grids = []
    for columns in range(1, ceil(width / smallest) + 1):
        wide = width if columns == 1 else ceil(width / columns) + 2 * halo
        fits = max_pixels // wide
        rows = 1 if fits >= height else ceil(height / max(smallest, fits - 2 * halo))
        tall = height if rows == 1 else ceil(height / rows) + 2 * halo
        computed = (height + 2 * halo * (rows - 1)) * (width + 2 * halo * (columns - 1))
        # the fewest pixels of a tile beyond max_pixels, then the fewest pixels computed in all
        grids.append((max(0, tall * wide - max_pixels), computed, rows, columns))
    _, _, rows, columns = min(grids)
    return [
        Tile((_widen(y, halo, height, align), _widen(x, halo, width, align)), (y, x))
        for y in _cut(height, rows)
        for x in _cut(width, columns)
    ]


def _cut(size: int, parts: int) -> list[slice]:
    """Cut `size` into `parts` consecutive ranges whose lengths differ by at most one."""
    edges = [size * k // parts for k in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


def _widen(part: slice, halo: int, size: int, align: int) -> slice:
    """Add the halo to `part` up to the image's border, beyond which the network pads as for a whole image."""
    return slice(max(0, part.start - halo) // align * align, min(size, part.stop + halo))


def upscale(
    network: nn.Module,
    image: np.ndarray,
    *,
    scale: int,
    memory_mb: float = 512,
    need: Footprint | None = None,
    peak: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Upscale `image`, uint8 or uint16, (h, w, bands) or (h, w) grey, by `scale`; the type is kept.

    `network` is in eval mode on its device. A grey image is repeated over the channels of the network and the
    output channels are averaged. `peak` is the value of white, 0 the largest of the type. `memory_mb` bounds
    the feature maps of one tile; `need` is the network's footprint, measured here unless given; `progress`
    gets the number of finished tiles and of all tiles.

    Raises:
        UserError: if the network takes other bands, or if the output is not finite.
    """
    bands = bands_of(network)
    if image.ndim == 3 and image.shape[2] != bands:
        raise UserError(f"it has {image.shape[2]} bands, but the network takes {bands}")
    if image.ndim == 2 and bands not in (1, 3):
        raise UserError(f"it has one band, but the network takes {bands}")
    white = peak or np.iinfo(image.dtype).max
    if (largest := int(image.max())) > white:
        raise UserError(f"it has a value of {largest}, but the network was trained on 0 to {white}")
    need = need or footprint(network, scale)
    height, width = image.shape[:2]
    align = getattr(network, "fold", 1)  # of RRDBNet with generator.unshuffle_input, and of attention windows
    max_pixels = int(memory_mb * 2**20 / need.bytes_per_pixel)
    tiles = plan(height, width, need.halo, max_pixels, align)
    out = np.empty((height * scale, width * scale, *image.shape[2:]), image.dtype)
    for done, tile in enumerate(tiles, 1):
        with measuring_numerics(next(network.parameters()).device):
            core = _compute(network, image, tile, scale, white)
        out[tuple(_scaled(part, scale) for part in tile.core)] = core
        if progress is not None:
            progress(done, len(tiles))
    return out


def in_tiles(network: nn.Module, x: Tensor, *, scale: int, memory_mb: float) -> Tensor:
    """Return network(x) of (1, C, h, w), computed in tiles if its feature maps exceed `memory_mb`.

    A network that sees the whole image computes it whole.
    """
    try:
        need = footprint(network, scale)
    except UserError:
        return network(x)
    height, width = x.shape[-2:]
    max_pixels = int(memory_mb * 2**20 / need.bytes_per_pixel)
    tiles = plan(height, width, need.halo, max_pixels, getattr(network, "fold", 1))
    if len(tiles) == 1:
        return network(x)
    out = x.new_empty(*x.shape[:-2], height * scale, width * scale)
    for tile in tiles:
        sr = network(x[(..., *tile.read)])
        whole = tuple(_scaled(part, scale) for part in tile.core)
        core = (_scaled(c, scale, r.start) for c, r in zip(tile.core, tile.read, strict=True))
        out[(..., *whole)] = sr[(..., *core)]
    return out


def _scaled(part: slice, scale: int, origin: int = 0) -> slice:
    return slice((part.start - origin) * scale, (part.stop - origin) * scale)


@torch.inference_mode()
def _compute(network: nn.Module, image: np.ndarray, tile: Tile, scale: int, white: int) -> np.ndarray:
    """Return the upscaled core of one tile in the type of `image`, clipped and rounded half up."""
    read = image[tile.read].astype(np.float32) / white
    if read.ndim == 2:
        read = np.repeat(read[..., None], bands_of(network), axis=2)
    x = torch.from_numpy(read).permute(2, 0, 1)[None].to(next(network.parameters()).device)
    rows, columns = (
        _scaled(core, scale, whole.start) for core, whole in zip(tile.core, tile.read, strict=True)
    )
    sr = network(x)[0, :, rows, columns]
    if not torch.isfinite(sr).all():
        raise UserError("the network's output is not finite; choose another model")
    sr = sr.mean(0) if image.ndim == 2 else sr.permute(1, 2, 0)
    return (sr.float().clamp(0, 1) * white + 0.5).floor().cpu().numpy().astype(image.dtype)
