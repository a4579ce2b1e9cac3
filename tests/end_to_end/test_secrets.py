"""A planted password is nowhere in what a sweep writes, prints, logs, records and lists in ps."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="lists command lines from /proc"),
]
PASSWORD = "pl4nted-p4ssword"
SMALL = "--name s --trials 1 --confirm-top 1 --confirm-seeds 1 --run.psnr-steps 16 --run.gan-steps 16"


class _HalfOfMlflow(BaseHTTPRequestHandler):
    """Accepts the check at the start of a sweep and refuses everything else, so that errors are told."""

    def do_GET(self) -> None:
        found = "experiments/search" in self.path
        self.send_response(200 if found else 500)
        self.end_headers()
        self.wfile.write(b'{"experiments": []}' if found else b"{}")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def _command_lines(own: set[int]) -> set[bytes]:
    """Return the command lines of all processes but `own`, as every user may list them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if int(path.parent.name) not in own:
                found.add(path.read_bytes())
        except OSError:
            continue
    return found


def _holding(folder: Path, secret: bytes) -> list[Path]:
    files = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return [p for p in files if secret in p.read_bytes()]


def test_a_planted_password_is_found_nowhere(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _HalfOfMlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    short, home = Path(tempfile.mkdtemp(prefix="up")), tmp_path / "home"
    home.mkdir()
    uri = f"http://bob:{PASSWORD}@127.0.0.1:{server.server_port}"
    command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *SMALL.split(), "--local"]
    command += ["--storage", str(tmp_path / "runs"), "--tracking-uri", uri]
    env = {**os.environ, "TMPDIR": str(short), "HOME": str(home), "OMP_NUM_THREADS": "1"}
    try:
        seen: set[bytes] = set()
        for _ in range(6):  # Ray gives itself 30 s to start, which a busy machine may not have
            with open(tmp_path / "sweep.log", "wb") as log:
                sweep = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=env)
                time.sleep(5)  # Python has started, and started again without the password
                while sweep.poll() is None:
                    seen |= _command_lines({os.getpid()})
                    time.sleep(0.5)
            printed = (tmp_path / "sweep.log").read_text()
            if "Ray did not start" not in printed:
                break
        assert sweep.returncode == 0, printed[-2000:]
        assert any(b"writer_process" in words for words in seen), "the processes of the sweep were listed"
        assert not [words for words in seen if PASSWORD.encode() in words]
        assert "http://***@127.0.0.1" in (tmp_path / "runs/s/sweep.json").read_text()
        assert _holding(tmp_path, PASSWORD.encode()) == [] and _holding(short, PASSWORD.encode()) == []
        assert "127.0.0.1" in (tmp_path / "runs/s/record/spool/progress.json").read_text(), (
            "an error is there"
        )
    finally:
        server.shutdown()
        subprocess.run(["rm", "-rf", str(short)])
