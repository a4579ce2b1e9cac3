"""Doubles of Slurm's commands for hosts of the laboratory: a job of three nodes whose first is h1."""

import shlex

from cluster import lab, laboratory

JOB = 4711
NODES = ("h1", *laboratory.WORKERS)
FOLDER = laboratory.SHARED / "slurm"
SRUN = r"""
all="h1 h2 h3" nodes=h1 number=$RANDOM
for word; do
  case $word in
    --nodelist=*) nodes=${word#*=};;
    --exclude=*) nodes=$(for n in $all; do test "$n" = "${word#*=}" || echo "$n"; done);;
    --*) ;;
    *) break;;
  esac
  shift
done
export -p > "/shared/slurm/environment.$number"
far() { node=$1; shift; ssh -i /run/key/key -o StrictHostKeyChecking=no -o LogLevel=ERROR "$node" "$@"; }
line="cd '$PWD' && . /shared/slurm/environment.$number && echo \$\$ > /shared/slurm/pid.$number.\$(hostname)"
for node in $nodes; do far "$node" "$line && exec $(printf '%q ' "$@")" & steps+=($!); done
trap 'for node in $nodes; do far "$node" "kill \$(cat /shared/slurm/pid.$number.$node)"; done' TERM
for step in "${steps[@]}"; do
  while kill -0 "$step" 2> /dev/null; do wait "$step"; done  # a trap ends the wait
done
"""
"""Runs the command on each node over ssh with this environment, and hands SIGTERM on."""
COMMANDS = {
    "srun": SRUN,
    "scontrol": 'test "$1" != show || exec printf "%s\\n" h1 h2 h3; echo "$*" >> /shared/slurm/requeued',
}
ENVIRONMENT = {
    "SLURM_JOB_ID": JOB,
    "SLURM_JOB_NODELIST": "h[1-3]",
    "SLURM_SUBMIT_DIR": "/shared/.checkout",
    "SLURM_CPUS_PER_TASK": 1,
}


def install():
    """Write the commands to where every host sees them."""
    FOLDER.mkdir(exist_ok=True)
    for name, script in COMMANDS.items():
        (FOLDER / name).write_text(f"#!/bin/bash\n{script}\n")
        (FOLDER / name).chmod(0o755)


def start(*words):
    """Start the batch file on the first node as slurmd does, with the job's own environment."""
    variables = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in ENVIRONMENT.items())
    line = f"echo $$ > /shared/slurm/batch; exec env {variables} PATH=/shared/slurm:$HOME/venv/bin:$PATH"
    words = shlex.join(words)
    return laboratory.start(f"{line} bash deploy/slurm/sweep.sbatch {words}", "h1", "/shared/.checkout")


def signal(name):
    """Send a signal to the batch shell alone, as `--signal=B:` does."""
    lab.execute("h1", f"kill -{name} $(cat /shared/slurm/batch)")


def requeued():
    """Return how often the job asked to be queued again."""
    path = FOLDER / "requeued"
    return path.read_text().splitlines().count(f"requeue {JOB}") if path.exists() else 0
