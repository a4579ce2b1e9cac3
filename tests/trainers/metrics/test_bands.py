"""Distortion over bands of any depth, against numbers worked out by hand and against scikit-image."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from datasets.errors import UserError
from datasets.loader import Pair
from datasets.pixels import RGB8, PixelFormat, named
from trainers.evaluate import Evaluator
from trainers.metrics import bands, distortion
from trainers.metrics.image_view import View, Views

FIVE = named(5, 65_535)


def views(image: np.ndarray, pixels: PixelFormat = FIVE) -> Views:
    """A set of one image whose border of one pixel is shaved."""
    return Views([View(image, 1, None, pixels)])


def spectra(seed: int = 0, bands: int = 5) -> np.ndarray:
    """A 16-bit image of noise."""
    return np.random.default_rng(seed).integers(0, 60_000, (20, 24, bands)).astype(np.uint16)


def test_equal_images_have_no_error_and_a_known_error_its_known_value() -> None:
    image = spectra()
    same, moved = views(image), views(image + np.uint16(655))
    assert bands.psnr(same, same) == [np.inf] and bands.ssim(same, same) == [pytest.approx(1)]
    assert bands.sam(same, same) == [pytest.approx(0, abs=1e-4)] and bands.ergas(same, same) == [0]
    assert bands.psnr(moved, same) == [pytest.approx(20 * np.log10(65_535 / 655))]
    means = image[1:-1, 1:-1].mean(axis=(0, 1))
    assert bands.ergas(moved, same) == [pytest.approx(100 * np.sqrt(((655 / means) ** 2).mean()))]


def test_a_brighter_spectrum_has_no_angle_and_an_orthogonal_one_90_degrees() -> None:
    a, b = np.zeros((2, 5, 5, 2), np.uint16)
    a[..., 0], b[..., 0] = 100, 300
    two = named(2, 65_535)
    assert bands.sam(views(a, two), views(b, two)) == [pytest.approx(0)]
    b[..., 0], b[..., 1] = 0, 300
    assert bands.sam(views(a, two), views(b, two)) == [pytest.approx(90)]
    assert bands.sam(views(0 * a, two), views(0 * b, two)) == [0]


def test_ssim_is_the_mean_of_scikit_images_over_the_bands() -> None:
    a, b = spectra(1), spectra(2)
    inner = (slice(1, -1), slice(1, -1))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 65_535}
    maps = [
        structural_similarity(a[inner][..., k], b[inner][..., k], full=True, **options)[1] for k in range(5)
    ]
    expected = np.mean([m[5:-5, 5:-5].mean() for m in maps])  # valid windows only
    assert bands.ssim(views(a), views(b)) == [pytest.approx(expected, abs=1e-9)]


def test_8_bit_rgb_has_the_value_of_psnr_rgb_to_the_bit() -> None:
    a, b = ((spectra(k, 3) >> 8).astype(np.uint8) for k in (1, 2))
    assert bands.psnr(views(a, RGB8), views(b, RGB8)) == distortion.psnr_rgb(views(a, RGB8), views(b, RGB8))


def test_metrics_of_rgb_read_the_bands_of_these_names_or_are_refused() -> None:
    image = spectra()
    rgb_first = PixelFormat(("nir", "red", "green", "blue", "swir"), 65_535)
    small = image[::2, ::2]
    named_bands = Evaluator([Pair("a", image, small, rgb_first)], ["swd", "psnr"], scale=2)
    assert "of red, green, blue rounded to 8 bit" in named_bands.protocol["swd"]
    assert "rounded" not in named_bands.protocol["psnr"]
    one = Evaluator([Pair("a", image[..., :1], small[..., :1], named(1, 65_535))], ["swd"], scale=2)
    assert "of grey rounded to 8 bit" in one.protocol["swd"]
    with pytest.raises(
        UserError, match="metric swd reads red, green and blue, but the images have the bands b"
    ):
        Evaluator([Pair("a", image, small, FIVE)], ["swd"], scale=2)
    with pytest.raises(UserError, match="metric psnr_y reads 8-bit RGB.*set objective.distortion and"):
        Evaluator([Pair("a", image, small, rgb_first)], ["psnr_y"], scale=2)


def test_bicubic_keeps_16_bits_and_is_consistent_with_its_input() -> None:
    image = np.kron(spectra()[:8, :8], np.ones((4, 4, 1), np.uint16))
    pair = Pair("a", image, image[2::4, 2::4], FIVE)
    evaluator = Evaluator([pair], ["psnr", "lr_consistency"], scale=4)
    values = evaluator.measure_resizer("nearest").summary
    assert values["psnr"] == np.inf and evaluator.measure_resizer("bicubic").summary["lr_consistency"] > 20
    identity = evaluator.upscale(lambda x: x.repeat_interleave(4, -1).repeat_interleave(4, -2))[0]
    assert identity.dtype == np.uint16 and np.array_equal(identity, image)
