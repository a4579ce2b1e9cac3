"""One GPU in ten minutes: what is right, what is fast, and what to expect of this card.

make gpu [ARGS="--out DIR --minutes 10 --peer basicsr=PATH --peer leftthomas=PATH --matlab DIR"]

Checks come first (gradients in float64, inputs to the pixel, no waiting, divergence, resume to the bit),
then times: steps in every precision, against the peers' own loops, the real loader, several trials on one
card, torch.compile. DIR receives gpu.md and gpu.json after every line, so a run that is cut short keeps what
it measured. Exit codes: 0 if every check passed, 1 if one failed, 2 if torch sees no GPU.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from gpu_checks import CHECKS, inputs
from gpu_place import Place, Row
from gpu_times import TIMES, worker
from peers import PEERS, TIMED_ONLY

from trainers.benchmarks.formats import markdown

Section = Callable[[Place], Iterator[Row]]


def measure(place: Place, sections: list[tuple[str, Section]], out: Path, minutes: float) -> list[Row]:
    """Run the sections in turn and write the table after every row; those past the time are named as such."""
    rows: list[Row] = []
    facts = place.describe() | {"date": time.strftime("%Y-%m-%d")}
    print(", ".join(f"{k} {v}" for k, v in facts.items()))
    began = time.monotonic()
    for name, section in sections:
        if time.monotonic() - began > 60 * minutes:
            rows.append(Row(name, f"not measured: the {minutes:g} minutes were over"))
            continue
        try:
            for row in section(place):
                rows.append(row)
                _tell(row, time.monotonic() - began)
                _write(out, facts, rows)
        except Exception as error:  # one broken section must not cost the others on a rented card
            traceback.print_exc()
            rows.append(Row(name, f"{type(error).__name__}: {str(error)[:200]}", "no error", False))
        _write(out, facts, rows)
    return rows


def _tell(row: Row, seconds: float) -> None:
    verdict = {None: "      ", True: "ok    ", False: "FAILED"}[row.passed]
    wanted = f"   (wanted: {row.wanted})" if row.wanted else ""
    print(f"{seconds:5.0f} s  {verdict}  {row.name}: {row.value}{wanted}", flush=True)


def _write(out: Path, facts: dict[str, str], rows: list[Row]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps({"facts": facts, "rows": [r.as_dict() for r in rows]}, indent=1))
    verdict = {None: "", True: "yes", False: "NO"}
    cells = [(r.name, r.value, r.wanted, verdict[r.passed]) for r in rows]
    head = "\n".join(f"- {k}: {v}" for k, v in facts.items())
    (out / "gpu.md").write_text(f"{head}\n\n{markdown(('what', 'measured', 'wanted', 'met'), cells)}\n")


def main() -> int:
    """Run all sections on the first GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of the table")
    parser.add_argument("--minutes", type=float, default=10, help="no section begins after this many minutes")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PATH", help=" or ".join(PEERS | TIMED_ONLY)
    )
    parser.add_argument("--matlab", type=Path, help="folder with HR, X2, X3 and X4 made by MATLAB's imresize")
    parser.add_argument("--only", default="", help="names of sections, separated by commas; default: all")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return 0
    if not torch.cuda.is_available():
        print("torch sees no GPU on this machine; run this on one that has a card", file=sys.stderr)
        return 2
    place = Place(torch.device("cuda", 0), small=False, peers=dict(p.split("=", 1) for p in options.peer))
    wanted = [s for s in options.only.split(",") if s]
    if unknown := set(wanted) - {s.__name__ for s in (*CHECKS, *TIMES)}:
        parser.error(f"no section {min(unknown)}; known: {', '.join(s.__name__ for s in (*CHECKS, *TIMES))}")
    sections = [(s.__name__, s) for s in (*CHECKS, *TIMES) if not wanted or s.__name__ in wanted]
    sections = [(n, partial(inputs, matlab=options.matlab) if n == "inputs" else s) for n, s in sections]
    rows = measure(place, sections, options.out, options.minutes)
    print(f"table: {options.out / 'gpu.md'}")
    return 1 if any(r.passed is False for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
