"""Jobs on a cluster: submitted with the working tree, followed from anywhere, stopped as by Ctrl-C.

A job belongs to the head: the laptop that submitted it may be closed. Its output is read from the start each
time and only the new part is printed, so that a broken connection loses nothing.
"""

import json
import logging
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.files import atomic_write, parse_json
from datasets.parsing import build
from orchestrator.cluster import bundle
from orchestrator.cluster.head import Head
from orchestrator.results import sweep_folder

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DASHBOARD = "127.0.0.1:8265"
JOBS_FOLDER = "~/upsweep/jobs"
"""On the head: one file per job, written by the job itself, with its sweep's name and folder."""
JOB_VARIABLE = "UPSWEEP_JOB"
"""Environment variable with which a job learns its id."""
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
    sweep: str
    """Name of its sweep; empty until the job has registered itself."""
    folder: str
    """Folder of its sweep's files on the head."""


@contextmanager
def job_client(head: Head) -> Iterator["JobSubmissionClient"]:
    """Yield Ray's own client, through an ssh tunnel and with the head's token. UserError if it is refused."""
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)  # it would name each file that .gitignore excludes
    with head.tunnel(DASHBOARD) as (port,):
        headers = {"Authorization": f"Bearer {head.info.token}"}
        try:
            yield JobSubmissionClient(f"http://127.0.0.1:{port}", headers=headers)
        except (OSError, RuntimeError) as error:
            raise _refused(head, error) from error


def _refused(head: Head, error: Exception) -> UserError:
    text = " ".join(str(error).split())
    if any(word in text for word in ("401", "403", "Unauthorized", "authentication", "token")):
        return UserError(
            f"cluster '{head.cluster.name}' refuses the token in its head's ~/.ray/auth_token: the file was "
            f"changed after Ray started; restart Ray with upsweep cluster up"
        )
    return UserError(
        f"Ray does not run on the head of cluster '{head.cluster.name}' ({text[:120]}): start it with "
        f"upsweep cluster up, remove it with upsweep cluster down, or use --local to run here"
    )


def submit(head: Head, command: Sequence[str], extra_files: Mapping[str, str]) -> SubmittedJob:
    """Start `command` on the head with a copy of the working tree and `extra_files` (name -> text) in it."""
    job_id = f"upsweep-{uuid.uuid4().hex[:8]}"
    # a Ctrl-C to the job, and time to save: Ray's own default is a TERM and three seconds
    env = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), JOB_VARIABLE: job_id}
    with bundle.working_tree_bundle(extra_files=extra_files) as folder, job_client(head) as client:
        client.submit_job(
            entrypoint=shlex.join(command),
            submission_id=job_id,
            runtime_env={"working_dir": str(folder), "env_vars": env},
        )
    return SubmittedJob(job_id, "", "")


def follow(head: Head, job: SubmittedJob, say: Callable[[str], None], shown: int = 0) -> int:
    """Print a job's output from character `shown` on until the job ends; return its exit code.

    Raises:
        UserError: if the head has not answered for PATIENCE_S seconds.
    """
    answered = time.monotonic()
    while True:
        try:
            with job_client(head) as client:
                for text, status in _poll(client, job.id):
                    answered = time.monotonic()
                    if len(text) > shown:
                        say(text[shown:])
                        shown = len(text)
                    if status in ENDED:
                        code = client.get_job_info(job.id).driver_exit_code
                        return 0 if status == "SUCCEEDED" else code or FAILED
        except UserError:
            if time.monotonic() - answered > PATIENCE_S:
                raise
            time.sleep(POLL_S)


def _poll(client: Any, job_id: str) -> Iterator[tuple[str, str]]:
    """Yield (whole output, status) once a second."""
    while True:
        status = str(client.get_job_status(job_id).value)  # before the output, so that its end is included
        yield client.get_job_logs(job_id), status
        time.sleep(POLL_S)


def list_jobs(head: Head, sweep: str = "") -> list[SubmittedJob]:
    """Return every registered job, or those of one sweep, oldest first."""
    # /dev/null: without any file, cat would wait for its standard input; ls's own error is not an answer
    text = head.run(f"cat $(ls -tr {JOBS_FOLDER}/*.json 2>/dev/null) /dev/null")
    where = f"a job file of the head {head.address}"
    jobs = [build(SubmittedJob, parse_json(line, where), where) for line in text.splitlines()]
    # a name with .. would become a path on this machine
    return [job for job in jobs if sweep in ("", job.sweep) and sweep_folder.NAME.fullmatch(job.sweep)]


def reload(head: Head, job: SubmittedJob) -> SubmittedJob | None:
    """Return `job` with the sweep and folder that it has registered; None if it has not registered yet."""
    return next((listed for listed in list_jobs(head) if listed.id == job.id), None)


def newest_running(client: Any, jobs: Sequence[SubmittedJob]) -> SubmittedJob | None:
    """Return the newest of `jobs` that has not ended; None if all have ended."""
    # Ray forgets its jobs when it restarts, but their files stay: a job that it does not list has ended
    status = {d.submission_id: str(d.status.value) for d in client.list_jobs()}
    return next((j for j in reversed(jobs) if status.get(j.id, "FAILED") not in ENDED), None)


def stop(head: Head, sweep: str) -> str:
    """Stop the running job of a sweep as Ctrl-C would, and return a sentence about its end.

    UserError if no job of the sweep runs.
    """
    jobs = list_jobs(head, sweep)
    with job_client(head) as client:
        job = newest_running(client, jobs)
        if job is None:
            raise UserError(f"no sweep '{sweep}' runs on cluster '{head.cluster.name}'")
        client.stop_job(job.id)
        status = next(s for _, s in _poll(client, job.id) if s in ENDED)
    if status != "STOPPED":
        return f"sweep '{sweep}' ended by itself before it could be stopped: {status.lower()}"
    return f"sweep '{sweep}' stopped; resume it with: upsweep sweep --resume {sweep}"


def register_job(sweep: str, folder: Path, env: Mapping[str, str]) -> None:
    """Inside a job, write the name of its sweep to the head, for --status, --resume and --stop elsewhere."""
    if JOB_VARIABLE not in env:
        return
    path = Path(JOBS_FOLDER).expanduser() / f"{env[JOB_VARIABLE]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"id": env[JOB_VARIABLE], "sweep": sweep, "folder": str(folder)}) + "\n"
    atomic_write(path, text.encode())
