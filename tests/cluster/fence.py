"""A network namespace with loopback only, where Ray's launcher may meet an AWS double.

moto invents public addresses that belong to strangers, and the launcher would open ssh connections to them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def need_namespaces(*tools: str) -> None:
    """Skip with a sentence where network namespaces or `tools` are not available."""
    missing = [t for t in ("unshare", "ip", *tools) if shutil.which(t) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: util-linux, iproute2, openssh-server, rsync)")
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make network namespaces (root, CAP_SYS_ADMIN)")


def check(home: Path, files: list[Path]) -> dict[str, object]:
    """What Ray's launcher and moto say to each cluster file: file name -> what was launched, or the error."""
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }
    script = [sys.executable, str(Path(__file__).with_name("check_aws.py")), str(ROOT / "docs" / "aws.yaml")]
    done = subprocess.run(
        [*UNSHARE, *script, *map(str, files)], env=clean, capture_output=True, text=True, timeout=200
    )
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert result, done.stdout + done.stderr
    answers = json.loads(result[0].removeprefix("RESULT "))
    return {Path(name).stem: answer for name, answer in answers.items()}
