"""One run from the command line: pictures in, the best checkpoint out, one sentence for each mistake."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.paths import ROOT
from helpers.tiny import SMALL, same, snapshot, tiny
from PIL import Image

from datasets.errors import UserError
from datasets.files import locked
from experiments import train as train_module
from experiments.common import cli
from trainers import checkpoint, losses, train
from trainers.config import flatten, from_flat, override
from trainers.state import new_state

METRICS = {"objective.perceptual": "swd", "objective.delta_db": 5.0, "data.eval_images": 2}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Thirty pictures of 64 px, no two alike."""
    folder = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for index in range(30):
        small = draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """Where the imported pictures are kept for all tests."""
    return tmp_path_factory.mktemp("storage")


def small(photographs, **changes):
    return override(tiny(**changes), METRICS | {"data.train": str(photographs)})


def command(config, out, storage) -> list[str]:
    values = {**SMALL, **METRICS, "data.train": config.data.train}
    values |= {k: v for k, v in flatten(config).items() if k in values}
    flags = [w for name, v in values.items() for w in (f"--{name.replace('_', '-')}", str(v))]
    return ["--recipe", "demo", "--out", str(out), "--storage", str(storage), "--metrics", "ssim_y", *flags]


def call(monkeypatch, words) -> int:
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    with pytest.raises(SystemExit) as ended:
        cli.run(train_module.main)
    return ended.value.code


def test_a_run_ends_with_its_best_checkpoint_and_says_how_to_use_it(
    photographs, storage, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    assert call(monkeypatch, command(small(photographs), out, storage)) == 0
    said = capsys.readouterr().out
    assert said.startswith("bicubic       psnr_y") and "ssim_y" in said
    assert "gan       6/6" in said and "upsweep upscale IMAGE --model" in said
    best = Path(said.split("best checkpoint: ")[1].split("\n")[0])
    assert ("that is the warm start: no GAN step" in said) == (best.name == "00000000")
    generator, config = checkpoint.load_generator(best)
    assert config.recipe == "demo" and best.parent == out / "candidates"
    assert json.loads((out / "config.json").read_text()) == flatten(config)
    written = [p for p in out.rglob("*") if p.name != ".lock"]  # which each process writes its number into
    before = {p: p.stat().st_mtime_ns for p in written}
    assert call(monkeypatch, command(small(photographs), out, storage)) == 0, (
        "a finished run is only told again"
    )
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != ".lock"} == before
    other = command(small(photographs, generator__num_blocks=2), out, storage)
    assert call(monkeypatch, other) == 2
    error = capsys.readouterr().err
    assert "holds a run with other settings (generator.num_blocks); choose another --out" in error


def test_a_loss_that_reaches_nothing_ends_with_one_sentence_and_writes_nothing(
    photographs, storage, tmp_path, monkeypatch, capsys
):
    real = losses.adversarial_g
    monkeypatch.setattr(losses, "adversarial_g", lambda *a, **k: real(*a, **k).detach())
    assert call(monkeypatch, command(small(photographs), tmp_path / "out", storage)) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: the adversarial loss is enabled (loss.adversarial_weight) but its gradient"
    )
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_run_that_diverges_names_step_term_and_what_to_lower(photographs, storage, tmp_path, monkeypatch):
    real = losses.adversarial_d

    def explodes(*args, **more):
        explodes.calls += 1
        return real(*args, **more) * (float("nan") if explodes.calls == 5 else 1)

    explodes.calls = 0
    monkeypatch.setattr(losses, "adversarial_d", explodes)
    with pytest.raises(
        UserError, match=r"diverged at step 5: discriminator .* saved before it are in .*gan-00000004"
    ):
        train.train(small(photographs), tmp_path / "out", storage)


def finished_run(out, config, measured):
    """Write candidates, with the given values of both objectives by step, and the run's last checkpoint."""
    state = new_state(config, "gan", torch.device("cpu"))
    names = config.objective.distortion, config.objective.perceptual
    rows = {step: dict(zip(names, values, strict=True)) for step, values in measured.items()}
    for step, values in rows.items():
        folder = out / "candidates" / f"{step:08d}"
        checkpoint.save_generator(folder, config, state.ema, {"step": step, "val": values})
    curve = [{"step": step, **values} for step, values in rows.items()]
    last = out / "checkpoints" / f"gan-{max(rows):08d}"
    checkpoint.save(last, config, state, {"progress": {"curve": curve}})


def test_the_best_candidate_is_feasible_first_then_best_in_perception(tmp_path):
    config = tiny(objective__delta_db=1.0)
    with pytest.raises(UserError, match="holds no checkpoint of a run"):
        train.best_candidate(config, tmp_path)
    finished_run(tmp_path, config, {0: (30.0, 5.0), 2: (29.5, 4.0), 4: (28.0, 1.0), 6: (29.2, 4.5)})
    assert train.best_candidate(config, tmp_path).name == "00000002"
    assert train.best_candidate(override(config, {"objective.delta_db": 3.0}), tmp_path).name == "00000004"


def test_with_rmse_as_distortion_the_smaller_error_is_feasible_and_chosen(tmp_path):
    """The floor is an error of 9, 1 above the warm start's 8: 7 is feasible, 12 is not."""
    config = tiny(objective__distortion="rmse_y", objective__delta_db=1.0)
    finished_run(tmp_path, config, {0: (8.0, 5.0), 2: (12.0, 1.0), 4: (7.0, 4.0), 6: (10.0, 2.0)})
    assert train.best_candidate(config, tmp_path).name == "00000004"
    assert train.best_candidate(override(config, {"objective.delta_db": 2.5}), tmp_path).name == "00000006"


def test_with_two_objectives_to_maximise_the_larger_perception_is_chosen(tmp_path):
    config = tiny(objective__perceptual="ssim_y", objective__delta_db=1.0)
    finished_run(tmp_path, config, {0: (30.0, 0.5), 2: (29.5, 0.9), 4: (28.0, 0.99), 6: (29.6, 0.7)})
    assert train.best_candidate(config, tmp_path).name == "00000002"


def test_without_a_feasible_candidate_the_one_nearest_the_floor_is_chosen(tmp_path):
    config = tiny(objective__distortion="rmse_y", objective__delta_db=1.0)
    finished_run(tmp_path, config, {0: (8.0, 5.0), 2: (12.0, 1.0), 4: (10.0, 4.0)})
    shutil.rmtree(tmp_path / "candidates" / "00000000")
    assert train.best_candidate(config, tmp_path).name == "00000004"


def test_without_a_warm_start_bicubic_sets_the_floor_and_not_the_random_weights(tmp_path):
    """Random weights begin at 9 dB: below them nothing would be infeasible."""
    config = tiny(run__psnr_steps=0, objective__delta_db=1.0)
    finished_run(tmp_path, config, {0: (9.0, 50.0), 2: (20.0, 1.0), 4: (25.0, 4.0), 6: (24.8, 6.0)})
    (tmp_path / "bicubic.json").write_text(json.dumps({"psnr_y": 25.5, "swd": 8.0}))
    assert train.best_candidate(config, tmp_path).name == "00000004"


def test_a_psnr_run_ends_with_its_last_checkpoint(photographs, storage, tmp_path):
    config = small(photographs, run__gan_steps=0)
    assert train.train(config, tmp_path / "out", storage).name == "psnr-00000006"


def test_a_resumed_run_may_use_another_device_or_other_threads(photographs, storage, tmp_path):
    config = small(photographs, run__gan_steps=0)
    ended = train.train(config, tmp_path / "out", storage)
    before = torch.get_num_threads()
    try:
        machine = {"run.threads": 1, "run.device": "auto"}
        assert train.train(override(config, machine), tmp_path / "out", storage) == ended
    finally:
        torch.set_num_threads(before)


def test_a_run_begun_before_a_setting_existed_goes_on(photographs, storage, tmp_path):
    config = small(photographs, run__gan_steps=0)
    with locked(tmp_path / "out" / ".lock", holder="process 7"):
        with pytest.raises(UserError, match="process 7 trains in .*; end it first, or choose another name"):
            train.train(config, tmp_path / "out", storage)
        assert not (tmp_path / "out" / "config.json").exists()
    train.train(config, tmp_path / "out", storage)
    path = tmp_path / "out" / "config.json"
    stored = json.loads(path.read_text())
    del stored["optim.clip_norm"]
    path.write_text(json.dumps(stored))
    train.train(config, tmp_path / "out", storage)
    with pytest.raises(UserError, match=r"other settings \(optim.clip_norm\)"):
        train.train(override(config, {"optim.clip_norm": 1.0}), tmp_path / "out", storage)


def start(words) -> subprocess.Popen:
    script = [sys.executable, str(ROOT / "experiments" / "train.py"), *words]
    return subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_run_saves_and_the_same_command_ends_bit_for_bit(
    number, code, photographs, storage, tmp_path
):
    """In a process of its own, through the command line."""
    config = small(photographs, run__psnr_steps=300, run__gan_steps=300, run__checkpoint_every_steps=1000)
    straight = command(config, tmp_path / "straight", storage)
    assert start(straight).wait() == 0
    words = command(config, tmp_path / "stopped", storage)
    process = start(words)
    while not (tmp_path / "stopped" / "metrics.jsonl").exists():
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == code and "the same command resumes from there" in error
    assert start(words).wait() == 0
    assert same(*(final(tmp_path / name) for name in ("straight", "stopped")))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_torchrun_trains_over_two_processes_and_ends_as_one_process_does(photographs, storage, tmp_path):
    """Through the command line, in fp32: sums in another order, so nearly and not exactly."""
    config = small(photographs, generator__norm="none", discriminator__norm="none", run__gan_steps=2)
    assert start(command(config, tmp_path / "one", storage)).wait() == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*torchrun, str(ROOT / "experiments" / "train.py"), *command(config, tmp_path / "two", storage)]
    told = subprocess.run(words, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("best checkpoint: ") == 1
    one, two = (final(tmp_path / name) for name in ("one", "two"))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_run_killed_at_twenty_random_moments_ends_bit_for_bit(norm, photographs, storage, tmp_path):
    """kill -9, again and again, until it is through."""
    config = small(
        photographs,
        generator__norm=norm,
        discriminator__norm=norm,
        run__psnr_steps=400,
        run__gan_steps=400,
        run__psnr_eval_every_steps=50,
        run__eval_every_steps=50,
        run__checkpoint_every_steps=5,
    )
    assert start(command(config, tmp_path / "straight", storage)).wait() == 0
    words = command(config, tmp_path / "killed", storage)
    draw, kills = np.random.default_rng(7), 0
    while kills < 20:
        process = start(words)
        began, seen = time.monotonic(), newest(tmp_path / "killed")
        while process.poll() is None and newest(tmp_path / "killed") == seen:
            assert time.monotonic() - began < 120, "no progress"
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    print(f"{kills} kills")
    assert kills >= 10, "the run was over too early to say anything"
    assert start(words).wait() == 0
    assert same(*(final(tmp_path / name) for name in ("straight", "killed")))


def newest(out: Path) -> str:
    return max((p.name for p in checkpoint.whole(out / "checkpoints")), default="")


def final(out: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the last checkpoint."""
    config = from_flat(json.loads((out / "config.json").read_text()))
    (folder,) = checkpoint.whole(out / "checkpoints")
    state, _ = checkpoint.load(folder, config, torch.device("cpu"))
    return snapshot(state.generator, state.ema, state.discriminator)


def test_a_training_starts_without_torchs_compiler(photographs, storage, tmp_path):
    """Its import takes each worker three seconds, sympy two and torchvision five."""
    code = "import sys; from experiments.train import main; main(); print(*sys.modules)"
    words = command(small(photographs), tmp_path / "run", storage)
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "trainers.train_step" in loaded and not loaded & {"torch._dynamo", "sympy", "torchvision"}
