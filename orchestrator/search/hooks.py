"""The driver's side of a running stage, found by its key from objects that Tune pickles.

Tune pickles its searcher and callbacks into each snapshot, so they cannot hold MLflow's record or the
progress line. They look up the hooks of their stage here, in the driver's process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from orchestrator.results.row import Row


class StageHooks(Protocol):
    """The events of a stage that the driver acts on, and what it is asked."""

    def on_resume(self, ended: list[str]) -> None:
        """The stage was read back from a snapshot; these trials (Tune's ids) had ended before."""

    def on_start(self, tune_id: str, params: dict[str, Any]) -> None:
        """A trial was given a worker."""

    def on_report(self, tune_id: str, result: dict[str, Any]) -> None:
        """A trial sent a report."""

    def on_end(self, tune_id: str) -> Row:
        """A trial finished, was stopped, or failed for good; returns its row of the leaderboard."""

    def on_search_saved(self, study: Any) -> None:
        """Tune saved the sampler's Optuna study."""

    def write_page(self, name: str, content: bytes) -> None:
        """A part of the stage's state is final; it is to be stored beside the snapshots."""

    def read_page(self, name: str) -> bytes:
        """Return such a part; FileNotFoundError if there is none."""

    def is_budget_spent(self, drawn: int) -> bool:
        """Return True if no more designs may be drawn than these `drawn`, not all of which have begun."""


_ACTIVE: dict[str, StageHooks] = {}


@contextmanager
def active(key: str, hooks: StageHooks) -> Iterator[None]:
    """Register the hooks of the stage `key` while the block runs."""
    _ACTIVE[key] = hooks
    try:
        yield
    finally:
        del _ACTIVE[key]


def hooks_of(key: str) -> StageHooks | None:
    """Return the hooks of the stage `key`; None if it does not run in this process."""
    return _ACTIVE.get(key)
