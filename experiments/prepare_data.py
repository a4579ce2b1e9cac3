"""Import photographs, or pairs of HR and LR images, into WebDataset shards.

upsweep prepare NAME --source FILE_OR_FOLDER --out DIR
upsweep prepare pairs --hr DIR --lr DIR --out DIR
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tyro
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from datasets.catalogue import CATALOGUE
from datasets.manifest import Manifest
from datasets.pairs import PairOptions
from datasets.prepare import prepare
from experiments.common import cli


@dataclass
class PrepareOptions:
    """Import a dataset into WebDataset shards with a manifest."""

    name: Annotated[str, tyro.conf.Positional] = ""
    """A name from --list: celeba, lsun_tower, div2k, folder, pairs, ..."""
    source: str = ""
    """The archive or folder as downloaded."""
    out: str = ""
    """Folder, or s3://, gs:// or az:// URL, of the shards."""
    split: str = ""
    """Name of the split into train, val and test (see --list); empty: the first one listed."""
    limit: int = 0
    """Import only the first N images by name; 0 means all."""
    min_px: int = 0
    """Leave out images whose shorter side has fewer pixels."""
    bands: tuple[str, ...] = ()
    """Names of the bands, such as red green blue nir; one name, grey, keeps grey 8-bit images as one band.
    Empty: as many as the files have."""
    peak: int = 0
    """The value of white of files of more than 8 bit, such as 4095 of a 12-bit camera; 0: 65535."""
    max_rejected: float = 0.05
    """Largest share of unreadable images; with more the import fails."""
    pairs: Annotated[PairOptions, tyro.conf.arg(name="")] = field(default_factory=PairOptions)
    list: bool = False
    """Show the catalogue and stop."""


def main() -> None:
    """Run the import with a progress bar and print its counts, or print the catalogue."""
    options = cli.parse(PrepareOptions)
    console = Console()
    if options.list:
        return show_catalogue(console)
    with Progress(console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        settings = {k: v for k, v in vars(options).items() if k != "list"}
        manifest = prepare(**settings, progress=progress)
    report(manifest, options)


def show_catalogue(console: Console) -> None:
    """Print the known datasets, a paragraph each, so that a narrow terminal cuts nothing off."""
    for name, entry in CATALOGUE.items():
        table = Table.grid(padding=(0, 2))
        table.add_row("  images", f"{entry.images:,}" if entry.images else "as many as there are")
        table.add_row("  bring", entry.bring)
        table.add_row("  from", entry.get)
        table.add_row("  terms", entry.licence)
        table.add_row("  splits", ", ".join(entry.splits))
        console.print(f"[bold]{name}[/bold]")
        console.print(table)


def report(manifest: Manifest, options: PrepareOptions) -> None:
    """Print the number of images per split, and the published number if it differs."""
    for split, entry in manifest.splits.items():
        cli.say(f"{split}: {entry.count:,} images in {len(entry.shards)} shards")
    count = sum(entry.count for entry in manifest.splits.values())
    if not manifest.pixels.is_rgb8:
        cli.say(f"bands {manifest.pixels}")
    if converted := manifest.notes.get("converted"):
        cli.say(f"{converted}; to keep one band, import with --bands grey")
    published = CATALOGUE[options.name].images
    if published and count != published and options.name != "div2k":
        cli.say(f"{count:,} images; the published count is {published:,}")
    if manifest.pairs_scale:
        cli.say(f"x{manifest.pairs_scale}, {manifest.notes['pairs']}; each is in {options.out}/pairs.csv")
    for others in sorted(set(manifest.notes.get("passed_over", {}).values())):
        cli.say(f"not read as images: {others}; each is in {options.out}/rejected.csv")
    if manifest.rejected:
        cli.say(f"{manifest.rejected:,} left out; the reasons are in {options.out}/rejected.csv")


if __name__ == "__main__":
    cli.run(main)
