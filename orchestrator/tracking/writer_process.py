"""The process that delivers a spool to MLflow: python -m orchestrator.tracking.writer_process."""

import argparse
import os
import select
import signal
import sys
import time
from pathlib import Path

from datasets.files import atomic_json, locked, read_json
from orchestrator.tracking.delivery import Delivery

POLL_S = 0.5
BACKOFF_S = (0.5, 15.0)
ORPHAN_GRACE_S = 60.0


class ParentProcess:
    """Whether the process that started this one still holds our stdin."""

    def __init__(self) -> None:
        self.gone_since: float | None = None

    def wait(self, seconds: float) -> None:
        """Sleep, or until the starter goes."""
        if self.gone_since is not None:
            time.sleep(min(seconds, 0.5))
        elif select.select([sys.stdin], [], [], seconds)[0] and not os.read(sys.stdin.fileno(), 1024):
            self.gone_since = time.monotonic()

    def gone_for(self) -> float:
        """Seconds since the starter went; 0 while it is there."""
        return time.monotonic() - self.gone_since if self.gone_since is not None else 0.0


def deliver_forever(spool_dir: Path, tracking_uri: str, experiment: str) -> None:
    """Tail the spool until the starting process is gone and nothing is left, or nothing works any more."""
    os.nice(5)  # training shares these cores
    starter, delivery, pause = ParentProcess(), None, BACKOFF_S[0]
    with locked(spool_dir / "writer.lock"):
        while True:
            try:
                delivery = delivery or Delivery(spool_dir, tracking_uri, experiment)
                busy = delivery.step()
                if busy or pause > BACKOFF_S[0]:
                    atomic_json(
                        spool_dir / "progress.json",
                        {"offset": delivery.offset, "state": "delivering"},
                        durable=False,
                    )
                pause = BACKOFF_S[0]
                if not busy and starter.gone_since is not None:
                    return
                starter.wait(POLL_S)
            except Exception as error:  # noqa: BLE001 - an outage has many faces; none may end the record
                offset = read_json(spool_dir / "progress.json").get("offset", 0)
                said = {
                    "offset": offset,
                    "state": "waiting",
                    "error": f"{type(error).__name__}: {error}"[:2000],
                }
                atomic_json(spool_dir / "progress.json", said, durable=False)
                if starter.gone_for() > ORPHAN_GRACE_S:
                    sys.exit(f"upsweep: gave up; the spool {spool_dir} is kept: {error}")
                starter.wait(pause)
                pause = min(2 * pause, BACKOFF_S[1])


def main() -> None:
    """The writer process: deliver a spool until the starting process is gone and nothing is left."""
    parser = argparse.ArgumentParser(description="Deliver a spool of journal entries to MLflow.")
    for option in ("--spool", "--uri", "--experiment"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # stopping a Ray job reaches every child; the driver ends us
    deliver_forever(Path(options.spool), options.uri, options.experiment)


if __name__ == "__main__":
    main()
