"""The documentation site: its reference pages have everything, and every page is in the menu."""

import importlib.util
import re
import subprocess
import sys

import pytest
import yaml
from helpers.paths import ROOT

from experiments import recipes
from trainers.config import TrainConfig, flatten
from upsweep.__main__ import COMMANDS

sys.path.insert(0, str(ROOT / "tools"))
import docs_site  # noqa: E402

MENU = (ROOT / "mkdocs.yml").read_text()


def test_every_setting_has_a_row_with_its_default_and_meaning():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*)$", docs_site.settings_page(), re.M))
    assert {name for name in flatten(TrainConfig()) if name != "recipe"} == set(rows)
    assert rows["optim.lr_g"].startswith("`0.0001` | Peak learning rate of the generator in the GAN phase.")
    assert all(len(row.split(" | ")[1]) > 10 for row in rows.values()), "each has a meaning"


def test_every_command_has_its_options():
    parts = docs_site.commands_page().split("\n## upsweep ")[1:]
    assert [part.split("\n")[0] for part in parts] == list(COMMANDS)
    options = {part.split("\n")[0]: set(re.findall(r"^\| `(--[\w-]+)`", part, re.M)) for part in parts}
    assert {"--train", "--gate", "--resume", "--trials"} <= options["sweep"]
    assert {"--model", "--gate", "--export"} <= options["promote"] and "--hr" in options["prepare"]
    assert "--calibration" in options["rate"] and "--sets" in options["benchmark"]


def test_names_are_those_of_the_tables():
    assert all(f"| `{name}` |" in docs_site.names_page() for name in recipes.RECIPES)


def test_every_page_is_in_the_menu_and_every_entry_is_a_page():
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    entries = set(re.findall(r": ([\w/]+\.md)$", MENU, re.M))
    assert entries == pages | set(docs_site.COPIES) | {f"reference/{name}.md" for name in docs_site.REFERENCE}
    assert yaml.safe_load(MENU)["strict"] is True


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason='no mkdocs (pip install -e ".[docs]")')
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "architecture.html").read_text()
    assert "orchestrator/tracking" not in re.findall(r'href="([^"]*)"', page), (
        "files of the checkout are text"
    )
