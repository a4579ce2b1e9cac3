"""Deduplication of journal entries: the first value of each (run, metric, step) and of each param is kept.

Pure: entries in, entries out, with names that MLflow accepts. orchestrator.tracking.delivery reads the
entries and sends them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from orchestrator.tracking.journal import Entry

NAME_LIMIT = 250


def clean_name(name: str) -> str:
    """Return a name that MLflow accepts for a metric, param or tag: other characters become underscores."""
    name = re.sub(r"[^\w./\- :]", "_", name)
    return re.sub(r"^[/.]+|(?<=/)[/.]+|/$", "_", name)[:NAME_LIMIT] or "_"


class Deduplicator:
    """The metric steps and params of one sweep's runs that were seen so far."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._params: dict[str, set[str]] = defaultdict(set)
        self._nonfinite: set[tuple[str, str]] = set()

    def mark_params(self, key: str, names: Iterable[str]) -> None:
        """Note that the run `key` already has these params."""
        self._params[key].update(names)

    def mark_points(self, key: str, name: str, steps: Iterable[int]) -> None:
        """Note that the run `key` already has the metric `name` at these steps."""
        self._points[key, name].update(steps)

    def new_part(self, entry: Entry) -> Entry:
        """Return `entry` without values and params that were seen before, and mark the rest as seen."""
        if entry["kind"] == "metrics":
            return self._new_points(entry)
        if entry["kind"] == "start":
            known = self._params[entry["run_key"]]
            params = {clean_name(name): text for name, text in entry["params"].items()}
            params = {name: text for name, text in params.items() if name not in known}
            known.update(params)
            return {**entry, "params": params}
        return entry

    def _new_points(self, entry: Entry) -> Entry:
        key, step = entry["run_key"], int(entry["step"])
        values, tags = {}, {}
        for name, value in ((clean_name(name), value) for name, value in entry["values"].items()):
            steps = self._points[key, name]
            if step in steps:
                continue
            steps.add(step)
            if not isinstance(value, str):
                values[name] = value
            elif (key, name) not in self._nonfinite:  # MLflow would store infinity as 1.797e308
                self._nonfinite.add((key, name))
                tags[f"upsweep.nonfinite.{name}"] = f"{value} at step {step}"
        return {**entry, "values": values, "tags": tags}
