"""Crops decoded alone are those of the whole image, bit for bit; without the library nothing changes."""

import io
import itertools
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.paths import DATA
from PIL import Image

from datasets import codec, jpeg_crop
from datasets.pixels import RGB8

needs_library = pytest.mark.skipif(
    jpeg_crop.find() is None, reason="no libjpeg-turbo 3 here: pip install turbojpeg"
)


def jpeg(mode: str = "RGB", size: tuple[int, int] = (75, 61), **options: object) -> bytes:
    noise = np.random.default_rng(size[0]).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    smooth = Image.fromarray(noise).resize((size[0] // 4, size[1] // 4)).resize(size)
    smooth.convert(mode).save(buffer, "JPEG", **{"quality": 75, **options})
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(exif=exif)


KINDS = {
    "4:2:0": jpeg(subsampling=2),
    "4:2:2": jpeg(subsampling=1),
    "4:4:4": jpeg(subsampling=0),
    "grey": jpeg("L"),
    "progressive": jpeg(progressive=True),
    "with restarts": jpeg(restart_marker_blocks=3),
    "turned": turned(),
}


def crops_that_differ(data: bytes, side: int, step: int) -> list[tuple[int, int]]:
    """Places of crops, every `step` pixels, that are not those of the whole image."""
    mode, whole = codec.mode(data), codec.decode(data)
    tops, lefts = (range(0, length - side + 1, step) for length in whole.shape[:2])
    assert len(tops) > 1 and len(lefts) > 1
    return [
        (top, left)
        for top, left in itertools.product(tops, lefts)
        if not np.array_equal(
            codec.decode_crop(data, SimpleNamespace(ext="jpg", mode=mode), "none", RGB8, top, left, side),
            whole[top : top + side, left : left + side],
        )
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_crop_is_that_of_the_whole_image(kind: str) -> None:
    assert crops_that_differ(KINDS[kind], 32, 3) == []


def test_without_the_library_the_crop_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_crop, "find", lambda: None)
    assert crops_that_differ(KINDS["4:2:0"], 32, 7) == []


@needs_library
@pytest.mark.skipif(not DATA.is_dir(), reason="no test images; set UPSWEEP_TEST_DATA")
def test_photographs_agree() -> None:
    with zipfile.ZipFile(DATA / "houses_kitchen.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".jpg")][:12]
        differing = {name: crops_that_differ(archive.read(name), 128, 31) for name in names}
    assert differing == {name: [] for name in names} and len(names) == 12


@needs_library
def test_what_the_library_cannot_do_for_certain_is_left_to_the_whole_decode() -> None:
    regions = jpeg_crop.find()
    assert regions is not None
    assert regions.crop(KINDS["4:2:0"], 0, 0, 32) is not None
    assert regions.crop(b"no image", 0, 0, 32) is None
    assert regions.crop(KINDS["4:2:0"], 40, 0, 32) is None
    assert regions.crop(KINDS["4:2:0"][:300], 0, 0, 32) is None


def test_a_library_that_decodes_otherwise_is_not_used() -> None:
    class Other:
        def crop(self, data: bytes, top: int, left: int, side: int) -> np.ndarray:
            return np.zeros((side, side, 3), dtype=np.uint8)

    assert not jpeg_crop._agrees(Other())  # type: ignore[arg-type]
