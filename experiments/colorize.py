"""Grey to colour at scale 1, one network per domain: does it learn the domain's colours?

python experiments/colorize.py --miniature --data faces=img_align_celeba.zip rooms=kitchen.zip
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command

if __name__ == "__main__":
    cli.run(lambda: study_command.main("colorize"))
