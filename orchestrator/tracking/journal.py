"""The journal of a run, written on the machine where it runs: one JSON object per line.

Trials write journals and never talk to a tracking server; writer_process.py delivers the entries to MLflow.
No mlflow in this file, no network, no waiting.
"""

import json
import math
import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

STATUSES = ("FINISHED", "FAILED", "KILLED")

Entry = dict[str, Any]


def read_entries(path: Path, offset: int = 0, limit_bytes: int = 1 << 22) -> tuple[list[Entry], int]:
    """Return the complete entries of `path` from byte `offset` on, and the offset after the last one.

    A last line without newline is still being written (or was cut off by a kill) and is left for later; a
    line that is not a journal entry is skipped. About `limit_bytes` are read at most, but at least one line;
    -1 means no limit.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        block = file.read(limit_bytes)
        if block and b"\n" not in block:
            block += file.readline()
    whole = block[: block.rfind(b"\n") + 1]
    return [entry for line in whole.splitlines() if (entry := _parse(line))], offset + len(whole)


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "run_key" in entry and "kind" in entry else None


class AppendOnlyFile:
    """An append-only file of JSON lines. Each append reaches the operating system before it returns.

    A line cut off by a kill is removed on opening. If the disk is full, lines wait in memory, one warning is
    given, and the next append tries again: training continues.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab", buffering=0)
        self._lock = threading.Lock()
        self._waiting = b""
        self._warned = False
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            self._file.truncate(content.rfind(b"\n") + 1)

    def append(self, entries: Iterable[Entry]) -> bool:
        """Write `entries`; True if these and all earlier ones are in the file."""
        text = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries)
        with self._lock:
            self._waiting += text.encode()
            return self._write()

    def _write(self) -> bool:
        end = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(self._waiting) or 0
            if written < len(self._waiting):
                raise OSError(f"{written} of {len(self._waiting)} bytes written")
        except OSError as error:
            self._file.truncate(end)  # the next line would be appended to half a line
            if not self._warned:
                self._warned = True
                warnings.warn(f"{self.path}: {error}; entries wait in memory", RuntimeWarning, stacklevel=3)
            return False
        self._waiting = b""
        return True

    def close(self) -> None:
        self._file.close()


class Journal:
    """The entries of one run. Reopening a file continues it.

    The first value of each (metric, step) and the first `start` are kept, with their time: a trial resumed
    from a checkpoint repeats steps, and the repeated values are not written again.
    """

    def __init__(self, path: Path, run_key: str) -> None:
        self.run_key = run_key
        self._lines = AppendOnlyFile(path)
        # Unknown after a kill whether these were delivered: drain returns all, the writer deduplicates.
        self._undrained, _ = read_entries(Path(path), limit_bytes=-1)
        self._started = any(entry["kind"] == "start" for entry in self._undrained)
        self._seen = {
            (name, entry["step"])
            for entry in self._undrained
            if entry["kind"] == "metrics"
            for name in entry["values"]
        }

    def start(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        parent_key: str | None = None,
    ) -> None:
        """Write the run's readable name, its settings under dotted names, its tags and its parent run."""
        if self._started:
            return
        self._started = True
        self._write("start", name=name, params=_texts(params), tags=_texts(tags), parent_key=parent_key)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write metric values at `step`. NaN and infinity become strings: JSON has no such numbers."""
        step = int(step)
        new = {name: _number(value) for name, value in values.items() if (name, step) not in self._seen}
        self._seen.update((name, step) for name in new)
        if new:
            self._write("metrics", step=step, values=new)

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Write tags that are known only after the start; a later value replaces an earlier one."""
        self._write("tags", tags=_texts(tags))

    def experiment_tags(self, tags: Mapping[str, Any]) -> None:
        """Write tags of the experiment that holds the run; a later value replaces an earlier one."""
        self._write("experiment_tags", tags=_texts(tags))

    def input(self, name: str, digest: str, source: str, context: str) -> None:
        """Write a dataset that the run reads: name, manifest digest, address and role (`context`)."""
        self._write("input", name=name, digest=digest, source=source, context=context)

    def artifact(self, path: Path | str, artifact_path: str = "") -> None:
        """Write a file or folder that is to be copied to the run's artifacts, below `artifact_path`."""
        self._write("artifact", path=str(Path(path).absolute()), artifact_path=artifact_path)

    def end(self, status: str = "FINISHED") -> None:
        """Write the end of the run: FINISHED, FAILED or KILLED; ValueError for another status."""
        if status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, but got {status!r}")
        self._write("end", status=status)

    def drain(self) -> list[Entry]:
        """Return the entries since the last drain, as plain JSON; after reopening, all entries."""
        entries, self._undrained = self._undrained, []
        return entries

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _write(self, kind: str, **fields: Any) -> None:
        entry = {"run_key": self.run_key, "kind": kind, "time_ms": time.time_ns() // 1_000_000, **fields}
        self._lines.append([entry])
        self._undrained.append(entry)


def _number(value: float) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in values.items()
    }
