"""Picture files keep their metadata, and a bad file is a UserError with its name."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps

from datasets import png16
from datasets.errors import UserError
from trainers.inference.image_io import Picture, expand, read, write
from trainers.inference.tiff import enlarged

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _rgb(height=12, width=20):
    return np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)


def test_orientation_is_applied_and_the_rest_of_exif_and_icc_stay(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "someone"
    Image.fromarray(_rgb()).save(tmp_path / "a.png", exif=exif, icc_profile=SRGB)
    picture = read(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, np.rot90(_rgb(), -1))
    write(tmp_path / "b.png", picture)
    with Image.open(tmp_path / "b.png") as again:
        assert again.getexif().get(ExifTags.Base.Artist) == "someone"
        assert ExifTags.Base.Orientation not in again.getexif()
        assert again.info["icc_profile"] == SRGB


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_png_gives_back_each_mode(tmp_path, mode):
    original = Image.fromarray(_rgb()).convert(mode.replace("I;16", "L"))
    if mode == "I;16":
        original = Image.fromarray(np.asarray(original).astype(np.uint16) * 250 + 3)
    original.save(tmp_path / "a.png")
    write(tmp_path / "b.png", read(tmp_path / "a.png"))
    with Image.open(tmp_path / "b.png") as again:
        assert again.mode == mode and np.array_equal(np.asarray(again), np.asarray(original))


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_colour_is_kept_with_its_metadata(tmp_path, channels, orientation):
    deep = np.random.default_rng(0).integers(65_536, size=(12, 20, channels)).astype(np.uint16)
    deep[..., -1] = deep[..., -1] // 257 * 257 if channels != 3 else deep[..., -1]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist] = orientation, "someone"
    png16.write_pixels(tmp_path / "a.png", deep, SRGB, exif.tobytes())
    picture = read(tmp_path / "a.png")
    write(tmp_path / "b.png", picture)
    again = png16.decode((tmp_path / "b.png").read_bytes())
    assert again.dtype == np.uint16 and picture.pixels.dtype == np.uint16
    with Image.open(tmp_path / "a.png") as eight:
        upright = ImageOps.exif_transpose(eight)
        assert np.array_equal(again[..., 0] >> 8, np.asarray(upright)[..., 0])
    if orientation == 1:
        assert np.array_equal(again, deep)
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == SRGB and image.size == upright.size
        assert dict(image.getexif()) == {ExifTags.Base.Artist: "someone"}


def test_rows_beyond_one_block_and_16_bit_grey_come_back(tmp_path):
    deep = np.random.default_rng(0).integers(65_536, size=(600, 7)).astype(np.uint16)
    write(tmp_path / "a.png", Picture(deep))
    assert np.array_equal(read(tmp_path / "a.png").pixels, deep)


def test_a_description_that_states_the_sizes_of_its_file_is_not_kept(tmp_path):
    """Tools read it before the TIFF's own tags: a result of twice the size looked damaged to them."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 5), np.uint16), photometric="minisblack")
    picture = read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", replace(picture, pixels=np.zeros((16, 16, 5), np.uint16)))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.series[0].shape == (16, 16, 5) and "ImageDescription" not in file.pages[0].tags


def test_tiffs_of_16_bit_and_of_many_bands_come_back_with_their_place_and_damage_is_an_error(tmp_path):
    place = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (33922, 12, 6, (2.0, 4.0, 0.0, 3e5, 5e6, 0.0), True)]
    for bands in (1, 3, 5):
        deep = np.random.default_rng(0).integers(65_536, size=(40, 50, bands)).astype(np.uint16)
        layout = "contig" if bands > 1 else None
        tifffile.imwrite(
            tmp_path / "a.tif", np.squeeze(deep), planarconfig=layout, extratags=place, description="field 7"
        )
        picture = read(tmp_path / "a.tif")
        assert np.array_equal(np.atleast_3d(picture.pixels), deep) and picture.notes == ()
        write(tmp_path / "b.tif", replace(picture, icc=SRGB, tags=enlarged(picture.tags, 2)))
        again = read(tmp_path / "b.tif")
        assert np.array_equal(np.atleast_3d(again.pixels), deep) and again.icc == SRGB
        values = {tag.code: tag.value for tag in again.tags}
        assert values[33550] == (5.0, 5.0, 0.0) and values[33922] == (4.0, 8.0, 0.0, 3e5, 5e6, 0.0)
        assert values[270] == "field 7"
    with pytest.raises(UserError, match="png holds grey or RGB, not 5 bands; use --format tiff"):
        write(tmp_path / "b.png", picture)
    notes = write(tmp_path / "g.png", replace(picture, pixels=deep[..., :3]))
    assert notes == ["png does not hold the tags of a TIFF; --format tiff keeps them"]
    deep = np.full((4, 5, 3), 1000, np.uint16)
    write(tmp_path / "b.png", Picture(np.repeat(np.repeat(deep, 99, 0), 99, 1)))
    (tmp_path / "c.png").write_bytes((tmp_path / "b.png").read_bytes()[:200])
    with pytest.raises(UserError, match="c.png: damaged or cut off"):
        read(tmp_path / "c.png")


def test_a_palette_with_transparency_becomes_rgb_with_alpha(tmp_path):
    palette = Image.fromarray(_rgb()).quantize(8)
    palette.save(tmp_path / "a.png", transparency=0)
    picture = read(tmp_path / "a.png")
    assert picture.pixels.shape == (12, 20, 3) and set(np.unique(picture.alpha)) == {0, 255}


def test_dropped_properties_are_noted(tmp_path):
    Image.fromarray(_rgb()).convert("CMYK").save(tmp_path / "c.jpg", icc_profile=SRGB)
    picture = read(tmp_path / "c.jpg")
    assert picture.icc is None and "CMYK" in picture.notes[0]
    frames = [Image.fromarray(_rgb()), Image.fromarray(255 - _rgb())]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "first of 2 frames" in read(tmp_path / "a.gif").notes[0]
    deep = Picture(np.full((4, 4), 257 * 9, np.uint16))
    assert "--format png keeps 16" in write(tmp_path / "d.webp", deep)[0]


def test_bad_files_are_errors_with_their_name(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    data = io.BytesIO()
    Image.fromarray(_rgb(64, 64)).save(data, "png")
    (tmp_path / "cut.png").write_bytes(data.getvalue()[:2000])
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tiff")
    for name, sentence in {
        "none.png": "none.png: no such file",
        "text.png": "not a picture",
        "cut.png": "damaged or cut off",
        "float.tiff": "no fixed range",
    }.items():
        with pytest.raises(UserError, match=sentence):
            read(tmp_path / name)


def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded(tmp_path):
    data = io.BytesIO()
    Image.fromarray(_rgb(64, 64)).save(data, "jpeg", progressive=True)
    whole = data.getvalue()
    (tmp_path / "good.jpg").write_bytes(whole)
    assert read(tmp_path / "good.jpg").pixels.shape == (64, 64, 3)
    (tmp_path / "slow.jpg").write_bytes(whole[:-2] + 600 * whole[whole.rindex(b"\xff\xda") : -2] + whole[-2:])
    with pytest.raises(UserError, match="slow.jpg: a progressive JPEG of more than 100 scans; save it again"):
        read(tmp_path / "slow.jpg")


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    Image.fromarray(_rgb(64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="megapixels; cut it"):
        read(tmp_path / "a.png")


def test_pictures_beyond_the_limits_of_a_format_are_refused_without_a_file(tmp_path):
    with pytest.raises(UserError, match=r"16384 x 1 px is beyond webp's 16,383 px a side; use --format png"):
        write(tmp_path / "a.webp", Picture(np.zeros((1, 16_384, 3), np.uint8)))
    with pytest.raises(UserError, match="jpeg holds no transparency"):
        write(tmp_path / "a.jpg", Picture(_rgb(), alpha=np.zeros((12, 20), np.uint8)))
    assert not list(tmp_path.iterdir())


def test_names_may_be_files_folders_and_globs(tmp_path):
    for name in ("a.png", "b [1].png", "sub/c.jpg", "sub/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folder = {str(below) for _, below in expand([str(tmp_path)])}
    assert folder == {"a", "b [1]", "sub/c"}
    names = [str(tmp_path / "b [1].png"), f"{tmp_path}/a.*", f"{tmp_path}/missing.png"]
    assert [p.name for p, _ in expand(names)] == ["b [1].png", "a.png", "missing.png"]


def _rational_exif():
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.ImageWidth] = "someone", 20
    exif[ExifTags.Base.StripOffsets], exif[ExifTags.Base.Compression] = 8, 5
    photo = {
        ExifTags.Base.ExposureTime: 0.5,
        ExifTags.Base.ExifImageWidth: 20,
        ExifTags.Base.ExifImageHeight: 12,
    }
    exif.get_ifd(ExifTags.IFD.Exif).update(photo)
    return exif


@pytest.mark.parametrize("kind", ["a.jpg", "a.tif", "a.png"])
def test_exif_keeps_what_describes_the_photograph_and_not_the_file(tmp_path, kind):
    Image.fromarray(_rgb()).save(tmp_path / kind, exif=_rational_exif())
    write(tmp_path / "b.png", read(tmp_path / kind))
    with Image.open(tmp_path / "b.png") as again:
        exif = again.getexif()
        assert exif[ExifTags.Base.Artist] == "someone"
        assert not {ExifTags.Base.ImageWidth, ExifTags.Base.StripOffsets, ExifTags.Base.Compression} & set(
            exif
        )
        assert set(exif.get_ifd(ExifTags.IFD.Exif)) <= {ExifTags.Base.ExposureTime}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_a_16_bit_png_becomes_transparency(tmp_path, channels):
    deep = np.random.default_rng(0).integers(65_536, size=(12, 20, channels)).astype(np.uint16)
    deep[3, 4] = deep[7, 8] = 1234
    png16.write_pixels(tmp_path / "a.png", deep, None, None)
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4  # a tRNS chunk stands before the pixels
    key = np.full(channels, 1234, ">u2").tobytes()
    chunk = struct.pack(">I", len(key)) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    (tmp_path / "a.png").write_bytes(data[:at] + chunk + data[at:])
    picture = read(tmp_path / "a.png")
    assert picture.pixels.dtype == np.uint16
    assert sorted(map(tuple, np.argwhere(picture.alpha == 0))) == [(3, 4), (7, 8)]


def test_one_filter_of_folders_says_what_it_passes_over(tmp_path):
    names = [
        "a.jpg",
        "b.JFIF",
        "sub/c.png",
        "._a.jpg",
        ".hidden/d.png",
        "__MACOSX/e.png",
        "notes.txt",
        "f.heic",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.jpg")
    said = []
    found = expand([str(tmp_path)], said.append)
    assert [str(below) for _, below in found] == ["a", "b", "sub/c"]
    assert said == [f"{tmp_path}: passed over 3 hidden, 1 .heic, 1 .txt, 1 links"]


def test_a_picture_that_is_named_by_two_paths_is_done_once(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert len(expand(["a.png", "./a.png", str(tmp_path), str(tmp_path / "*.png")])) == 1
