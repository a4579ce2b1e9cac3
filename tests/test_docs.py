"""Links and file paths in README.md and docs/*.md name files that exist in the checkout."""

import re
from pathlib import Path

import pytest
from helpers.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PYTHON_FILE = re.compile(r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)+\.py\b")
"""A path with at least one folder; `mine.py` stands for a reader's own file."""


def missing(text: str, folder: Path, root: Path) -> list[str]:
    """Return the relative links of a page in `folder`, and the Python files it names, that do not exist."""
    targets = [t.partition("#")[0] for t in LINK.findall(text) if "://" not in t]
    paths = PYTHON_FILE.findall(LINK.sub("", text))
    gone = [t for t in targets if t and not (folder / t).exists()]
    return gone + [p for p in paths if not (root / p).is_file()]


def test_a_dead_link_and_a_file_that_is_gone_are_listed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "there.md").touch()
    (tmp_path / "docs" / "there.py").touch()
    text = """
[a page](there.md#part), [a part of this page](#part), [text/only.py](../docs/there.py), [web](https://x.org/y.md)
![no picture](images/gone.webp), `docs/there.py`, `mine.py:Class`
    python docs/gone.py --flag
"""
    assert missing(text, tmp_path / "docs", tmp_path) == ["images/gone.webp", "docs/gone.py"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_and_named_file_exists(page: Path) -> None:
    assert missing(page.read_text(), page.parent, ROOT) == []
