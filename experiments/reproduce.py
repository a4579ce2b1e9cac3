"""Reproduce one of the five documents: run the studies it needs, print each figure with its status.

python experiments/reproduce.py srgan_training_dataset_matters --miniature --data faces=... rooms=...
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tyro

from experiments import recipes
from experiments.common import cli, study_command, study_options


@dataclass
class Args:
    """Reproduce one document; its studies keep their own recipes."""

    document: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SEED")]
    """srgan_training_dataset_matters, srgan_upsampling_lab_report, esrgan_implementation_report,
    srresnet_srgan_review or srcnn_vs_esrgan_analysis."""
    miniature: bool = False
    """Minutes on CPU cores instead of GPU-days."""
    data: tuple[str, ...] = ()
    """Sets as NAME=SPEC for the studies that compare sets; others take the first, or their own."""
    test: tuple[str, ...] = ()
    """Test sets as NAME=SPEC of the two documents that are one table; empty: set5 set14 bsd100."""
    seeds: int = 5
    """Trainings of each arm."""
    storage: str = "./runs"
    """Folder that keeps studies, imported images and checkpoints."""
    ray: bool = True
    """Run trainings as Ray tasks; --no-ray: one after another in this process."""
    track: bool = True
    """Tell MLflow."""
    dry_run: bool = False
    """Print the plans of the studies, and stop."""


def main() -> int:
    """Run what is not done yet, then print the table."""
    args = cli.parse(Args)
    from orchestrator.studies import reproduce
    from orchestrator.studies.request import storage_of

    root = storage_of(args.storage) / "studies"
    folders = {}
    for kind in reproduce.studies_of(args.document, study_options.RECIPES):
        name = kind + ("-miniature" if args.miniature else "")
        folders[kind] = root / name
        state = reproduce.state_of(folders[kind])
        if state == "finished" and not args.dry_run:
            continue
        config = recipes.build(study_options.RECIPES[kind][args.miniature])
        options = study_command.Options(name=name, resume=state == "begun", config=config)
        fields = [f.name for f in dataclasses.fields(study_command.Options) if hasattr(args, f.name)]
        own = dataclasses.replace(options, **{f: getattr(args, f) for f in fields})
        if ended := study_command.run(kind, own, again="", **_more(kind, own, args)):
            return ended
    if not args.dry_run:
        print("\n" + "\n".join(reproduce.lines(args.document, folders)))
    return 0


def _more(kind: str, options: study_command.Options, args: Args) -> dict[str, Any]:
    """What a study wants beside the shared options: rows and test sets, where it is one table."""
    from experiments.recipes import review

    if kind not in review.STUDIES:
        return {}
    return {"arms": review.of(kind, options.config, args.miniature), "tests": args.test}


if __name__ == "__main__":
    cli.run(main)
