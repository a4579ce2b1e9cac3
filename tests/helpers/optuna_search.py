"""A search over two axes, and the flattened results that Tune hands to it."""

from ray.tune.utils import flatten_dict

from orchestrator.results.trial_report import TrialReport
from orchestrator.search.sampler import build_search
from orchestrator.search.space import Choice, LogFloat, Space
from trainers.config import ObjectiveConfig
from trainers.objectives import Objectives

SPACE = Space("s", {"generator.num_blocks": Choice((2, 4)), "loss.adversarial_weight": LogFloat(1e-3, 1)})
OBJECTIVES = Objectives.of(ObjectiveConfig(perceptual="swd"))


def search(name="sweep-screen", points=(), sampler="tpe", objectives=OBJECTIVES):
    """Return the search of a stage of eight trials."""
    return build_search(SPACE, objectives, name, seed=0, points=list(points), trials=8, sampler=sampler)


def result(psnr=None, swd=None, step=120, phase="gan", **more):
    """Return a report as Tune passes it to a searcher; without values, one that measured nothing."""
    ranked = {} if psnr is None else {"psnr_y": psnr, "swd": swd}
    more = {"warm_start": {"psnr_y": 29.0, "swd": 400.0}} | more
    report = TrialReport(phase=phase, step=step, max_steps=120, ranked=ranked, **more)
    return flatten_dict(report.to_result())
