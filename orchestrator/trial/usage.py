"""What a trial has taken: seconds, and seconds of CPU over all its ranks."""

import time

from trainers.distributed import Ranks


class ResourceUsage:
    """Time of all ranks of one attempt at a trial."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.began = {"seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        self.here = dict.fromkeys(self.began, 0.0)
        """By this attempt alone: what the driver adds up, lost work included."""
        self.before = dict.fromkeys(self.began, 0.0)
        """Of the checkpoint that this attempt went on from."""

    def count(self) -> None:
        """Up to now; every rank must."""
        now = {"seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        self.here = {k: now[k] - self.began[k] for k in now}
        self.here["cpu_seconds"] = self.ranks.total(self.here["cpu_seconds"])

    def network(self) -> dict[str, float]:
        """Behind this network: a retry starts from its checkpoint's time."""
        return {k: self.before[k] + here for k, here in self.here.items()}
