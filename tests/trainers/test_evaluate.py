"""An evaluator measures what it says: rounding, batching, modes, protocol, refusals."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datasets.errors import UserError
from datasets.pixels import RGB8, PixelFormat
from trainers.evaluate import Evaluator, to_pixels, to_tensor
from trainers.metrics import METRICS, swd


@dataclass(frozen=True)
class Pair:
    key: str
    hr: np.ndarray
    lr_image: np.ndarray
    format: PixelFormat = RGB8


def _pair(key, height=32, width=32, scale=2, seed=0):
    rng = np.random.default_rng(seed)
    lr_image = rng.integers(256, size=(height // scale, width // scale, 3), dtype=np.uint8)
    hr = np.clip(lr_image.repeat(scale, 0).repeat(scale, 1) + rng.normal(0, 5, (height, width, 3)), 0, 255)
    return Pair(key, hr.astype(np.uint8), lr_image)


def _nearest(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


PAIRS = [_pair("a"), _pair("b", 40, 24, seed=1), _pair("c", seed=2)]


def test_values_stand_in_the_order_of_the_pairs_whatever_their_shapes():
    result = Evaluator(PAIRS, ["psnr_y", "ssim_y"], scale=2).measure(_nearest)
    assert result.keys == ["a", "b", "c"]
    for i, pair in enumerate(PAIRS):
        alone = Evaluator([pair], ["psnr_y"], scale=2).measure(_nearest)
        assert alone.per_image["psnr_y"][0] == result.per_image["psnr_y"][i]
    assert result.summary["psnr_y"] == pytest.approx(np.mean(result.per_image["psnr_y"]))


def test_same_shaped_images_go_through_the_network_together():
    sizes = []

    def generator(x):
        sizes.append(len(x))
        return _nearest(x)

    Evaluator(PAIRS, ["psnr_y"], scale=2).measure(generator)
    assert sorted(sizes) == [1, 2]


def test_network_and_pillow_agree_on_nearest():
    evaluator = Evaluator(PAIRS, ["psnr_y", "psnr_rgb"], scale=2)
    assert evaluator.measure_resizer("nearest").per_image == evaluator.measure(_nearest).per_image


def test_output_is_clipped_and_rounded_half_up():
    x = torch.tensor([-1.0, 0.5 / 255, 0.49 / 255, 254.5 / 255, 2.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_pixels(x)[0, 0, :, 0].tolist() == [0, 1, 0, 255, 255]


def test_uint8_survives_the_way_to_the_network_and_back():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(to_pixels(to_tensor([image], "cpu"))[0], image)


def test_a_module_is_measured_in_eval_mode_without_gradients_and_put_back():
    class Spy(nn.Module):
        def forward(self, x):
            self.seen = (self.training, torch.is_grad_enabled())
            return _nearest(x)

    spy = Spy().train()
    Evaluator(PAIRS[:1], ["psnr_y"], scale=2).measure(spy)
    assert spy.seen == (False, False) and spy.training


def test_set_level_metrics_are_in_the_summary_only():
    result = Evaluator(PAIRS, ["psnr_y", "swd"], scale=2).measure(_nearest)
    assert set(result.per_image) == {"psnr_y"} and set(result.summary) == {"psnr_y", "swd"}


def test_each_number_carries_its_protocol():
    result = Evaluator(PAIRS, ["psnr_y"], scale=2, protocol={"degradation": "matlab"}).measure(_nearest)
    assert result.protocol["psnr_y"].endswith("degradation=matlab; scale=2; precision=fp32; n=3")


def test_hr_statistics_are_computed_once(monkeypatch):
    calls = []
    monkeypatch.setattr("trainers.metrics.image_view.luma", lambda x: calls.append(1) or x[..., 0])
    evaluator = Evaluator(PAIRS, ["psnr_y", "rmse_y"], scale=2)
    evaluator.measure(_nearest)
    evaluator.measure(_nearest)
    assert len(calls) == 3 * (1 + 2)


def test_output_that_is_not_finite_is_said_with_the_image():
    with pytest.raises(FloatingPointError, match="not finite for b"):
        Evaluator(PAIRS[1:2], ["psnr_y"], scale=2).measure(lambda x: _nearest(x) * float("nan"))


def test_mistakes_are_one_sentence():
    with pytest.raises(UserError, match="no images to measure"):
        Evaluator([], ["psnr_y"], scale=2)
    with pytest.raises(UserError, match=r"must be \(64, 64\) for generator.scale=4, but is \(32, 32\)"):
        Evaluator(PAIRS[:1], ["psnr_y"], scale=4)
    with pytest.raises(UserError, match="no resizer 'cubic'"):
        Evaluator(PAIRS[:1], ["psnr_y"], scale=2).measure_resizer("cubic")
    with pytest.raises(ValueError, match=r"a must be \(32, 32, 3\)"):
        Evaluator(PAIRS[:1], ["psnr_y"], scale=2).measure(lambda x: x)


def test_images_too_small_for_a_metric_are_refused_at_the_door():
    with pytest.raises(UserError, match="ms_ssim_y needs images of at least 180 px a side, but a has 32"):
        Evaluator(PAIRS[:1], ["ms_ssim_y"], scale=2)


def test_the_metrics_that_need_no_weights_measure_together():
    names = ["psnr_rgb", "rmse_y", "lr_consistency", "colour_shift", "checkerboard", "sharpness_gap"]
    result = Evaluator(PAIRS, [*names, "fd_random"], scale=2).measure(_nearest)
    assert list(result.per_image) == names and np.isfinite(list(result.summary.values())).all()


def test_the_protocol_names_the_metric_the_degradation_the_scale_and_the_number_of_images():
    def protocol(pairs, **facts):
        return Evaluator(pairs, ["psnr_y"], scale=2, protocol=facts).measure(_nearest).protocol["psnr_y"]

    own = METRICS["psnr_y"].protocol
    assert protocol(PAIRS) == f"{own}; degradation=matlab; scale=2; precision=fp32; n=3"
    assert (
        protocol(PAIRS[:2], degradation="pil", role="val")
        == f"{own}; degradation=pil; role=val; scale=2; precision=fp32; n=2"
    )


def test_set_level_differences_are_those_of_the_summaries_on_all_images():
    evaluator = Evaluator(PAIRS, ["swd", "fd_random", "psnr_y"], scale=2)
    a, b = evaluator.upscale(_nearest), evaluator.upscale(lambda x: _nearest(x) * 0.5)
    for metric in ("swd", "fd_random"):
        one, two = (evaluator.measure_images(images).summary[metric] for images in (a, b))
        whole = evaluator.differences(metric, a, {"b": b})["b"](np.arange(3))
        assert whole == pytest.approx(one - two, rel=1e-6)
        assert evaluator.differences(metric, a, {"a": a})["a"](np.array([0, 2])) == 0.0
    with pytest.raises(UserError, match="psnr_y is not a set-level metric"):
        evaluator.differences("psnr_y", a, {"b": b})


def test_differences_from_several_sets_project_the_shared_ones_once(monkeypatch):
    evaluator, project, calls = Evaluator(PAIRS, ["swd"], scale=2), swd._project, []
    monkeypatch.setattr(swd, "_project", lambda *words: calls.append(1) or project(*words))
    sets = [evaluator.upscale(lambda x, k=k: _nearest(x) * k) for k in (1.0, 0.9, 0.8, 0.7)]
    found = evaluator.differences("swd", sets[0], dict(zip("abc", sets[1:], strict=True)))
    values = [f(np.arange(3)) for f in found.values()]
    alone = [evaluator.differences("swd", sets[0], {"a": other})["a"](np.arange(3)) for other in sets[1:]]
    levels = swd.num_levels(min(min(p.hr.shape[:2]) for p in PAIRS))
    assert values == alone
    assert len(calls) == levels * (5 + 3 * 3), (
        "the real set and four others; then three times two and the real"
    )
