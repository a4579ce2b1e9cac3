"""Files of a sweep on a local or shared folder, or an object store (s3://, gs://) through pyarrow.

Folders are published with their manifest.json last, so a reader never takes half of one for a whole.
"""

import shutil
import uuid
from pathlib import Path

from pyarrow import fs

from datasets.errors import UserError

MARKER = "manifest.json"
SMALL_AT_ONCE = "?allow_delayed_open=true"
"""Of S3: a file below 10 MB goes out in one request, where a multipart upload takes three."""


class Storage:
    """A place under one root; names inside it are relative and use '/'."""

    def __init__(self, root: str) -> None:
        self.is_local = "://" not in root
        if self.is_local:
            self.root = str(Path(root).expanduser().resolve())
            self.files: fs.FileSystem = fs.LocalFileSystem()
        else:
            self.root = root.rstrip("/")
            options = SMALL_AT_ONCE if self.root.startswith("s3://") else ""
            try:
                self.files, self.base = fs.FileSystem.from_uri(self.root + options)
            except (ValueError, OSError) as error:
                raise UserError(f"--storage {root} cannot be opened: {error}") from None

    def url(self, name: str) -> str:
        """The full path or URL of `name`."""
        return f"{self.root}/{name}"

    def name_of(self, url: str) -> str:
        """The inverse of `url`."""
        return url.removeprefix(f"{self.root}/")

    def _path(self, name: str) -> str:
        return f"{self.root if self.is_local else self.base}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        return self.files.get_file_info(self._path(name)).type != fs.FileType.NotFound

    def listing(self, folder: str) -> list[str]:
        """What lies in a folder; nothing where there is none."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        return sorted(info.base_name for info in self.files.get_file_info(selector))

    def read_text(self, name: str) -> str:
        """The whole file; FileNotFoundError where there is none."""
        return self.read_bytes(name).decode()

    def read_bytes(self, name: str) -> bytes:
        """The whole file; FileNotFoundError where there is none."""
        with self.files.open_input_stream(self._path(name)) as f:
            return f.read()

    def write_text(self, name: str, text: str) -> None:
        """Write the whole file; on a local folder it takes its name only when complete."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write the whole file; on a local folder it takes its name only when complete."""
        path = self._path(name)
        if not self.is_local:
            with self.files.open_output_stream(path) as f:
                f.write(content)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        new = Path(f"{path}.{uuid.uuid4().hex[:8]}")
        new.write_bytes(content)
        new.replace(path)

    def staging_dir(self, name: str, scratch: Path) -> Path:
        """Where to write a folder that will be published as `name`: there itself on a local root."""
        return Path(self._path(name)) if self.is_local else scratch / name

    def publish(self, folder: Path, name: str) -> str:
        """Copy a finished folder to `name`, its manifest last; returns the URL. Replaces nothing whole."""
        if self.is_local and Path(self._path(name)) == folder:
            return self.url(name)
        if not self.exists(f"{name}/{MARKER}"):
            if self.is_local:  # an object store has no folders: it would be asked about every one above
                self.files.create_dir(self._path(name), recursive=True)
            for path in sorted(folder.iterdir(), key=lambda p: (p.name == MARKER, p.name)):
                fs.copy_files(str(path), self._path(f"{name}/{path.name}"), destination_filesystem=self.files)
        return self.url(name)

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local folder holding `name`: itself on a local root, else a copy under `scratch`."""
        if self.is_local:
            return Path(self._path(name))
        target = scratch / name
        if not (target / MARKER).exists():
            new = target.parent / f"{target.name}.{uuid.uuid4().hex[:8]}"
            new.mkdir(parents=True)
            fs.copy_files(self._path(name), str(new), source_filesystem=self.files)
            shutil.rmtree(target, ignore_errors=True)
            new.replace(target)  # whole or not at all
        return target

    def fetch_file(self, name: str, scratch: Path) -> Path:
        """A local file holding `name`: itself on a local root, else a fresh copy under `scratch`."""
        if self.is_local:
            return Path(self._path(name))
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        with self.files.open_input_stream(self._path(name)) as f:
            (scratch / name).write_bytes(f.read())
        return scratch / name

    def names(self) -> list[str]:
        """The folders of the root, in order; none where the root does not exist."""
        selector = fs.FileSelector(self.root if self.is_local else self.base, allow_not_found=True)
        infos = self.files.get_file_info(selector)
        return sorted(i.base_name for i in infos if i.type == fs.FileType.Directory)

    def remove(self, name: str) -> None:
        """Delete a folder, whatever is left of it."""
        if self.is_local:
            shutil.rmtree(self._path(name), ignore_errors=True)
        elif self.exists(name):
            self.files.delete_dir(self._path(name))

    def remove_file(self, name: str) -> None:
        """Delete one file that is there."""
        self.files.delete_file(self._path(name))

    def check_writable(self) -> None:
        """Write, read and delete a probe. UserError with the reason where that fails; leaves nothing."""
        created = first_missing(Path(self.root)) if self.is_local else None
        try:
            self.write_text(".probe", "upsweep")
            if self.read_text(".probe") != "upsweep":
                raise OSError("what was read is not what was written")
            self.files.delete_file(self._path(".probe"))
        except OSError as error:
            raise UserError(f"--storage {self.root} cannot be written: {error}") from None
        finally:
            if created is not None:
                shutil.rmtree(created, ignore_errors=True)


def first_missing(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that does not exist yet."""
    return next((p for p in [*reversed(path.parents), path] if not p.exists()), None)
