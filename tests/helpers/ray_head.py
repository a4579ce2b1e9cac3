"""A Ray head of this machine, its dashboard in token mode, and a reverse proxy that speaks TLS before it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from helpers.job_api import TOKEN, serving
from helpers.two_nodes import SETTINGS, kill_with_descendants

BIN = Path(sys.executable).parent
OTHER = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "UPSWEEP_LOCAL", "PYTHONPATH")
"""Variables of this machine that are not the cluster's."""


def free_ports(count):
    """Return ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class RayHead:
    """A head with `cpus` cores; `folder` needs a short path, for Ray's sockets."""

    def __init__(self, folder, cpus=1, words=(), **env):
        self.folder = Path(folder)
        port, dashboard = free_ports(2)
        self.address, self.dashboard = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        self.env = os.environ | SETTINGS | {"RAY_AUTH_TOKEN": TOKEN, "HOME": str(folder)}
        self.env |= {"TMPDIR": str(folder), "RAY_TMPDIR": str(folder), "MKL_NUM_THREADS": "1"}
        self.env = {name: value for name, value in self.env.items() if name not in OTHER} | env
        self.env["PATH"] = f"{BIN}:{os.environ['PATH']}"
        size = [f"--num-cpus={cpus}", "--object-store-memory=100000000", "--block", *words]
        size += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", "--include-dashboard=true"]
        with open(self.folder / "head.txt", "w") as log:
            line = [BIN / "ray", "start", "--head", f"--port={port}", "--node-ip-address=127.0.0.1", *size]
            self.process = subprocess.Popen(line, env=self.env, stdout=log, stderr=log)
        self._wait()

    def _wait(self):
        request = urllib.request.Request(f"{self.dashboard}/api/version")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        end = time.monotonic() + 300
        while True:
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return
            except OSError:
                time.sleep(0.5)

    def log(self):
        """Return what the head printed."""
        return (self.folder / "head.txt").read_text()

    def close(self):
        """End the head, and what it started."""
        kill_with_descendants([self.process])


class Proxy(BaseHTTPRequestHandler):
    """A reverse proxy: each request goes to the server's `target`."""

    def forward(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)) or None
        request = urllib.request.Request(self.server.target + self.path, body, method=self.command)
        for name in ("Authorization", "Content-Type"):
            if self.headers[name]:
                request.add_header(name, self.headers[name])
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, *_):
        pass


@contextmanager
def tls_before(head, tls):
    """Yield the https:// address of a proxy before a head's dashboard."""
    with serving(Proxy, tls=tls, target=head.dashboard) as server:
        yield server.url
