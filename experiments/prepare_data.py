"""Photographs in, shards out: python experiments/prepare_data.py NAME --source FILE_OR_FOLDER --out DIR."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from datasets.catalogue import CATALOGUE
from datasets.errors import UserError
from datasets.manifest import Manifest
from datasets.prepare import prepare


@dataclass
class Args:
    """Import a dataset into WebDataset shards with a manifest."""

    name: Annotated[str, tyro.conf.Positional] = ""
    """A name from --list: celeba, folder, ..."""
    source: str = ""
    """The archive or folder as it was downloaded."""
    out: str = ""
    """Where the shards go."""
    limit: int = 0
    """Import only the first N images by name; 0 means all."""
    min_px: int = 0
    """Refuse images whose shorter side is below this many pixels."""
    max_rejected: float = 0.05
    """The share of unreadable images above which the import fails."""
    list: bool = False
    """Show the catalogue and stop."""


def show_catalogue(console: Console) -> None:
    """Print the table of known datasets."""
    table = Table("name", "images", "what to bring", "terms", "where")
    for name, entry in CATALOGUE.items():
        table.add_row(
            name, f"{entry.images:,}" if entry.images else "", entry.layout, entry.licence, entry.get
        )
    console.print(table)


def main(args: Args) -> None:
    """Run the import with a progress bar and say what came of it."""
    console = Console()
    if args.list:
        return show_catalogue(console)
    with Progress(console=console) as bar:
        tasks: dict[str, int] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)  # type: ignore[arg-type]

        manifest = prepare(
            args.name,
            args.source,
            args.out,
            limit=args.limit,
            min_px=args.min_px,
            max_rejected=args.max_rejected,
            progress=progress,
        )
    report(console, manifest, args)


def report(console: Console, manifest: Manifest, args: Args) -> None:
    """Counts per split, and how they compare with the published one."""
    for split, entry in manifest.splits.items():
        console.print(f"{split}: {entry.count:,} images in {len(entry.shards)} shards")
    found = sum(entry.count for entry in manifest.splits.values())
    expected = CATALOGUE[args.name].images
    if expected and found != expected:
        console.print(f"{found:,} images, the published count is {expected:,}")
    if manifest.rejected:
        console.print(f"{manifest.rejected:,} left out; reasons in {args.out}/rejected.csv")


if __name__ == "__main__":
    try:
        main(tyro.cli(Args))
    except UserError as error:
        sys.exit((print(error, file=sys.stderr), 2)[1])
