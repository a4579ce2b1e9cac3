"""Find the best super-resolution GAN for your images: warm starts, screening, confirmation, test, report.

Without options it runs the built-in demo. With your photographs:

    python experiments/sweep.py --train path/to/photos --name mine
"""

import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments import cli, recipes, spaces
from experiments.sweep_options import Options


def main() -> int:
    """Parse, run, print."""
    options = cli.parse_here("experiments/sweep.py", Options, recipes.build)
    from orchestrator import closing
    from orchestrator import request as requests
    from orchestrator.remote import jobs
    from orchestrator.storage import Storage

    if options.status:
        print("\n".join(closing.status(Storage(options.storage), options.status)))
        return 0
    if options.stop:
        print(closing.stop(Storage(options.storage), options.stop))
        return 0
    command = "python experiments/sweep.py " + shlex.join(sys.argv[1:])
    request = requests.build(options, spaces.build, command.strip())
    jobs.announce(request.name, request.work_dir() / request.name, os.environ)
    from orchestrator import sweep  # torch, Ray: seconds that nothing above has to wait for
    from orchestrator.tuning import Interrupted

    if options.dry_run:
        from orchestrator import calibration
        from orchestrator.plan import prepare

        prepared = prepare(request, bool(options.resume))
        print("\n".join(prepared.describe()))
        print("\n".join(calibration.estimate(prepared).describe(request.price_per_gpu_hour)))
        return 0
    try:
        facts = sweep.run(request, resume=bool(options.resume))
    except Interrupted:
        print(f"stopped; go on with: {closing.resume_command(request)}", file=sys.stderr)
        return cli.INTERRUPTED
    print("\n".join(closing.lines(facts, request)))
    return 0


if __name__ == "__main__":
    cli.run(main)
