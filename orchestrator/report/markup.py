"""Two pieces of HTML that several sections share."""

from collections.abc import Iterable
from html import escape


def section(title: str, body: str, name: str) -> str:
    """A titled section; nothing where there is no body."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def cells(tag: str, texts: Iterable[str]) -> str:
    """A table row of escaped texts."""
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"
