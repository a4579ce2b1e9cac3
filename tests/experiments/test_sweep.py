"""Mistakes a newcomer makes: one sentence, exit code 2, and nothing changed on disk.

Run in this process, where torch is loaded once; -m slow runs them through the command line as well.
"""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from helpers.paths import ROOT
from helpers.tiny import noise

from experiments import sweep
from experiments.common import cli
from orchestrator.cluster import connect
from orchestrator.cluster.connect import local_lock
from trainers import losses

SMALL = "--data.crop-px 32 --data.batch-size 2 --data.eval-images 2 --generator.channels 8".split()
SMALL += "--discriminator.base-channels 8 --discriminator.num-layers 4".split()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with photographs of two sizes, a precious file and a sweep that exists."""
    noise(tmp_path / "photos")
    noise(tmp_path / "stamps", side=16)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "wide.yaml").write_text("axes: {optim.lr_g: {log: [1e-5, .inf]}}\n")
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "sweep.json").write_text('{"space": "demo"}')
    (tmp_path / "lock").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in {"TMPDIR": "lock", "TORCH_HOME": "torch", "XDG_CACHE_HOME": "xdg"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr(connect.tempfile, "gettempdir", lambda: str(tmp_path / "lock"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("UPSWEEP_WEIGHTS", raising=False)
    return tmp_path


def tree(folder):
    """Every file with its content, but for the lock, which lies in the system's temporary folder."""
    files = (p for p in sorted(folder.rglob("*")) if "lock" not in p.relative_to(folder).parts)
    return {str(p): p.read_bytes() if p.is_file() else None for p in files}


def here(words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments/sweep.py", *words])
    with pytest.raises(SystemExit) as end:
        cli.run(sweep.main)
    return end.value.code, capsys.readouterr().err


def command_line(words):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


MISTAKES = {
    "an upsampler that does not exist": (
        "--generator.upsampler pixelshufle",
        "no upsampler 'pixelshufle'; known: .*; did you mean 'pixel_shuffle'?",
    ),
    "a value out of range": ("--generator.scale 5", "generator.scale must be 1, 2, 3, 4, 8 or 16, but got 5"),
    "a recipe that does not exist": ("--recipe dmo", "no recipe 'dmo'; known: .*; did you mean 'demo'?"),
    "a space that does not exist": ("--space ful", "no space 'ful'; known: .*; did you mean 'full'?"),
    "a space file that is not there": ("--space mine.yaml", "--space mine.yaml: .*cannot be read"),
    "a grid over a continuous axis": ("--sampler grid", "loss.adversarial_weight runs from .* has no grid"),
    "a dataset that is not there": ("--train nowhere/photos", "nowhere/photos"),
    "a folder without images": ("--train empty", "empty"),
    "images smaller than the crop": (
        "--train stamps",
        "data.crop_px=32 is larger than the smallest image of stamps .*16 px.*set --data.crop-px 16 or less",
    ),
    "a file where the storage should be": (
        "--train photos --storage file",
        "--storage .*/file cannot be written",
    ),
    "a storage below a file": (
        "--train photos --storage file/runs",
        "--storage .*/file/runs cannot be written",
    ),
    "a name that is taken": (
        "--train photos --name taken",
        "sweep 'taken' exists in .*/runs: resume it with --resume taken, or choose another --name",
    ),
    "a name that is no name": ("--name ../up", "--name must be letters, digits"),
    "a sweep that is not there": ("--resume gone", "no sweep 'gone' in .*/runs"),
    "a tracking server that is away": (
        "--train photos --tracking-uri http://127.0.0.1:9",
        "no MLflow server answers at http://127.0.0.1:9 within 5 s .*set --tracking-uri",
    ),
    "an objective without weights": (
        "--train photos --objective.perceptual lpips_alex",
        "lpips_alex",
    ),
    "an objective that does not exist": (
        "--train photos --objective.perceptual lpips",
        "no metric 'lpips'; known: ",
    ),
    "objectives that point the same way": (
        "--train photos --objective.perceptual ssim_y",
        "a sweep needs a distortion metric of which more is better and a perceptual one of which less",
    ),
    "a cluster that does not answer": (
        "--train photos --address 127.0.0.1:9",
        "no Ray cluster answers at 127.0.0.1:9: .*; use --local to run here",
    ),
    "a batch that ranks cannot share": (
        "--train photos --ranks-per-trial 3",
        "data.batch_size=[0-9]+ must be a multiple of 3, a trial's ranks",
    ),
    "a setting that the space varies": (
        "--train photos --space balance --loss.adversarial-weight 0.5",
        "--loss.adversarial-weight 0.5 has no effect, because space balance varies it in every trial; "
        "leave it out, or choose a --space without loss.adversarial_weight",
    ),
    "half a GPU too many": (
        "--train photos --gpus-per-trial 1.5",
        "--gpus-per-trial must be a share of one GPU .* whole number, but got 1.5",
    ),
    "nothing to stop": ("--stop gone", "no sweep 'gone' in .*/runs"),
    "an interval without end, in a plan": (
        "--dry-run --train photos --space wide.yaml",
        "optim.lr_g .*needs 0 < low < high, but got 1e-05 and inf",
    ),
    "a tracking server that is away, in a plan": (
        "--dry-run --train photos --tracking-uri http://127.0.0.1:9",
        "no MLflow server answers at http://127.0.0.1:9 within 5 s .*set --tracking-uri",
    ),
    "a host that no address can have": (
        "--train photos --tracking-uri postgresql://a..b/mlflow",
        "--tracking-uri postgresql://a..b/mlflow is not an address: .*label empty",
    ),
    "a port that is none": ("--train photos --address h:²", "--address ray://h:² is not an address: Port .*"),
    "a storage that is neither folder nor bucket": (
        "--train photos --storage file:///tmp/x",
        "--storage must be a folder or s3://, gs:// or az://BUCKET/PATH, but got 'file:///tmp/x'",
    ),
    "a learning rate without end": (
        "--train photos --optim.lr-d inf",
        "optim.lr_d must be a finite number, but got inf",
    ),
    "a weight that is not a number": (
        "--train photos --loss.tv-weight nan",
        "loss.tv_weight must be a finite number, but got nan",
    ),
    "a seed that no library takes": (
        "--train photos --seed 4294967296",
        "--seed must be 0 or more and below 2[*][*]32, but got 4294967296",
    ),
    "hours below zero": ("--hours=-1", "--hours must be 0 or more, but got -1.0"),
    "a setting beside --resume": (
        "--resume taken --trials 4",
        "--resume taken uses the settings the sweep began with, so leave out --trials, --data.crop-px, .*",
    ),
}


def check(code, err, sentence):
    assert code == 2, err
    assert re.fullmatch(rf"error: .*{sentence}.*\n", err), f"one sentence, but got:\n{err}"
    assert "Traceback" not in err


def test_hours_with_a_unit_are_refused_with_the_number_to_write(place, capsys, monkeypatch):
    code, err = here([*SMALL, "--hours", "12min"], capsys, monkeypatch)
    assert (
        code == 2 and "'12min'" in err and "(12 minutes are 0.2)" in " ".join(err.replace("│", " ").split())
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_sentence_and_nothing_changed(mistake, place, capsys, monkeypatch):
    words, sentence = MISTAKES[mistake]
    before = tree(place)
    check(*here([*SMALL, *words.split()], capsys, monkeypatch), sentence)
    assert tree(place) == before


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_through_the_command_line(mistake, place):
    words, sentence = MISTAKES[mistake]
    before = tree(place)
    check(*command_line([*SMALL, *words.split()]), sentence)
    assert tree(place) == before


@pytest.mark.parametrize("words", ["--generator.upsamplr x", "--trials many", "--storage", "stray"])
def test_what_the_parser_refuses(words, place):
    before = tree(place)
    code, err = command_line(words.split())
    assert code == 2 and "Traceback" not in err
    assert words.split()[0] in err
    assert tree(place) == before


def test_a_new_storage_folder_is_gone_again(place, capsys, monkeypatch):
    before = tree(place)
    words = "--train photos --storage new/deep/runs --tracking-uri http://127.0.0.1:9"
    check(*here([*SMALL, *words.split()], capsys, monkeypatch), "no MLflow server answers")
    words = "--train stamps --storage new/deep/runs"
    check(*here([*SMALL, *words.split()], capsys, monkeypatch), "set --data.crop-px ")
    assert tree(place) == before


def test_a_second_sweep_is_told_of_the_first(place, capsys, monkeypatch):
    before = tree(place)
    with local_lock("first"):
        answer = here([*SMALL, "--train", "photos"], capsys, monkeypatch)
    check(*answer, rf"sweep 'first' \(process {os.getpid()}, since .*\) holds this machine's devices")
    assert tree(place) == before


def test_a_loss_that_never_reaches_the_generator_is_named(place, capsys, monkeypatch):
    honest = losses.adversarial_g
    monkeypatch.setattr(losses, "adversarial_g", lambda *a, **k: honest(*a, **k).detach() + 0 * a[-1].sum())
    before = tree(place)
    answer = here([*SMALL, "--train", "photos"], capsys, monkeypatch)
    check(*answer, r"the adversarial loss is enabled .* but its gradient never reaches the generator")
    assert tree(place) == before


def test_status_of_a_sweep_is_read_from_what_it_wrote(place, capsys, monkeypatch):
    folder = place / "runs" / "taken"
    facts = {"space": "demo", "recipe": "demo", "status": "running", "started": 0}
    (folder / "sweep.json").write_text(json.dumps(facts))
    (folder / "stages").mkdir()
    verdicts = ["PSNR phase trained", "PSNR phase trained", "diverged: pixel at step 9"]
    (folder / "stages" / "warm.json").write_text(
        json.dumps([{"stage": "warm", "trial_id": "", "verdict": v} for v in verdicts])
    )
    (folder / "trials" / "screen-1").mkdir(parents=True)
    before = tree(place)
    monkeypatch.setattr(sys, "argv", ["experiments/sweep.py", "--status", "taken"])
    assert sweep.main() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("taken: died, began 19"), "nobody beats"
    assert said[1].split() == "warm done: 2 trained, 1 diverged".split()
    assert [line.split(None, 1) for line in said[2:6]] == [
        ["screen", "1 trial begun"],
        ["repeat", "not begun"],
        ["confirm", "not begun"],
        ["test", "not begun"],
    ]
    assert "--resume taken" in said[6]
    check(*here(["--status", "gone"], capsys, monkeypatch), "no sweep 'gone' in .*/runs; known: taken")
    assert tree(place) == before


def test_the_plan_is_printed_and_nothing_is_started(place, capsys, monkeypatch):
    words = [*SMALL, "--train", "photos", "--recipe", "demo", "--dry-run", "--name", "mine"]
    monkeypatch.setattr(sys, "argv", ["experiments/sweep.py", *words])
    assert sweep.main() == 0
    plan = capsys.readouterr().out
    assert "4 PSNR runs of 480 steps, one per architecture" in plan
    assert "8 trials of up to 120 GAN steps" in plan
    assert "1 design x 2 seeds" in plan
    assert re.search(
        r"time     about [\d.]+ (s|min|h) on this machine .*: warm .*, screen .*, confirm .*, test ", plan
    )
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["cache", "datasets", "taken"]


@pytest.mark.ray
def test_hours_decide_the_plan_of_a_recipe_that_fits_the_photographs(place, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "BEGAN", time.monotonic())
    words = [*SMALL, "--train", "photos", "--dry-run", "--name", "mine", "--hours", "0.5", "--trials", "5"]
    monkeypatch.setattr(sys, "argv", ["experiments/sweep.py", *words])
    assert sweep.main() == 0
    plan = capsys.readouterr().out
    assert "recipe photos_small, because none is named and there is no GPU" in plan
    assert "recipe   photos_small over space photos_small: x4, 32 px crops; psnr_y and swd decide" in plan
    assert re.search(
        r"hours    0.5 h: [\d.]+ of 30 minutes are over; then minutes of warm [\d.]+, screen", plan
    )
    assert "double   1 h would give 5 designs of " in plan
    assert "screen   5 trials of up to " in plan
    assert not (place / "runs" / "mine").exists()
