"""Find the best super-resolution GAN for your images: warm starts, screening, confirmation, test, report.

Without options it runs the built-in demo. With your photographs:

    python experiments/sweep.py --train path/to/photos --name mine
"""

import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments import recipes, spaces
from experiments.common import cli
from experiments.common.sweep_options import Options


def main() -> int:
    """Parse, run, print."""
    options = cli.parse_here("experiments/sweep.py", Options, recipes.build)
    from orchestrator.cluster import jobs
    from orchestrator.storage import Storage
    from orchestrator.sweep import resume, status, summary

    if options.status:
        print("\n".join(status.status(Storage(options.storage), options.status)))
        return 0
    if options.stop:
        print(status.stop(Storage(options.storage), options.stop))
        return 0
    command = "python experiments/sweep.py " + shlex.join(sys.argv[1:])
    request = resume.build(options, spaces.build, command.strip())
    jobs.register_job(request.name, request.work_dir() / request.name, os.environ)
    from orchestrator.sweep import run  # torch, Ray: seconds that nothing above has to wait for
    from orchestrator.sweep.stages import Interrupted

    if options.dry_run:
        from orchestrator.sweep import cost_estimate
        from orchestrator.sweep.plan import make_plan

        prepared = make_plan(request, bool(options.resume))
        print("\n".join(prepared.describe()))
        print("\n".join(cost_estimate.estimate(prepared).describe(request.price_per_gpu_hour)))
        return 0
    try:
        facts = run.run_sweep(request, resume=bool(options.resume))
    except Interrupted:
        print(f"stopped; go on with: {summary.resume_command(request)}", file=sys.stderr)
        return cli.INTERRUPTED
    print("\n".join(summary.format_summary(facts, request)))
    return 0


if __name__ == "__main__":
    cli.run(main)
