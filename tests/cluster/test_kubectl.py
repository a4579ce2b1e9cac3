"""The documented `kubectl apply` with the real kubectl, on a cluster that has no KubeRay operator yet."""

import os
import re
import shutil
import subprocess

import pytest
from helpers.kubernetes_api import KUBERAY, kubernetes
from helpers.paths import ROOT

SECONDS = 10
"""kubectl takes less than one."""
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
]


@pytest.mark.parametrize(("manifest", "kind"), [("cluster.yaml", "RayCluster"), ("job.yaml", "RayJob")])
def test_a_missing_operator_is_named_within_seconds_and_the_command_works_once_it_is_there(
    tmp_path, manifest, kind
):
    text = (ROOT / "deploy" / "kuberay" / manifest).read_text()
    (command,) = re.findall(r"kubectl apply .*", text)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config")}

    def apply():
        done = subprocess.run(
            command.split(), cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    sentence = f'no matches for kind "{kind}" in version "ray.io/v1"'
    assert f"`{sentence}`" in (ROOT / "docs" / "cluster.md").read_text()
    with kubernetes(tmp_path) as server:
        code, created, error = apply()
        assert code == 1 and sentence in error and error.count("\n") <= 2
        assert len(created) == 4 and all("upsweep-mlflow created" in line for line in created)
        server.kinds |= KUBERAY
        code, lines, error = apply()
        assert (code, error) == (0, "")
        assert lines[:4] == [line.replace("created", "unchanged") for line in created]
        assert re.fullmatch(rf"{kind.lower()}\.ray\.io/upsweep\S* created", lines[4])
