"""Photographs from Canny edges at x1 to x16, with L1 and with L2.

python experiments/edges_to_photo.py --miniature --data faces=img_align_celeba.zip rooms=kitchen.zip
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command

if __name__ == "__main__":
    cli.run(lambda: study_command.main("edges_to_photo"))
