"""Numbers of the literature, met to the fourth decimal: bicubic on Set5, Set14 and BSD100."""

import numpy as np
import pytest
import torch
from helpers.paths import DATA
from PIL import Image

from datasets.degrade import up
from orchestrator.registry.load_model import load_model
from trainers.benchmarks.published import QUOTED as QUOTED_ROWS
from trainers.benchmarks.sets import open_test_set
from trainers.evaluate import Evaluator
from trainers.metrics import distortion, niqe
from trainers.metrics.image_view import View, Views
from trainers.weights import store

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no test images in {DATA}; set UPSWEEP_TEST_DATA")

# Means quoted throughout the literature : PSNR-Y in dB.
QUOTED = {("Set5", 4): 28.42, ("Set14", 4): 26.00, ("BSD100", 4): 25.96}


def _read(path):
    with Image.open(path) as image:
        return np.array(image if image.mode == "L" else image.convert("RGB"))


def _bicubic(lr_image, scale):
    """The older MATLAB's upsampling, which the tables were made with: edge pixels replicated."""
    planes = lr_image if lr_image.ndim == 3 else np.repeat(lr_image[..., None], 3, axis=2)
    sr = up(torch.from_numpy(planes).permute(2, 0, 1)[None], scale, "matlab_replicate")[0]
    sr = sr.permute(1, 2, 0).numpy()
    return sr if lr_image.ndim == 3 else sr[..., 0]


def _views(name, scale):
    """(SR, HR) of a benchmark set in the order of its table."""
    folder = DATA / name / f"x{scale}"
    hr = sorted((folder / "HR").iterdir())
    sr = [_bicubic(_read(folder / "LR" / path.name), scale) for path in hr]
    return Views(View(x, scale) for x in sr), Views(View(_read(path), scale) for path in hr)


def _table(name, scale, column=0):
    with np.load(DATA / f"metric_params/selfexsr_result_{name}_SRF_{scale}.npz") as file:
        return file["psnr"][:, column], file["ssim"][:, column]


@needs_data
@pytest.mark.parametrize(
    ("name", "scale"), [("Set5", 2), ("Set5", 3), ("Set5", 4), ("Set14", 4), ("BSD100", 4)]
)
def test_bicubic_equals_the_published_table_image_by_image(name, scale):
    sr, hr = _views(name, scale)
    psnr, ssim = _table(name, scale)
    ours = np.array(distortion.psnr_y(sr, hr))
    assert np.abs(ours - psnr).max() < 1e-4
    assert np.abs(np.array(distortion.ssim_y(sr, hr)) - ssim).max() < 1e-5
    if (name, scale) in QUOTED:
        assert ours.mean() == pytest.approx(QUOTED[name, scale], abs=0.01)


@needs_data
def test_niqe_of_the_reference_image_is_matlabs(monkeypatch):
    monkeypatch.setenv("UPSWEEP_WEIGHTS", str(DATA / "metric_params"))
    view = View(_read(DATA / "metric_params/basicsr_baboon.png"))
    assert niqe.niqe_of(view) == pytest.approx(5.7296, abs=1e-3)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("row", "weights"), [("SPAN", "span_x4"), ("DAT-light", "dat_light_x4")])
def test_published_networks_have_their_published_numbers(row, weights):
    if store.present(weights) is None:
        pytest.skip(f"no weights {weights}: run upsweep weights {weights}")
    network = load_model(weights, "")[0]
    metrics = ("psnr_y_float", "ssim_y_float")
    pairs = open_test_set(f"Set5={DATA / 'Set5'}", 4, "matlab", DATA).pairs
    measured = Evaluator(pairs, metrics, scale=4, device=torch.device("cpu")).measure(network).summary
    quoted = next(q for q in QUOTED_ROWS if q.name == row).values["Set5"]
    assert measured[metrics[0]] == pytest.approx(quoted[0], abs=0.01)
    assert measured[metrics[1]] == pytest.approx(quoted[1], abs=0.0002)


OF_SELFEXSR = [q for q in QUOTED_ROWS if "SelfExSR" in q.source]


@needs_data
@pytest.mark.parametrize("row", OF_SELFEXSR, ids=lambda q: f"{q.name}-x{q.scale}")
def test_quoted_rows_are_the_means_of_their_source(row):
    column = {"bicubic": 0, "ScSR": 1, "SRCNN": 5, "SelfExSR": 7}[row.name]
    for name, (psnr, ssim) in row.values.items():
        table = _table(name, row.scale, column)
        assert (psnr, ssim) == pytest.approx((table[0].mean(), table[1].mean()), abs=0.0051)
        assert ssim == pytest.approx(table[1].mean(), abs=0.000051)
