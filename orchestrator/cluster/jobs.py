"""Jobs on a cluster: submitted with the working tree, followed from anywhere, stopped in good order.

A job belongs to the head: the laptop that submitted it may close. What it prints is read again from the start
of what has not been shown, so a broken line of ours loses nothing.
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
from orchestrator.cluster import bundle
from orchestrator.cluster.head import Head

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DASHBOARD = "127.0.0.1:8265"
FOLDER = "~/upsweep/jobs"
"""On the head: one file per job, written by the job itself, with its sweep's name and folder."""
JOB = "UPSWEEP_JOB"
POLL_S = 1.0
PATIENCE_S = 30.0
"""How long a head may be silent before the person is told."""
STOP_S = 90
"""How long a stopped sweep may take to save and close its record."""
FAILED = 1
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class SubmittedJob:
    """One submitted command."""

    id: str
    sweep: str
    """Name of its sweep; empty before it has said so."""
    folder: str
    """Where its sweep's files lie on the head."""


@contextmanager
def job_client(head: Head) -> Iterator["JobSubmissionClient"]:
    """Ray's own client through a tunnel of ours, with the head's token. UserError where it is refused."""
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.ERROR)  # each file that .gitignore names
    with head.tunnel(DASHBOARD) as (port,):
        headers = {"Authorization": f"Bearer {head.facts.token}"}
        try:
            yield JobSubmissionClient(f"http://127.0.0.1:{port}", headers=headers)
        except (OSError, RuntimeError) as error:
            raise _refused(head, error) from error


def _refused(head: Head, error: Exception) -> UserError:
    text = " ".join(str(error).split())
    if any(word in text for word in ("401", "403", "Unauthorized", "authentication", "token")):
        return UserError(
            f"cluster '{head.trace.name}' refuses the token that its head gave: it was changed after Ray "
            f"started; restart Ray with python experiments/cluster.py up"
        )
    return UserError(
        f"Ray does not run on the head of cluster '{head.trace.name}' ({text[:120]}): start it with python "
        f"experiments/cluster.py up, forget it with the same and down, or use --local to run here"
    )


def submit(head: Head, words: Sequence[str], beside: Mapping[str, str]) -> SubmittedJob:
    """Start `words` on the head with the working tree as it is here, and the texts `beside` it."""
    job_id = f"upsweep-{uuid.uuid4().hex[:8]}"
    # Ctrl-C on the job, and time to save: Ray's own default is a TERM and three seconds
    orders = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S), JOB: job_id}
    with bundle.working_tree_bundle(beside=beside) as folder, job_client(head) as client:
        client.submit_job(
            entrypoint=shlex.join(words),
            submission_id=job_id,
            runtime_env={"working_dir": str(folder), "env_vars": orders},
        )
    return SubmittedJob(job_id, "", "")


def follow(head: Head, job: SubmittedJob, say: Callable[[str], None], seen: int = 0) -> int:
    """Print what the job prints until it ends; its exit code. UserError where the head stays away."""
    answered = time.monotonic()
    while True:
        try:
            with job_client(head) as client:
                for text, status in _news(client, job.id):
                    answered = time.monotonic()
                    if len(text) > seen:
                        say(text[seen:])
                        seen = len(text)
                    if status in ENDED:
                        code = client.get_job_info(job.id).driver_exit_code
                        return 0 if status == "SUCCEEDED" else code or FAILED
        except UserError:
            if time.monotonic() - answered > PATIENCE_S:
                raise
            time.sleep(POLL_S)


def _news(client: Any, job_id: str) -> Iterator[tuple[str, str]]:
    while True:
        status = str(client.get_job_status(job_id).value)  # before the text, so that the last of it is shown
        yield client.get_job_logs(job_id), status
        time.sleep(POLL_S)


def jobs_of(head: Head, name: str) -> list[SubmittedJob]:
    """The jobs that ran or run a sweep of that name, oldest first."""
    return [job for job in list_jobs(head) if job.sweep == name]


def list_jobs(head: Head) -> list[SubmittedJob]:
    """Every job that has said which sweep it runs, oldest first."""
    text = head.run(f"cat $(ls -tr {FOLDER}/*.json 2>/dev/null) /dev/null")
    return [SubmittedJob(**json.loads(line)) for line in text.splitlines()]


def refresh(head: Head, job: SubmittedJob) -> SubmittedJob | None:
    """`job` with what it has said of itself; None where it has not yet."""
    return next((found for found in list_jobs(head) if found.id == job.id), None)


def running(client: Any, jobs: Sequence[SubmittedJob]) -> SubmittedJob | None:
    """The one of `jobs` that has not ended."""
    status = {d.submission_id: str(d.status.value) for d in client.list_jobs()}
    return next((j for j in reversed(jobs) if status.get(j.id, "FAILED") not in ENDED), None)


def stop(head: Head, name: str) -> str:
    """Stop the running job of a sweep as Ctrl-C would; says what was done. UserError where none runs."""
    jobs = jobs_of(head, name)
    with job_client(head) as client:
        job = running(client, jobs)
        if job is None:
            raise UserError(f"no sweep '{name}' runs on cluster '{head.trace.name}'")
        client.stop_job(job.id)
        status = next(s for _, s in _news(client, job.id) if s in ENDED)
    return f"sweep '{name}' {status.lower()}; go on with: python experiments/sweep.py --resume {name}"


def register_job(sweep: str, folder: Path, env: Any) -> None:
    """Called inside a job: leave the name of its sweep where the laptop finds it."""
    if JOB not in env:
        return
    path = Path(FOLDER).expanduser() / f"{env[JOB]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": env[JOB], "sweep": sweep, "folder": str(folder)}) + "\n")
