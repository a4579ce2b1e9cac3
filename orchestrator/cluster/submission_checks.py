"""Checks before a command is sent to a cluster: images, storage, and the user's own files, to be sent too."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from datasets.errors import UserError
from datasets.files import user_path
from orchestrator.search import space_file
from trainers import plugins

SPACES = "submitted"
"""Folder for the user's own files in the copy of the working tree."""
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
            f"upsweep prepare folder --source {quote(spec)} --out {quote(target)} "
            f"and pass --{role} {quote(target)}"
        )


def own_files(words: Sequence[str], spec: str) -> tuple[list[str], dict[str, bytes]]:
    """Return a command line and the files to send (name -> content): the user's space, networks, weights.

    `spec` is the value of --space. Files are sent with the working tree, even from outside it or if
    `.gitignore` excludes them, and the returned command line names the copies. What a space names is sent to
    its place beside the space.

    Raises:
        UserError: if a file does not exist or does not hold a valid space, or two files have one name.
    """
    files: dict[str, bytes] = {}
    if space_file.is_file(spec):
        file = space_file.read(spec)
        for value in file.space().own_names():  # a mistake is reported now, not minutes later by the cluster
            path = value.rpartition(":")[0]
            if Path(path).is_absolute() or ".." in Path(path).parts:
                raise UserError(
                    f"--space {spec} names {path}, which must be in the space file's folder or below it"
                )
            plugins.pin("--space", value, file.read_beside)
            files[f"{SPACES}/{path}"] = file.read_beside(path).encode()
    before = ["", *words]
    return [_sent(word, last, spec, files) for last, word in zip(before, words, strict=False)], files


def _sent(word: str, last: str, spec: str, files: dict[str, bytes]) -> str:
    """Return a word of a command line as the cluster reads it; add the file that it names to `files`.

    `last` is the word before it.
    """
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    is_space = value == spec and space_file.is_file(spec)
    is_weights = (option or last) == "--start" and user_path(value).is_file()
    if not is_space and not is_weights and not (plugins.is_own(value) and ".py:" in value):
        return word
    path, colon, name = value.rpartition(":") if ".py:" in value else (value, "", "")
    copy = f"{SPACES}/{Path(path).name}"
    try:
        content = user_path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if files.setdefault(copy, content) != content:
        raise UserError(f"two different files are called {Path(path).name}; rename one of them")
    return f"{option}{equals}{copy}{colon}{name}"


def check_storage(given: str, cluster_storage: str) -> str:
    """Return the storage of a remote command: `given` by --storage, or else the cluster's own.

    Raises:
        UserError: if it is a folder of this machine, or if the cluster has none.
    """
    if given == DEFAULT_STORAGE:
        if not cluster_storage or "CHANGE-ME" in cluster_storage:
            raise UserError(
                "the cluster has no storage: pass --storage s3://BUCKET/upsweep; to set a default, set "
                "UPSWEEP_STORAGE in this shell (with --jobs), or in the cluster file, and run ray up again"
            )
        return cluster_storage
    if "://" not in given and not given.startswith("/"):
        raise UserError(
            f"--storage {given} is a folder of this machine; pass a URL, or the absolute path of a folder "
            f"that the cluster's machines share"
        )
    return given


def check_tracking(storage: str) -> str:
    """Return the MLflow address of a command that names none: empty, for a database in a shared folder.

    Raises:
        UserError: if the storage is a store, because a database on the head's disk would be lost with it.
    """
    if "://" in storage:
        raise UserError(
            "the cluster has no MLflow that this command knows: pass --tracking-uri http://HOST:5000, an "
            "address that the cluster's head reaches"
        )
    return ""
