"""The code of a GPU day, run on the CPU at the smallest size: every section gives its rows, none fails."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("gpu")


def test_every_section_runs_and_passes_on_the_cpu_at_the_smallest_size(gpu, tmp_path):
    place = gpu.Place(torch.device("cpu"), small=True, folder=tmp_path / "work")
    sections = [(s.__name__, s) for s in (*gpu.CHECKS, *gpu.TIMES)]
    rows = gpu.measure(place, sections, tmp_path, minutes=10)
    assert [row.name for row in rows if row.passed is False] == []
    assert {row.name.split(",")[0] for row in rows} >= {"gradients", "resume to the bit", "srgan_8", "esrgan"}
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert len(written["rows"]) == len(rows) and written["facts"]["card"].startswith("none")
    assert all(row.name in (tmp_path / "gpu.md").read_text() for row in rows)


def test_a_section_that_breaks_is_a_failed_row_and_those_past_the_time_are_named(gpu, tmp_path):
    def breaks(place):
        raise RuntimeError("no such kernel")
        yield

    place = gpu.Place(torch.device("cpu"), small=True, folder=tmp_path / "work")
    broken = gpu.measure(place, [("breaks", breaks)], tmp_path, minutes=1)
    assert [(r.name, r.passed) for r in broken] == [("breaks", False)] and "no such kernel" in broken[0].value
    late = gpu.measure(place, [("breaks", breaks)], tmp_path, minutes=-1)
    assert late[0].passed is None and "not measured" in late[0].value


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="this machine has a card, which the command would measure"
)
def test_without_a_card_the_command_says_so_and_exits_with_2(gpu, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 2
    assert "no GPU" in capsys.readouterr().err
