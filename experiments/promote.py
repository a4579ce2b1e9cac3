"""Promote the pick of a sweep to champion, if it passes the gate; or roll back, or list what happened.

    python experiments/promote.py [NAME] [--dry-run]
    python experiments/promote.py --model upsweep-demo --rollback

Exit status: 0 promoted (or done), 3 refused by the gate with the numbers, 2 a mistake in the command.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.errors import UserError  # noqa: E402


@dataclass(frozen=True)
class Options:
    name: Annotated[str, tyro.conf.Positional] = ""
    """The sweep whose pick is the candidate; the newest finished one where empty."""
    model: str = ""
    """Registered name; upsweep-<recipe> of the sweep where empty."""
    storage: Path = Path("runs")
    """Folder of all sweeps."""
    tracking_uri: str = ""
    """MLflow store; the sweep's own where empty."""
    dry_run: bool = False
    """Measure and judge, register nothing."""
    rollback: bool = False
    """Make the previous champion champion again."""
    list: bool = False
    """Show all versions with what happened to them."""


def run(options: Options) -> int:
    """The exit status; UserError for a mistake in the command."""
    from orchestrator import promotion  # imports torch and mlflow: not for --help

    if options.rollback or options.list:
        registry = promotion.open_registry(options.storage, options.name, options.model, options.tracking_uri)
        print(promotion.roll_back(registry) if options.rollback else promotion.history(registry))
        return 0
    outcome = promotion.promote(
        options.storage, options.name, options.model, options.tracking_uri, dry_run=options.dry_run
    )
    print(promotion.words(outcome))
    return 0 if outcome.decision.passed else 3


def main() -> int:
    """Parse, run, say a user's mistake in one sentence."""
    try:
        return run(tyro.cli(Options, description=__doc__))
    except UserError as error:
        print(f"promote: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
