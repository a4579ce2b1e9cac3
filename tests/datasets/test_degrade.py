"""The one degradation: equal to shipped LR files to the pixel, and near independent libraries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.paths import DATA
from PIL import Image
from torch.nn import functional

from datasets import degrade
from datasets.config import DEGRADATIONS
from datasets.degrade import down, resize_matrix, up
from datasets.errors import UserError

needs_data = pytest.mark.skipif(not (DATA / "Set5").is_dir(), reason=f"no test images at {DATA}")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def read(path: Path) -> torch.Tensor:
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def mod_crop(image: torch.Tensor, scale: int) -> torch.Tensor:
    height, width = (side // scale * scale for side in image.shape[-2:])
    return image[..., :height, :width]


@needs_data
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_symmetric_border_equals_the_newer_matlab_files(scale: int, device: str) -> None:
    folder = DATA / "Set5" / "matlab_LR"
    for path in sorted((folder / "HR").glob("*.png")):
        expected = read(folder / f"X{scale}" / f"{path.stem}x{scale}.png")
        ours = down(mod_crop(read(path), scale).to(device), scale).cpu()
        assert (ours != expected).sum() == 0, path.name


@needs_data
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_replicate_border_equals_the_older_matlab_files(scale: int, device: str) -> None:
    folder = DATA / "Set5" / f"x{scale}"
    for path in sorted((folder / "HR").glob("*.png")):
        ours = down(read(path).to(device), scale, "matlab_replicate").cpu()
        assert (ours != read(folder / "LR" / path.name)).sum() == 0, path.name


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_every_kind_keeps_a_constant_image_and_its_shape(kind: str, scale: int) -> None:
    grey = torch.full((2, 3, 96, 48), 137, dtype=torch.uint8)
    small = down(grey, scale, kind)
    assert small.shape == (2, 3, 96 // scale, 48 // scale) and (small == 137).all()
    large = up(small, scale, kind)
    assert large.shape == grey.shape and (large == 137).all()


def test_reduced_precision_of_matrix_products_changes_nothing() -> None:
    image = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    exact = down(image, 4)
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(down(image, 4), exact)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_settings_of_precision_that_torch_cannot_read_back_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mixed() -> str:
        raise RuntimeError("you have used a mix of the legacy and new APIs to set the TF32 flags")

    image = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    exact = down(image, 4)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    assert torch.equal(down(image, 4), exact)


@pytest.mark.parametrize("scale", [2, 4])
def test_float32_equals_float64_where_it_is_used(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randint(0, 256, (16, 3, 96, 96), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    small = down(image, scale)
    monkeypatch.setattr(degrade, "_is_dyadic", lambda *side: False)
    assert torch.equal(down(image, scale), small)


def test_scale_one_is_the_image_itself() -> None:
    image = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(down(image, 1), image)


@pytest.mark.parametrize("n_in, n_out", [(96, 24), (24, 96), (9, 3), (128, 16)])
@pytest.mark.parametrize("border", ["symmetric", "replicate"])
def test_weights_of_each_output_pixel_sum_to_one(n_in: int, n_out: int, border: str) -> None:
    assert np.allclose(resize_matrix(n_in, n_out, border).sum(axis=1), 1, atol=1e-12)


def test_interior_agrees_with_torchs_antialiased_bicubic() -> None:
    # Same kernel family; only borders differ (torch renormalises a cut kernel, MATLAB reflects).
    image = torch.randint(0, 256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    theirs = functional.interpolate(image.double(), scale_factor=0.25, mode="bicubic", antialias=True)
    ours = down(image, 4, "matlab_float").double()
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert (ours - theirs.clamp(0, 255))[inner].abs().max() <= 0.5 + 1e-3


def test_float_between_the_passes_is_another_degradation() -> None:
    image = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert not torch.equal(down(image, 4, "matlab"), down(image, 4, "matlab_float"))


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="no degradation 'matlb'; known: .*did you mean 'matlab'"):
        down(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 2, "matlb")


def test_a_side_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="10x8 px is not a multiple of scale=4"):
        down(torch.zeros(1, 3, 10, 8, dtype=torch.uint8), 4)


def test_float_images_are_refused() -> None:
    with pytest.raises(TypeError, match="must be uint8 or uint16 to be resized, but got torch.float32"):
        down(torch.zeros(1, 3, 8, 8), 2)
