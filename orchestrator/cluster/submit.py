"""One command on a cluster, from the laptop's side: say where, check, submit, follow, fetch the report."""

import base64
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.cluster import capacity, jobs, known_clusters
from orchestrator.cluster.head import Head
from orchestrator.cluster.jobs import SubmittedJob
from orchestrator.cluster.known_clusters import KnownCluster
from orchestrator.cluster.submission_checks import (
    COPIED,
    check_data,
    check_storage,
    named_data,
    own_space,
    progress,
)


def submit_and_follow(
    trace: KnownCluster, script: str, options: Any, words: list[str], say: Callable[[str], None]
) -> int:
    """See dispatch.elsewhere."""
    head = Head(trace)
    facts = head.facts
    known_clusters.remember(trace)
    size = capacity.in_words(facts.config)
    say(f"cluster '{trace.name}', head {head.address}, at most {size}; --local runs here")
    if name := getattr(options, "stop", ""):
        say(jobs.stop(head, name))
        return 0
    storage = check_storage(options.storage, facts.storage)
    check_data(named_data(options), lambda path: _is_there(head, path), storage)
    job = _already(head, getattr(options, "resume", ""))
    if job is None:
        words, beside = own_space([w for w in words if w != "--detach"], getattr(options, "space", ""))
        job = jobs.submit(head, _command(script, options, words, storage, facts.tracking_uri), beside)
        say(f"submitted as {job.id}: this machine may go away, the cluster goes on")
    else:
        say(f"sweep '{job.sweep}' runs already as {job.id}; following it")
    if getattr(options, "detach", False):
        say(f"follow it with --resume NAME, ask with --status NAME, end it with --stop NAME (job {job.id})")
        return 0
    try:
        code = jobs.follow(head, job, progress)
    except KeyboardInterrupt:
        say(f"\nno longer following; {_sweep(head, job)} goes on on the cluster")
        return 0
    return _download_report(head, job, code, say)


def _command(script: str, options: Any, words: list[str], storage: str, tracking_uri: str) -> list[str]:
    """The same command there, with the storage and MLflow server of the cluster."""
    command = ["python", script, *words]
    if options.storage == "./runs":
        command += ["--storage", storage]
    if not options.tracking_uri and tracking_uri:
        command += ["--tracking-uri", tracking_uri]
    return command


def _already(head: Head, name: str) -> SubmittedJob | None:
    """The job that runs the sweep that is to be resumed."""
    if not name:
        return None
    found = jobs.jobs_of(head, name)
    with jobs.job_client(head) as client:
        return jobs.running(client, found)


def _is_there(head: Head, path: str) -> bool:
    return head.run(f"test -e {shlex.quote(path)} && echo yes || true").strip() == "yes"


def _sweep(head: Head, job: SubmittedJob) -> str:
    found = jobs.refresh(head, job)
    if found is None:
        return f"job {job.id}"
    return f"sweep '{found.sweep}' (--status, --resume or --stop {found.sweep})"


def _download_report(head: Head, job: SubmittedJob, code: int, say: Callable[[str], None]) -> int:
    """Copy the report of a sweep that ended well; the exit code."""
    found = jobs.refresh(head, job)
    if not code and found is not None:
        target = Path("runs") / found.sweep
        if all([_copy(head, f"{found.folder}/{name}", target / name) for name in COPIED]):
            say(f"copied here: {target / COPIED[0]}; MLflow: python experiments/cluster.py ui")
    return code


def _copy(head: Head, path: str, target: Path) -> bool:
    """Whether the file was there; it takes its name here only when complete."""
    text = head.run(f"test -f {shlex.quote(path)} && base64 -w0 {shlex.quote(path)} || true")
    if not text:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    new.write_bytes(base64.b64decode(text))
    new.replace(target)
    return True
