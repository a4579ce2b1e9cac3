"""Each picture file becomes one job, and a file that fails does not stop the others."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from datasets.errors import UserError
from trainers.inference.files import UpscaleJob, jobs, upscale_file, upscale_files


class Double(nn.Module):
    """Nearest neighbour by 2."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=2) * self.gain


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(6, 8, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_results_are_named_by_scale_and_format_below_the_output_folder(tmp_path, picture):
    (job,) = jobs([str(tmp_path)], tmp_path / "out", "webp", 4)
    assert job == UpscaleJob(picture, tmp_path / "out/a_x4.webp")


def test_no_pictures_and_clashing_results_are_refused(tmp_path, picture):
    with pytest.raises(UserError, match="name at least one picture, folder or glob"):
        jobs([], tmp_path / "out", "png", 4)
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "a_jpg.png").write_bytes(b"")
    with pytest.raises(UserError, match="would both become .*a_jpg_x4.png; rename one"):
        jobs([str(tmp_path)], tmp_path / "out", "png", 4)
    (tmp_path / "a_x4.png").write_bytes(b"")
    with pytest.raises(UserError, match="replaced by its own result; choose another --out"):
        jobs([str(picture), str(tmp_path / "a_x4.png")], tmp_path, "png", 4)


def test_a_file_is_upscaled_with_its_alpha_and_compared_with_bicubic(tmp_path, picture):
    network = Double().eval()
    job = UpscaleJob(picture, tmp_path / "out/a_x2.png")
    assert upscale_file(network, job, scale=2, compare=True) == []
    with Image.open(job.target) as result, Image.open(picture) as original:
        assert result.mode == "RGBA" and result.size == (16, 12)
        rgb = np.asarray(original)[..., :3]
        assert np.array_equal(np.asarray(result)[..., :3], rgb.repeat(2, 0).repeat(2, 1))
    with Image.open(tmp_path / "out/a_x2_compare.png") as both:
        assert both.size == (32, 12)


def test_failures_are_counted_and_messages_passed_on(tmp_path, picture):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 2570, np.uint16)).save(deep)
    (tmp_path / "bad.png").write_text("text")
    todo = jobs([str(picture), str(tmp_path / "bad.png"), str(deep)], tmp_path / "out", "webp", 2)
    lines, calls = [], []
    failed = upscale_files(
        Double().eval(), todo, say=lines.append, progress=lambda *call: calls.append(call), scale=2
    )
    assert failed == 1 and "bad.png: not a picture" in lines[0]
    assert lines[1] == f"{deep}: webp holds 8 bit; --format png keeps 16, as does tiff"
    assert calls == [(job, 1, 1) for job in todo]  # a failed one too: the bar goes on
