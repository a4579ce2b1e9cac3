"""Preemption of spot machines: trials save a checkpoint within the two minutes' notice and resume elsewhere.

A thread of each worker process polls the machine's metadata service (EC2's, version 2). At a notice it sets a
flag that the training loop reads between steps, and drains the node in Ray, which does not poll that service
itself.
"""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from ray.exceptions import RayActorError

from orchestrator.cluster import ray_private

ADDRESS = "UPSWEEP_METADATA"
"""Environment variable with the address of another metadata service than EC2's."""
EC2 = "http://169.254.169.254"
VENDOR = Path("/sys/devices/virtual/dmi/id/sys_vendor")
POLL_S = 2.0
GRACE_S = 120.0
"""Time from an EC2 notice to the end of the machine."""


class Preempted(RayActorError):
    """The error of a trial whose machine is about to be taken; Tune resumes it and counts no failure."""

    def __init__(self) -> None:
        super().__init__(
            error_msg="the machine will be taken: it received a preemption notice", preempted=True
        )


class NoticeWatcher:
    """A poller of a metadata service that calls `at_notice` once, with the notice of preemption."""

    def __init__(self, address: str, at_notice: Callable[[str], None], poll_s: float = POLL_S) -> None:
        self.address, self.at_notice, self.poll_s = address.rstrip("/"), at_notice, poll_s
        self._notice = threading.Event()

    def noticed(self) -> bool:
        """Return True once there was a notice; cheap enough for every step."""
        return self._notice.is_set()

    def run(self) -> None:
        """Poll until there is a notice; errors of the service are ignored."""
        while not self._notice.is_set():
            if (notice := self.ask()) is not None:
                self._notice.set()
                self.at_notice(notice)
                return
            time.sleep(self.poll_s)

    def ask(self) -> str | None:
        """Return the notice, such as {"action": "terminate", "time": ...}, or None if there is none."""
        try:
            token = self._read("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
            path = "/latest/meta-data/spot/instance-action"
            notice = self._read("GET", path, {"X-aws-ec2-metadata-token": token})
            return notice if json.loads(notice).get("action") else None
        except (OSError, ValueError):  # 404 is the usual answer
            return None

    def _read(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self.address + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=1) as response:
            return response.read().decode()


def address() -> str | None:
    """Return the address of this machine's metadata service, or None outside EC2."""
    if named := os.environ.get(ADDRESS):
        return named
    try:
        return EC2 if VENDOR.read_text().strip() == "Amazon EC2" else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def preemption_flag() -> Callable[[], bool]:
    """Return the flag that stops the training loop; the first call in a process starts the poller."""
    service = address()
    if service is None:
        return lambda: False
    watcher = NoticeWatcher(service, lambda notice: drain_this_node())
    threading.Thread(target=watcher.run, name="preemption", daemon=True).start()
    return watcher.noticed


def drain_this_node() -> None:
    """Drain this node in Ray, so that it gets no more work, as Ray's autoscaler would."""
    ray_private.drain_this_node("spot notice", int((time.time() + GRACE_S) * 1000))
