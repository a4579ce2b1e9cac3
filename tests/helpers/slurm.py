"""Doubles of Slurm's commands on one machine, for deploy/slurm/sweep.sbatch."""

import contextlib
import os
import random
import socket
import subprocess

from helpers.paths import ROOT

SRUN = """
for word; do case $word in --*) shift;; *) break;; esac; done
echo "$@" >> "$CALLS"
exec "$@"
"""
"""It runs the command once, here."""
COMMANDS = {
    "srun": SRUN,
    "scontrol": 'echo "scontrol $*" >> "$CALLS"; test "$1" != show || printf "%s\\n" $NODES',
    "hostname": "echo 127.0.0.1 192.0.2.1",
}


def free_job():
    """Return a job's number and the port that the batch file derives from it, which is free."""
    while True:
        job = random.randrange(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", 20000 + job))
            return job, 20000 + job


class Slurm:
    """A job of two nodes, `one` and `two`, whose commands are noted in the file `calls`."""

    def __init__(self, folder, **env):
        self.folder, self.calls = folder, folder / "calls"
        job, self.port = free_job()
        (folder / "bin").mkdir()
        for name, script in COMMANDS.items():
            self.command(name, script)
        self.env = os.environ | {
            "CALLS": str(self.calls),
            "NODES": "one two",
            "SLURM_JOB_NODELIST": "[one,two]",
        }
        self.env |= {
            "SLURM_JOB_ID": str(job),
            "SLURM_SUBMIT_DIR": str(ROOT),
            "SLURM_CPUS_PER_TASK": "1",
        } | env
        self.env["PATH"] = f"{folder}/bin:{self.env['PATH']}"

    def command(self, name, script):
        """Put a shell script before every other command of that name."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def start(self, *words):
        """Start the batch script as slurmd does; return the process of the batch shell."""
        line = ["bash", str(ROOT / "deploy" / "slurm" / "sweep.sbatch"), *words]
        with open(self.folder / "log", "a") as log:
            return subprocess.Popen(line, env=self.env, stdout=log, stderr=log, start_new_session=True)

    def said(self):
        """Return the lines of commands so far."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []
