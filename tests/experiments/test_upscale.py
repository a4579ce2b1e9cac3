"""Pictures are upscaled, bad ones reported in a sentence each, and the exit status says if any failed."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from helpers.paths import ROOT
from helpers.tiny import tiny
from PIL import Image

from datasets import png16
from datasets.errors import UserError
from datasets.prepare import prepare
from experiments.upscale import Args, main
from orchestrator.console import bars
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.inference import files
from trainers.inference.files import jobs
from trainers.inference.tiling import footprint
from trainers.models import build_generator
from trainers.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    config = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4))
    folder = tmp_path_factory.mktemp("model") / "step-1"
    return str(checkpoint.save_generator(folder, config, build_generator(config.generator), {}))


def _picture(path, mode="RGB"):
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(256, size=(9, 13, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return str(path)


def test_every_good_picture_is_done_and_every_bad_one_is_reported(model, tmp_path, capsys):
    good, clear = _picture(tmp_path / "in/good.png"), _picture(tmp_path / "in/clear.png", "RGBA")
    bad = tmp_path / "in/bad.png"
    bad.write_text("no picture")
    assert main(Args((good, str(bad), clear), out=tmp_path / "out", model=model, compare=True)) == 1
    captured = capsys.readouterr()
    assert "2 of 3 pictures upscaled x4" in captured.out
    assert captured.err.count("bad.png: not a picture that Pillow can read") == 1
    assert Image.open(tmp_path / "out/good_x4.png").size == (52, 36)
    assert Image.open(tmp_path / "out/clear_x4.png").mode == "RGBA"
    assert Image.open(tmp_path / "out/good_x4_compare.png").size == (104, 36)


def test_a_second_run_says_how_many_results_it_replaced(model, tmp_path, capsys):
    pictures = [_picture(tmp_path / f"in/{name}.png") for name in "ab"]
    main(Args((pictures[0],), out=tmp_path / "out", model=model))
    assert capsys.readouterr().out == f"a.png upscaled x4 into {tmp_path}/out/a_x4.png\n"
    main(Args(tuple(pictures), out=tmp_path / "out", model=model))
    assert "2 of 2 pictures upscaled x4" in (said := capsys.readouterr().out)
    assert "where 1 replaced an earlier result" in said


def test_without_a_model_the_pick_of_the_newest_sweep_is_used(model, tmp_path, monkeypatch, capsys):
    picture = _picture(tmp_path / "in/a.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--model is missing, and ./runs has no finished sweep whose pick"):
        main(Args((picture,)))
    for name, ended in (("older", 1.0), ("mine", 2.0)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        facts = {"name": name, "status": "finished", "ended": ended, "pick": "confirm-0"}
        (folder / "sweep.json").write_text(json.dumps(facts))
        row = {"trial_id": "confirm-0", "stage": "confirm", "checkpoint": model}
        (folder / "leaderboard.json").write_text(json.dumps([row]))
    assert main(Args((picture,))) == 0
    said = capsys.readouterr()
    assert said.err.startswith("--model runs/mine, the pick of the newest sweep")
    assert said.out == "a.png upscaled x4 into upscaled/a_x4.png\n"
    assert main(Args((picture,), model="older")) == 0, "the name of a sweep stands for its folder"
    assert "where 1 replaced an earlier result" in capsys.readouterr().out
    facts = {"name": "mine", "status": "running", "pick": None}
    (tmp_path / "runs/mine/sweep.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="sweep mine has no pick before its end"):
        main(Args((picture,), model="mine"))
    (tmp_path / "runs/mine/sweep.json").write_text(json.dumps(facts | {"status": "interrupted"}))
    with pytest.raises(UserError, match="was interrupted before its end, .* upsweep sweep --resume mine"):
        main(Args((picture,), model="mine"))


def test_a_comparison_names_its_halves_if_there_is_room(model, tmp_path):
    pixels = np.full((40, 40, 3), 128, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    main(Args((str(tmp_path / "grey.png"),), out=tmp_path / "out", model=model, compare=True))
    both = np.asarray(Image.open(tmp_path / "out/grey_x4_compare.png")).astype(int)
    result = np.asarray(Image.open(tmp_path / "out/grey_x4.png"))
    assert both.shape == (160, 320, 3)
    for half in (both[:, :160], both[:, 160:]):
        named = half[:30, :90]
        assert named.max() == 255 and named.min() == 0, "white letters with a black edge"
    assert (both[40:, 160:] == result[40:]).all() and (both[40:, :160] == 128).all()


def test_a_folder_keeps_its_shape_in_the_format_asked_for(model, tmp_path):
    _picture(tmp_path / "in/a.jpg")
    _picture(tmp_path / "in/sub/b.png", "L")
    assert main(Args((str(tmp_path / "in"),), out=tmp_path / "out", model=model, format="webp")) == 0
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert found == ["a_x4.webp", "sub/b_x4.webp"]


def test_16_bit_colour_goes_in_and_comes_out(model, tmp_path):
    deep = np.random.default_rng(0).integers(65_536, size=(9, 13, 3)).astype(np.uint16)
    png16.write_pixels(tmp_path / "a.png", deep, None, None)
    args = Args((str(tmp_path / "a.png"),), out=tmp_path / "out", model=model, compare=True)
    assert main(args) == 0
    found = png16.decode((tmp_path / "out/a_x4.png").read_bytes())
    assert found.shape == (36, 52, 3) and len(np.unique(found % 257)) > 50
    assert Image.open(tmp_path / "out/a_x4_compare.png").size == (104, 36)


def test_nothing_to_do_and_clashing_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="no picture in"):
        jobs([str(tmp_path)], tmp_path / "out", "png", 4)
    names = [_picture(tmp_path / "one/a.png"), _picture(tmp_path / "two/a.png")]
    with pytest.raises(UserError, match="would both become"):
        jobs(names, tmp_path / "out", "png", 4)
    names = [_picture(tmp_path / "b.png"), _picture(tmp_path / "b_x4.png")]
    with pytest.raises(UserError, match="replaced by its own result"):
        jobs(names, tmp_path, "png", 4)


def test_pictures_that_differ_in_the_suffix_alone_are_all_done(model, tmp_path):
    names = [_picture(tmp_path / "a.png"), _picture(tmp_path / "a.jpg"), _picture(tmp_path / "b.png")]
    assert main(Args(tuple(names), out=tmp_path / "out", model=model)) == 0
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == ["a_jpg_x4.png", "a_png_x4.png", "b_x4.png"]


def test_a_name_of_240_bytes_is_no_obstacle(model, tmp_path):
    picture = _picture(tmp_path / f"{'n' * 240}.png")
    assert main(Args((picture,), out=tmp_path / "out", model=model)) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{'n' * 240}_x4.png"]


def test_markup_and_control_characters_in_a_name_are_shown_and_not_obeyed(model, tmp_path, capsys):
    bad = tmp_path / "x [red]\x1b[2J.png"
    bad.write_text("no picture")
    assert main(Args((str(bad),), out=tmp_path / "out", model=model)) == 1
    assert "x [red]\\x1b[2J.png: not a picture" in capsys.readouterr().err


def test_a_batch_measures_the_network_once_and_draws_one_row(model, tmp_path, monkeypatch):
    calls, rows = [], []
    monkeypatch.setattr(files, "footprint", lambda *a: calls.append(a) or footprint(*a))
    monkeypatch.setattr(bars.Progress, "add_task", lambda self, *a, **k: rows.append(a) or 0)
    monkeypatch.setattr(bars.Progress, "update", lambda self, *a, **k: None)
    names = [_picture(tmp_path / f"in/{i}.png") for i in range(5)]
    assert main(Args(tuple(names), out=tmp_path / "out", model=model)) == 0
    assert len(calls) == len(rows) == 1


def test_a_failed_write_is_reported_for_its_picture(model, tmp_path, capsys):
    (tmp_path / "out").write_text("a file where the folder should be")
    picture = _picture(tmp_path / "a.png")
    assert main(Args((picture,), out=tmp_path / "out", model=model)) == 1
    assert "a_x4.png: cannot be written" in capsys.readouterr().err


def test_the_command_line_says_what_is_missing_and_exits_with_2(tmp_path):
    command = [sys.executable, "experiments/upscale.py", "x.png", "--out", "o", "--model", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "no checkpoint in" in done.stderr and "Traceback" not in done.stderr


_WATCHED = """
import re, sys
from pathlib import Path
from experiments.upscale import Args, main
code = main(Args((sys.argv[1],), out=Path(sys.argv[2]), model=sys.argv[3], device="cpu"))
# not getrusage: its peak is inherited from the process that started this one
print(code, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak from /proc")
def test_an_output_of_100_megapixels_stays_within_one_and_a_half_gigabytes(model, tmp_path):
    coarse = np.random.default_rng(0).integers(256, size=(50, 50, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((2500, 2500)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", _WATCHED, str(tmp_path / "a.png"), str(tmp_path / "out"), model]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, peak_kb = done.stdout.split("\n")[-2].split()
    print(f"peak {int(peak_kb) / 2**20:.2f} GB")
    assert code == "0" and int(peak_kb) < 1.5 * 2**20
    header = (tmp_path / "out/a_x4.png").read_bytes()[16:24]  # Pillow warns at 89 megapixels
    assert struct.unpack(">2I", header) == (10_000, 10_000)


def test_a_network_of_five_bands_comes_from_16_bit_tiffs_and_upscales_one(tmp_path, capsys):
    """Import, training and upscaling of five bands: settings are taken over, the result keeps its place."""
    source, bands = tmp_path / "scenes", ("blue", "green", "red", "nir", "swir")
    source.mkdir()
    draw = np.random.default_rng(0)
    place = [(33550, 12, 3, (10.0, 10.0, 0.0), True)]
    for k in range(12):
        scene = np.kron(draw.integers(60_000, size=(8, 8, 5)), np.ones((5, 5, 1))).astype(np.uint16)
        tifffile.imwrite(
            source / f"{k}.tif", scene, planarconfig="contig", extratags=place, compression="lzw"
        )
    shards = str(tmp_path / "shards")
    prepare("folder", str(source), shards, bands=bands)
    config = tiny(
        run__gan_steps=0, objective__distortion="psnr", objective__perceptual="sam", data__train=shards
    )
    best = train(config, tmp_path / "run", tmp_path)  # as train.py without --metrics
    measured = set(checkpoint.read_extra(best)["progress"]["curve"][-1])
    assert measured == {"step", "psnr", "sam", "lr_consistency", "grid_detail", "ssim"}
    learned = checkpoint.read_config(best)
    assert learned.data.bands == bands and learned.data.peak == 65_535
    picture, out = str(source / "0.tif"), tmp_path / "out"
    assert main(Args((picture,), out=out, model=str(best), format="tiff")) == 0
    with tifffile.TiffFile(out / "0_x4.tif") as result:
        page = result.pages.first
        assert page.shape == (160, 160, 5) and page.dtype == np.uint16
        assert page.tags[33550].value == (2.5, 2.5, 0.0)
    assert main(Args((picture,), out=out, model=str(best))) == 1
    assert main(Args((_picture(tmp_path / "rgb.png"),), out=out, model=str(best))) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "png holds grey or RGB, not 5 bands; use --format tiff" in said
    assert "rgb.png: it has 3 bands, but the network takes 5" in said
