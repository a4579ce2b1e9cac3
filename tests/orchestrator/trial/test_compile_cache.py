"""Kernels of torch.compile travel between nodes through the storage; a trial never fails for them."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from helpers.paths import ROOT
from helpers.tiny import tiny

from orchestrator.storage import Storage
from orchestrator.trial.compile_cache import kernels_key, shared_kernels

CPU = torch.device("cpu")


@pytest.fixture
def compiler(monkeypatch):
    """The compiler's own cache: what it was given, and what it would hand out."""
    given = []
    monkeypatch.setattr(
        torch.compiler, "load_cache_artifacts", lambda kernels: given.append(kernels) or "read"
    )
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"kernels", None))
    return given


def test_the_first_trial_of_a_design_stores_its_kernels_and_the_next_loads_them(compiler, tmp_path):
    storage, config = Storage(str(tmp_path)), tiny(run__compile=True)
    with shared_kernels(storage, config, CPU, leads=True):
        assert compiler == []
    with shared_kernels(storage, config, CPU, leads=False):
        assert compiler == [b"kernels"]
    (stored,) = (tmp_path / "compiled").iterdir()
    assert stored.name == kernels_key(config, CPU)


def test_without_compilation_and_on_other_ranks_nothing_is_stored(compiler, tmp_path):
    storage = Storage(str(tmp_path))
    for config, leads in ((tiny(), True), (tiny(run__compile=True), False)):
        with shared_kernels(storage, config, CPU, leads=leads):
            pass
    assert list(tmp_path.iterdir()) == [] and compiler == []


def test_designs_share_kernels_if_they_differ_in_weights_and_rates_alone():
    same = {
        kernels_key(tiny(loss__adversarial_weight=w, optim__lr_g=r), CPU)
        for w, r in ((0.1, 1e-4), (1.0, 1e-3))
    }
    other = {
        kernels_key(tiny(generator__num_blocks=b, run__precision=p), CPU)
        for b in (1, 3)
        for p in ("fp32", "bf16")
    }
    assert len(same) == 1 and len(other) == 4


def test_a_damaged_file_is_replaced_after_the_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"kernels", None))
    storage, config = Storage(str(tmp_path)), tiny(run__compile=True)
    name = f"compiled/{kernels_key(config, CPU)}"
    storage.write_bytes(name, b"no kernels")
    with shared_kernels(storage, config, CPU, leads=True):
        pass
    assert storage.read_bytes(name) == b"kernels"


def test_a_storage_that_cannot_be_read_is_a_warning_and_the_trial_goes_on(tmp_path, monkeypatch):
    def broken(_name):
        raise OSError("the bucket is gone")

    storage, config, trained = Storage(str(tmp_path)), tiny(run__compile=True), []
    monkeypatch.setattr(storage, "exists", broken)
    with pytest.warns(UserWarning, match="kernels of other nodes cannot be read: the bucket is gone"):
        with shared_kernels(storage, config, CPU, leads=False):
            trained.append(1)
    assert trained == [1]


NODE = """
import json, sys
import torch
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
from helpers.tiny import batch, tiny
from orchestrator.storage import Storage
from orchestrator.trial.compile_cache import shared_kernels
from trainers.state import new_state
from trainers.train_step import TrainStep

config = tiny(run__compile=True, loss__adversarial_weight=0.0)
with shared_kernels(Storage({storage!r}), config, torch.device("cpu"), leads=True):
    TrainStep(config, new_state(config, "psnr", torch.device("cpu")))(*batch(0))
counters = torch._dynamo.utils.counters["inductor"]
print(json.dumps({{k: counters[k] for k in ("fxgraph_cache_hit", "fxgraph_cache_miss")}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="inductor compiles for the CPU with g++, which is absent"
)
def test_a_second_node_with_an_empty_cache_of_its_own_compiles_nothing(tmp_path):
    code, counted = NODE.format(root=str(ROOT), storage=str(tmp_path / "store")), []
    for node in ("first", "second"):
        env = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / node)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
        )
        counted.append(json.loads(done.stdout.splitlines()[-1]))
    assert counted[0]["fxgraph_cache_miss"] > 0 == counted[0]["fxgraph_cache_hit"]
    assert counted[1]["fxgraph_cache_hit"] > 0 == counted[1]["fxgraph_cache_miss"]
