"""A source of photographs in LSUN's LMDB, which may be inside its zip.

A damaged LMDB can kill the process that maps it (SIGBUS), so a child process reads every page once before the
database is opened here.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from datasets.codec import MAX_BYTES
from datasets.errors import DiskError, Rejected, UserError
from datasets.files import atomic_file, remove_leftovers
from datasets.sources import ArchiveMember, check_zip_member, open_zip

_SCAN = """
import sys, zlib, lmdb
env = lmdb.open(sys.argv[1], readonly=True, lock=False, readahead=True, meminit=False)
with env.begin(buffers=True) as txn:
    count = 0
    for key, value in txn.cursor():
        print(bytes(key).hex(), len(value), zlib.crc32(value))
        count += 1
print("entries", env.stat()["entries"], count)
"""


class LmdbSource:
    """The images of one LSUN category, with LSUN's keys; UserError if the database is damaged or another."""

    def __init__(self, folder: Path, name: str) -> None:
        try:
            import lmdb
        except ImportError:
            raise UserError("reading LSUN needs the lmdb package: pip install 'upsweep[lsun]'") from None
        self.name = name
        self._entries = _scan(folder)
        self._env = lmdb.open(str(folder), readonly=True, lock=False, readahead=True, meminit=False)

    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self._entries).encode()).hexdigest()

    def members(self) -> list[ArchiveMember]:
        keys = [bytes.fromhex(entry.split()[0]) for entry in self._entries]
        names = [key.decode("ascii", "backslashreplace") for key in keys]
        return [ArchiveMember(f"k{hashlib.sha256(k).hexdigest()[:40]}" if not n.isalnum() else n, k.hex(), n)
                for k, n in zip(keys, names, strict=True)]  # fmt: skip

    def read(self, member: ArchiveMember) -> bytes:
        with self._env.begin() as transaction:
            data: bytes = transaction.get(bytes.fromhex(member.name))
        if len(data) > MAX_BYTES:
            raise Rejected(f"{len(data)} bytes, more than {MAX_BYTES}")
        return data


def _scan(folder: Path) -> list[str]:
    """Return "KEY-HEX LENGTH CRC" of every entry, in key order, read by a child process."""
    if not (folder / "data.mdb").is_file():
        raise UserError(f"{folder} has no data.mdb; --source must be the folder or zip of one LSUN category")
    child = subprocess.run([sys.executable, "-c", _SCAN, str(folder)], capture_output=True, text=True)
    lines = child.stdout.splitlines()
    if child.returncode or not lines or not lines[-1].startswith("entries"):
        how = f"signal {-child.returncode}" if child.returncode < 0 else child.stderr.strip()[-200:]
        raise UserError(f"{folder / 'data.mdb'} is damaged ({how}); download it again")
    _, expected, found = lines[-1].split()
    if expected != found or found == "0":
        raise UserError(f"{folder / 'data.mdb'} claims {expected} images but has {found}; download it again")
    return lines[:-1]


def unpacked(path: Path, work: Path) -> Path:
    """Return the LMDB folder of `path`: itself, or `work`, into which the data.mdb of a zip is unpacked once.

    LMDB maps its file into memory, which is not possible inside a zip. UserError if the disk is too small.
    """
    if path.is_dir():
        found = sorted(path.glob("**/data.mdb"))
        return found[0].parent if found else path
    archive = open_zip(path)
    infos = [i for i in archive.infolist() if i.filename.rsplit("/", 1)[-1] == "data.mdb"]
    if len(infos) != 1:
        raise UserError(f"{path} has {len(infos)} data.mdb files; expected LSUN's zip of one category")
    try:
        check_zip_member(infos[0], max_bytes=1 << 45)
    except Rejected as error:
        raise UserError(f"{path}: {error}") from None
    target = work / "data.mdb"
    if not target.is_file() or target.stat().st_size != infos[0].file_size:
        _unpack(archive, infos[0], target)
    return work


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < info.file_size:
        raise DiskError(
            f"unpacking {info.filename} needs {info.file_size / 1e9:.1f} GB, but {target.parent} has "
            f"{free / 1e9:.1f} GB free; choose another --out"
        )
    remove_leftovers(target)
    try:
        with atomic_file(target, durable=False) as partial:
            with archive.open(info) as stream, open(partial, "wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"{archive.filename} is damaged ({error}); download it again") from None
