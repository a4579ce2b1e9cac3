"""Options of experiments/sweep.py: those of a request, and what the command may do instead of a new sweep."""

from dataclasses import dataclass, field

from experiments import recipes
from experiments.common import cli
from orchestrator.sweep.request import Request


@dataclass(frozen=True, kw_only=True)
class SweepOptions(Request):
    """Options of a sweep; every setting of a run follows under its dotted name."""

    resume: str = ""
    """Resume the sweep of this name, with the settings it began with."""
    status: str = ""
    """Print how far the sweep of this name has come, and exit."""
    stop: str = ""
    """Ask the running sweep of this name to stop in good order, from any shell that reaches the storage."""
    dry_run: bool = False
    """Print the plan and what it will take on this machine, from a few timed steps; start nothing."""
    detach: bool = False
    """Submit to the cluster and return; --resume NAME follows it again."""
    config: cli.Settings = field(default_factory=recipes.demo)
