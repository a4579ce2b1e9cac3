"""Pieces of HTML that several sections share."""

from collections.abc import Iterable, Sequence
from html import escape


def section(title: str, body: str, name: str) -> str:
    """Return a titled section; empty if the body is."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def cells(tag: str, texts: Iterable[str]) -> str:
    """Return a table row of escaped texts."""
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of escaped texts that scrolls sideways if it is too wide."""
    body = "".join(cells("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{cells("th", header)}</thead><tbody>{body}</tbody></table></div>'
