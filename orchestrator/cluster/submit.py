"""One command on a cluster, seen from the laptop: check, submit, follow, download the report."""

import base64
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.address import MASK
from datasets.errors import UserError
from datasets.files import atomic_write
from orchestrator.cluster import jobs, known_clusters
from orchestrator.cluster.capacity import describe_maximum
from orchestrator.cluster.head import Head
from orchestrator.cluster.jobs import SubmittedJob
from orchestrator.cluster.known_clusters import KnownCluster
from orchestrator.cluster.submission_checks import DEFAULT_STORAGE, check_data, check_storage, own_files
from orchestrator.cluster.target import CommandOptions, SweepCommandOptions

REPORT_FILES = ("report.html", "leaderboard.json", "sweep.json")
Say = Callable[[str], None]


def submit_and_follow(
    cluster: KnownCluster, script: str, options: CommandOptions, words: Sequence[str], say: Say
) -> int:
    """Run `script` with the command line `words` on a cluster and print its output; return its exit code.

    A sweep may also be detached from, followed again (--resume) or stopped.

    Raises:
        UserError: before anything is submitted, if the head does not answer or cannot use data or storage.
    """
    head = Head(cluster)
    info = head.info
    known_clusters.remember(cluster)
    size = describe_maximum(info.config)
    say(f"cluster '{cluster.name}', head {head.address}, at most {size}; --local runs here")
    sweep = options if isinstance(options, SweepCommandOptions) else None
    if sweep and sweep.stop:
        say(jobs.stop(head, sweep.stop))
        return 0
    storage, job = check_storage(options.storage, info.storage), None
    if sweep:
        images = {"train": sweep.train, "val": sweep.val, "test": sweep.test}
        check_data(images, lambda path: _exists(head, path), storage)
        job = _running_job(head, sweep.resume)
    if job is None:
        command = [word for word in words if word != "--detach"]
        if hidden := next((word for word in words if MASK in word), ""):
            raise UserError(
                f"{hidden} holds a password, which the cluster's list of jobs would show: leave it out and "
                f"put it into ~/.pgpass or ~/.aws/credentials of the head (file_mounts of the cluster file)"
            )
        command, extra_files = own_files(command, sweep.space if sweep else "")
        if options.storage == DEFAULT_STORAGE:
            command += ["--storage", storage]
        if info.tracking_uri and not options.tracking_uri:
            command += ["--tracking-uri", info.tracking_uri]
        job = jobs.submit(head, ["python", script, *command], extra_files)
        say(f"submitted as {job.id}: it runs on the cluster even if this machine is switched off")
    else:
        say(f"sweep '{job.sweep}' runs already as {job.id}; following it")
    if sweep and sweep.detach:
        say(f"follow it with --resume NAME, ask with --status NAME, stop it with --stop NAME (job {job.id})")
        return 0
    return _follow(head, job, say)


def _running_job(head: Head, sweep: str) -> SubmittedJob | None:
    """Return the job that runs the sweep to be resumed; None if none does."""
    if not sweep:
        return None
    known = jobs.list_jobs(head, sweep)
    with jobs.job_client(head) as client:
        return jobs.newest_running(client, known)


def _exists(head: Head, path: str) -> bool:
    return head.run(f"test -e {shlex.quote(path)} && echo yes || true").strip() == "yes"


def _follow(head: Head, job: SubmittedJob, say: Say) -> int:
    """Print the job's output; after its end, copy the report here. Ctrl-C ends only the following."""
    try:
        code = jobs.follow(head, job, _print)
    except KeyboardInterrupt:
        registered = jobs.reload(head, job)
        name = registered and registered.sweep
        sweep = f"sweep '{name}' (--status, --resume or --stop {name})" if name else f"job {job.id}"
        say(f"\nno longer following; {sweep} continues on the cluster")
        return 0
    registered = jobs.reload(head, job)
    if not code and registered is not None:
        target = Path("runs") / registered.sweep
        if all([_download(head, f"{registered.folder}/{name}", target / name) for name in REPORT_FILES]):
            say(f"copied here: {target / REPORT_FILES[0]}; MLflow: upsweep cluster ui")
    return code


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _download(head: Head, path: str, target: Path) -> bool:
    """Copy a file of the head to `target` as a whole; return False if there is none."""
    text = head.run(f"test -f {shlex.quote(path)} && base64 -w0 {shlex.quote(path)} || true")
    if text:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, base64.b64decode(text))
    return bool(text)
