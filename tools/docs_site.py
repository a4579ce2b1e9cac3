"""Hooks of mkdocs.yml: reference pages made from the code, and links that lead out of docs/ as plain text."""

import ast
import dataclasses
import inspect
import posixpath
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from experiments.common import help  # noqa: E402
from trainers.benchmarks.formats import markdown  # noqa: E402
from trainers.config import TrainConfig  # noqa: E402
from upsweep.__main__ import COMMANDS  # noqa: E402

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
COPIES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Page of the site -> file at the top of the checkout."""


def rows(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and note of each field of a dataclass; dataclasses among them are left out."""
    notes = help.field_notes(kind)
    for field in dataclasses.fields(kind):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if not dataclasses.is_dataclass(default):
            yield prefix + field.name, default, notes.get(field.name, "")


def table(entries: Iterator[tuple[str, Any, str]], head: str) -> str:
    """Format entries as a Markdown table."""
    cells = []
    for name, default, note in entries:
        value = "" if default is dataclasses.MISSING else f"`{_shown(default)}`"
        cells.append((f"`{name}`", value, _cell(note)))
    return markdown((head, "default", "meaning"), cells) + "\n"


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    return f"{default:g}" if isinstance(default, float) else str(default) or '""'


def _cell(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def settings_page() -> str:
    """Return the page of every setting of a run."""
    parts = [
        "# Settings of a run\n\nEach is a flag of `upsweep sweep`, `upsweep train` and the studies under "
        "this name (`--optim.lr-g 1e-4`), an axis of a [space](../spaces.md) and a parameter in MLflow. "
        "Defaults are those of the dataclasses; recipes set others.\n"
    ]
    for section in dataclasses.fields(TrainConfig):
        if section.default_factory is dataclasses.MISSING:
            continue
        kind = type(section.default_factory())
        note = _cell(" ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split()))
        parts.append(f"## {section.name}\n\n{note}\n\n{table(rows(kind, section.name + '.'), 'setting')}")
    return "\n".join(parts)


def options_of(command: str) -> list[type]:
    """Return the option classes of a command: dataclasses of its script, and the one it parses."""
    module = import_module(f"experiments.{COMMANDS[command]}")
    named = {n.id for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.Name)}
    kinds = [k for name, k in vars(module).items() if isinstance(k, type) and dataclasses.is_dataclass(k)]
    own = [k for k in kinds if k.__name__.endswith("Options") or k.__name__ == "Args"]
    nested = [type(f.default_factory()) for k in own for f in dataclasses.fields(k) if _nests(f)]
    return [k for k in [*own, *nested] if k.__name__ in named or k in nested]


def _nests(field: Any) -> bool:
    return field.default_factory is not dataclasses.MISSING and field.name in ("pairs", "request")


def commands_page() -> str:
    """Return the page of every command with its own options."""
    parts = ["# Commands\n\n`upsweep COMMAND --help` prints them too.\n"]
    for command, script in COMMANDS.items():
        module = import_module(f"experiments.{script}")
        lines = [
            f"## upsweep {command}\n",
            f"`python experiments/{script}.py`\n",
            f"{inspect.getdoc(module)}\n",
        ]
        seen = {}
        for kind in options_of(command):
            for name, default, note in rows(kind):
                if name != "config":
                    seen.setdefault(name, ("--" + name.replace("_", "-"), default, note))
        if seen:
            lines.append(table(iter(seen.values()), "option"))
        parts.append("\n".join(lines))
    return "\n".join(parts)


def names_page() -> str:
    """Return the page of the lists that `--list` prints."""
    parts = ["# Names\n\n`upsweep sweep --list WHAT` prints each of these lists.\n"]
    for what, entries in help.LISTS.items():
        cells = [(f"`{name}`", _cell(sentence.split("; first:")[0])) for name, sentence in entries()]
        parts.append(f"## {what}\n\n{markdown(('name', ''), cells)}\n")
    return "\n".join(parts)


REFERENCE = {"settings": settings_page, "commands": commands_page, "names": names_page}


def on_files(files: Any, config: Any) -> Any:
    """Add the reference pages, and the pages that stand at the top of the checkout."""
    from mkdocs.structure.files import File

    for name, page in REFERENCE.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    for name, source in COPIES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite links of the checkout to pages of the site; write those to other files as plain text."""
    here = page.file.src_uri
    checkout = COPIES.get(here, f"docs/{here}")
    at_top = {source: name for name, source in COPIES.items()} | {"README.md": "index.md"}

    def rewritten(match: re.Match[str]) -> str:
        text, path, anchor = match.groups("")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(checkout), path))
        name = at_top.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(name) is None:
            return text
        link = posixpath.relpath(name, posixpath.dirname(here) or ".")
        return f"[{text}]({link}{anchor if name != 'index.md' else ''})"

    return LINK.sub(rewritten, markdown)
