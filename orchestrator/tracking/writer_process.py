"""The process that delivers a spool to MLflow: python -m orchestrator.tracking.writer_process."""

import argparse
import os
import select
import signal
import sys
import time
from pathlib import Path

from datasets.address import masked
from datasets.files import atomic_json, locked, read_json
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.mlflow_client import set_writer_defaults

POLL_S = 0.5
BACKOFF_S = (0.5, 15.0)
ORPHAN_GRACE_S = 60.0


class ParentProcess:
    """The process that started this one, watched through stdin, whose other end it holds open."""

    def __init__(self) -> None:
        self.gone_since: float | None = None

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up when the parent ends."""
        if self.gone_since is not None:
            time.sleep(min(seconds, 0.5))
        elif select.select([sys.stdin], [], [], seconds)[0] and not os.read(sys.stdin.fileno(), 1024):
            self.gone_since = time.monotonic()

    def gone_for(self) -> float:
        """Return the seconds since the parent ended; 0 while it runs."""
        return time.monotonic() - self.gone_since if self.gone_since is not None else 0.0


def deliver_forever(spool_dir: Path, tracking_uri: str, experiment: str) -> None:
    """Deliver the spool until the parent has ended and nothing is left.

    Exits with a message if the store still fails ORPHAN_GRACE_S after the parent ended.
    """
    os.nice(5)  # training shares these cores
    set_writer_defaults()
    parent, delivery, pause = ParentProcess(), None, BACKOFF_S[0]
    status_file = spool_dir / "progress.json"
    with locked(spool_dir / "writer.lock"):
        while True:
            try:
                delivery = delivery or Delivery(spool_dir, tracking_uri, experiment)
                busy = delivery.step()
                if busy or pause > BACKOFF_S[0]:
                    atomic_json(
                        status_file, {"offset": delivery.offset, "state": "delivering"}, durable=False
                    )
                pause = BACKOFF_S[0]
                if not busy and parent.gone_since is not None:
                    return
                parent.wait(POLL_S)
            except Exception as error:  # noqa: BLE001 - an outage raises many types; none may end delivery
                offset = read_json(status_file).get("offset", 0)
                reason = masked(f"{type(error).__name__}: {error}")[:2000]
                atomic_json(
                    status_file, {"offset": offset, "state": "waiting", "error": reason}, durable=False
                )
                if parent.gone_for() > ORPHAN_GRACE_S:
                    sys.exit(f"upsweep: delivery stopped; undelivered entries stay in {spool_dir}: {reason}")
                parent.wait(pause)
                pause = min(2 * pause, BACKOFF_S[1])


def main() -> None:
    """Run the writer process with the arguments that `Writer` passes."""
    parser = argparse.ArgumentParser(description="Deliver a spool of journal entries to MLflow.")
    for option in ("--spool", "--uri", "--experiment"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    # a stopped Ray job interrupts every child; the driver ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deliver_forever(Path(options.spool), options.uri, options.experiment)


if __name__ == "__main__":
    main()
