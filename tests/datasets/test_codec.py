"""Malformed and hostile inputs: each leaves a clear reason, none ends the import or the process."""

import io
import os
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.hostile_images import BOMB, FRAMES, JPEG, NOISE, PNG, RGB, SMOOTH, WEBP, flipped, saved  # noqa: F401
from PIL import Image, ImageOps, PngImagePlugin

from datasets import codec
from datasets.codec import decode
from datasets.errors import Rejected
from datasets.pixels import RGB8
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource
from datasets.validate import SplitSource

PROGRESSIVE = saved(RGB, "JPEG", quality=95, progressive=True)
ANIMATED: dict = {"save_all": True, "append_images": FRAMES[1:]}


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def jpeg_header(width: int, height: int) -> bytes:
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


def bomb_png(side: int) -> bytes:
    rows = zlib.compress(b"\0" * (side * 3 + 1) * side, 9)
    return png_header(side, side) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("k", "x" * (80 << 20), zip=True)
    return saved(RGB, "PNG", pnginfo=info)


IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "one byte": (lambda: b"\xff", "not an image"),
    "zeros": (lambda: bytes(4096), "not an image"),
    "html": (lambda: b"<!DOCTYPE html><html>quota", "starts like a web page"),
    "html after blanks": (lambda: b"\n\n <HTML>", "starts like a web page"),
    "json": (lambda: b'{"error": 403}', "not an image"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "pdf": (lambda: saved(RGB, "PDF"), "not an image"),
    "gif": (lambda: saved(RGB, "GIF"), "not an image"),
    "ppm": (lambda: saved(RGB, "PPM"), "not an image"),
    "ico": (lambda: saved(RGB, "ICO"), "not an image"),
    "zip": (lambda: b"PK\x03\x04" + bytes(60), "not an image"),
    "eps": (lambda: saved(RGB, "EPS"), "not an image"),
    "jpeg magic only": (lambda: b"\xff\xd8\xff\xe0", "not an image|broken header|cannot be decoded"),
    "jpeg without scan": (lambda: JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9", "cannot be decoded|not an"),
    "jpeg of 0x0": (lambda: jpeg_header(0, 0), "not an image|broken header|cannot be decoded"),
    "jpeg 65500x65500": (lambda: jpeg_header(65500, 65500), "pixels"),
    "png 65500x65500": (lambda: png_header(65500, 65500) + png_chunk(b"IDAT", b""), "pixels"),
    "png 9000x9000 bomb": (lambda: bomb_png(9000), "more than 64000000 pixels"),
    "png of 0x0": (lambda: png_header(0, 0), "not an image|broken|cannot be decoded"),
    "png without data": (lambda: png_header(40, 48) + png_chunk(b"IEND", b""), "cannot be decoded"),
    "png header crc": (lambda: flipped(PNG, 30), "not an image|broken|cannot be decoded"),
    "png data flipped": (lambda: flipped(PNG, len(PNG) // 2), "cannot be decoded"),
    "png text bomb": (text_bomb, "not an image|broken|cannot be decoded"),
    "png 16 bit grey": (lambda: saved(Image.fromarray(SMOOTH[..., 0].astype(np.uint16)), "PNG"), "8 bits"),
    "png 16 bit rgb": (
        lambda: png_header(1, 1, 16) + png_chunk(b"IDAT", zlib.compress(bytes(7))) + png_chunk(b"IEND", b""),
        "more than 8 bits",
    ),
    "bmp cut": (lambda: saved(RGB, "BMP")[:900], "cannot be decoded"),
    "webp riff only": (lambda: b"RIFF\x10\0\0\0WEBPVP8 ", "not an image|broken|cannot be decoded"),
    "cmyk jpeg": (lambda: saved(RGB.convert("CMYK"), "JPEG"), "CMYK"),
    "animated webp": (
        lambda: saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
        "animated, 3",
    ),
    "animated png": (lambda: saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "animated, 3"),
    "transparent png": (lambda: saved(Image.new("RGBA", (40, 40), (9, 9, 9, 128)), "PNG"), "transparent"),
    "transparent palette": (lambda: saved(Image.new("P", (40, 40)), "PNG", transparency=0), "transparent"),
    "transparent grey": (lambda: saved(Image.new("LA", (40, 40), (9, 0)), "PNG"), "transparent"),
    **{
        f"{name} cut at {tenth}/10": (
            lambda data=data, tenth=tenth: data[: len(data) * tenth // 10],
            "cannot be decoded|not an image|broken header|empty",
        )
        for name, data in (("jpeg", JPEG), ("progressive", PROGRESSIVE), ("png", PNG), ("webp", WEBP))
        for tenth in range(1, 10)
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", IMAGES)
def test_a_malformed_image_is_rejected_with_a_reason(case: str) -> None:
    build, reason = IMAGES[case]
    with pytest.raises(Rejected, match=reason):
        decode(build())


def test_an_image_of_a_shard_has_a_limit_of_pixels_too():
    """Its row in the index says that an import accepted it; the bytes may be others."""
    row = SimpleNamespace(ext="jpg", mode="RGB")
    with pytest.raises(Rejected, match="4290250000 pixels, more than"):
        codec.decode_crop(jpeg_header(65500, 65500), row, "none", RGB8, 0, 0, 8)


@pytest.mark.filterwarnings("ignore")
def test_an_import_survives_all_of_them_together(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (build, _) in enumerate(IMAGES.values()):
        (folder / f"bad{i:03d}.jpg").write_bytes(build())
    (folder / "good.png").write_bytes(PNG)
    source = FolderSource(folder)
    manifest = pack(
        tmp_path / "o", "t", {"all": SplitSource(source, source.members())}, PackSettings(max_rejected=1)
    )
    lines = (tmp_path / "o" / "rejected.csv").read_text().splitlines()
    assert manifest.splits["all"].count == 1 and len(lines) == 1 + len(IMAGES) == 1 + manifest.rejected


ACCEPTED: dict[str, tuple[bytes, np.ndarray | None]] = {
    "grey jpeg": (saved(RGB.convert("L"), "JPEG"), None),
    "grey png": (saved(RGB.convert("L"), "PNG"), np.stack([np.asarray(RGB.convert("L"))] * 3, -1)),
    "one bit": (saved(Image.new("1", (40, 48), 1), "PNG"), np.full((48, 40, 3), 255, np.uint8)),
    "palette": (saved(RGB.quantize(16), "PNG"), np.asarray(RGB.quantize(16).convert("RGB"))),
    "opaque rgba": (saved(RGB.convert("RGBA"), "PNG"), SMOOTH),
    "lossless webp": (WEBP, SMOOTH),
    "bmp": (saved(RGB, "BMP"), SMOOTH),
    "progressive": (PROGRESSIVE, None),
    "phone jpeg with two pictures": (saved(RGB, "MPO", save_all=True, append_images=[FRAMES[1]]), None),
    "trailing bytes": (JPEG + bytes(1000), None),
    "broken profile": (saved(RGB, "JPEG", icc_profile=b"nonsense" * 9), None),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_unusual_but_whole_image_is_read(case: str) -> None:
    data, expected = ACCEPTED[case]
    pixels = decode(data)
    assert pixels.shape == (48, 40, 3) and pixels.dtype == np.uint8
    if expected is not None:
        assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_turns_the_picture_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(RGB, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decode(data), expected)
    assert codec.size_of(data) == expected.shape[:2]


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("orientation", [1, 6])
def test_both_jpeg_decoders_give_the_same_pixels(quality: int, subsampling: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(NOISE), "JPEG", quality=quality, subsampling=subsampling, exif=exif)
    assert np.array_equal(codec._by_pillow(data), codec._by_torchvision(data))
    assert np.array_equal(decode(data), codec._by_pillow(data))


@pytest.mark.parametrize("name", ["_by_pillow", "_by_torchvision"])
def test_what_one_jpeg_decoder_cannot_read_the_other_one_tries(name: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(data: bytes) -> np.ndarray:
        raise OSError("broken marker")

    expected = decode(JPEG)
    monkeypatch.setattr(codec, name, refuse)
    assert np.array_equal(decode(JPEG), expected)


def test_torchvision_decodes_only_once_its_import_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for name in ("pillow", "torchvision"):
        monkeypatch.setattr(codec, f"_by_{name}", lambda data, name=name: used.append(name) or NOISE)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(codec, "WORTH_TORCHVISION", 2.5 * 48 * 40)
    jpeg = codec._Jpeg()
    for _ in range(4):
        jpeg(JPEG)
    assert used == ["pillow", "pillow", "torchvision", "torchvision"]


def growth(files: list[Path]) -> int:
    """How much the peak of memory rose while each file was refused; -1 where one was accepted."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in files:
        try:
            codec.decode(path.read_bytes())
            return -1
        except Rejected:
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_memory_stays_bounded_whatever_a_header_claims(tmp_path: Path) -> None:
    for name in ("jpeg 65500x65500", "png 65500x65500", "png 9000x9000 bomb", "png text bomb"):
        (tmp_path / f"{name.replace(' ', '_')}.png").write_bytes(IMAGES[name][0]())
    (tmp_path / "bomb.zip").write_bytes(BOMB)
    reader, writer = os.pipe()
    child = os.fork()  # its peak is its own, and torch is not imported once more
    if not child:
        try:
            os.write(writer, str(growth(sorted(tmp_path.glob("*.png")))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        grown = int(answer.read())
    os.waitpid(child, 0)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes here
    assert 0 <= grown * unit < 200 << 20


def test_a_progressive_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded():
    """600 scans of a large picture in 422 kB took 15 s; a photograph has about ten."""
    large = saved(Image.fromarray(np.zeros((4000, 4000, 3), np.uint8)), "JPEG", progressive=True)
    scan = large[large.rindex(b"\xff\xda") : -2]
    with pytest.raises(Rejected, match=r"\d+ scans of 16000000 pixels take too long to decode"):
        decode(large[:-2] + 600 * scan + b"\xff\xd9")
