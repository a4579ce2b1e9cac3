"""Throughput of our measurements against the usual ways, in one process: python tests/bench/metrics.py.

Prints ratios only of what was timed here, on one thread, best of a few repeats, in CPU seconds. torchmetrics
is no dependency; its line says so where it is absent. `--images 2599` is the published size of the FID line.
"""

import argparse
import dataclasses
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
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import structural_similarity
from torchvision.models import vgg16

from trainers import weights
from trainers.metrics import distortion, dists, frechet, lpips, swd
from trainers.metrics.image_view import View, Views, luma


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

    def one_by_one(measure: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return sum(measure(a, b) for a, b in zip(sr, hr, strict=True)) / n

    own = cpu_seconds(ours)
    print(f"PSNR-Y + SSIM-Y, {n} images of 128 px: {1000 * own / n:.2f} ms per image")
    for name, measure in {
        "scikit-image": by_skimage,
        "torchmetrics": by_torchmetrics(),
        "a per-image loop of tensors as in pyiqa": by_tensors,
    }.items():
        if measure is None:
            print(f"  against {name}: not installed here")
            continue
        value, other = one_by_one(measure), cpu_seconds(lambda m=measure: one_by_one(m))
        print(f"  against {name}, one by one: x{other / own:.1f} (values {value - ours():+.1e})")


def by_skimage(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR + SSIM of two shaved luminance planes with scikit-image's SSIM."""
    x, y = (luma(v[4:-4, 4:-4]).astype(float) for v in (a, b))
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    return 10 * np.log10(255**2 / np.mean((x - y) ** 2)) + structural_similarity(x, y, **settings)


def by_torchmetrics() -> Callable[[np.ndarray, np.ndarray], float] | None:
    """PSNR + SSIM through torchmetrics; its SSIM also counts windows over the border."""
    try:
        from torchmetrics.functional import image
    except ImportError:
        return None

    def measure(a: np.ndarray, b: np.ndarray) -> float:
        x, y = (torch.from_numpy(luma(v[4:-4, 4:-4]))[None, None].float() for v in (a, b))
        ssim = image.structural_similarity_index_measure(x, y, data_range=255.0)
        return float(image.peak_signal_noise_ratio(x, y, data_range=255.0) + ssim)

    return measure


_WINDOW = torch.from_numpy(np.outer(*2 * [np.exp(-((np.arange(11) - 5) ** 2) / 4.5)]))
_WINDOW = (_WINDOW / _WINDOW.sum())[None, None]


def by_tensors(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR + SSIM of one image as toolboxes of tensors do it: a whole 11x11 window, five convolutions."""
    x, y = (torch.from_numpy(v.copy()).permute(2, 0, 1)[None].double() / 255 for v in (a, b))
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64).view(1, 3, 1, 1)
    x, y = ((16 + (v * weights).sum(1, keepdim=True)).add(0.5).floor()[..., 4:-4, 4:-4] for v in (x, y))
    psnr = 10 * torch.log10(255**2 / (x - y).square().mean())
    mx, my, xx, yy, xy = (F.conv2d(v, _WINDOW) for v in (x, y, x * x, y * y, x * y))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
    return float(psnr + (structure * (2 * mx * my + c1) / (mx * mx + my * my + c1)).mean())


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
    row = weights.WEIGHTS["inception"]
    path = folder / row.file
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    weights.WEIGHTS["inception"] = dataclasses.replace(row, sha256=digest)
    os.environ[weights.VARIABLE] = str(folder)


def plain_inception() -> torch.nn.Module:
    """torch-fidelity's extractor as it comes."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = weights.find("inception")
    return FeatureExtractorInceptionV3("plain", ["2048"], feature_extractor_weights_path=path).eval()


def folder_features(folder: Path, network: torch.nn.Module) -> torch.Tensor:
    """What a two-folder tool does for one folder: decode, extract in batches of 50."""
    files, rows = sorted(folder.iterdir()), []
    for start in range(0, len(files), 50):
        batch = np.stack([np.asarray(Image.open(f)) for f in files[start : start + 50]])
        with torch.inference_mode():
            rows.append(network(torch.from_numpy(batch).permute(0, 3, 1, 2))[0])
    return torch.cat(rows).double()


def bench_fid(n: int) -> None:
    """FID against real images whose features are cached, and from two folders as pytorch-fid does it."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        random_inception(folder)
        hr = pictures(n)
        sr = noisy(hr)
        for name, images in (("hr", hr), ("sr", sr)):
            (folder / name).mkdir()
            for i, image in enumerate(images):
                Image.fromarray(image).save(folder / name / f"{i:05d}.png", compress_level=1)
        values, spent, found = {}, {}, {}

        def two_folders() -> None:
            network = plain_inception()
            for name in ("sr", "hr"):
                found[name] = folder_features(folder / name, network)
            start = time.process_time()
            stats = [fid_features_to_statistics(found[name]) for name in ("sr", "hr")]
            values["theirs"] = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
            spent["distance"] = time.process_time() - start

        real = Views(View(x) for x in hr)

        def cached() -> None:
            # As every evaluation of a run but the first: the features of the real images are known.
            values["ours"] = frechet.fid(Views(View(x) for x in sr), real)

        other = cpu_seconds(two_folders, repeats=1)
        extraction = other - spent["distance"]
        # They are put where `features` keeps them: extracting them a third time would only cost time here.
        real.keep(("features", "inception"), lambda: found["hr"].numpy())
        own = cpu_seconds(cached, repeats=1)
        print(f"FID, {n} images, real features cached: {own:.1f} CPU s")
        print(f"  against two folders: x{other / own:.1f} (their extraction alone: x{extraction / own:.1f})")
        print(f"  {values['ours']:.8g} and {values['theirs']:.8g}")


def bench_pairwise(n: int) -> None:
    """LPIPS and DISTS, with random weights, of a second set of results on the same real images."""
    hr = pictures(n, 192)
    sr = noisy(hr)
    vgg = vgg16(weights=None).features
    heads = [torch.rand(1, channels, 1, 1) for channels in (64, 128, 256, 512, 512)]
    half = torch.full((1, 1475, 1, 1), 0.5)
    for name, network in (
        ("LPIPS-vgg", lpips.Lpips(vgg, lpips.VGG_RELUS, heads)),
        ("DISTS", dists.Dists(vgg, half, half)),
    ):
        real = Views(View(x) for x in hr)
        first = lpips.pairwise(network, Views(View(x) for x in sr), real)
        own = cpu_seconds(lambda n=network, r=real: lpips.pairwise(n, Views(View(x) for x in sr), r))

        def both(network: torch.nn.Module = network) -> list[float]:
            with torch.inference_mode():
                pairs = [
                    [lpips._signed(x, torch.device("cpu")) for x in pair] for pair in zip(sr, hr, strict=True)
                ]
                return [float(network(*pair)) for pair in pairs]

        other = cpu_seconds(both)
        print(f"{name}, {n} images: {own:.2f} CPU s, against both images read: x{other / own:.2f}")
        print(f"  equal values: {both() == first}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, help="images of the FID line")
    images = parser.parse_args().images
    torch.set_num_threads(1)
    bench_distortion(64)
    bench_swd()
    bench_pairwise(16)
    bench_fid(images)


if __name__ == "__main__":
    main()
