"""Each point once: remembers which (run, metric, step) and which params were seen, and drops later ones.

Pure: entries in, entries out. Names leave here as MLflow accepts them. Where the entries come from and go
to is orchestrator.tracking.delivery's business.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from orchestrator.tracking.journal import Entry

NAME_LIMIT = 250


def clean_name(name: str) -> str:
    """A name that MLflow accepts for a metric, param or tag: other characters become underscores."""
    name = re.sub(r"[^\w./\- :]", "_", name)
    return re.sub(r"^[/.]+|(?<=/)[/.]+|/$", "_", name)[:NAME_LIMIT] or "_"


class Deduplicator:
    """The memory of one sweep's record. `fresh` is the only question it answers."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._params: dict[str, set[str]] = defaultdict(set)
        self._nonfinite: set[tuple[str, str]] = set()

    def know_params(self, key: str, names: Iterable[str]) -> None:
        """The run `key` holds these params already."""
        self._params[key].update(names)

    def know_points(self, key: str, name: str, steps: Iterable[int]) -> None:
        """The run `key` holds the metric `name` at these steps already."""
        self._points[key, name].update(steps)

    def fresh(self, entry: Entry) -> Entry:
        """`entry` without the points and params that an earlier one brought; the rest is remembered."""
        if entry["kind"] == "metrics":
            return self._fresh_points(entry)
        if entry["kind"] == "start":
            known = self._params[entry["run_key"]]
            params = {clean_name(name): text for name, text in entry["params"].items()}
            params = {name: text for name, text in params.items() if name not in known}
            known.update(params)
            return {**entry, "params": params}
        return entry

    def _fresh_points(self, entry: Entry) -> Entry:
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
