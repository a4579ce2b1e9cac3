"""docs/environment.md lists every environment variable that the product reads or sets."""

import ast
import re
from collections.abc import Iterator

import pytest
from helpers.paths import ROOT

TEXT = (ROOT / "docs" / "environment.md").read_text()
ROWS = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `")]
DOCUMENTED = {name for row in ROWS for name in re.findall(r"`(\w+)`", row)}
SOURCES = sorted(
    p
    for top in ("datasets", "trainers", "orchestrator", "experiments", "upsweep")
    for p in (ROOT / top).rglob("*.py")
)
CLUSTER_FILES = [ROOT / "cluster.yaml", ROOT / "cluster.local.yaml"]
METHODS = ("get", "setdefault", "pop", "getenv")


def is_environment(node: ast.AST) -> bool:
    """Return True for os.environ, and for names and attributes that are called env or environ."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("env", "environ")


def keys_in(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that name a variable, wherever a file reads or sets the environment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_environment(node.value):
            yield node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if node.func.attr in METHODS and (is_environment(owner) or node.func.attr == "getenv"):
                yield node.args[0]
            elif node.func.attr == "update" and is_environment(owner):
                yield from tables(node.args[0])
        elif isinstance(node, ast.Compare) and any(map(is_environment, node.comparators)):
            yield node.left
        elif isinstance(node, ast.BinOp) and is_environment(node.left):
            yield from tables(node.right)
        elif isinstance(node, ast.Assign) and any(map(is_environment, node.targets)):
            yield from tables(node.value)
        elif isinstance(node, ast.Dict):  # {**os.environ, "NAME": ...} and {"env_vars": {"NAME": ...}}
            for key, value in zip(node.keys, node.values, strict=True):
                if key is None and is_environment(value):
                    yield from tables(node)
                elif isinstance(key, ast.Constant) and key.value == "env_vars":
                    yield from tables(value)


def tables(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the keys of a dictionary of variables, or the name of one."""
    if isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.Name) and not is_environment(node):
        yield node


def variables_of(source: str) -> set[str]:
    """Return the environment variables that a file reads or sets.

    A name in the place of a string must be a constant of the file, a table of variables, or the variable of a
    loop over a table; ValueError otherwise.
    """
    tree = ast.parse(source)
    constants: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            parts = node.value.keys if isinstance(node.value, ast.Dict) else [node.value]
            words = {p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)}
            constants.setdefault(node.targets[0].id, set()).update(words)
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            target = node.target.elts[0] if isinstance(node.target, ast.Tuple) else node.target
            looped = {n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name) and n.id.isupper()}
            if isinstance(target, ast.Name) and looped:
                constants[target.id] = set().union(*(constants.get(name, set()) for name in looped))
    found = set()
    for key in keys_in(tree):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
        elif isinstance(key, ast.Name) and constants.get(key.id):
            found |= constants[key.id]
        else:
            raise ValueError(
                f"line {key.lineno}: write the variable's name there, or as a constant of the file"
            )
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_variable_of_a_file_is_documented(path):
    missing = variables_of(path.read_text()) - DOCUMENTED
    assert not missing, f"add {sorted(missing)} to docs/environment.md"


@pytest.mark.parametrize("path", CLUSTER_FILES, ids=lambda p: p.name)
def test_every_variable_of_a_cluster_file_is_documented(path):
    named = set(re.findall(r"\b(?:UPSWEEP|RAY|MLFLOW)_\w+", path.read_text())) - {
        "RAY_HEAD_IP"
    }  # Ray sets it
    assert named and not named - DOCUMENTED


def test_every_documented_variable_is_in_the_product():
    product = "\n".join(path.read_text() for path in [*SOURCES, *CLUSTER_FILES])
    assert len(DOCUMENTED) > 40
    assert [name for name in sorted(DOCUMENTED) if not re.search(rf"\b{name}\b", product)] == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os\nos.environ['A_B']\nos.environ.get('C')\nos.getenv('D')", {"A_B", "C", "D"}),
        ("NAME = 'A'\nvalue = os.environ.get(NAME) or 'B'", {"A"}),
        ("T = {'A': '1', 'B': '2'}\nfor n, v in T.items():\n    os.environ.setdefault(n, v)", {"A", "B"}),
        ("T = {'A': '1'}\nos.environ.update(T)", {"A"}),
        ("x = os.environ | {'A': '1'}\ny = {**os.environ, 'B': '2'}", {"A", "B"}),
        ("def f(env):\n    return 'A' in env and env['B'] and self.env.get('C')", {"A", "B", "C"}),
        ("run(runtime_env={'env_vars': {'A': path}})", {"A"}),
        ("other = {}\nother.get('A')", set()),
    ],
)
def test_a_variable_would_be_seen(source, names):
    assert variables_of(source) == names


def test_a_name_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="line 2: write the variable's name there"):
        variables_of("import os\nos.environ[f'UPSWEEP_{x}']")
