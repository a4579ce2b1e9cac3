"""Pieces of HTML that several sections share."""

from collections.abc import Iterable, Sequence
from html import escape

from trainers.metrics import METRICS, format_metric


def section(title: str, body: str, name: str) -> str:
    """Return a titled section; empty if the body is."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def shown_unit(metric: str) -> str:
    """Return the unit of a metric as people write it."""
    return METRICS[metric].unit.replace("x1e-3", "×10⁻³")


def with_unit(metric: str, *values: float | None) -> str:
    """Format values of a metric, joined by "to" and followed by its unit: "0.1 to 0.2 dB"."""
    numbers = " to ".join(format_metric(metric, value) for value in values)
    return f"{numbers}\N{NO-BREAK SPACE}{shown_unit(metric)}".rstrip()


def cells(tag: str, texts: Iterable[str]) -> str:
    """Return a table row of escaped texts."""
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of escaped texts that scrolls sideways if it is too wide."""
    body = "".join(cells("td", row) for row in rows)
    head = f"<thead>{cells('th', header)}</thead>"
    return f'<div class="wide" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'


def stacked_table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Return a table of escaped texts whose cells are labelled lines below each other on a narrow screen.

    The roles are those of a plain table: some screen readers lose them when CSS lays a table out as blocks.
    """
    body = "".join(
        '<tr role="row">'
        + "".join(
            f'<td role="cell" data-label="{escape(label)}">{escape(text)}</td>'
            for label, text in zip(header, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    head = "".join(f'<th role="columnheader">{escape(label)}</th>' for label in header)
    return (
        f'<table class="stacked" role="table"><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )
