"""Reports and leaderboard rows of one screened trial, with any field changed."""

from dataclasses import replace

from orchestrator.results.row import EndedTrial, RowContext, make_row
from orchestrator.results.trial_report import Status, TrialReport, Usage
from trainers.objectives import Objectives

SWD = Objectives("psnr_y", "swd", delta_db=0.5)
MEASURED = ("psnr_y", "swd", "ssim_y")
BICUBIC = {"psnr_y": 29.0, "swd": 230.0}
CONTEXT = RowContext(SWD, MEASURED, BICUBIC, protocol={"psnr_y": "Y"}, gpus=0.0, price=0.0)


def report_of(**changes):
    """Return the last report of a complete GAN phase."""
    default = TrialReport(
        status=Status.COMPLETE,
        phase="gan",
        step=120,
        max_steps=120,
        ranked={"psnr_y": 30.0, "swd": 120.0, "ssim_y": 0.8},
        warm_start={"psnr_y": 30.2, "swd": 190.0, "ssim_y": 0.82},
        usage=Usage(36.0, 72.0),
    )
    return replace(default, **changes)


def ended_trial(report=None, **changes):
    """Return a trial that ended with `report`."""
    values = {"generator.num_blocks": 4, "loss.adversarial_weight": 0.1}
    default = EndedTrial(
        stage="screen",
        trial_id="screen-1",
        design="b4 adv=0.1",
        values=values,
        config={"run.seed": 7, "generator.num_blocks": 4},
        report=report or report_of(),
        curve=[{"phase": "gan", "step": 8, "psnr_y": 30.0, "swd": 150.0}],
        stopped_at=None,
        error="",
    )
    return replace(default, **changes)


def row(trial_id="screen-1", stage="screen", report=None, curve=None, **more):
    """Return a row of its own design, with entries changed to `more`."""
    changes = {"trial_id": trial_id, "stage": stage} | ({} if curve is None else {"curve": curve})
    made = make_row(ended_trial(report, **changes), CONTEXT)
    return made | {"values": {"generator.num_blocks": 4, "at": trial_id}} | more
