"""Tables of results as Markdown, CSV and LaTeX, and Markdown tables of any cells. Nothing is measured here.

Measured and quoted rows are in separate blocks, whose protocols differ. In the measured block the best value
of each column is bold; nothing is compared across blocks.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Column = tuple[str, str]  # test set, metric
COSTS = {
    "params": "parameters",
    "gmacs": "GMAC at 1280x720",
    "latency_ms": "ms at 256x256",
    "memory_mb": "MB at 256x256",
}


@dataclass(frozen=True)
class TableRow:
    """One model on all test sets."""

    name: str
    values: dict[Column, float]
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Rows that may be compared, under a title that states their source."""

    title: str
    rows: Sequence[TableRow]
    ranked: bool
    """True to mark the best values; False for quoted rows."""


def columns(blocks: Sequence[Block]) -> list[Column]:
    """Return the columns of the ranked blocks in order of appearance; quoted rows add none."""
    return list(dict.fromkeys(c for b in blocks if b.ranked for row in b.rows for c in row.values))


def best(rows: Sequence[TableRow], column: Column) -> set[str]:
    """Return the names of the rows whose value, as printed, is the best of `column`."""
    from trainers.metrics import METRICS  # imports torch: seconds that a Markdown table need not cost

    known = {row.name: float(text) for row in rows if (text := _value(row, column))}
    if len(known) < 2:
        return set()
    pick = max if METRICS[column[1]].direction == "max" else min
    return {name for name, value in known.items() if value == pick(known.values())}


def _value(row: TableRow, column: Column) -> str:
    from trainers.metrics import format_metric

    return format_metric(column[1], row.values.get(column), missing="")


def cost(name: str, value: float | None) -> str:
    """Format a cost: a count of parameters, or one decimal; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "params" else f"{value:.1f}"


def markdown(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table of `rows` of cells below `header`; a | inside a cell is escaped."""
    return "\n".join([piped(header), piped(["---"] * len(header)), *map(piped, rows)])


def results_markdown(blocks: Sequence[Block], protocols: dict[str, str]) -> str:
    """Return one Markdown table per block, then a list of the metrics' protocols."""
    shown = columns(blocks)
    header = ["model", *(f"{s} {m}" for s, m in shown), *COSTS.values()]
    parts = [f"**{b.title}**\n\n{markdown(header, _cells(b, shown, '**{}**'))}" for b in blocks]
    notes = "\n".join(f"- {name}: {text}" for name, text in protocols.items())
    return "\n\n".join([*parts, notes]) + "\n"


def latex(blocks: Sequence[Block]) -> str:
    """Return a tabular with a rule and a title line between blocks."""
    shown = columns(blocks)
    head = ["model", *(f"{s} {m}" for s, m in shown), *COSTS.values()]
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\toprule", _tex(head)]
    for block in blocks:
        lines += ["\\midrule", f"\\multicolumn{{{len(head)}}}{{l}}{{{_escaped(block.title)}}} \\\\"]
        for cells in _cells(block, shown, "\x00{}\x01"):
            lines.append(_tex(cells).replace("\x00", "\\textbf{").replace("\x01", "}"))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def csv_text(blocks: Sequence[Block]) -> str:
    """Return one line per row with the title of its block and unrounded numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    shown = columns(blocks)
    writer.writerow(["block", "model", *(f"{s}/{m}" for s, m in shown), *COSTS])
    for block in blocks:
        for row in block.rows:
            values = [row.values.get(c, "") for c in shown]
            writer.writerow([block.title, row.name, *values, *(row.costs.get(k, "") for k in COSTS)])
    return out.getvalue()


def _cells(block: Block, shown: Sequence[Column], mark: str) -> list[list[str]]:
    marked = {c: best(block.rows, c) if block.ranked else set() for c in shown}
    lines = []
    for row in block.rows:
        values = {c: _value(row, c) for c in shown}  # those of the best rows are not empty
        cells = [mark.format(text) if row.name in marked[c] else text for c, text in values.items()]
        lines.append([row.name, *cells, *(cost(k, row.costs.get(k)) for k in COSTS)])
    return lines


def piped(cells: Sequence[object]) -> str:
    """Return one row of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _tex(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(c) for c in cells) + " \\\\"


def _escaped(text: str) -> str:
    for sign in "\\&%_#$":
        text = text.replace(sign, "\\textbackslash{}" if sign == "\\" else f"\\{sign}")
    return text
