"""Files, networks and resizers give pictures of one size; others are refused."""

import re

import pytest
from helpers.rating_panel import IMAGES, request_of, write_pictures

from datasets.errors import UserError
from experiments.rate import open_or_create
from orchestrator.rating.study import RatingRequest


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "softnet/meadow.png").unlink(), "--images softnet lacks meadow; every folder needs"),
        (lambda f: (f / "HR/meadow.png").unlink(), "--images sharpnet has meadow, which the HR set lacks"),
        (
            lambda f: (f / "softnet/meadow.png").with_suffix(".bmp").write_bytes(b""),
            "--images softnet has two pictures for meadow",
        ),
        (
            lambda f: (
                write_pictures(f / "other", 0, side=60)
                .joinpath("quarry.png")
                .replace(f / "softnet/quarry.png")
            ),
            "sizes differ: quarry.png of softnet is 60 x 60 px, HR is 48 x 48 px",
        ),
        (lambda f: (f / "softnet/quarry.png").write_bytes(b"no picture"), "quarry.png: not a picture"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, change, sentence):
    request = request_of(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError, match=re.escape(sentence)):
        open_or_create(tmp_path / "study", request, "", "cpu", lambda _: None)
    assert not (tmp_path / "study/study.json").exists()


def test_names_of_upscaled_files_and_sizes_before_the_cut_fit(tmp_path):
    request = request_of(tmp_path)
    for name in IMAGES:
        (tmp_path / f"softnet/{name}.png").rename(tmp_path / f"softnet/{name}_x4.png")
    larger = write_pictures(tmp_path / "larger", 5, side=50)  # HR of 50 px is cut to 48
    wish = RatingRequest(images=(request.images[1], f"larger={larger}"), hr=request.hr, calibration=1)
    study = open_or_create(tmp_path / "study", wish, "", "cpu", lambda _: None)
    assert study.models == ("softnet", "larger", "nearest", "bicubic", "HR")
