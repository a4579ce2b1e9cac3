"""Candidates are measured on real gate images, in this process or in a Ray task of a cluster."""

import json
import os
import pickle
import secrets
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import own_code
from helpers.paths import ROOT
from helpers.promotion import Known
from PIL import Image

from datasets.errors import UserError
from orchestrator.registry import describe, evaluate
from orchestrator.registry import promote as promotion
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.evaluate import Champion
from orchestrator.registry.gate import Thresholds
from orchestrator.tracking.server import default_uri
from trainers import checkpoint, plugins
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig, flatten, override
from trainers.models import build_generator


def photographs(folder, seed, count):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for k in range(count):
        small = Image.fromarray(rng.integers(256, size=(12, 12, 3), dtype=np.uint8))
        small.resize((48, 48), Image.BICUBIC).save(folder / f"{seed}-{k}.png")
    return str(folder)


@pytest.fixture
def place(tmp_path, migrated_database):
    """A small sweep whose pick is the plain bicubic image, and its source."""
    train = photographs(tmp_path / "train", 0, 6)
    config = TrainConfig(
        recipe="demo",
        generator=GeneratorConfig(num_blocks=1, channels=4, global_skip="bicubic"),
        objective=ObjectiveConfig(perceptual="swd"),
    )
    gate = photographs(tmp_path / "gate", 1, 8)
    config = override(config, {"data.train": train, "data.gate": gate, "data.crop_px": 32})
    torch.manual_seed(0)
    storage = tmp_path / "runs"
    network = build_generator(config.generator)
    best = checkpoint.save_generator(storage / "s" / "trials" / "confirm-0-s0" / "best", config, network, {})
    row = {"trial_id": "confirm-0-s0", "stage": "confirm", "design": "b1", "seed": 1, "steps": 1}
    row |= {"max_steps": 1, "checkpoint": f"/moved/from/s/trials/confirm-0-s0/{best.name}"}
    row |= {"config": flatten(config)}
    facts = {"name": "s", "recipe": "demo", "status": "finished", "ended": 1.0, "pick": "confirm-0-s0"}
    facts |= {"pick_reason": "", "experiment": "upsweep/s", "command": "", "commit": "", "gpu_hours": 0}
    facts |= {"data": {}, "tracking_uri": default_uri(storage)}
    (storage / "s" / "sweep.json").write_text(json.dumps(facts))
    (storage / "s" / "leaderboard.json").write_text(json.dumps([row]))
    shutil.copy(migrated_database, storage)
    return tmp_path, CandidateSource(str(storage), "s")


def test_a_storage_that_was_moved_and_a_bare_checkpoint_are_promoted_too(place, capsys):
    tmp_path, source = place
    outcome = promotion.promote(source, dry_run=True)
    assert capsys.readouterr().err.splitlines() == [
        f"opening the gate images: {tmp_path}/gate",
        "importing 8 images",
        "importing 6 images",
        "measuring bicubic and 1 network on 8 gate images",
        "comparing them image by image, and deciding",
    ]
    promotion.promote(source, dry_run=True)
    assert "importing" not in capsys.readouterr().err
    assert "8 gate images, at least 30" in outcome.decision.reason and outcome.model == "upsweep-s"
    folder = source.work_dir / "s" / "trials" / "confirm-0-s0" / "best"
    other = CandidateSource(source.storage, model="upsweep-x", checkpoint=str(folder))
    outcome = promotion.promote(other, dry_run=True)
    assert outcome.model == "upsweep-x" and "decision number 3 on them" in outcome.card
    with pytest.raises(UserError, match="exclude each other"):
        promotion.promote(CandidateSource(source.storage, "s", run="abc"))
    with pytest.raises(UserError, match="no MLflow run abc"):
        promotion.promote(CandidateSource(source.storage, run="abc"))


def test_a_champion_of_another_scale_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "GateImages", Known)
    configs = [TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4, scale=s)) for s in (4, 2)]
    mine, theirs = (build_generator(config.generator) for config in configs)
    candidate = Candidate({"name": "s"}, {}, configs[0], mine, None)
    champion = Champion("models:/upsweep-x/1", configs[1], theirs)
    with pytest.raises(UserError, match="x/1 upscales 2 times and the candidate 4 times; set --model"):
        evaluate.evaluate_candidate(candidate, champion, tmp_path, Thresholds())


def test_a_worker_reads_a_candidate_and_a_champion_of_a_users_own_network(tmp_path):
    kind = plugins.pin("generator.kind", f"{own_code.write(tmp_path)}:Net")
    config = override(TrainConfig(), {"generator.kind": kind})
    network = build_generator(config.generator)
    candidate = Candidate({"name": "s"}, {}, config, network, network)
    (tmp_path / "both.pkl").write_bytes(pickle.dumps((candidate, Champion("uri", config, network))))
    program = (
        "import pickle, sys; both = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print([type(c.generator).__name__ for c in both])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "both.pkl")]
    assert subprocess.check_output(command, cwd=ROOT, text=True) == "['Net', 'Net']\n"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_cluster_judges_as_this_machine_does(place, monkeypatch):
    tmp_path, source = place
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this cluster alone
    gate = str(tmp_path / "gate")
    with cluster(tmp_path) as address:
        there = promote(source.storage, "s", "--address", address)
        folder = source.work_dir / "s" / "trials" / "confirm-0-s0" / "best"
        generator, config = checkpoint.load_generator(folder)
        leaking = override(config, {"data.train": gate})
        leak = checkpoint.save_generator(folder.with_name("leak"), leaking, generator, {})
        refused = promote(source.storage, "--checkpoint", str(leak), "--model", "x", "--address", address)
    assert there.returncode == 3, there.stderr
    here = promotion.promote(source, dry_run=True)
    assert there.stdout.strip() == describe.describe_outcome(here)
    where, error = refused.stderr.splitlines()
    assert where == f"importing and measuring on the cluster at {address}"
    assert refused.returncode == 2 and error.startswith("error: ") and "gate" in error


def promote(storage, *arguments):
    """The script in a process of its own, which connects to Ray and leaves it."""
    command = [sys.executable, "experiments/promote.py", "--dry-run", "--storage", storage, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


class cluster:
    """A Ray head of our own on loopback, ended by its process id."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "ray.log"

    def __enter__(self):
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"]
        command += [f"--port={self.port}", "--include-dashboard=false"]
        command += ["--object-store-memory=80000000", "--disable-usage-stats"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            if "Ray runtime started" in self.log.read_text(errors="replace"):
                return f"127.0.0.1:{self.port}"
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("Ray did not start")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
