"""Jobs on a cluster: submitted with the working tree, followed from anywhere, stopped as by Ctrl-C.

A job belongs to the head: the laptop that submitted it may be closed. Its output is read from the start each
time and only the new part is printed, so that a broken connection loses nothing. The output also names the
sweep of a job, which Ray does not know.
"""

import re
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from datasets.errors import UserError
from orchestrator.cluster import bundle
from orchestrator.results import sweep_folder

if TYPE_CHECKING:
    from orchestrator.cluster.head import Head
    from orchestrator.cluster.job_server import JobServer

JOB_VARIABLE = "UPSWEEP_JOB"
"""Environment variable of a job on a cluster: the job begins its output with the name of its sweep."""
NOTE = "sweep {sweep} has its files in {folder}"
_LACKING = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)
_NOTE = re.compile(r"^sweep (\S+) has its files in (.+)$", re.MULTILINE)
NO_AGENT = "No available agent"
AGENT_S = 120.0
"""Time that a head that has just started gets until its agent takes jobs."""
POLL_S = 1.0
PATIENCE_S = 30.0
"""Time without an answer from the head, after which following ends with an error."""
STOP_S = 90
"""Time that a stopped sweep gets to save itself and close its record."""
FAILED = 1
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class SubmittedJob:
    """One submitted command."""

    id: str
    sweep: str = ""
    """Name of its sweep; empty if it runs none, or has not said so yet."""
    folder: str = ""
    """Folder of its sweep's files on the head."""


Site: TypeAlias = "Head | JobServer"
"""A cluster that takes jobs: by ssh to its head, or at a URL. Both have the same methods and attributes."""


def submit(site: Site, command: Sequence[str], extra_files: Mapping[str, bytes]) -> SubmittedJob:
    """Start `command` on the cluster with a copy of the working tree and `extra_files` (name -> content)."""
    job_id = f"upsweep-{uuid.uuid4().hex[:8]}"
    # a Ctrl-C to the job, and time to save: Ray's own default is a TERM and three seconds
    env = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), JOB_VARIABLE: job_id}
    end = time.monotonic() + AGENT_S
    with bundle.working_tree_bundle(extra_files=extra_files) as folder:
        while True:
            try:
                with site.client() as client:
                    client.submit_job(
                        entrypoint=shlex.join(command),
                        submission_id=job_id,
                        runtime_env={"working_dir": str(folder), "env_vars": env},
                    )
                return SubmittedJob(job_id)
            except UserError as error:  # a head that has just started has no agent for jobs yet
                if NO_AGENT not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(POLL_S)


def follow(site: Site, job: SubmittedJob, say: Callable[[str], None]) -> tuple[int, SubmittedJob]:
    """Print a job's output until the job ends; return its exit code, and the job with its sweep's name.

    Raises:
        UserError: if the cluster has not answered for PATIENCE_S seconds.
        Unfollowed: after Ctrl-C.
    """
    answered, shown = time.monotonic(), 0
    while True:
        try:
            with site.client() as client:
                for text, status in _poll(client, job.id):
                    answered, job = time.monotonic(), named(job.id, text)
                    if len(text) > shown:
                        say(text[shown:])
                        shown = len(text)
                    if status in ENDED:
                        info = client.get_job_info(job.id)
                        if advice := _advice(status, text, info):
                            say(advice)
                        return (0 if status == "SUCCEEDED" else info.driver_exit_code or FAILED), job
        except UserError:
            if time.monotonic() - answered > PATIENCE_S:
                raise
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            raise Unfollowed(job) from None


def _advice(status: str, output: str, info: Any) -> str:
    """Return what to do about a job that could not run as submitted; empty if its output says enough."""
    if status != "FAILED":
        return ""
    if lacking := _LACKING.search(output):
        return (
            f"error: the cluster's Python lacks {lacking[1]}: give its nodes Upsweep's dependencies, for "
            f"example by the image of make image\n"
        )
    return f"error: the job did not start: {info.message}\n" if info.driver_exit_code is None else ""


class Unfollowed(Exception):
    """The user ended the following of a job, which runs on."""

    def __init__(self, job: SubmittedJob) -> None:
        super().__init__(job.id)
        self.job = job


def _poll(client: Any, job_id: str) -> Iterator[tuple[str, str]]:
    """Yield (whole output, status) once a second."""
    while True:
        status = str(client.get_job_status(job_id).value)  # before the output, so that its end is included
        yield client.get_job_logs(job_id), status
        time.sleep(POLL_S)


def named(job_id: str, output: str) -> SubmittedJob:
    """Return a job with the sweep and folder that its output names, unless the name would be a path."""
    note = _NOTE.search(output)
    if note is None or not sweep_folder.NAME.fullmatch(note[1]):
        return SubmittedJob(job_id)
    return SubmittedJob(job_id, note[1], note[2])


def running(client: Any) -> list[SubmittedJob]:
    """Return the jobs that have not ended, oldest first, each with the sweep that its output names."""
    details = [d for d in client.list_jobs() if d.submission_id and str(d.status.value) not in ENDED]
    details.sort(key=lambda d: d.start_time or 0)
    return [named(d.submission_id, client.get_job_logs(d.submission_id)) for d in details]


def newest_running(client: Any, sweep: str) -> SubmittedJob | None:
    """Return the newest job of a sweep that has not ended; None if all have ended."""
    return next((job for job in reversed(running(client)) if job.sweep == sweep), None)


def stop(site: Site, sweep: str) -> str:
    """Stop the running job of a sweep as Ctrl-C would, and return a sentence about its end.

    UserError if no job of the sweep runs.
    """
    with site.client() as client:
        job = newest_running(client, sweep)
        if job is None:
            raise UserError(f"no sweep '{sweep}' runs on {site.label}; see --status {sweep}")
        client.stop_job(job.id)
        status = next(s for _, s in _poll(client, job.id) if s in ENDED)
    if status != "STOPPED":
        return f"sweep '{sweep}' ended by itself before it could be stopped: {status.lower()}"
    return f"sweep '{sweep}' stopped; resume it with: upsweep sweep --resume {sweep}"


def announce(sweep: str, folder: Path, env: Mapping[str, str]) -> None:
    """Inside a job, print the name of its sweep, for --status, --resume and --stop from other machines."""
    if JOB_VARIABLE in env:
        print(NOTE.format(sweep=sweep, folder=folder), flush=True)
