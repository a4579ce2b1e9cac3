"""The house: which room may import which, and that the package list names every room."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAIRS = ("datasets", "trainers", "orchestrator", "experiments")
KEPT_OUT = {
    "datasets": {"ray", "mlflow", "optuna"},
    "trainers": {"ray", "mlflow", "optuna"},
}


def files():
    return [p for room in STAIRS for p in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """First names of everything a file imports, at the top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def climbs(room: str, names: set[str]) -> set[str]:
    """What a file of `room` may not import: rooms further up the stairs, and what is kept out of it."""
    above = set(STAIRS[STAIRS.index(room) + 1 :])
    return names & (above | KEPT_OUT.get(room, set()))


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_the_stairs(path):
    room = path.relative_to(ROOT).parts[0]
    found = climbs(room, imported(path))
    assert not found, f"{path.relative_to(ROOT)} climbs the stairs: {room} may not import {sorted(found)}"


def test_a_climb_would_be_seen():
    assert climbs("trainers", {"torch", "orchestrator", "ray"}) == {"orchestrator", "ray"}
    assert climbs("orchestrator", {"ray", "trainers"}) == set()
    assert climbs("datasets", {"trainers"}) == {"trainers"}


def test_only_delivery_and_the_registry_talk_to_mlflow():
    """Trials append to journals; an import of mlflow anywhere else would make training wait for a server."""
    importers = {p.name for p in (ROOT / "orchestrator").rglob("*.py") if "mlflow" in imported(p)}
    assert "journal.py" not in importers and "trial.py" not in importers
    assert not importers & {"tune_monitor.py", "tuning.py", "sweep.py", "record.py", "tracking.py"}


def test_torchvision_is_imported_where_it_is_used():
    """Its import takes as long as torch's, in every worker of every stage; cached images do not need it."""
    heavy = {"torchvision", "trainers.perceptual"}
    for path in files():
        top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        modules = {
            m
            for n in top
            for m in ([n.module] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names])
        }
        found = {m for m in modules if m and any(m == h or m.startswith(f"{h}.") for h in heavy)}
        assert not found or path.name in ("perceptual.py", "upsampler_answer.py"), f"{path.name}: {found}"


def test_every_room_is_in_the_package_list():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in files() if p.name == "__init__.py"}
    assert listed == found


def test_files_stay_rooms():
    long = {str(p.relative_to(ROOT)): n for p in files() if (n := len(p.read_text().splitlines())) > 400}
    assert not long, f"two ideas live in {long}"
