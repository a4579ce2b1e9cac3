"""Models x test sets x metrics -> one ranked block, and the files of a results table.

trainers/evaluate.py measures, sets.py opens the test sets, formats.py writes the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from datasets.errors import UserError
from trainers.benchmarks.cost import gmacs, latency_ms, parameters
from trainers.benchmarks.formats import Block, Row, csv_text, latex, results_markdown
from trainers.benchmarks.sets import TestSet
from trainers.evaluate import RESIZERS, Evaluation, Evaluator


@dataclass(frozen=True)
class Model:
    """A network in eval mode on its device, with the name of its row."""

    name: str
    network: nn.Module
    scale: int


@dataclass(frozen=True)
class BenchmarkTable:
    """What was measured: one comparable block, its protocols and every per-image value."""

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
    """Classical resizers and `models` on every test set, all by the same evaluator.

    UserError where a model has another scale, two rows or two sets share a name, or a metric refuses.
    """
    _check_names([*RESIZERS, *(m.name for m in models)], [s.name for s in sets])
    for model in models:
        if model.scale != scale:
            raise UserError(
                f"{model.name} upscales x{model.scale}, the table is x{scale}; make another table"
            )
    found: dict[tuple[str, str], Evaluation] = {}
    for test_set in sets:
        protocol = {"set": test_set.name, "degradation": test_set.degradation}
        evaluator = Evaluator(test_set.pairs, metrics, scale=scale, device=device, protocol=protocol)
        for kind in RESIZERS:
            found[kind, test_set.name] = evaluator.measure_resizer(kind)
        for model in models:
            say(f"{model.name} on {test_set.name} ({len(test_set.pairs)} images)")
            found[model.name, test_set.name] = evaluator.measure(model.network)
    rows = [_row(name, {}, found) for name in RESIZERS] + [_row(m.name, _costs(m), found) for m in models]
    protocols = {f"{s} {m}": text for (_, s), e in found.items() for m, text in e.protocol.items()}
    title = f"measured here, x{scale}, {device.type}"
    return BenchmarkTable(Block(title, rows, ranked=True), protocols, _per_image(found))


def _check_names(*groups: list[str]) -> None:
    for names in groups:
        if twice := {n for n in names if names.count(n) > 1}:
            raise UserError(f"two columns or rows would be called {min(twice)}; name one as NAME=...")


def _costs(model: Model) -> dict[str, float]:
    return {
        "params": parameters(model.network),
        "gmacs": gmacs(model.network, model.scale),
        "latency_ms": latency_ms(model.network, model.scale),
    }


def _row(name: str, costs: dict[str, float], found: dict[tuple[str, str], Evaluation]) -> Row:
    mine = {s: e for (n, s), e in found.items() if n == name}
    return Row(name, {(s, m): v for s, e in mine.items() for m, v in e.summary.items()}, costs)


def _per_image(found: dict[tuple[str, str], Evaluation]) -> pa.Table:
    """Long form: one line per model, test set, image and metric."""
    lines = [
        {"model": n, "set": s, "image": key, "metric": m, "value": value, "protocol": e.protocol[m]}
        for (n, s), e in found.items()
        for m, values in e.per_image.items()
        for key, value in zip(e.keys, values, strict=True)
    ]
    return pa.Table.from_pylist(lines)


def write_all(out: Path, table: BenchmarkTable, quoted: Sequence[Block]) -> str:
    """Write table.md, table.csv, table.tex and per_image.parquet below `out`; the Markdown text."""
    out.mkdir(parents=True, exist_ok=True)
    blocks = [table.block, *quoted]
    text = results_markdown(blocks, table.protocols)
    (out / "table.md").write_text(text)
    (out / "table.csv").write_text(csv_text(blocks))
    (out / "table.tex").write_text(latex(blocks))
    pq.write_table(table.per_image, out / "per_image.parquet")
    return text


def numbers(table: BenchmarkTable) -> dict[str, float]:
    """Every measured value under SET/METRIC/MODEL, every cost under COST/MODEL."""
    rows = table.block.rows
    values = {f"{s}/{m}/{row.name}": v for row in rows for (s, m), v in row.values.items()}
    return values | {f"{cost}/{row.name}": v for row in rows for cost, v in row.costs.items()}
