"""Reproduce one of the five documents: run the studies it needs, print each figure with its status.

upsweep reproduce                    (every claim of the five documents with its recorded answer)
upsweep reproduce srgan_training_dataset_matters --miniature --data faces=... rooms=...
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tyro

from experiments import recipes
from experiments.common import cli, study_command


@dataclass
class ReproduceOptions:
    """Reproduce one document; its studies use their own recipes. Without one, list the recorded answers."""

    document: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DOCUMENT]")] = ""
    """srgan_training_dataset_matters, srgan_upsampling_lab_report, esrgan_implementation_report,
    srresnet_srgan_review or srcnn_vs_esrgan_analysis."""
    miniature: bool = False
    """Minutes on CPU cores instead of GPU-days."""
    data: tuple[str, ...] = ()
    """Sets as NAME=SPEC for the studies that compare sets; others use the first, or their own."""
    test: tuple[str, ...] = ()
    """Test sets as NAME=SPEC for the two documents that are one table; empty: set5 set14 bsd100."""
    only: tuple[str, ...] = ()
    """Only the arms whose names begin so, in the upsampler study and the two documents that are one table."""
    seeds: int = 5
    """Trainings of each arm."""
    storage: str = "./runs"
    """Folder of studies, imported images and checkpoints."""
    ray: bool = True
    """Run trainings as Ray tasks; --no-ray: one after another in this process."""
    track: bool = True
    """Record the studies in MLflow."""
    dry_run: bool = False
    """Print the plans of the studies, and stop."""


def main() -> int:
    """Run the studies that are not finished, then print the table of claims; list all without a document."""
    options = cli.parse(ReproduceOptions)
    from orchestrator.studies import record, reproduce

    if not options.document:
        print("\n".join(record.lines()))
        return 0
    names = {f.name for f in dataclasses.fields(study_command.StudyOptions)}
    shared = study_command.StudyOptions(**{n: v for n, v in vars(options).items() if n in names})
    folders = {}
    for kind in reproduce.studies_of(options.document, study_command.RECIPES):
        request = study_command.request_of(kind, shared)
        folder = folders[kind] = request.folder
        state = reproduce.state_of(folder)
        if state == "finished" and not options.dry_run:
            continue
        config = recipes.build(study_command.RECIPES[kind][options.miniature])
        own = dataclasses.replace(request, resume=state == "begun", config=config)
        if code := study_command.run(kind, own, again="", **_choice(kind, own, options)):
            return code
    if not options.dry_run:
        print("\n" + "\n".join(reproduce.lines(options.document, folders)))
    return 0


def _choice(kind: str, own: study_command.StudyOptions, options: ReproduceOptions) -> dict[str, Any]:
    """Return the arms and test sets of a study that lets them be chosen; nothing for other studies."""
    from experiments.recipes import review
    from orchestrator.studies.spec import arms_that_begin

    if kind not in review.STUDIES:
        return {"only": options.only} if options.only and kind == "upsampler_study" else {}
    arms = review.arms(kind, own.config, own.miniature)
    wanted = arms_that_begin(options.only, arms)
    wanted |= {name for name in arms if name.startswith(review.REFERENCES)}
    return {"arms": {n: a for n, a in arms.items() if n in wanted}, "tests": options.test}


if __name__ == "__main__":
    cli.run(main)
