"""How fast images reach the step: ratios against the naive pipeline, all rows in one run on one core.

    python tests/bench/data.py [--images 1200] [--threads 1] [--kair PATH]

PATH is a checkout of cszn/KAIR, whose own data set is timed beside `bsrgan`; it needs opencv. Naive is
webdataset + Pillow + float tensors + bicubic input per sample + default collate. CPU seconds are compared,
rows take turns, the median counts; wall time is only shown. No row is asserted anywhere.
"""

import argparse
import io
import os
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy  # noqa: E402
import torch  # noqa: E402
import webdataset  # noqa: E402
from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision.transforms import functional  # noqa: E402

from datasets import jpeg_crop  # noqa: E402
from datasets.config import DataConfig  # noqa: E402
from datasets.image_set import ImageSet  # noqa: E402
from datasets.loader import TrainLoader  # noqa: E402
from datasets.pairs import PairOptions  # noqa: E402
from datasets.prepare import prepare  # noqa: E402
from trainers.config import GeneratorConfig  # noqa: E402
from trainers.models import build_generator  # noqa: E402

DATA = Path(os.environ.get("UPSWEEP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
BATCH, SCALE, ROUNDS = 64, 4, 5
Batches = Callable[[], Iterator[int]]


def naive(folder: Path, crop: int, workers: int = 0) -> Iterator[int]:
    """Images per batch of what most projects write first."""

    def sample(row: dict) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(io.BytesIO(row["jpg"])).convert("RGB")
        top, left = (int(torch.randint(0, n - crop + 1, ())) for n in (image.height, image.width))
        hr = image.crop((left, top, left + crop, top + crop))
        small = hr.resize((crop // SCALE, crop // SCALE), Image.Resampling.BICUBIC)
        return functional.to_tensor(hr), functional.to_tensor(small)

    urls = sorted(str(p) for p in folder.glob("train-*.tar"))
    dataset = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(1000).map(sample)
    for hr, _ in DataLoader(dataset, batch_size=BATCH, num_workers=workers):
        yield len(hr)


def ours(images: ImageSet, crop: int, mode: str, **settings: Any) -> Iterator[int]:
    """Float HR and input, ready for the step on the CPU."""
    data = DataConfig(crop_px=crop, batch_size=BATCH, mode=mode, **settings)
    for batch in TrainLoader(images, data, SCALE, device="cpu").batches():
        yield len(batch.hr)


def kair(folder: Path, crop: int) -> Iterator[int]:
    """Images per batch of KAIR's own data set for BSRGAN, from the photographs in `folder`."""
    import scipy.interpolate

    def interp2d(x: Any, y: Any, z: Any) -> Callable[..., Any]:
        """Return linear interpolation of z over a grid, under the name it had before SciPy 1.14."""
        spline = scipy.interpolate.RectBivariateSpline(y, x, z, kx=1, ky=1)
        return lambda at_x, at_y: spline(at_y, at_x)

    scipy.interpolate.interp2d, scipy.finfo = interp2d, numpy.finfo
    from data.dataset_blindsr import DatasetBlindSR

    options = dict.fromkeys(("n_channels", "shuffle_prob", "use_sharp", "degradation_type"))
    options |= {"phase": "train", "scale": SCALE, "H_size": crop, "lq_patchsize": crop // SCALE}
    images = DatasetBlindSR(options | {"dataroot_H": str(folder)})
    while True:
        for batch in DataLoader(images, batch_size=BATCH, shuffle=True, drop_last=True):
            yield len(batch["H"])


def gather(images: ImageSet, crop: int) -> Iterator[int]:
    """The cached crops alone: uint8, no float, no input."""
    loader = TrainLoader(images, DataConfig(crop_px=crop, batch_size=BATCH), SCALE, device="cpu")
    for crops in loader._cached(0):
        yield len(crops.pixels)


def rate(batches: Batches, images: int) -> tuple[float, float]:
    """(images per CPU second, per wall second) over about `images` images; one batch to warm up."""
    stream = batches()
    next(stream)
    cpu, wall, done = time.process_time(), time.perf_counter(), 0
    for n in islice(stream, max(2, images // BATCH)):
        done += n
    return done / (time.process_time() - cpu), done / (time.perf_counter() - wall)


def table(title: str, rows: dict[str, tuple[Batches, int]]) -> None:
    """Rows take turns in every round, so that a busy moment hits them all."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, (batches, images) in rows.items():
            measured[name].append(rate(batches, images))
    middle = {n: [statistics.median(column) for column in zip(*m, strict=True)] for n, m in measured.items()}
    first = middle[next(iter(middle))][0]
    print(f"\n{title}\n{'':44}{'img/CPU-s':>12}{'img/s':>12}{'ratio':>9}")
    for name, (cpu, wall) in middle.items():
        print(f"{name:44}{cpu:12,.0f}{wall:12,.0f}{cpu / first:8.1f}x")


def packed(archive: Path, out: Path, prefix: str, images: int) -> Path:
    """Shards of the first images of an archive, for training only."""
    folder = out.with_name(f"{out.name}-photos")
    folder.mkdir()
    with zipfile.ZipFile(archive) as source:
        names = [n for n in source.namelist() if n.startswith(prefix) and n.endswith(".jpg")][:images]
        for i, name in enumerate(names):
            (folder / f"{i:06d}.jpg").write_bytes(source.read(name))
    prepare("folder", str(folder), str(out), split="cut")
    return out


def paired(shards: Path, photos: Path) -> Path:
    """Shards of pairs: the photographs of `photos`, and JPEGs of a fourth of their size beside them."""
    small = photos.with_name(f"{photos.name}-lr")
    small.mkdir()
    for path in photos.iterdir():
        photo = Image.open(path)
        size = (photo.width // SCALE, photo.height // SCALE)
        photo.resize(size, Image.Resampling.BICUBIC).save(small / path.name, quality=90)
    options = PairOptions(hr=str(photos), lr=str(small), scale=SCALE, keep_shifted=True)
    prepare("pairs", "", str(shards), split="cut", pairs=options)
    return shards


def import_rate(work: Path, images: int) -> None:
    """Full decode, hashes, thumbnails, tars, manifest."""
    source = DATA / "celeba_half" / "img_align_celeba.zip"
    cpu, wall = time.process_time(), time.perf_counter()
    prepare("celeba", str(source), str(work / "import"), limit=images)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"\nimport of {images} images of the CelebA zip, each decoded whole and hashed: ", end="")
    print(f"{images / cpu:,.0f} img/CPU-s, {images / wall:,.0f} img/s")


def first_batch(shards: Path, cache: Path, crop: int) -> None:
    """From nothing decoded to the first batch, and again from the cache."""
    for what in ("cold", "warm"):
        begun = time.perf_counter()
        images = ImageSet(str(shards), "train", cache)
        next(ours(images, crop, "cached"))
        print(f"first batch, {what}: {time.perf_counter() - begun:.2f} s for {len(images)} images")


def wait_share(images: ImageSet, crop: int, steps: int = 4) -> None:
    """Share of a real training step (SRResNet, 16 blocks, forward and backward) that waits for data."""
    net = build_generator(GeneratorConfig())
    adam = torch.optim.Adam(net.parameters())
    stream = TrainLoader(images, DataConfig(crop_px=crop), SCALE, device="cpu").batches()
    waited = begun = 0.0
    for step in range(steps + 1):
        before = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - before
        adam.zero_grad()
        torch.nn.functional.mse_loss(net(batch.lr_image), batch.hr).backward()
        adam.step()
        if step == 0:  # the first step builds the cache and warms up
            waited, begun = 0.0, time.perf_counter()
    total = time.perf_counter() - begun
    print(f"waiting for data, cached: {waited / total:.2%} of a {total / steps:.2f} s step (batch 16)")


def processor() -> str:
    """The processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """All rows; needs the test images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kair", type=Path, help="a checkout of cszn/KAIR")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no test images at {DATA}; set UPSWEEP_TEST_DATA")
    torch.set_num_threads(options.threads)
    if options.kair:
        sys.path.insert(0, str(options.kair))
        import cv2

        cv2.setNumThreads(options.threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    decoded = "alone" if jpeg_crop.find() else "out of the whole image"
    print(f"{processor()}, {options.threads} core; webdataset {webdataset.__version__}, ", end="")
    print(f"torch {torch.__version__}; the crop of a JPEG is decoded {decoded}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        faces = packed(
            DATA / "celeba_half" / "img_align_celeba.zip", work / "faces", "img_align", options.images
        )
        rooms = packed(DATA / "houses_kitchen.zip", work / "rooms", "kitchen", 500)
        first_batch(faces, work / "cache", 88)
        for title, shards, crop, n in (
            ("faces 89x109 -> 88", faces, 88, 640),
            ("rooms -> 128", rooms, 128, 320),
        ):
            images = ImageSet(str(shards), "train", work / "cache")
            pairs_folder = paired(work / f"{shards.name}-pairs", work / f"{shards.name}-photos")
            pairs = ImageSet(str(pairs_folder), "train", work / "cache")
            extra: dict[str, tuple[Batches, int]] = {}
            for mode in ("cached", "streamed"):
                extra |= {
                    f"{mode}, turned by 90 degrees as well": (
                        lambda i=images, c=crop, m=mode: ours(i, c, m, rotate=True),
                        n,
                    ),
                    f"{mode}, pairs": (lambda i=pairs, c=crop, m=mode: ours(i, c, m), n),
                }
                for text in ("blur:0.2-3,down,noise:1-25,jpeg:30-95", "bsrgan", "real_esrgan"):
                    extra[f"{mode}, {text.partition(':')[0]}{' ...' * (':' in text)}"] = (
                        lambda i=images, c=crop, m=mode, t=text: ours(i, c, m, train_degradation=t),
                        2 * BATCH,
                    )
            if options.kair:
                photos = work / f"{shards.name}-photos"
                extra["KAIR's data set, bsrgan"] = (lambda f=photos, c=crop: kair(f, c), BATCH)
            table(
                title,
                {
                    "naive": (lambda s=shards, c=crop: naive(s, c), n),
                    "cached, crops only (uint8)": (lambda i=images, c=crop: gather(i, c), 50 * n),
                    "cached, float HR and input": (lambda i=images, c=crop: ours(i, c, "cached"), 4 * n),
                    "streamed, float HR and input": (lambda i=images, c=crop: ours(i, c, "streamed"), n),
                    **extra,
                },
            )
        wait_share(ImageSet(str(faces), "train", work / "cache"), 88)
        import_rate(work, options.images)


if __name__ == "__main__":
    main()
