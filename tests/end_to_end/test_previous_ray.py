"""The tests that start Ray, with the oldest minor version of Ray that pyproject.toml allows."""

import os
import subprocess
import sys
import tomllib

import pytest
from helpers.paths import ROOT
from packaging.requirements import Requirement

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
PLACES = ("tests/orchestrator/cluster", "tests/orchestrator/sweep", "tests/orchestrator/registry")


def oldest_version():
    """Return the lower bound of Ray in pyproject.toml, such as 2.59."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ray = next(r for r in map(Requirement, project["dependencies"]) if r.name == "ray")
    return next(s.version for s in ray.specifier if s.operator == ">=")


def test_what_starts_ray_or_uses_its_private_parts_passes_with_the_oldest_version(tmp_path):
    version = oldest_version()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    installed = subprocess.run([*install, f"ray=={version}.*"], capture_output=True, text=True, timeout=600)
    if installed.returncode:
        pytest.skip(f"Ray {version} cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "OMP_NUM_THREADS": "1"}
    imported = [sys.executable, "-c", "import ray; print(ray.__version__)"]
    found = subprocess.run(imported, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.startswith(f"{version}."), "the tests would run with another Ray"
    for words in (["-m", "ray and not slow", *PLACES], ["-m", "not ray and not slow", PLACES[0]]):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
        ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=2000)
        assert ran.returncode == 0, ran.stdout[-6000:]
