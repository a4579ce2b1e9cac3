"""--help of commands with hundreds of settings, --help-all and --list."""

import sys
from types import SimpleNamespace

import pytest

from datasets.errors import UserError
from experiments import recipes, spaces
from experiments.common import cli, help
from experiments.common.sweep_options import SweepOptions
from experiments.upscale import Args
from trainers.config.generators import GENERATORS
from trainers.metrics import METRICS


def printed(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__doc__="Find networks."))
    with pytest.raises(SystemExit) as end:
        cli.parse(SweepOptions, recipes.build, words)
    assert not end.value.code
    return capsys.readouterr().out


def test_help_shows_options_and_help_all_every_setting(capsys, monkeypatch):
    short, whole = (printed([word], capsys, monkeypatch) for word in ("--help", "--help-all"))
    assert "Find networks." in short and "--train" in short and "--help-all" in short
    assert "--generator.num-blocks" in whole and "--generator.num-blocks" not in short
    assert "Training images: a folder or zip" in short, "a field keeps its help"


@pytest.mark.parametrize("base", [recipes.build, None])
def test_a_help_of_several_lines_in_the_source_is_one_paragraph(base, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__doc__="Find networks."))
    options, text = (
        (SweepOptions, "weights) whose network every") if base else (Args, "*.onnx, or a weight file")
    )
    with pytest.raises(SystemExit):
        cli.parse(options, base, ["--help"])
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    "what, names",
    [
        ("recipes", recipes.RECIPES),
        ("spaces", spaces.SPACES),
        ("metrics", METRICS),
        ("architectures", GENERATORS),
    ],
)
def test_a_list_names_every_entry_of_its_table(what, names, capsys, monkeypatch):
    said = printed(["--list", what], capsys, monkeypatch)
    assert [line.split()[0] for line in said.splitlines()] == list(names)
    assert all(len(line.split()) > 1 for line in said.splitlines()), "each with a sentence"


def test_images_without_an_option_are_told_which():
    with pytest.raises(UserError, match="'photos' has no option before it; .* --train photos"):
        cli.parse(SweepOptions, recipes.build, ["photos", "--hours", "8"])


def test_a_list_without_its_word_is_all_of_them(capsys, monkeypatch):
    said = printed(["--list"], capsys, monkeypatch)
    assert all(f"{name}:\n{help.listing(name)}" in said for name in help.LISTS)


def test_an_unknown_list_is_one_sentence():
    with pytest.raises(UserError, match="no list 'recipe'; known: .*did you mean 'recipes'"):
        help.listing("recipe")
