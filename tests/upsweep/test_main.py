"""The command `upsweep`: one word per script, its options, its exit codes."""

import re
import sys

import pytest
from helpers.paths import ROOT

from experiments.common import cli
from upsweep import __main__ as command


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["upsweep", *words])
    monkeypatch.setattr(cli, "program", "")
    return command.main()


def test_the_overview_has_a_sentence_for_each_command(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    for word in command.COMMANDS:
        (line,) = (x for x in said.splitlines() if x.startswith(f"  {word} "))
        assert line.endswith(".") or ":" in line
    assert call(monkeypatch) == 2


def test_every_command_is_a_script_of_the_checkout():
    assert all(command.script(word).parent == ROOT / "experiments" for word in command.COMMANDS)
    assert all(command.script(word).is_file() for word in command.COMMANDS)


def test_help_and_messages_name_the_command_and_not_its_script():
    """README teaches `upsweep`; a hint to run python experiments/... failed outside of the checkout."""
    scripts = "|".join(command.COMMANDS.values())
    named = re.compile(rf"python (?:\"\s*f?\")?experiments/({scripts})\.py|[:;`] ({scripts})\.py -")
    packages = ("datasets", "trainers", "orchestrator", "experiments")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 200
    assert [f"{file}: {found[0]}" for file in files if (found := named.search(file.read_text()))] == []


def test_a_typo_names_the_command_that_was_meant(monkeypatch, capsys):
    assert call(monkeypatch, "swep") == 2
    assert "no command 'swep'" in (said := capsys.readouterr().err) and "did you mean 'sweep'" in said


def test_options_reach_the_script_and_its_exit_code_comes_back(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, "sweep", "--recipe", "dmo")
    assert end.value.code == 2 and "no recipe 'dmo'" in capsys.readouterr().err


def test_help_names_the_command_and_fits_a_screen_or_two(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, "sweep", "--help")
    lines = capsys.readouterr().out.splitlines()
    assert not end.value.code and lines[0].startswith("usage: upsweep sweep ")
    assert 10 <= len(lines) <= 60
    assert any("upsweep sweep --train" in line for line in lines), "an example"
