"""The download of one file: given up if the server is not reached in time, resumed if it was cut, checked."""

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from datasets.errors import UserError
from trainers.weights.package_index import PATIENCE_S, local_path
from trainers.weights.store import VARIABLE, file_sha256

STALL_S = 60
_CHUNK = 1 << 20

Progress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes on disk, and the whole size (0 if unknown)."""


class Failed(Exception):
    """A download that failed, with a reason for one sentence; another source may serve."""


class Unreachable(Failed):
    """A download that failed because the server did not answer, as it would for its other files."""


def download(url: str, target: Path, sha256: str, session: requests.Session, progress: Progress) -> None:
    """Write the file at `url` to `target` if its SHA-256 begins with `sha256`.

    A part that an earlier attempt left beside `target` is continued if the server can, else begun again.

    Raises:
        Failed: the server was not reached within 10 s, the transfer broke, or the hash differs.
        UserError: the disk is full.
    """
    part = target.with_name(f".{target.name}.part")
    for attempt in ("resumed", "clean"):
        resumed = part.exists()
        try:
            _transfer(url, part, session, progress)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(f"{_host(url)}: {_reason(error)}") from None
        except requests.RequestException as error:
            raise Failed(f"{_host(url)}: {_reason(error)}") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            part.unlink(missing_ok=True)
            raise full(target) from None
        if file_sha256(part).startswith(sha256):
            part.replace(target)
            return
        part.unlink()
        if not (resumed and attempt == "resumed"):
            break
    raise Failed(f"{_host(url)}: what it sent as {target.name} has another SHA-256 than {sha256}")


def full(target: Path) -> UserError:
    """Return the error for a disk without space for `target`."""
    return UserError(
        f"the disk of {target.parent} is full, so {target.name} was not stored; free some space or set "
        f"{VARIABLE} to a folder on another disk"
    )


def _transfer(url: str, part: Path, session: requests.Session, progress: Progress) -> None:
    local = local_path(url)
    if local is not None:
        shutil.copyfile(local, part)
        return
    start = part.stat().st_size if part.exists() else 0
    answer = _get(session, url, {"Range": f"bytes={start}-"} if start else {})
    if answer.status_code == 416:  # the part is already whole, or longer than the file
        return
    answer.raise_for_status()
    if answer.status_code != 206:
        start = 0
    total = start + int(answer.headers.get("Content-Length", 0))
    with open(part, "ab" if start else "wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
            start += len(chunk)
            progress(part.name[1 : -len(".part")], start, total)


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Return the answer, whose body is not read yet; ConnectionError after 10 s without one.

    A timeout of requests holds for each address of a host and for each redirect; this one for all together.
    """
    answers: list[requests.Response | BaseException] = []

    def ask() -> None:
        try:
            timeout = (PATIENCE_S, STALL_S)
            answers.append(session.get(url, headers=headers, stream=True, timeout=timeout))
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if not answers:
        raise requests.ConnectTimeout(f"no answer within {PATIENCE_S} s")
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"it answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {PATIENCE_S} s"
    broke = isinstance(error, requests.exceptions.ChunkedEncodingError)
    return (
        "the transfer broke off; run the command again to continue it" if broke else "it could not be reached"
    )
