"""Find the best super-resolution GAN for your images: warm starts, screening, confirmation, test, report.

Without options it runs the built-in demo. With your photographs:

    upsweep sweep --train path/to/photos --name mine --hours 8

Exit status: 0 done, 3 no design was confirmed, 130 stopped by Ctrl-C, 2 a mistake in the command.
"""

import os
import shlex
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.address import masked
from experiments import recipes
from experiments.common import cli
from experiments.common.sweep_options import SweepOptions, requested

NOTHING_CONFIRMED = 3
BEGAN = time.monotonic()  # --hours counts from here, not from when torch and Ray are loaded


def main() -> int:
    """Parse, run, print."""
    options = cli.parse_here("experiments/sweep.py", SweepOptions, recipes.build)
    from orchestrator.cluster import connect, jobs
    from orchestrator.storage import Storage
    from orchestrator.sweep import status, summary

    storage = Storage(options.storage)
    if options.status:
        cli.say("\n".join(status.status(storage, options.status)))
        return 0
    if options.stop:
        print(status.stop(storage, options.stop))
        return 0
    resumed = bool(options.resume)
    request, space = requested(options)
    jobs.announce(request.name, request.work_dir / request.name, os.environ)
    if options.dry_run:
        from orchestrator.sweep.dry_run import describe_plan

        say = partial(print, file=sys.stderr)
        cli.say("\n".join(describe_plan(request, space.space, resumed, say, BEGAN)))
        return 0
    if not (request.address or resumed or options.wait):
        with connect.local_lock(request.name):  # a refusal need not wait for the imports below
            pass
    print(f"sweep {request.name}: opening images, Ray and the record takes up to half a minute", flush=True)
    from orchestrator.sweep.run import run_sweep  # torch, Ray: seconds
    from orchestrator.sweep.stage_runner import Interrupted

    if options.open:
        from orchestrator.sweep.live_report import open_report

        open_report(storage, request.name, cli.say)
    command = masked(f"upsweep sweep {shlex.join(sys.argv[1:])}".strip())
    try:
        facts = run_sweep(
            request, space, command=command, resume=resumed, say=cli.say, began=BEGAN, wait=options.wait
        )
    except Interrupted:
        print(f"stopped; resume it with: {summary.resume_command(storage, request.name)}", file=sys.stderr)
        return cli.INTERRUPTED
    cli.say("\n".join(summary.format_summary(facts, storage)))
    if not facts["designs"]:
        print(summary.nothing_confirmed(facts, storage), file=sys.stderr)
        return NOTHING_CONFIRMED
    return 0


if __name__ == "__main__":
    cli.run(main)
