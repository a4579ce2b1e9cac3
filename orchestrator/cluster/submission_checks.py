"""Checks before a command is sent to a cluster: images, storage, and space files that must be sent too."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from datasets.errors import UserError
from orchestrator.search import space_file

SPACES = "submitted"
"""Folder for the user's own space files in the copy of the working tree."""
DEFAULT_STORAGE = "./runs"


def check_data(images: Mapping[str, str], exists: Callable[[str], bool], storage: str) -> None:
    """Raise UserError for images that only this machine has, with the command that uploads them.

    `images`: role (train, val, test) -> a catalogue name, URL or folder; empty ones are skipped. `exists`
    tells if the head has an absolute path.
    """
    for role, spec in images.items():
        is_named = "://" in spec or "/" not in spec and not Path(spec).exists()
        if not spec or is_named or (spec.startswith("/") and exists(spec)):
            continue
        target = f"{storage.rpartition('/')[0] or storage}/data/{Path(spec).name}"
        raise UserError(
            f"--{role} {spec} is a folder of this machine, which the cluster cannot read; upload it with "
            f"python experiments/prepare_data.py folder --source {spec} --out {target} and pass "
            f"--{role} {target}"
        )


def own_space(words: Sequence[str], spec: str) -> tuple[list[str], dict[str, str]]:
    """Return a command line and the files to send (name -> text) for the value `spec` of --space.

    A space file of the user's own is sent with the working tree, even from outside it or if `.gitignore`
    excludes it, and the returned command line names the copy. Other spaces need no file.

    Raises:
        UserError: if the file does not exist or does not hold a valid space.
    """
    if not space_file.is_file(spec):
        return list(words), {}
    file = space_file.read(spec)
    file.space()  # a mistake is reported now, not minutes later by the cluster
    path, colon, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    copy = f"{SPACES}/{Path(path).name}"
    changes = {spec: copy + colon + name, f"--space={spec}": f"--space={copy}{colon}{name}"}
    return [changes.get(word, word) for word in words], {copy: file.text}


def check_storage(given: str, cluster_storage: str) -> str:
    """Return the storage of a remote command: `given` by --storage, or else the cluster's own.

    Raises:
        UserError: if it is a folder of this machine, or if the cluster has none.
    """
    if given == DEFAULT_STORAGE:
        if not cluster_storage or "CHANGE-ME" in cluster_storage:
            raise UserError(
                "the cluster has no storage: name a bucket or shared folder in UPSWEEP_STORAGE of its "
                "cluster file and run ray up again, or pass --storage s3://BUCKET/upsweep"
            )
        return cluster_storage
    if "://" not in given and not given.startswith("/"):
        raise UserError(
            f"--storage {given} is a folder of this machine; pass a URL, or the absolute path of a folder "
            f"that the cluster's machines share"
        )
    return given
