"""Result tables as Markdown, CSV and LaTeX. Measured and quoted rows never share a block.

Within the measured block the best value of each column is bold, by the direction of its metric; nothing
is compared across blocks, since the protocols differ. No number is made here.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainers.metrics import METRICS

Column = tuple[str, str]  # test set, metric
DECIMALS = {"dB": 2, "grey levels": 2, "x1e-3": 1}
COSTS = {"params": "parameters", "gmacs": "GMAC at 1280x720", "latency_ms": "ms at 256x256"}


@dataclass(frozen=True)
class Row:
    """One model on all test sets."""

    name: str
    values: dict[Column, float]
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Rows that may be compared, under the line that says how they came about."""

    title: str
    rows: Sequence[Row]
    ranked: bool
    """Whether the best values are marked; never for quoted rows."""


def columns(blocks: Sequence[Block]) -> list[Column]:
    """Columns of the ranked blocks in order of appearance; quoted rows add none."""
    return list(dict.fromkeys(c for b in blocks if b.ranked for row in b.rows for c in row.values))


def best(rows: Sequence[Row], column: Column) -> set[str]:
    """Names of the rows whose printed value is the best of `column`."""
    printed = {row.name: number(row.values.get(column), column) for row in rows}
    known = {name: float(text) for name, text in printed.items() if text}
    if len(known) < 2:
        return set()
    pick = max if METRICS[column[1]].direction == "max" else min
    return {name for name, value in known.items() if value == pick(known.values())}


def number(value: float | None, column: Column) -> str:
    """`value` with the decimals of its unit; empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.{DECIMALS.get(METRICS[column[1]].unit, 4)}f}"


def cost(name: str, value: float | None) -> str:
    """A cost with the decimals it deserves; empty where there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "params" else f"{value:.1f}"


def markdown(blocks: Sequence[Block], protocols: dict[str, str]) -> str:
    """The table with its protocol lines below; every block has its own header."""
    parts = []
    for block in blocks:
        head = ["model", *(f"{s} {m}" for s, m in columns(blocks)), *COSTS.values()]
        lines = [f"**{block.title}**", "", piped(head), piped(["---"] * len(head))]
        lines += [piped(cells) for cells in _cells(block, columns(blocks), "**{}**")]
        parts.append("\n".join(lines))
    notes = "\n".join(f"- {name}: {text}" for name, text in protocols.items())
    return "\n\n".join([*parts, notes]) + "\n"


def latex(blocks: Sequence[Block]) -> str:
    """A tabular with a rule and a title line between blocks."""
    shown = columns(blocks)
    head = ["model", *(f"{s} {m}" for s, m in shown), *COSTS.values()]
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\toprule", _tex(head)]
    for block in blocks:
        lines += ["\\midrule", f"\\multicolumn{{{len(head)}}}{{l}}{{{_escaped(block.title)}}} \\\\"]
        for cells in _cells(block, shown, "\x00{}\x01"):
            lines.append(_tex(cells).replace("\x00", "\\textbf{").replace("\x01", "}"))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def csv_text(blocks: Sequence[Block]) -> str:
    """One line per row with the block it belongs to, numbers unrounded."""
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
    return [
        [
            row.name,
            *(_marked(number(row.values.get(c), c), row.name in marked[c], mark) for c in shown),
            *(cost(k, row.costs.get(k)) for k in COSTS),
        ]
        for row in block.rows
    ]


def _marked(text: str, best: bool, mark: str) -> str:
    return mark.format(text) if best and text else text


def piped(cells: Sequence[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _tex(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(c) for c in cells) + " \\\\"


def _escaped(text: str) -> str:
    for sign in "\\&%_#$":
        text = text.replace(sign, "\\textbackslash{}" if sign == "\\" else f"\\{sign}")
    return text
