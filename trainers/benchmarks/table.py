"""Measure models on test sets as one ranked block, and write the files of the table.

trainers/evaluate.py measures, sets.py opens the test sets, formats.py formats the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from datasets.errors import UserError
from datasets.files import atomic_file, atomic_write
from trainers.benchmarks.cost import gmacs, latencies_ms, parameters, peak_mb
from trainers.benchmarks.formats import Block, TableRow, csv_text, latex, results_markdown
from trainers.benchmarks.sets import TestSet
from trainers.evaluate import RESIZERS, Evaluation, Evaluator


@dataclass(frozen=True)
class Model:
    """A network in eval mode on its device, and the name of its row."""

    name: str
    network: nn.Module
    scale: int


@dataclass(frozen=True)
class BenchmarkTable:
    """One block of comparable rows, the protocols of its columns, and every value per image."""

    block: Block
    protocols: dict[str, str]
    per_image: pa.Table


def measure_all(
    models: Sequence[Model],
    sets: Sequence[TestSet],
    metrics: Sequence[str],
    *,
    scale: int,
    device: torch.device,
    say: Callable[[str], None],
) -> BenchmarkTable:
    """Measure classical resizers and `models` on every test set, each set with one evaluator for all.

    Raises:
        UserError: if a model has another scale, two rows or sets share a name, or a metric is unavailable.
    """
    _check_names([*RESIZERS, *(m.name for m in models)], [s.name for s in sets])
    for model in models:
        if model.scale != scale:
            raise UserError(
                f"{model.name} upscales x{model.scale}, the table is x{scale}; make another table"
            )
    measured: dict[tuple[str, str], Evaluation] = {}
    for test_set in sets:
        protocol = {"set": test_set.name, "degradation": test_set.degradation}
        evaluator = Evaluator(test_set.pairs, metrics, scale=scale, device=device, protocol=protocol)
        for kind in RESIZERS:
            measured[kind, test_set.name] = evaluator.measure_resizer(kind)
        for model in models:
            say(f"{model.name} on {test_set.name} ({len(test_set.pairs)} images)")
            measured[model.name, test_set.name] = evaluator.measure(model.network)
    latencies = latencies_ms([m.network for m in models], scale)
    rows = [_row(name, {}, measured) for name in RESIZERS] + [
        _row(m.name, _costs(m, ms), measured) for m, ms in zip(models, latencies, strict=True)
    ]
    protocols = {f"{s} {m}": text for (_, s), e in measured.items() for m, text in e.protocol.items()}
    title = f"measured here, x{scale}, {device.type}"
    return BenchmarkTable(Block(title, rows, ranked=True), protocols, _per_image(measured))


def _check_names(*groups: list[str]) -> None:
    for names in groups:
        if twice := {n for n in names if names.count(n) > 1}:
            raise UserError(f"two columns or rows would be called {min(twice)}; name one as NAME=...")


def _costs(model: Model, latency_ms: float) -> dict[str, float]:
    return {
        "params": parameters(model.network),
        "gmacs": gmacs(model.network, model.scale),
        "latency_ms": latency_ms,
        "memory_mb": peak_mb(model.network, model.scale),
    }


def _row(name: str, costs: dict[str, float], measured: dict[tuple[str, str], Evaluation]) -> TableRow:
    mine = {s: e for (n, s), e in measured.items() if n == name}
    return TableRow(name, {(s, m): v for s, e in mine.items() for m, v in e.summary.items()}, costs)


def _per_image(measured: dict[tuple[str, str], Evaluation]) -> pa.Table:
    """Return one line per model, test set, image and metric."""
    lines = [
        {"model": n, "set": s, "image": key, "metric": m, "value": value, "protocol": e.protocol[m]}
        for (n, s), e in measured.items()
        for m, values in e.per_image.items()
        for key, value in zip(e.keys, values, strict=True)
    ]
    return pa.Table.from_pylist(lines)


def write_all(out: Path, table: BenchmarkTable, quoted: Sequence[Block]) -> str:
    """Write table.md, table.csv, table.tex and per_image.parquet to `out`; return the Markdown text."""
    out.mkdir(parents=True, exist_ok=True)
    blocks = [table.block, *quoted]
    text = results_markdown(blocks, table.protocols)
    for name, content in (("table.md", text), ("table.csv", csv_text(blocks)), ("table.tex", latex(blocks))):
        atomic_write(out / name, content.encode())
    with atomic_file(out / "per_image.parquet") as temporary:
        pq.write_table(table.per_image, temporary)
    return text


def numbers(table: BenchmarkTable) -> dict[str, float]:
    """Return every measured value as SET/METRIC/MODEL and every cost as COST/MODEL."""
    rows = table.block.rows
    values = {f"{s}/{m}/{row.name}": v for row in rows for (s, m), v in row.values.items()}
    return values | {f"{cost}/{row.name}": v for row in rows for cost, v in row.costs.items()}
