"""Options of experiments/sweep.py: those of a request, and what the command may do instead of a new sweep."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from datasets.catalogue import check_exists
from datasets.config import ROLES
from experiments import recipes, spaces
from experiments.common import cli
from orchestrator.results import sweep_folder
from orchestrator.search import space_file
from orchestrator.sweep.request import Request
from trainers.config import flatten

if TYPE_CHECKING:  # --help must not wait for torch
    from orchestrator.sweep.resume import LoadedSpace


@dataclass(frozen=True, kw_only=True)
class SweepOptions(Request):
    """Options of a sweep; every setting of a run follows under its dotted name."""

    RARE: ClassVar = (
        "start_licence",
        "sampler",
        "stopping",
        "repeat_top",
        "derive",
        "confirm_top",
        "confirm_seeds",
        "seed",
        "tracking_uri",
        "ranks_per_trial",
        "max_gpu_hours",
        "price_per_gpu_hour",
        "effort",
        "trials",
        "wait",
        "detach",
        "local",
        "jobs",
    )
    """Options that only --help-all shows."""

    resume: str = ""
    """Resume the sweep of this name, with the settings it began with."""
    status: str = ""
    """Print how far the sweep of this name has come, and exit."""
    stop: str = ""
    """Stop the sweep of this name cleanly, from any shell that reaches the storage."""
    dry_run: bool = False
    """Print the plan and what it will take on this machine, from a few timed steps; start nothing."""
    wait: bool = False
    """If another sweep runs on this machine, wait for its end instead of refusing."""
    open: bool = False
    """Show the report in a browser, as it grows."""
    planned: cli.NoFlag = ""
    second_opinion: cli.NoFlag = ""
    given: cli.NoFlag = ""
    """Options of the command line, without their values."""
    jobs: str = ""
    """https://HOST:8265 of a cluster that others run: send the command to Ray's job API there, with the token
    of RAY_AUTH_TOKEN; empty: RAY_API_SERVER_ADDRESS."""
    detach: bool = False
    """Submit to the cluster and return; --resume NAME follows it again."""
    config: cli.Settings = field(default_factory=recipes.demo)

    def check(self) -> None:
        """Check each option; images, the space and a free name must exist.

        Raises:
            UserError: an option cannot be carried out.
        """
        super().check()
        for role in ROLES:
            if images := getattr(self, role) or getattr(self.config.data, role):
                check_exists(images, f"data.{role}")
        if self.space and not space_file.is_file(self.space):
            spaces.build(self.space)
        if self.name and not self.resume:
            from orchestrator.storage import Storage  # pyarrow

            sweep_folder.check_name_is_free(Storage(self.storage), self.name)


def requested(options: SweepOptions) -> tuple[Request, "LoadedSpace"]:
    """Return the request and the space of a new sweep, or of the one that `options.resume` names.

    Raises:
        UserError: an option cannot be carried out, or there is no such sweep.
    """
    from orchestrator.sweep import resume

    if options.resume:
        request = resume.resumed_request(options, options.resume)
        return request, resume.load_space(request, spaces.build, True)
    recipe = recipes.build(options.config.recipe)
    given, default = flatten(options.config), flatten(recipe)
    changed = [f"--{name.replace('_', '-')}" for name in given if given[name] != default[name]]
    request = resume.new_request(options, list(dict.fromkeys([*changed, *options.given.split()])))
    space = resume.load_space(request, spaces.build)
    resume.check_not_varied(request.config, recipe, space.space)
    return request, space
