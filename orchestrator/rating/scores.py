"""Scores, one file per rater and session: a score is on the disk before the browser gets an answer.

The first line of a file names the rater and the order of the pictures; every further line is one score. A
later score of a position replaces an earlier one; both stay in the file.
"""

import json
import os
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.files import atomic_write, parse_json, reading
from orchestrator.rating.presentation import Presentation, opaque_name, presentation_order
from orchestrator.rating.study import RatingStudy

SCORES = range(1, 6)
NAME_LIMIT = 40


def clean_name(text: str) -> str:
    """Return a rater's name on one line with single spaces; UserError if it is empty or too long."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise UserError(f"a name has 1 to {NAME_LIMIT} characters")
    return text


class RatingSession:
    """One rater in one session: the order of the pictures, and the scores so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with reading(path):
            head, *lines = _read_lines(path)
            self.rater: str = head["rater"]
            self.number: int = head["session"]
            self.began: str = head["began"]
            self.order = [Presentation(*entry) for entry in head["order"]]
            self.ratings: dict[int, dict[str, Any]] = {line["position"]: line for line in lines}

    @property
    def key(self) -> str:
        """The name of this session in URLs."""
        return self.path.stem

    @property
    def current(self) -> int:
        """The first position without a score; the number of positions if all have one."""
        return next((p for p in range(len(self.order)) if p not in self.ratings), len(self.order))

    @property
    def finished(self) -> bool:
        """True if every position has a score."""
        return self.current == len(self.order)

    def rate(self, study: RatingStudy, position: int, score: int, shown: float | None) -> None:
        """Append one score and wait for the disk.

        `shown` is the size of the picture on the screen, 1 for one screen pixel per pixel.

        Raises:
            ValueError: if the score is not 1 to 5, or the position is not yet reached.
            OSError: if the disk refuses; the score is then kept nowhere.
        """
        with self._lock:
            if score not in SCORES or not 0 <= position <= min(self.current, len(self.order) - 1):
                raise ValueError(f"no score {score} for position {position} now")
            presented = self.order[position]
            line = {
                "position": position,
                "score": score,
                "model": study.models[presented.model],
                "image": study.images[presented.image],
                "repeat": presented.repeat,
                "shown": shown,
                "time": _now(),
            }
            _append(self.path, line)
            self.ratings[position] = line


class ScoreStore:
    """All sessions of a study, held by the one process that serves it."""

    def __init__(self, study: RatingStudy) -> None:
        self.study = study
        self.folder = study.folder / "raters"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._sessions = {s.key: s for s in read_sessions(study.folder)}

    def find(self, key: str) -> RatingSession | None:
        """Return the session with this name in URLs."""
        return self._sessions.get(key)

    def join(self, name: str, number: int) -> RatingSession:
        """Return session `number` of the rater called `name` (case is ignored), new or continued."""
        key = opaque_name(self.study.secret, "rater", name.casefold(), number)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = self._new(self.folder / f"{key}.jsonl", name, number)
            return self._sessions[key]

    def _new(self, path: Path, name: str, number: int) -> RatingSession:
        study = self.study
        seed = f"{study.secret}/{name.casefold()}/{number}"
        order = presentation_order(len(study.images), len(study.models), study.repeats, seed)
        head = {"rater": name, "session": number, "began": _now()}
        head |= {"order": [tuple(asdict(presented).values()) for presented in order]}
        atomic_write(path, (json.dumps(head) + "\n").encode())
        return RatingSession(path)


def read_sessions(folder: Path) -> list[RatingSession]:
    """Return the sessions of the study in `folder`, in the order in which they began."""
    sessions = [RatingSession(path) for path in (folder / "raters").glob("*.jsonl")]
    return sorted(sessions, key=lambda s: (s.began, s.key))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Append one JSON line and sync it to the disk; a partial line is removed, never continued."""
    data = (json.dumps(line) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        end = _end_of_lines(path)
        os.ftruncate(handle, end)  # a line cut short by a kill
        try:
            if os.write(handle, data) < len(data):
                raise OSError(f"{path.name}: the disk is full")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)


def _end_of_lines(path: Path) -> int:
    """Return the number of bytes up to the last newline."""
    return path.read_bytes().rfind(b"\n") + 1


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [parse_json(line, str(path)) for line in path.read_bytes()[: _end_of_lines(path)].splitlines()]
