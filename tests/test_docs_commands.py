"""The real parsers accept every command in README.md and docs/*.md."""

import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT
from test_docs import PAGES

import upsweep
from experiments.common import cli
from upsweep.__main__ import COMMANDS

CLUSTER = {
    "aws": "an AWS account",
    "ray": "machines to start",
    "$EDITOR": "a person",
    "ssh": "another machine",
}
"""First words of commands that need more than this machine, and what."""
OTHERS = {"pip": "installs", ".": "activates the environment", "pytest": "this suite"}
"""First words of commands that are not ours, and what they do."""
SCRIPT = re.compile(r"(?:python|torchrun --nproc-per-node \w+) ((?:experiments|tests/bench)/\w+\.py)(.*)")
PACKAGES = ("datasets", "trainers", "orchestrator", "experiments", "upsweep")
BLOCK = re.compile(r"```python.*?\n(.*?)```", re.S)


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a page's indented blocks, continued lines joined, comments left out."""
    block = "\n".join(line[4:] for line in text.splitlines() if re.match(r" {4,8}\S", line))
    for line in re.sub(r"\\\n\s*", "", block).splitlines():
        line = re.sub(r"\s+#.*", "", line)
        if re.match(r"(upsweep|python|torchrun|make|pip|ray|aws|pytest|\.|\$EDITOR|ssh) ", line):
            yield line


EVERY = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text())})
OURS = sorted(
    {line for _, line in EVERY if line.split()[0] not in {"make", *CLUSTER, *OTHERS}} - {"upsweep --help"}
)


def script_and_words(line: str) -> tuple[Path, list[str]]:
    """Return the script of a command of ours and its words; ValueError for anything else."""
    first, *words = shlex.split(line)
    if first == "upsweep" and words and words[0] in COMMANDS:
        return ROOT / "experiments" / f"{COMMANDS[words[0]]}.py", words[1:]
    if match := SCRIPT.fullmatch(line):
        return ROOT / match[1], shlex.split(match[2])
    raise ValueError(f"no command of ours: {line}")


class Accepted(BaseException):
    """The parser accepted the command; nothing else is run."""


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """The reader's folder: mine.py and mine.yaml as the pages print them."""
    (source,) = BLOCK.findall((ROOT / "docs" / "extending.md").read_text())
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def parser(monkeypatch):
    """Commands end where they are parsed: `called` has the options, None after --help or --list."""
    called = []

    def note(*arguments, real=cli.parse):
        called.append(real(*arguments))
        raise Accepted

    monkeypatch.setattr(cli, "parse", note)
    monkeypatch.setattr(cli, "run", lambda main: main())
    return called


@pytest.mark.parametrize("line", OURS)
def test_the_parser_accepts(line, own_files, parser, monkeypatch, capsys):
    script, words = script_and_words(line.replace("...", ""))
    if not script.is_relative_to(ROOT / "experiments") or script.stem == "fetch_weights":
        assert script.is_file()  # benches and weights parse with argparse, in their own tests
        return
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules[__name__])
    with pytest.raises((Accepted, SystemExit)) as end:
        runpy.run_path(str(script), run_name="__main__")
    asked = {"--help", "--help-all", "--list"} & set(words)
    assert parser or asked and not end.value.code, capsys.readouterr().err


def test_make_knows_every_target():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    named = {word for _, line in EVERY if line.startswith("make ") for word in line.split()[1:2]}
    assert named and named <= {*targets}


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("terminal", [True, False])
def test_make_shows_the_progress_of_an_installation_on_a_terminal(terminal, tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/find_python"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" > words\n')
    python.chmod(0o755)
    ours, theirs = os.openpty()
    output = theirs if terminal else subprocess.DEVNULL
    subprocess.run(["make", ".venv/.installed"], cwd=tmp_path, stdout=output, check=True)
    os.close(theirs)
    os.close(ours)
    words = (tmp_path / "words").read_text().split()
    assert words[:3] == ["-m", "pip", "install"] and ("-q" in words) is not terminal


def test_a_wrong_option_would_be_seen(own_files, parser, monkeypatch):
    for line in ("upsweep upscale photo.jpg --modle x", "upsweep sweep --recipe dmo"):
        script, words = script_and_words(line)
        monkeypatch.setattr(sys, "argv", [str(script), *words])
        with pytest.raises((Exception, SystemExit)) as end:
            runpy.run_path(str(script), run_name="__main__")
        assert end.type is not Accepted and not parser


def test_blocks_comments_and_continued_lines_are_read():
    text = "`upsweep rate`.\n\n    upsweep sweep --name x \\\n        --trials 2    # why\n    import os\n"
    assert list(commands(text)) == ["upsweep sweep --name x --trials 2"]


def test_python_blocks_parse_and_use_what_upsweep_has():
    sources = [(page.name, text) for page in PAGES for text in BLOCK.findall(page.read_text())]
    trees = [ast.parse(text, name) for name, text in sources]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "upsweep"}
    assert len(used) > 3 and [name for name in used if not hasattr(upsweep, name)] == []


FOREIGN = {
    "--backend-store-uri": "mlflow ui",
    "--allowed-hosts": "mlflow server",
    "--no-config-cache": "ray up",
    "--nproc-per-node": "torchrun",
    "--help-all": "read before the parser",
}
"""Options in sentences of ours that are not fields of our commands' options, and whose they are."""


def test_sentences_name_options_that_exist():
    """Of each command, or of a script; a setting by its dotted name is a field of its section."""
    fields, named = set(), {}
    for path in sorted(p for top in PACKAGES for p in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                fields.add(node.target.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"--[\w-]+", node.value):
                    fields.add(node.value[2:].replace("-", "_"))  # argparse, or a word that is looked for
                for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9._-]*[a-z0-9]", node.value):
                    if " " in node.value:
                        named.setdefault(option, f"{path.relative_to(ROOT)}:{node.lineno}")
    unknown = {
        option: place
        for option, place in named.items()
        if option not in FOREIGN
        and option[2:].replace("-", "_").rpartition(".")[2].removeprefix("no_") not in fields
    }
    assert len(named) > 60 and unknown == {}
