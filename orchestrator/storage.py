"""Files of a sweep in a local or shared folder, or in an object store (s3://, gs://, az://).

Folders are published with their manifest.json last, so a reader never takes an incomplete one for complete.
"""

import contextlib
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow import fs

from datasets.address import hide
from datasets.errors import UserError
from datasets.files import atomic_folder, atomic_write, create_file, first_missing, parse_json, user_path
from datasets.object_store import create_object, file_system, reason

MARKER = "manifest.json"


class Storage:
    """A folder or store under one root; names inside it are relative and use '/'."""

    def __init__(self, root: str) -> None:
        self.is_local = "://" not in root
        self.files: Any = fs.LocalFileSystem()
        if self.is_local:
            self.root = self.base = str(user_path(root).resolve())
            return
        self.root = hide(root.rstrip("/"))
        if not re.match(r"(s3|gs|az)://[^/?#]", self.root):
            raise UserError(
                f"--storage must be a folder or s3://, gs:// or az://BUCKET/PATH, but got '{self.root}'"
            )
        try:
            self.files, self.base = file_system(self.root)
        except (ValueError, OSError) as error:
            raise UserError(f"--storage {self.root} cannot be opened: {reason(error)}") from None

    def url(self, name: str) -> str:
        """Return the full path or URL of `name`."""
        return f"{self.root}/{name}"

    def name_of(self, url: str) -> str:
        """Return the name of a full path or URL, the inverse of `url`."""
        return url.removeprefix(f"{self.root}/")

    def tune_place(self, name: str) -> tuple[str, Any]:
        """Return (path, file system) of `name` for Ray Tune; None where pyarrow opens the URL by itself."""
        return (self._path(name), self.files) if self.root.startswith("az://") else (self.url(name), None)

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}"

    def exists(self, name: str) -> bool:
        """Return True if there is a file or folder called `name`."""
        return self.files.get_file_info(self._path(name)).type != fs.FileType.NotFound

    def listing(self, folder: str) -> list[str]:
        """Return the names of files and folders in `folder`, sorted; [] if there is no such folder."""
        return sorted(self._children(self._path(folder)))

    def names(self) -> list[str]:
        """Return the names of the folders in the root, sorted; [] if the root does not exist."""
        return sorted(name for name, is_folder in self._children(self.base).items() if is_folder)

    def _children(self, path: str) -> dict[str, bool]:
        # pyarrow leaves out the folders of Google's store, unless it lists everything below them.
        deep = self.root.startswith("gs://")
        children: dict[str, bool] = {}
        selector = fs.FileSelector(path, allow_not_found=True, recursive=deep)
        try:
            found = self.files.get_file_info(selector)
        except FileNotFoundError:  # it was made between the two looks that pyarrow takes
            found = self.files.get_file_info(selector)
        for info in found:
            name, below, _ = info.path.removeprefix(f"{path}/").partition("/")
            children[name] = bool(below) or info.type == fs.FileType.Directory
        return children

    def read_text(self, name: str) -> str:
        """Return the content of a file; FileNotFoundError if there is none."""
        return self.read_bytes(name).decode()

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file; FileNotFoundError if there is none."""
        with self.files.open_input_stream(self._path(name)) as f:
            return f.read()

    def write_text(self, name: str, text: str) -> None:
        """Write a file; readers find the old content or the complete new one."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file; readers find the old content or the complete new one."""
        path = self._path(name)
        if self.is_local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(Path(path), content, durable=False)
            return
        with self.files.open_output_stream(path) as f:
            f.write(content)

    def read_json(self, name: str, kind: type = dict, keys: Sequence[str] = ()) -> Any:
        """Return the JSON of a file of ours; FileNotFoundError if there is none, UserError if it is damaged.

        `kind` and `keys` are those of datasets.files.read_json.
        """
        return parse_json(self.read_bytes(name), self.url(name), kind, keys)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one, in one atomic act; return True if this call wrote it.

        `content` must differ between callers: a repeated request knows its own file by it.
        """
        if self.is_local:
            Path(self._path(name)).parent.mkdir(parents=True, exist_ok=True)
            return create_file(Path(self._path(name)), content)
        return create_object(self.url(name), content) or self.read_bytes(name) == content

    def staging_dir(self, name: str, scratch: Path) -> Path:
        """Return the folder to write before `publish` names it `name`: that folder itself on a local root."""
        return Path(self._path(name)) if self.is_local else scratch / name

    def publish(self, folder: Path, name: str) -> str:
        """Copy a finished folder to `name`, its manifest last, and return the URL.

        A folder that was published completely before is left as it is.
        """
        if self.is_local and Path(self._path(name)) == folder:
            return self.url(name)
        if not self.exists(f"{name}/{MARKER}"):
            if self.is_local:  # an object store has no folders: each parent would cost it a request
                self.files.create_dir(self._path(name), recursive=True)
            for path in sorted(folder.iterdir(), key=lambda p: (p.name == MARKER, p.name)):
                fs.copy_files(str(path), self._path(f"{name}/{path.name}"), destination_filesystem=self.files)
        return self.url(name)

    def fetch(self, name: str, scratch: Path) -> Path:
        """Return a local folder with the files of `name`: itself on a local root, else a copy."""
        if self.is_local:
            return Path(self._path(name))
        target = scratch / name
        if not (target / MARKER).exists():
            with atomic_folder(target, durable=False) as new:
                fs.copy_files(self._path(name), str(new), source_filesystem=self.files)
        return target

    def fetch_file(self, name: str, scratch: Path) -> Path:
        """Return a local file with the content of `name`: itself on a local root, else a new copy."""
        if self.is_local:
            return Path(self._path(name))
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(self.read_bytes(name))
        return scratch / name

    def remove(self, name: str) -> None:
        """Delete a folder and everything in it, if it exists."""
        if self.is_local:
            shutil.rmtree(self._path(name), ignore_errors=True)
        elif self.exists(name):
            # Google's store: all is deleted, then the folder sought
            with contextlib.suppress(FileNotFoundError):
                self.files.delete_dir(self._path(name))

    def remove_file(self, name: str) -> None:
        """Delete one existing file."""
        self.files.delete_file(self._path(name))

    def check_writable(self) -> None:
        """Write, read and delete a small file. UserError with the reason if that fails."""
        created = first_missing(Path(self.root)) if self.is_local else None
        try:
            probe = f".probe-{secrets.token_hex(4)}"
            self.create(probe, probe.encode())  # as a driver claims its sweep
            if self.read_text(probe) != probe:
                raise OSError("the text read back differs from the text written")
            self.remove_file(probe)
        except OSError as error:
            raise UserError(f"--storage {self.root} cannot be written: {reason(error)}") from None
        finally:
            if created is not None:
                shutil.rmtree(created, ignore_errors=True)
