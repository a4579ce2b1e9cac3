"""Download published weights: upsweep weights vgg16 lpips_alex.

Without a name, or with --list, it prints what there is, from where and under which licence.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.common import cli
from trainers.weights.__main__ import main

if __name__ == "__main__":
    cli.run(main)
