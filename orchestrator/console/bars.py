"""Bars and spinners of single tasks: a wait, an import of images, many items in a row."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from datasets.text import count, printable

PLAIN_EVERY_S = 20.0  # seconds between lines if the output is not a terminal


def waiting(text: str, console: Console | None = None) -> Progress:
    """Return a context that shows `text` and the time it has lasted; nothing if the output is no terminal."""
    console = console or Console()
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    line = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    line.add_task(escape(text))
    return line


@contextmanager
def importing(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback for an import of images: their number is printed at once, then a bar is drawn.

    No bar is drawn if the output is not a terminal.
    """
    with Progress(console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(escape(what), total=total)
            if not done:
                console.print(f"importing {count(total, 'image')}", highlight=False)
            bar.update(tasks[what], completed=done)

        yield show


class BatchProgress:
    """A bar for many items in a row: one line, drawn by its own thread, so that an item costs nothing.

    The line names the item in progress and its share, such as tiles of a picture. If the output is not a
    terminal, a line is printed every PLAIN_EVERY_S seconds instead.
    """

    def __init__(self, total: int, console: Console) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=total)
        self.item, self.begun, self.total = "", 0, total
        self.console, self.plain_at = console, time.monotonic()

    def __enter__(self) -> "BatchProgress":
        self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()

    def update(self, item: str, done: int, parts: int) -> None:
        """Record that `done` of `parts` of `item` are finished."""
        if item != self.item:
            self.item, self.begun = item, self.begun + 1
        share = f" {done}/{parts}" if parts > 1 else ""
        text = escape(printable(item.rpartition("/")[2]))
        self.bar.update(self.task, completed=self.begun - 1 + done / parts, description=f"{text}{share}")
        if not self.console.is_terminal and time.monotonic() - self.plain_at > PLAIN_EVERY_S:
            self.plain_at = time.monotonic()
            self.console.print(
                f"{self.begun} of {self.total}: {text}{share}", highlight=False, soft_wrap=True
            )
