"""One command on a cluster, seen from the laptop: check, submit, follow, download the report."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from datasets.address import MASK
from datasets.errors import UserError
from datasets.files import atomic_write
from orchestrator.cluster import jobs
from orchestrator.cluster.jobs import Site, SubmittedJob
from orchestrator.cluster.submission_checks import (
    DEFAULT_STORAGE,
    check_data,
    check_storage,
    check_tracking,
    own_files,
)
from orchestrator.cluster.target import CommandOptions, SweepCommandOptions

REPORT_FILES = ("report.html", "leaderboard.json", "sweep.json")
Say = Callable[[str], None]


def submit_and_follow(
    site: Site, script: str, options: CommandOptions, words: Sequence[str], say: Say
) -> int:
    """Run `script` with the command line `words` on a cluster and print its output; return its exit code.

    A sweep may also be detached from, followed again (--resume) or stopped.

    Raises:
        UserError: before anything is submitted, if the cluster does not answer or cannot use data or storage.
    """
    say(site.describe())
    sweep = options if isinstance(options, SweepCommandOptions) else None
    if sweep and sweep.stop:
        say(jobs.stop(site, sweep.stop))
        return 0
    storage, job = check_storage(options.storage, site.storage), None
    if sweep:
        images = {"train": sweep.train, "val": sweep.val, "test": sweep.test, "gate": sweep.gate}
        check_data(images, lambda path: site.exists(path, storage), storage)
    if sweep and sweep.resume:
        with site.client() as client:
            job = jobs.newest_running(client, sweep.resume)
    if job is None:
        job = _submit(site, script, options, words, storage)
        say(f"submitted as {job.id}: it runs on the cluster even if this machine is switched off")
    else:
        say(f"sweep '{job.sweep}' runs already as {job.id}; following it")
    if sweep and sweep.detach:
        say(f"follow it with --resume NAME, ask with --status NAME, stop it with --stop NAME (job {job.id})")
        return 0
    return _follow(site, job, storage, say)


def _submit(
    site: Site, script: str, options: CommandOptions, words: Sequence[str], storage: str
) -> SubmittedJob:
    """Submit a command that names the cluster's storage and MLflow, with the user's own files."""
    sweep = options if isinstance(options, SweepCommandOptions) else None
    command = _here_only(words)
    if hidden := next((word for word in command if MASK in word), ""):
        raise UserError(
            f"{hidden} holds a password, which the cluster's list of jobs would show: leave it out and "
            f"put it into ~/.pgpass or ~/.aws/credentials of the head (file_mounts of the cluster file)"
        )
    command, extra_files = own_files(command, sweep.space if sweep else "")
    if options.storage == DEFAULT_STORAGE:
        command += ["--storage", storage]
    if not options.tracking_uri:
        begins = sweep and not (sweep.status or sweep.resume or sweep.dry_run)
        uri = site.tracking_uri or (check_tracking(storage) if begins else "")
        command += ["--tracking-uri", uri] if uri else []
    return jobs.submit(site, ["python", script, *command], extra_files)


def _here_only(words: Sequence[str]) -> list[str]:
    """Return a command line without the options that concern this machine alone."""
    kept, left_out = [], False
    for word in words:
        if left_out:
            left_out = False
        elif word == "--jobs":
            left_out = True
        elif word != "--detach" and not word.startswith("--jobs="):
            kept.append(word)
    return kept


def _follow(site: Site, job: SubmittedJob, storage: str, say: Say) -> int:
    """Print the job's output; after its end, copy the report here. Ctrl-C ends only the following."""
    try:
        code, job = jobs.follow(site, job, partial(print, end="", flush=True))
    except jobs.Unfollowed as end:
        name = end.job.sweep
        sweep = f"sweep '{name}' (--status, --resume or --stop {name})" if name else f"job {job.id}"
        say(f"\nno longer following; {sweep} continues on the cluster")
        return 0
    if not code and job.sweep:
        target = Path("runs") / job.sweep
        contents = {name: site.read(job.folder, name, storage) for name in REPORT_FILES}
        for name, content in contents.items():
            if content is not None:
                target.mkdir(parents=True, exist_ok=True)
                atomic_write(target / name, content)
        if None not in contents.values():
            say(f"copied here: {target / REPORT_FILES[0]}{site.ui_hint}")
    return code
