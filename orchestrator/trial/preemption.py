"""Spot machines say two minutes ahead that they will be taken; trials then save themselves and go elsewhere.

A thread of each worker process asks the machine's own metadata service (EC2's, version 2). At a notice it
raises a flag that the training loop reads between two steps, and tells Ray to give this node no more work;
Ray itself never asks that service.
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
from typing import Any

from ray.exceptions import RayActorError

ADDRESS = "UPSWEEP_METADATA"
"""Names another metadata service than EC2's own."""
EC2 = "http://169.254.169.254"
VENDOR = Path("/sys/devices/virtual/dmi/id/sys_vendor")
POLL_S = 2.0
GRACE_S = 120.0
"""Between an EC2 notice and the end of the machine."""


class Preempted(RayActorError):
    """This machine is about to be taken: the trial goes on elsewhere, and no failure is counted."""

    def __init__(self) -> None:
        super().__init__(error_msg="the machine was announced to be taken", preempted=True)


class NoticeWatcher:
    """Polls one metadata service until it announces the end; `noticed` is the flag."""

    def __init__(self, address: str, at_notice: Callable[[str], None], poll_s: float = POLL_S) -> None:
        self.address, self.at_notice, self.poll_s = address.rstrip("/"), at_notice, poll_s
        self._notice = threading.Event()

    def noticed(self) -> bool:
        """Whether the machine will be taken; cheap enough to be asked after each step."""
        return self._notice.is_set()

    def run(self) -> None:
        """Poll until there is a notice; a service that does not answer is asked again."""
        while not self._notice.is_set():
            if (notice := self.ask()) is not None:
                self._notice.set()
                self.at_notice(notice)
                return
            time.sleep(self.poll_s)

    def ask(self) -> str | None:
        """The notice, such as {"action": "terminate", "time": ...}; None while there is none."""
        try:
            token = self._read("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
            path = "/latest/meta-data/spot/instance-action"
            notice = self._read("GET", path, {"X-aws-ec2-metadata-token": token})
            return notice if json.loads(notice).get("action") else None
        except (OSError, ValueError):  # 404 is the usual answer
            return None

    def _read(self, method: str, path: str, headers: dict[str, str]) -> str:
        question = urllib.request.Request(self.address + path, method=method, headers=headers)
        with urllib.request.urlopen(question, timeout=1) as answer:
            return answer.read().decode()


def address() -> str | None:
    """The metadata service of this machine; None where it has none (it is not in EC2)."""
    if named := os.environ.get(ADDRESS):
        return named
    try:
        return EC2 if VENDOR.read_text().strip() == "Amazon EC2" else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def preemption_flag() -> Callable[[], bool]:
    """What the training loop asks between steps; the first call of a process starts its watch."""
    service = address()
    if service is None:
        return lambda: False
    watch = NoticeWatcher(service, lambda notice: drain_this_node())
    threading.Thread(target=watch.run, name="spot", daemon=True).start()
    return watch.noticed


def drain_this_node() -> None:
    """Tell Ray that this node takes no more work, as its own autoscaler would."""
    import ray
    from ray import _raylet
    from ray.core.generated import autoscaler_pb2

    here = ray.get_runtime_context()
    deadline_ms = int((time.time() + GRACE_S) * 1000)
    words: Any = autoscaler_pb2
    reason = words.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    client: Any = _raylet
    client.GcsClient(address=here.gcs_address).drain_node(
        here.get_node_id(), reason, "spot notice", deadline_ms
    )
