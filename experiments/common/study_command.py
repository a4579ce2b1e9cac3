"""The command line of all studies: options, recipes, and a run that prints its answer."""

import dataclasses
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.address import hide_word, masked
from experiments import recipes
from experiments.common import cli
from orchestrator.studies.request import StudyRequest

RECIPES = {
    "dataset_matrix": ("srgan_8", "miniature_matrix"),
    "colorize": ("colorize", "miniature_colorize"),
    "edges_to_photo": ("edges_to_photo", "miniature_edges"),
    "upsampler_study": ("staged_upsampler", "miniature_upsampler"),
    "perception_distortion": ("esrgan", "miniature_plane"),
    "srgan_review": ("srresnet", "miniature_review"),
    "srcnn_vs_esrgan": ("esrgan_16_x2", "miniature_review"),
}
"""Recipes of each study: at full scale, and in miniature."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions(StudyRequest):
    """Options of a study; every setting of its trainings follows under its dotted name."""

    local: bool = False
    """Run on this machine even if RAY_ADDRESS names a cluster."""
    dry_run: bool = False
    """Print trainings, images and hours, and stop."""
    config: cli.Settings = field(default_factory=recipes.demo)
    kind: cli.NoFlag = ""
    command: cli.NoFlag = ""


def parse(kind: str, options: type[Any] = StudyOptions, argv: list[str] | None = None) -> Any:
    """Return the options; without --recipe the config is the study's recipe, full or miniature."""
    words = [hide_word(word) for word in (sys.argv[1:] if argv is None else argv)]
    default = RECIPES[kind]["--miniature" in words]
    named = any(w.split("=")[0] == "--recipe" for w in words)
    return cli.parse(options, lambda recipe: recipes.build(recipe if named else default), words)


def main(kind: str, options: type[StudyOptions] = StudyOptions) -> int:
    """Parse the command line and run a study; options beyond `StudyOptions` go to its plan."""
    parsed = parse(kind, options)
    own = {f.name for f in dataclasses.fields(options)} - {f.name for f in dataclasses.fields(StudyOptions)}
    return run(kind, parsed, **{name: getattr(parsed, name) for name in own})


def run(kind: str, options: StudyOptions, again: str = "--resume", **more: Any) -> int:
    """Run a study and print its answer, or print its plan for --dry-run; return the exit code.

    `again` is added to the command that is printed after Ctrl-C; `more` goes to the study's plan.
    """
    from orchestrator.studies import estimate, export
    from orchestrator.studies.kinds import STUDIES
    from orchestrator.studies.run import run_study

    study = STUDIES[kind]
    request = request_of(kind, options)
    if options.dry_run:
        print("\n".join(estimate.lines(study.plan(request, dry=True, **more), request)))
        return 0
    try:
        answer = run_study(study.plan(request, **more), request, study.baselines)
    except KeyboardInterrupt:
        words = f" {again}" if again and not options.resume else ""
        print(f"stopped; resume with: {request.command}{words}", file=sys.stderr)
        return cli.INTERRUPTED
    for table in answer.tables:
        print(f"\n{export.markdown(table)}")
    print("\n" + "\n".join(export.claim_lines(answer.claims)))
    print(f"figures and tables: {request.folder / 'answer'}")
    return 0


def request_of(kind: str, options: StudyOptions) -> StudyOptions:
    """Return the request for a study of this kind: its name, its command line and the Ray it runs on."""
    from orchestrator.cluster.target import resolve_address

    return dataclasses.replace(
        options,
        kind=kind,
        name=options.name or kind + ("-miniature" if options.miniature else ""),
        command=masked(f"python experiments/{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}".strip()),
        address=resolve_address(options, os.environ),
    )
