"""What CI and the image install: the versions of constraints.txt, with hashes, and no moving base."""

import re
import tomllib

from helpers.paths import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = (ROOT / ".ci" / "requirements.txt").read_text().replace("\\\n", " ")


def versions(text: str) -> dict[str, str]:
    """Return package -> version of each line NAME==VERSION ..."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.M)
    return {canonicalize_name(name): version for name, version in found}


def test_ci_installs_the_tested_versions_each_with_a_hash():
    tested, installed = versions((ROOT / "constraints.txt").read_text()), versions(LOCK)
    assert {n: v for n, v in tested.items() if n in installed} == {
        n: v for n, v in installed.items() if n in tested
    }
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert len(lines) > 150 and all(re.search(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_ci_installs_everything_that_the_tests_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(r for e in ("dev", "lsun", "metrics", "onnx") for r in extras[e])]
    installed = versions(LOCK)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name == "upsweep" or installed[name] in requirement.specifier, (
            f"{requirement}: make .ci/requirements.txt anew by the command in its second line"
        )


def test_the_image_starts_from_a_state_that_does_not_move_and_ends_without_rights():
    image = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE=ubuntu:noble-\d{8}$|^ARG BASE=.*@sha256:[0-9a-f]{64}$", image, re.M)
    assert re.findall(r"^USER (.*)$", image, re.M)[-1] == "ubuntu"


def test_ci_installs_by_hash_before_it_tests():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("--require-hashes -r .ci/requirements.txt") < script.index("make test")
