"""What raters said, one file per rater and session: a rating is on the disk before it is answered.

The first line tells who rates what in which order; every further line is one rating. A later rating of the
same position replaces an earlier one; both stay in the file.
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
from orchestrator.rating.presentation import Presentation, opaque_name, trials
from orchestrator.rating.study import Study

SCORES = range(1, 6)
NAME_LIMIT = 40


def clean_name(text: str) -> str:
    """A rater's name as it is kept: one line, single spaces; UserError where nothing or too much is left."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise UserError(f"a name has 1 to {NAME_LIMIT} characters")
    return text


class RatingSession:
    """One rater in one session: the order of the pictures, and the scores so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        head, *lines = _whole_lines(path)
        self.rater: str = head["rater"]
        self.session: int = head["session"]
        self.began: str = head["began"]
        self.order = [Presentation(*entry) for entry in head["order"]]
        self.ratings: dict[int, dict[str, Any]] = {line["position"]: line for line in lines}

    @property
    def key(self) -> str:
        """What stands for this sitting in addresses."""
        return self.path.stem

    @property
    def current(self) -> int:
        """The first position without a score; the number of positions where all have one."""
        return next((p for p in range(len(self.order)) if p not in self.ratings), len(self.order))

    @property
    def finished(self) -> bool:
        """Whether every position has a score."""
        return self.current == len(self.order)

    def rate(self, study: Study, position: int, score: int, shown: float | None) -> None:
        """Append one rating and wait for the disk. ValueError for a score or position that may not be.

        `shown` is how large the picture stood on the screen, 1 for a pixel a pixel. OSError where the disk
        refuses: the rating is then not kept anywhere.
        """
        with self._lock:
            if score not in SCORES or not 0 <= position <= min(self.current, len(self.order) - 1):
                raise ValueError(f"no score {score} for position {position} now")
            trial = self.order[position]
            line = {
                "position": position,
                "score": score,
                "model": study.models[trial.model],
                "image": study.images[trial.image],
                "repeat": trial.repeat,
                "shown": shown,
                "time": _now(),
            }
            _append(self.path, line)
            self.ratings[position] = line


class ScoreStore:
    """All sittings of a study. Made by the one process that serves it."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.folder = study.folder / "raters"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._sittings = {s.key: s for s in sittings(study.folder)}

    def find(self, key: str) -> RatingSession | None:
        """The sitting that an address names."""
        return self._sittings.get(key)

    def seat(self, name: str, session: int) -> RatingSession:
        """The sitting of the rater called `name`, new or continued; capitals make no other rater."""
        key = opaque_name(self.study.secret, "rater", name.casefold(), session)
        with self._lock:
            if key not in self._sittings:
                self._sittings[key] = self._new(self.folder / f"{key}.jsonl", name, session)
            return self._sittings[key]

    def _new(self, path: Path, name: str, session: int) -> RatingSession:
        study = self.study
        seed = f"{study.secret}/{name.casefold()}/{session}"
        order = trials(len(study.images), len(study.models), study.repeats, seed)
        head = {"rater": name, "session": session, "began": _now()}
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        _append(part, head | {"order": [tuple(asdict(t).values()) for t in order]})
        part.replace(path)
        _sync(path.parent, os.O_RDONLY)
        return RatingSession(path)


def sittings(folder: Path) -> list[RatingSession]:
    """The sittings of the study in `folder`, in the order in which they began."""
    found = [RatingSession(path) for path in (folder / "raters").glob("*.jsonl")]
    return sorted(found, key=lambda s: (s.began, s.key))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """One JSON line, on the disk when this returns; half a line is taken back and never joins the next."""
    data = (json.dumps(line) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = _whole_end(path)
        os.ftruncate(handle, end)  # what a kill cut short
        try:
            if os.write(handle, data) < len(data):
                raise OSError(f"{path.name}: the disk is full")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _whole_end(path: Path) -> int:
    """Bytes up to the last newline."""
    return path.read_bytes().rfind(b"\n") + 1


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_bytes()[: _whole_end(path)].splitlines()]
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); mend or remove it") from None
