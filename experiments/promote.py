"""Promote the pick of a sweep to champion, if it passes the gate; or roll back, list, export.

    upsweep promote [NAME] [--dry-run]
    upsweep promote --checkpoint FOLDER --model upsweep-demo
    upsweep promote --model upsweep-demo --rollback

Exit status: 0 done, 3 refused by the gate (the checks are printed), 2 a mistake in the command.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from experiments.common import cli
from orchestrator.registry.candidate_source import CandidateSource

REFUSED = 3


@dataclass(frozen=True)
class PromoteOptions(CandidateSource):
    """Promote the pick of a sweep to champion, if it passes the gate; or roll back, list, export."""

    name: Annotated[str, tyro.conf.Positional] = ""
    dry_run: bool = False
    """Measure and decide, but register nothing."""
    address: str = ""
    """HOST:PORT of a Ray cluster to measure on; if empty: RAY_ADDRESS, a cluster of ray up, this machine."""
    jobs: str = ""
    """https://HOST:8265 of Ray's job API on a cluster to measure on; empty: RAY_API_SERVER_ADDRESS."""
    local: bool = False
    """Measure on this machine even if there is a cluster."""
    force: str = ""
    """Promote against the gate; the reason given here is written on the version."""
    rollback: bool = False
    """Make the previous champion champion again."""
    list: bool = False
    """Show all versions with their history."""
    export: str = ""
    """Write the champion to this file: *.onnx, or *.safetensors or *.pth in the names of its public
    architecture."""
    half: bool = False
    """With --export: store float16."""
    judge: bool = False
    """With --export: measure the file on the gate images, beside the network."""


def main() -> int:
    """Parse the options, act and print; return the exit status."""
    issued_at = time.time()  # before the imports, which take seconds: another command may act meanwhile
    options = cli.parse_here("experiments/promote.py", PromoteOptions)
    from orchestrator.registry.candidate_source import announce_pick
    from orchestrator.results import sweep_folder
    from orchestrator.storage import Storage

    if not (options.rollback or options.list or options.export or options.run or options.checkpoint):
        storage = Storage(options.storage)
        facts = sweep_folder.read_facts(storage, options.name or sweep_folder.newest_sweep(storage))
        sweep_folder.check_has_pick(facts)
        cli.say(announce_pick(facts))  # on standard output, as the decision: an answer within two seconds
    print("opening the registry and the network takes up to half a minute", file=sys.stderr, flush=True)
    from orchestrator.registry import describe, promote  # these import torch and MLflow
    from orchestrator.registry.source_registry import open_registry

    if options.rollback or options.list or options.export:
        registry = open_registry(options)
        if options.rollback:
            cli.say(promote.roll_back(registry, issued_at))
        if options.export:
            wanted = promote.Export(Path(options.export), options.half, options.judge)
            cli.say(promote.export(registry, wanted, options.work_dir))
        if options.list:
            cli.say(describe.history(registry))
        return 0
    try:
        outcome = promote.promote(
            options, address=options.address or None, dry_run=options.dry_run, force=options.force
        )
    except promote.AlreadyChampion as fact:
        cli.say(str(fact))
        return 0
    cli.say(describe.describe_outcome(outcome))
    return 0 if outcome.is_champion else REFUSED


if __name__ == "__main__":
    cli.run(main)
