"""What the scripts of all studies share: options, the request they make, and what is printed."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments import cli, recipes


@dataclass
class Options:
    """Options of a study; every setting of its trainings follows under its dotted name."""

    miniature: bool = False
    """Minutes on CPU cores instead of GPU-days: smaller networks, fewer steps and images."""
    data: tuple[str, ...] = ()
    """Sets as NAME=SPEC: a catalogue name, a shard folder or URL, or a folder or zip of photographs."""
    seeds: int = 5
    """Trainings of each arm; "reproduced" needs 5."""
    name: str = ""
    """Name of the study; empty: its kind, with -miniature in miniature."""
    storage: str = "./runs"
    """Folder that keeps studies, imported images and checkpoints."""
    tracking_uri: str = ""
    """MLflow server or database; empty: an SQLite file in --storage."""
    track: bool = True
    """Tell MLflow."""
    ray: bool = True
    """Run trainings as Ray tasks; --no-ray: one after another in this process."""
    local: bool = False
    """Run on this machine even where RAY_ADDRESS names a cluster."""
    address: str = ""
    """HOST:PORT of a Ray cluster to run on; empty: RAY_ADDRESS, else this machine."""
    gpus_per_run: float = 1.0
    """Share of a GPU per training."""
    resume: bool = False
    """Go on with the study of this name."""
    dry_run: bool = False
    """Print trainings, images and hours, and stop."""
    config: cli.Settings = field(default_factory=recipes.demo)


def parse(full: str, miniature: str, options: type[Any] = Options, argv: list[str] | None = None) -> Any:
    """Options, with the recipe of the full study or of the miniature unless --recipe names another."""
    words = sys.argv[1:] if argv is None else argv
    chosen = miniature if "--miniature" in words else full
    named = any(w.split("=")[0] == "--recipe" for w in words)
    return cli.parse(options, lambda recipe: recipes.build(recipe if named else chosen), words)


def run(kind: str, module: Any, options: Any, **more: Any) -> int:
    """Plan a study of `module` (orchestrator/studies) and carry it out; --dry-run only says what it is."""
    import os

    from orchestrator.studies import estimate, session, write
    from orchestrator.studies.request import Request, storage_of

    address = None if options.local else options.address or os.environ.get("RAY_ADDRESS") or None
    request = Request(
        kind=kind,
        name=options.name or kind + ("-miniature" if options.miniature else ""),
        config=options.config,
        storage=storage_of(options.storage),
        data=tuple(options.data),
        seeds=options.seeds,
        miniature=options.miniature,
        resume=options.resume,
        command=f"python experiments/{kind}.py {shlex.join(sys.argv[1:])}".strip(),
        tracking_uri=options.tracking_uri,
        track=options.track,
        ray=options.ray,
        address=address,
        gpus_per_run=options.gpus_per_run,
    )
    if options.dry_run:
        print("\n".join(estimate.lines(module.plan(request, dry=True, **more), request)))
        return 0
    study = module.plan(request, **more)
    answer = session.carry_out(study, request, module.BASELINES)
    for table in answer.tables:
        print(f"\n{write.markdown(table)}")
    print("\n" + "\n".join(write.said(answer.claims)))
    print(f"figures and tables: {request.folder / 'answer'}")
    return 0
