"""docs/notebook.ipynb runs from the first cell to the last, where a sweep is finished and has a champion."""

import ast
import json

import numpy as np
from helpers.champion import register_champion
from helpers.fake_sweep import fake_sweep
from helpers.paths import ROOT

from orchestrator.report import build_report
from trainers.config import GeneratorConfig, TrainConfig

CELLS = json.loads((ROOT / "docs/notebook.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_the_notebook_is_stored_without_results_of_any_machine():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)


def test_every_cell_runs_and_shows_leaderboard_champion_and_picture(tmp_path, migrated_database, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake_sweep(tmp_path / "runs" / "demo")
    build_report(tmp_path / "runs" / "demo")
    config = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4))
    network, _ = register_champion(tmp_path / "runs", migrated_database, config)
    names = {}
    shown = [_run("".join(cell["source"]), names) for cell in CODE]
    tests, means, (scale, parameters), picture = shown[1:]
    assert len(tests) == 6 and tests["metrics.swd"].is_monotonic_increasing
    assert list(means.columns) == ["metrics.swd", "metrics.psnr_y"] and len(means) == 3
    assert (scale, parameters) == (4, sum(p.numel() for p in network.parameters()))
    assert np.asarray(picture).shape == (4 * 96, 2 * 4 * 128, 3)


def _run(source, names):
    """Run a cell and return the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
