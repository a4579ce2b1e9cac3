"""What the scripts of all studies do: make a request, run it, print its answer."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from experiments.common import cli
from experiments.common.study_options import Options, parse

__all__ = ["Options", "parse", "request_of", "run"]


def run(kind: str, options: Any, again: str = "--resume", **more: Any) -> int:
    """Plan a study and carry it out, then print its answer; --dry-run only says what it is.

    `again` is what the command needs besides itself to go on after Ctrl-C.
    """
    from orchestrator.studies import estimate, export
    from orchestrator.studies.kinds import STUDIES
    from orchestrator.studies.run import run_study

    study = STUDIES[kind]
    request = request_of(kind, options)
    if options.dry_run:
        print("\n".join(estimate.lines(study.plan(request, dry=True, **more), request)))
        return 0
    try:
        answer = run_study(study.plan(request, **more), request, study.baselines)
    except KeyboardInterrupt:
        words = f" {again}" if again and not options.resume else ""
        print(f"stopped; go on with: {request.command}{words}", file=sys.stderr)
        return cli.INTERRUPTED
    for table in answer.tables:
        print(f"\n{export.markdown(table)}")
    print("\n" + "\n".join(export.said(answer.claims)))
    print(f"figures and tables: {request.folder / 'answer'}")
    return 0


def request_of(kind: str, options: Any) -> Any:
    """The orchestrator's Request of what was asked for."""
    from orchestrator.cluster.target import resolve_address
    from orchestrator.studies.request import Request, storage_of

    return Request(
        kind=kind,
        name=options.name or kind + ("-miniature" if options.miniature else ""),
        config=options.config,
        storage=storage_of(options.storage),
        data=tuple(options.data),
        seeds=options.seeds,
        miniature=options.miniature,
        resume=options.resume,
        command=f"python experiments/{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}".strip(),
        tracking_uri=options.tracking_uri,
        track=options.track,
        ray=options.ray,
        address=resolve_address(options, os.environ) or None,
        gpus_per_run=options.gpus_per_run,
    )
