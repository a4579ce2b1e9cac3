"""Helpers of the studies' tests: small sets that differ, requests that run in seconds, finished trainings."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import splits
from experiments import recipes
from orchestrator.studies import estimate, run
from orchestrator.studies.kinds import dataset_matrix
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import FinishedTraining
from orchestrator.studies.spec import Training
from trainers.config import TrainConfig, override

SIZES = {"test": 32, "val": 2, "train": 6}
TINY = {
    "data.crop_px": 32,
    "data.eval_crop_px": 32,
    "data.batch_size": 2,
    "data.eval_images": 2,
    "generator.num_blocks": 1,
    "generator.channels": 4,
    "discriminator.base_channels": 4,
    "discriminator.num_layers": 3,
    "loss.content_weights": "random",
    "run.psnr_steps": 2,
    "run.gan_steps": 2,
    "run.psnr_eval_every_steps": 2,
    "run.eval_every_steps": 1,
    "run.log_every_steps": 1,
    "run.checkpoint_every_steps": 1,
    "run.device": "cpu",
}


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two folders of 52 x 56 px pictures, smooth and coloured differently, and a split that they fill."""
    for name in ("miniature", "upsampling"):
        monkeypatch.setitem(splits.STUDIES, name, SIZES)
    monkeypatch.setattr(
        dataset_matrix, "installed", lambda *metrics: ()
    )  # equal tables with or without weights
    return [f"{name}={pictures(tmp_path / name, k)}" for k, name in enumerate(("warm", "cold"))]


def pictures(folder: Path, kind: int, count: int = sum(SIZES.values())) -> Path:
    """Random blobs, no two alike, reddish or bluish."""
    rng = np.random.default_rng(kind)
    folder.mkdir()
    for i in range(count):
        small = rng.integers(40, 216, size=(6, 6, 3), dtype=np.uint8)
        small[..., 2 * kind] //= 3
        image = Image.fromarray(small).resize((52, 56), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:03d}.png")
    return folder


def request(tmp_path: Path, kind: str, recipe: str, data: list[str], **changes) -> StudyRequest:
    """A study without Ray and MLflow, with one seed."""
    own = {k.replace("__", "."): v for k, v in changes.items() if "__" in k}
    rest = {k: v for k, v in changes.items() if "__" not in k}
    values = {
        "kind": kind,
        "name": kind,
        "config": override(recipes.build(recipe), TINY | own),
        "storage": str(tmp_path / "runs"),
        "data": tuple(data),
        "seeds": 1,
        "miniature": True,
        "track": False,
        "ray": False,
    }
    return StudyRequest(**values | rest)


def run_tiny(kind, asked: StudyRequest, **more):
    """The answer of a study, run in this process; `more` goes to its plan."""
    return run.run_study(kind.plan(asked, **more), asked, kind.BASELINES, say=lambda text: None)


def statuses(answer) -> dict[str, str]:
    """Claim -> status."""
    return {c.id: c.status for c in answer.claims}


def finished(arm: str, seed: int, psnr_y: list[float], protocol: str = "p", diverged: str = "", log=()):
    """A training with these values per image on the test sets x and y, or one that diverged."""
    test = {
        "summary": {"psnr_y": float(np.mean(psnr_y)) if psnr_y else 0.0},
        "per_image": {"psnr_y": psnr_y},
        "keys": [str(i) for i in range(len(psnr_y))],
        "protocol": {"psnr_y": protocol},
    }
    training = Training(arm, seed, TrainConfig(), (), ("psnr_y",))
    measured = {"diverged": diverged, "tests": {"x": test, "y": test}, "log": list(log)}
    return FinishedTraining(training, Path(training.name), measured)


def exit_code(script: str, words: list[str], monkeypatch) -> int:
    """The exit code of a script of experiments/, run in this process as from a shell."""
    path = Path(recipes.__file__).parents[1] / f"{script}.py"
    monkeypatch.setattr("sys.argv", [path.name, *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    return end.value.code


def plan_of_command(script: str, words: list[str], storage: Path, monkeypatch, capsys) -> str:
    """What a study's script prints for --dry-run, with steps of a second that are not timed."""
    monkeypatch.setattr(estimate, "seconds_per_step", lambda training: {"psnr": 1.0, "gan": 1.0})
    assert exit_code(script, ["--dry-run", "--storage", str(storage), *words], monkeypatch) == 0
    return capsys.readouterr().out
