"""The architecture: which package may import which, no circles, and who may import what from outside."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT

TOP = ("datasets", "trainers", "orchestrator", "experiments", "upsweep")
"""A package may import those before it."""
ORCHESTRATOR = (
    "console",
    "storage",
    "provenance",
    "tracking",
    "analysis",
    "results",
    "search",
    "schedulers",
    "cluster",
    "trial",
    "report",
    "registry",
    "sweep",
    "studies",
    "rating",
)
"""The same within orchestrator; but sweep, studies and rating do not know each other."""
APART = ("sweep", "studies", "rating")
KEPT_OUT = {
    "datasets": {"ray", "mlflow", "optuna"},
    "trainers": {"ray", "mlflow", "optuna"},
    "experiments": {"ray", "mlflow", "optuna"},
}
MLFLOW = ("orchestrator.tracking", "orchestrator.registry")
"""Trials append to journals: an import of mlflow elsewhere would make training wait for a server."""
OPTUNA = ("orchestrator.search", "orchestrator.report.importance")
RAY_PRIVATE = "orchestrator.cluster.ray_private"
"""The only file that uses what Ray does not promise to keep; its test has a story for each part."""
MAX_LINES = 300


def module_of(path: Path) -> str:
    """Return the dotted name of a file; that of its package for __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(p): p for top in TOP for p in sorted((ROOT / top).rglob("*.py"))}


def imports_of(source: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every import of a file, also inside functions; name is empty for `import x`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def our_imports(module: str, source: str, files: dict[str, Path]) -> set[str]:
    """Return the files of ours that a file imports."""
    found = set()
    for origin, name in imports_of(source):
        found.add(f"{origin}.{name}" if f"{origin}.{name}" in files else origin)
    return (found & set(files)) - {module}


GRAPH = {module: our_imports(module, path.read_text(), FILES) for module, path in FILES.items()}


def upward(module: str, imported: str) -> bool:
    """Return True if `module` may not import `imported`, by the order of packages."""
    own, other = module.split("."), imported.split(".")
    if own[0] != other[0]:
        return TOP.index(other[0]) > TOP.index(own[0])
    if own[0] != "orchestrator" or len(own) < 2 or len(other) < 2 or own[1] == other[1]:
        return False
    apart = own[1] in APART and other[1] in APART
    return apart or ORCHESTRATOR.index(other[1]) > ORCHESTRATOR.index(own[1])


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return each set of files that import one another in a circle (Tarjan, 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in graph[node]:
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in graph:
        if node not in number:
            visit(node)
    return found


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_order_of_packages(module):
    wrong = sorted(other for other in GRAPH[module] if upward(module, other))
    assert not wrong, f"{module} may not import {wrong}"
    outside = {origin.split(".")[0] for origin, _ in imports_of(FILES[module].read_text())}
    kept_out = outside & KEPT_OUT.get(module.split(".")[0], set())
    assert not kept_out, f"{module} may not import {sorted(kept_out)}"


def test_no_file_imports_itself_through_others():
    assert circles(GRAPH) == []


def test_a_wrong_import_and_a_circle_would_be_seen():
    assert upward("trainers.state", "orchestrator.storage") and upward("datasets.files", "trainers.state")
    assert upward("orchestrator.search.space", "orchestrator.sweep.plan")
    assert upward("orchestrator.rating.study", "orchestrator.studies.plan")
    assert not upward("orchestrator.sweep.plan", "orchestrator.search.space")
    assert not upward("experiments.sweep", "datasets.files")
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    source = "def f():\n    from trainers import state\n"
    assert our_imports("datasets.x", source, {"trainers.state": Path(), "trainers": Path()}) == {
        "trainers.state"
    }


def users_of(package: str) -> set[str]:
    """Return the files of ours that import `package`."""
    return {
        m for m, p in FILES.items() if any(o.split(".")[0] == package for o, _ in imports_of(p.read_text()))
    }


def test_mlflow_and_optuna_are_imported_where_they_belong():
    assert {m for m in users_of("mlflow") if not m.startswith(MLFLOW)} == set()
    assert {m for m in users_of("optuna") if not m.startswith(OPTUNA)} == set()


def private_names(source: str) -> set[str]:
    """Return the dotted names of Ray's private modules and of the names imported from them."""
    found = set()
    for origin, name in imports_of(source):
        whole = f"{origin}.{name}" if name else origin
        parts = whole.split(".")
        if parts[0] == "ray" and any(
            p.startswith("_") or p in ("core", "autoscaler", "execution") for p in parts
        ):
            found.add(whole)
    return found


def test_rays_private_parts_are_used_in_one_file():
    used = {m for m, p in FILES.items() if private_names(p.read_text())}
    assert used == {RAY_PRIVATE}
    in_strings = {m for m, p in FILES.items() if re.search(r"\bray\._[a-z]", p.read_text())}
    assert in_strings == {RAY_PRIVATE}
    assert private_names("from ray.tune.execution.tune_controller import TuneController")


def test_torchvision_is_imported_where_it_is_used():
    """Its import takes longer than torch's, in every worker of every stage; cached images do not need it."""
    for module, path in FILES.items():
        top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        origins = {
            o
            for n in top
            for o in ([n.module] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names])
        }
        assert not any(o and o.split(".")[0] == "torchvision" for o in origins), module


def test_every_package_is_in_the_package_list():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    assert listed == {m for m, p in FILES.items() if p.name == "__init__.py"}


def test_orchestrator_has_two_loose_modules():
    loose = [
        m
        for m, p in FILES.items()
        if m.count(".") == 1 and m.startswith("orchestrator.") and p.name != "__init__.py"
    ]
    assert sorted(loose) == ["orchestrator.provenance", "orchestrator.storage"]


def test_a_file_holds_one_idea():
    long = {m: n for m, p in FILES.items() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not long, f"two ideas are in {long}"


JSON_READERS = {
    "datasets/files.py": "the guarded reader",
    "datasets/address.py": "a variable of our own processes",
    "datasets/manifest.py": "says what a foreign manifest lacks",
    "trainers/weight_import.py": "what was just written",
    "trainers/config/generators.py": "a table in the code",
    "trainers/warm_start_key.py": "says which setting names it",
    "orchestrator/studies/training.py": "skips a line that was cut off",
    "orchestrator/results/trial_report.py": "travels with Tune, not in a file",
    "orchestrator/tracking/server.py": "the answer of a server",
    "orchestrator/tracking/journal.py": "skips a line that was cut off",
    "orchestrator/cluster/provider.py": "the output of a command",
    "orchestrator/cluster/launcher.py": "the answer of a server",
    "orchestrator/cluster/connect.py": "a lock file that may be empty",
    "orchestrator/cluster/job_server.py": "a variable with a secret",
    "orchestrator/trial/preemption.py": "the answer of a server",
    "orchestrator/trial/reporter.py": "Tune's checkpoint, checked by Tune",
}


def test_files_of_our_own_are_read_by_the_guarded_reader():
    """A damaged file is one sentence (datasets.files.read_json, Storage.read_json) and no traceback."""
    found = set()
    for folder in ("datasets", "trainers", "orchestrator", "experiments", "upsweep"):
        for path in (ROOT / folder).rglob("*.py"):
            if "json.load(" in (text := path.read_text()) or "json.loads(" in text:
                found.add(str(path.relative_to(ROOT)))
    assert found == set(JSON_READERS)
