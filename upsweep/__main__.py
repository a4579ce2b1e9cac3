"""The command `upsweep COMMAND ...`: one word for each script of experiments/.

`upsweep sweep --train photos` does what `python experiments/sweep.py --train photos` does.
"""

import ast
import runpy
import sys
from pathlib import Path

import experiments
from datasets.errors import UserError, unknown
from experiments.common import cli

COMMANDS = {
    "sweep": "sweep",
    "promote": "promote",
    "upscale": "upscale",
    "train": "train",
    "prepare": "prepare_data",
    "weights": "fetch_weights",
    "benchmark": "benchmark_table",
    "rate": "rate",
    "reproduce": "reproduce",
    "cluster": "cluster",
}
"""Command -> script in experiments/."""


def script(command: str) -> Path:
    """Return the file of a command."""
    return Path(experiments.__file__).with_name(f"{COMMANDS[command]}.py")


def overview() -> str:
    """Return the list of commands, each with the first sentence of its script."""
    lines = ["usage: upsweep COMMAND [OPTIONS]        upsweep COMMAND --help", ""]
    for command in COMMANDS:
        sentence = ast.get_docstring(ast.parse(script(command).read_text())) or ""
        lines.append(f"  {command:<10} {sentence.splitlines()[0]}")
    return "\n".join([*lines, "", "From Python: import upsweep; help(upsweep)"])


def main() -> int:
    """Run the script of the command with the options that follow; exit codes are the script's."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0 if words else 2
    if words[0] not in COMMANDS:
        error: UserError = unknown("command", words[0], COMMANDS)
        print(f"error: {error}", file=sys.stderr)
        return 2
    path = script(words[0])
    cli.program = f"upsweep {words[0]}"
    sys.argv = [str(path), *words[1:]]
    runpy.run_path(str(path), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
