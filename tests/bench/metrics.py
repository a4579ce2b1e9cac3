"""Throughput of our measurements against the usual ways, in one process: python tests/bench/metrics.py.

Prints ratios only of what was timed here, on one thread, best of a few repeats, in CPU seconds. torchmetrics
is no dependency; its line says so where it is absent. `--images 2599` is the published size of the FID line.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when numpy and torch load
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from trainers.metrics import distortion, extractors, frechet, swd, weights
from trainers.metrics.view import View, Views, luma


def cpu_seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Best CPU time of `repeats` calls."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def pictures(n: int, side: int = 128) -> np.ndarray:
    """Smooth colour fields with noise, uint8 (n, side, side, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(256, size=(n, side // 16, side // 16, 3), dtype=np.uint8)
    large = np.stack([np.asarray(Image.fromarray(c).resize((side, side))) for c in coarse])
    return np.clip(large + rng.normal(0, 10, large.shape), 0, 255).astype(np.uint8)


def noisy(hr: np.ndarray) -> np.ndarray:
    """`hr` with noise of 6 grey levels."""
    noise = np.random.default_rng(1).normal(0, 6, hr.shape)
    return np.clip(hr + noise, 0, 255).astype(np.uint8)


def bench_distortion(n: int) -> None:
    """PSNR-Y and SSIM-Y from uint8 RGB; each way converts to Y itself."""
    hr = pictures(n)
    sr = noisy(hr)

    def ours() -> float:
        views = Views(View(x, 4) for x in sr), Views(View(x, 4) for x in hr)
        return float(np.mean(distortion.psnr_y(*views)) + np.mean(distortion.ssim_y(*views)))

    def one_by_one() -> float:
        total = 0.0
        for a, b in zip(sr, hr, strict=True):
            x, y = (luma(v[4:-4, 4:-4]).astype(float) for v in (a, b))
            total += 10 * np.log10(255**2 / np.mean((x - y) ** 2))
            settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
            total += structural_similarity(x, y, **settings)
        return total / n

    assert abs(ours() - one_by_one()) < 1e-6
    own = cpu_seconds(ours)
    print(f"PSNR-Y + SSIM-Y, {n} images of 128 px: {1000 * own / n:.2f} ms per image")
    print(f"  against scikit-image one by one: x{cpu_seconds(one_by_one) / own:.1f}")
    try:
        from torchmetrics.functional.image import (
            peak_signal_noise_ratio,
            structural_similarity_index_measure,
        )
    except ImportError:
        print("  against torchmetrics: not installed here")
        return

    def torchmetrics() -> None:
        for a, b in zip(sr, hr, strict=True):
            x, y = (torch.from_numpy(luma(v[4:-4, 4:-4]))[None, None].float() for v in (a, b))
            peak_signal_noise_ratio(x, y, data_range=255.0)
            structural_similarity_index_measure(x, y, data_range=255.0)

    print(f"  against torchmetrics one by one: x{cpu_seconds(torchmetrics) / own:.1f}")


def bench_swd(n: int = 24) -> None:
    """What an evaluation pays for swd, the HR side being kept."""
    images = pictures(n)
    hr = Views(View(x, 4) for x in images)
    sr = noisy(images)
    swd.swd(Views(View(x, 4) for x in sr), hr)
    seconds = cpu_seconds(lambda: swd.swd(Views(View(x, 4) for x in sr), hr))
    print(f"swd, {n} images of 128 px, HR side kept: {seconds:.2f} CPU s")


def random_inception(folder: Path) -> None:
    """Random weights under the published name: neither time nor agreement depends on them."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Blank(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict: dict) -> None:
            return None

    module.load_state_dict_from_url = lambda *_, **__: {}
    torch.manual_seed(0)
    network = Blank("random", ["2048"])
    for parameter in network.parameters():
        if parameter.ndim == 4:  # the drawn start would let the features fade to nothing
            torch.nn.init.kaiming_normal_(parameter)
    name = extractors.NEEDS_INCEPTION[0]
    torch.save(network.state_dict(), folder / name)
    weights.FILES[name] = ("", hashlib.sha256((folder / name).read_bytes()).hexdigest())
    os.environ[weights.VARIABLE] = str(folder)


def folder_statistics(folder: Path) -> dict:
    """What a two-folder tool does for one folder: decode, extract in batches of 50, moments."""
    from torch_fidelity.metric_fid import fid_features_to_statistics

    network = frechet.load_extractor("inception", torch.device("cpu"))
    files, rows = sorted(folder.iterdir()), []
    for start in range(0, len(files), 50):
        batch = np.stack([np.asarray(Image.open(f)) for f in files[start : start + 50]])
        with torch.inference_mode():
            rows.append(network(torch.from_numpy(batch).permute(0, 3, 1, 2)))
    return fid_features_to_statistics(torch.cat(rows).double())


def bench_fid(n: int) -> None:
    """FID against real images whose features are cached, and from two folders as pytorch-fid does it."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        random_inception(folder)
        hr = pictures(n)
        sr = noisy(hr)
        for name, images in (("hr", hr), ("sr", sr)):
            (folder / name).mkdir()
            for i, image in enumerate(images):
                Image.fromarray(image).save(folder / name / f"{i:05d}.png", compress_level=1)
        frechet.features(Views((View(x) for x in hr), folder=folder / "cache"), "inception")
        values, spent = {}, {}

        def cached() -> None:
            # As another process would: a new set that finds the features of the real images in its folder.
            real = Views((View(x) for x in hr), folder=folder / "cache")
            values["ours"] = frechet.fid(Views(View(x) for x in sr), real)

        def two_folders() -> None:
            stats = [folder_statistics(folder / name) for name in ("sr", "hr")]
            start = time.process_time()
            values["theirs"] = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
            spent["distance"] = time.process_time() - start

        own = cpu_seconds(cached, repeats=1)
        other = cpu_seconds(two_folders, repeats=1)
        print(f"FID, {n} images, real features cached: {own:.1f} CPU s")
        extraction = other - spent["distance"]
        print(f"  against two folders: x{other / own:.1f} (their extraction alone: x{extraction / own:.1f})")
        print(f"  {values['ours']:.8g} and {values['theirs']:.8g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, help="images of the FID line")
    images = parser.parse_args().images
    torch.set_num_threads(1)
    bench_distortion(64)
    bench_swd()
    bench_fid(images)


if __name__ == "__main__":
    main()
