"""The time that a trial takes, over all its ranks."""

import time

from orchestrator.results.trial_report import Usage
from trainers.distributed import Ranks


class UsageMeter:
    """The time of one attempt at a trial, from the meter's construction on."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._began = Usage(time.monotonic(), time.process_time())
        self.this_attempt = Usage()
        """Time of this attempt alone, including work that a later attempt repeats."""
        self.before_checkpoint = Usage()
        """Time spent before the checkpoint that this attempt resumed."""

    def update(self) -> None:
        """Count up to now. A collective: every rank calls it."""
        self.this_attempt = Usage(
            time.monotonic() - self._began.seconds,
            self.ranks.total(time.process_time() - self._began.cpu_seconds),
        )

    def cumulative(self) -> Usage:
        """Return the time spent on these weights, including attempts before the checkpoint."""
        return self.before_checkpoint + self.this_attempt
