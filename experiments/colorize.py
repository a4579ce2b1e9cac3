"""Grey to colour at scale 1, one network per domain: what each learns of its colours.

python experiments/colorize.py --miniature --data faces=img_align_celeba.zip rooms=kitchen.zip
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command


def main() -> int:
    """Parse, run, print."""
    return study_command.run("colorize", study_command.parse("colorize"))


if __name__ == "__main__":
    cli.run(main)
