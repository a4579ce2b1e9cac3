"""Train on A, test on B: does a network do best on the kind of images it was trained on?

python experiments/dataset_matrix.py --miniature --data faces=img_align_celeba.zip rooms=kitchen.zip
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.common import cli, study_command

if __name__ == "__main__":
    cli.run(lambda: study_command.main("dataset_matrix"))
