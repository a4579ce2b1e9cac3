"""Images of 16 bit and of any number of bands: from files to batches, to the last bit."""

import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from datasets import codec
from datasets.config import DataConfig
from datasets.degrade import down, up
from datasets.errors import Rejected, UserError
from datasets.image_set import open_images
from datasets.loader import TrainLoader, eval_pairs
from datasets.pixels import RGB8, PixelFormat, as_rgb8, named, preview
from datasets.prepare import prepare

FIVE = PixelFormat(("blue", "green", "red", "nir", "swir"), 65_535)


def deep(height: int = 40, width: int = 48, bands: int = 5, seed: int = 0) -> np.ndarray:
    """A smooth 16-bit image with some noise, no two seeds alike."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 60_000, (4, 4, bands), dtype=np.uint16)
    smooth = np.kron(coarse, np.ones((height // 4, width // 4, 1), np.uint16))
    return smooth + draw.integers(0, 5_000, smooth.shape, dtype=np.uint16)


def tiff(image: np.ndarray, **options) -> bytes:
    """The bytes of a TIFF; bands are the samples of a pixel."""
    buffer = io.BytesIO()
    samples = {"photometric": "minisblack", "planarconfig": "contig"} if image.ndim == 3 else {}
    tifffile.imwrite(buffer, image, **samples | {"metadata": None} | options)
    return buffer.getvalue()


def npy(image: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


WAYS = {
    "plain": {},
    "tiles": {"tile": (16, 16)},
    "deflate with predictor": {"compression": "zlib", "predictor": True},
    "LZW": {"compression": "lzw"},
    "zstd tiles": {"compression": "zstd", "tile": (32, 32)},
    "planes apart": {"planarconfig": "separate"},
    "BigTIFF": {"bigtiff": True},
    "Motorola order": {"byteorder": ">"},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_store_a_tiff_gives_its_values_to_the_bit(way: str) -> None:
    image = deep()
    stored = np.moveaxis(image, -1, 0) if way == "planes apart" else image
    assert np.array_equal(codec.decode(tiff(stored, **WAYS[way]), pixels=FIVE), image)


def test_grey_rgb_and_bands_come_in_from_png_npy_and_8_bit_tiff() -> None:
    image, grey = deep(bands=3), PixelFormat(("grey",), 65_535)
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, "PNG")
    assert np.array_equal(codec.decode(buffer.getvalue(), pixels=grey), image[..., :1])
    assert np.array_equal(codec.decode(npy(image), pixels=named(3, 65_535)), image)
    assert np.array_equal(codec.decode(npy(image[..., 0]), pixels=grey), image[..., :1])
    eight = (image >> 8).astype(np.uint8)
    assert np.array_equal(codec.decode(tiff(eight, photometric="rgb")), eight)
    turned = tiff(eight, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(codec.decode(turned), np.rot90(eight, -1))
    assert codec.size_of(tiff(image)) == image.shape[:2] and codec.extension(npy(image)) == "npy"


def _nan() -> np.ndarray:
    image = deep().astype(np.float32)
    image[3, 4, 1] = np.nan
    return image


def _stack() -> bytes:
    return tiff(np.stack([deep(bands=1)[..., 0]] * 3), photometric="minisblack", planarconfig=None)


def _huge() -> bytes:
    data = bytearray(tiff(deep(bands=1)[..., 0]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = [file.pages.first.tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    for place in places:
        data[place : place + 4] = (40_000).to_bytes(4, "little")
    return bytes(data)


WRONG = {
    "float": (
        lambda: tiff(deep().astype(np.float32)),
        "float32 values have no fixed range; scale them to 16",
    ),
    "NaN": (lambda: tiff(_nan()), "^1 of its float32 values are NaN"),
    "NaN in npy": (lambda: npy(_nan()), "^1 of its float32 values are NaN"),
    "signed": (lambda: tiff(deep().astype(np.int16)), "signed 16-bit values; shift them to 0"),
    "32 bit": (lambda: tiff(deep().astype(np.uint32)), "uint32 values; save them as uint8 or uint16"),
    "several pages": (_stack, "^3 pages; an image is one page"),
    "huge": (_huge, "^40000x40000 px of 1 bands, more than 64000000 pixels"),
    "cut off": (lambda: tiff(deep())[:-4000], "parts of its pixels are missing"),
    "garbage": (lambda: b"II*\0" + bytes(100), "cannot be decoded"),
    "other bands": (
        lambda: tiff(deep(bands=4)),
        r"^4 bands, but the set has 5 \(blue, green, red, nir, swir\)",
    ),
    "8 bit": (lambda: npy((deep() >> 8).astype(np.uint8)), "^8 bit, but the set has 16"),
    "a photograph": (lambda: png8(), "^8 bit, but the set has 16"),
    "objects": (lambda: npy(np.array([[None]])), "Python objects"),
    "one axis": (lambda: npy(np.zeros(9, np.uint16)), "an image is .height, width. or"),
    "bands first": (
        lambda: npy(np.zeros((5, 99, 99), np.uint16)),
        "99 bands, more than 64; the bands must be",
    ),
    "white is 0": (lambda: tiff(deep(bands=1)[..., 0], photometric="miniswhite"), "white is 0 in it"),
    "transparent": (
        lambda: tiff(deep(bands=4), photometric="rgb", extrasamples=["unassalpha"]),
        "transparent pixels have no colour",
    ),
}


def png8() -> bytes:
    """An 8-bit photograph."""
    buffer = io.BytesIO()
    Image.fromarray((deep(bands=3) >> 8).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_image_of_the_set_is_rejected_with_one_reason(case: str) -> None:
    build, reason = WRONG[case]
    with pytest.raises(Rejected, match=reason):
        codec.decode(build(), pixels=FIVE)


def test_an_8_bit_set_takes_no_deep_image_and_a_range_no_larger_value() -> None:
    with pytest.raises(Rejected, match="more than 8 bits per channel; convert it to 8"):
        codec.decode(tiff(deep(bands=3), photometric="rgb"))
    with pytest.raises(Rejected, match="but the largest of the set is 4095; raise --peak"):
        codec.decode(npy(deep()), pixels=PixelFormat(FIVE.bands, 4095))


def test_a_photograph_keeps_its_bits_and_others_are_shown_at_8_bit() -> None:
    photograph = codec.decode(png8())
    assert preview(photograph) is photograph and as_rgb8(photograph, RGB8) is photograph
    image = np.array([[[0, 0, 65_535, 0, 0], [0, 32_767, 0, 0, 0]]], np.uint16)
    assert as_rgb8(image, FIVE).tolist() == [[[255, 0, 0], [0, 127, 0]]]
    with pytest.raises(UserError, match="no bands red, green and blue, but band1, band2"):
        as_rgb8(image, named(5, 65_535))


def test_16_bit_degradation_rounds_as_exact_arithmetic_does() -> None:
    """Sums of 16-bit pixels and cubic weights need more digits than float32 has: integers do not round."""
    image = torch.from_numpy(deep(16, 16, 2)).permute(2, 0, 1)[None]
    small = down(image, 2, peak=65_535)[0, 0].numpy()
    from datasets.degrade import resize_matrix

    weights = np.round(resize_matrix(16, 8, "symmetric") * 4096).astype(np.int64)
    columns = image[0, 0].numpy().astype(np.int64)
    half = np.clip((weights @ columns + 2048) // 4096, 0, 65_535)
    assert np.array_equal(small, np.clip((half @ weights.T + 2048) // 4096, 0, 65_535))
    assert up(image, 2, peak=65_535).dtype == torch.uint16
    assert int(down(image, 4, peak=60_000).to(torch.int32).max()) <= 60_000


@pytest.fixture(scope="module")
def five_bands(tmp_path_factory):
    """A folder of 14 five-band TIFFs, one with three bands and one cut off, imported."""
    folder = tmp_path_factory.mktemp("bands")
    source = folder / "scenes"
    source.mkdir()
    for k in range(14):
        (source / f"{k:02d}.tif").write_bytes(tiff(deep(seed=k), compression="zlib"))
    (source / "rgb.tif").write_bytes(tiff(deep(bands=3, seed=20)))
    (source / "short.tif").write_bytes(tiff(deep(seed=21))[:-4000])
    out = folder / "shards"
    prepare("folder", str(source), str(out), bands=FIVE.bands, max_rejected=0.2)
    return folder, out


def test_an_import_names_the_bands_and_what_it_left_out(five_bands) -> None:
    folder, out = five_bands
    images = open_images(str(out), "train", work_dir=folder)
    assert images.format == FIVE
    rejected = (out / "rejected.csv").read_text()
    assert "3 bands, but the set has 5" in rejected and "parts of its pixels are missing" in rejected
    wrong = DataConfig(train=str(out), crop_px=16, batch_size=2)
    with pytest.raises(
        UserError, match="has the bands blue, green, red, nir, swir of 0 to 65535, but data.ba"
    ):
        TrainLoader(images, wrong, 4, device="cpu")


@pytest.mark.parametrize("mode", ["cached", "streamed"])
def test_batches_of_bands_hold_the_files_values(five_bands, mode: str) -> None:
    folder, out = five_bands
    data = DataConfig(
        train=str(out), crop_px=16, batch_size=4, mode=mode, rotate=True, bands=FIVE.bands, peak=FIVE.peak
    )
    images = open_images(str(out), "train", work_dir=folder, data=data)
    batch = next(TrainLoader(images, data, 4, device="cpu").batches())
    assert batch.hr.shape == (4, 5, 16, 16) and batch.lr_image.shape == (4, 5, 4, 4)
    values = set((batch.hr[0] * FIVE.peak).round().to(torch.int64).flatten().tolist())
    assert values <= set(images[int(batch.indices[0])].astype(int).flatten().tolist())
    pair = eval_pairs(images, data, 4)[0]
    assert pair.format == FIVE and pair.hr.dtype == np.uint16 and pair.lr_image.shape == (10, 12, 5)


def test_grey_8_bit_files_stay_one_band_on_request_and_the_conversion_is_said_else(tmp_path) -> None:
    source = tmp_path / "grey"
    source.mkdir()
    for k in range(10):
        Image.fromarray((deep(seed=k)[..., 0] >> 8).astype(np.uint8)).save(source / f"{k}.png")
    kept = prepare("folder", str(source), str(tmp_path / "one"), bands=("grey",))
    assert kept.pixels == PixelFormat(("grey",), 255) and "converted" not in kept.notes
    repeated = prepare("folder", str(source), str(tmp_path / "three"))
    assert repeated.pixels.is_rgb8 and repeated.notes["converted"].startswith("10 grey images, repeated")
    with pytest.raises(UserError, match="--bands has 2 names, but the images have 3 bands"):
        prepare("folder", str(source), str(tmp_path / "x"), bands=("a", "b"))
