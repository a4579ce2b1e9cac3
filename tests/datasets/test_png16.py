"""16-bit colour PNGs keep every pixel and their metadata, and damage is an OSError."""

import numpy as np
import pytest
from PIL import Image

from datasets.png16 import decode, write_pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_of_each_number_of_channels_come_back(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(65_536, size=(5, 7, channels)).astype(np.uint16)
    write_pixels(tmp_path / "a.png", pixels, None, None)
    assert np.array_equal(decode((tmp_path / "a.png").read_bytes()), pixels)


def test_rows_beyond_one_block_come_back(tmp_path):
    pixels = np.random.default_rng(0).integers(65_536, size=(600, 3, 3)).astype(np.uint16)
    write_pixels(tmp_path / "a.png", pixels, None, None)
    assert np.array_equal(decode((tmp_path / "a.png").read_bytes()), pixels)


def test_pillow_reads_size_profile_and_exif(tmp_path):
    exif = Image.Exif()
    exif[0x013B] = "someone"
    write_pixels(tmp_path / "a.png", np.zeros((5, 7, 3), np.uint16), b"profile", exif.tobytes())
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (7, 5) and image.info["icc_profile"] == b"profile"
        assert image.getexif()[0x013B] == "someone"


def test_damage_is_an_os_error(tmp_path):
    write_pixels(tmp_path / "a.png", np.zeros((50, 70, 3), np.uint16), None, None)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(OSError, match="."):
        decode((tmp_path / "a.png").read_bytes())
