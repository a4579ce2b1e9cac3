"""Another user of the machine, beside a local sweep, can read no secret, run no job, redirect nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as a second user"),
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="lists listeners from /proc"),
]
NOBODY = 65534

SWEEP = """
import json, os, sys, time
from pathlib import Path
from orchestrator.cluster.connect import connect, local_lock
from orchestrator.storage import Storage
from orchestrator.sweep.heartbeat import Heartbeat
from datasets import address
address.hide(os.environ.pop("PLANTED"))
os.environ["RAY_AUTH_MODE"] = "disabled"  # an open Ray, if the sweep obeyed
storage = Storage(sys.argv[1])
with local_lock("mine"), connect(None) as capacity, Heartbeat(storage, "mine"):
    import ray
    gcs = ray.get_runtime_context().gcs_address
    print(json.dumps({"gcs": gcs, "session": ray._private.worker._global_node.get_session_dir_path(),
                      "token": os.environ["RAY_AUTH_TOKEN"]}), flush=True)
    sys.stdin.read()
"""

ATTACK = """
import json, os, socket, subprocess, sys, urllib.request
from pathlib import Path
os.setgroups([]); os.setgid(65534); os.setuid(65534)
facts = json.loads(sys.argv[1])
done = {}

def attempt(name, action):
    try:
        done[name] = f"DONE {action()}"
    except Exception as error:
        done[name] = type(error).__name__

for pid in facts["pids"]:
    attempt(f"environment of {pid}", lambda: Path(f"/proc/{pid}/environ").read_bytes())
attempt("token file", lambda: Path(facts["home"], ".ray/auth_token").read_text())
attempt("session", lambda: os.listdir(facts["session"]))
attempt("lock", lambda: open(facts["lock"], "a"))
attempt("stop", lambda: Path(facts["storage"], "mine/stop.json").write_text("{}"))
attempt("alive", lambda: Path(facts["storage"], "mine/alive.json").write_text("{}"))
attempt("shared memory", lambda: [open(p, "rb").read(1) for p in Path("/dev/shm").glob("plasma*")
        if p.stat().st_uid == 0 and p.stat().st_size][0])

def job():
    body = json.dumps({"entrypoint": "id"}).encode()
    request = urllib.request.Request("http://127.0.0.1:52365/api/job_agent/jobs/", data=body, method="POST")
    return urllib.request.urlopen(request, timeout=10).read()

def gcs(token):
    code = ("import sys; from ray._raylet import GcsClient; c = GcsClient(address=sys.argv[1]); "
            "print(c.internal_kv_keys(b'', None, timeout=5))")
    env = {"PATH": "/usr/bin", "HOME": "/tmp", "RAY_gcs_rpc_server_connect_timeout_s": "3"} | token
    out = subprocess.run([facts["python"], "-c", code, facts["gcs"]], env=env, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(out.stderr[-300:])
    return out.stdout

attempt("job", job)
attempt("control", lambda: gcs({"RAY_AUTH_MODE": "disabled"}))
attempt("control with a guess", lambda: gcs({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}))
print(json.dumps(done))
"""


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found += _family(int(stat.parent.name))
        except (OSError, IndexError):
            continue  # it has ended
    return found


def _listens_widely(pids: list[int]) -> list[str]:
    """Return the addresses beyond the loopback interface at which these processes listen."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    return [r[1] for r in rows if r[3] == "0A" and r[9] in sockets and r[1].split(":")[0] not in loopback]


def test_a_second_user_can_do_nothing_to_a_running_local_sweep(tmp_path):
    shared, home = Path(f"/tmp/up{os.getpid()}"), tmp_path / "home"
    for folder in (shared, home, shared / "runs"):
        folder.mkdir()
    shared.chmod(0o777)
    env = os.environ | {"TMPDIR": str(shared), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    env["PLANTED"] = "postgresql://bob:planted-password@db/x"
    env.pop("RAY_TMPDIR", None)
    command = [sys.executable, "-c", SWEEP, str(shared / "runs")]
    sweep = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
    )
    try:
        facts = json.loads(next(line for line in sweep.stdout if line.startswith("{")))
        time.sleep(3)  # the agents start after the control service
        pids = _family(sweep.pid)
        words = b" ".join(
            Path(f"/proc/{p}/cmdline").read_bytes() for p in pids if Path(f"/proc/{p}").exists()
        )
        assert b"planted-password" not in words and facts["token"].encode() not in words
        assert not list(home.rglob("auth_token"))
        assert _listens_widely(pids) == []
        facts |= {"pids": pids, "home": str(home), "storage": str(shared / "runs"), "python": sys.executable}
        facts |= {"lock": str(shared / f"upsweep-{os.getuid()}/sweep.lock")}
        del facts["token"]
        attack = subprocess.run(
            [sys.executable, "-c", ATTACK, json.dumps(facts)], capture_output=True, text=True
        )
        done = json.loads(attack.stdout.splitlines()[-1])
        assert len(done) > 9 and not {k: v for k, v in done.items() if v.startswith("DONE")}, done
    finally:
        sweep.stdin.close()
        sweep.wait(60)
        subprocess.run(["rm", "-rf", str(shared)])
