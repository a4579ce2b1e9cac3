"""Edges to photo at its smallest scale, its refusals, and the logic of its claims."""

import pytest
from helpers.studies import request, sets, statuses  # noqa: F401  (a fixture)

from datasets.errors import UserError
from orchestrator.analysis.intervals import Interval
from orchestrator.analysis.significance import Verdict
from orchestrator.studies import run
from orchestrator.studies.kinds import edges_to_photo


def test_edges_run_every_scale_with_both_losses_and_one_arm_elsewhere(tmp_path, sets):
    sizes = {"data__crop_px": 48, "data__eval_crop_px": 48}  # x16 shaves 16 px on each side
    asked = request(tmp_path, "edges", "miniature_edges", sets, run__gan_steps=1, run__psnr_steps=1, **sizes)
    study = edges_to_photo.plan(asked)
    arms = [t.arm for t in study.trainings]
    assert len(arms) == 11 and arms[0] == "warm x1 L1" and arms[-1] == "cold x4 L1"
    answer = run.run_study(study, asked, edges_to_photo.BASELINES, say=lambda text: None)
    assert {"edges-faces", "edges-artefacts", "edges-l1-l2", "edges-rooms"} == set(statuses(answer))
    assert any(row[0] == "mean image warm-x16" for row in answer.tables[0].rows)


def test_another_input_or_an_indivisible_crop_is_refused(tmp_path, sets):
    with pytest.raises(UserError, match="needs data.input edges, but got image"):
        edges_to_photo.plan(request(tmp_path, "e", "miniature_matrix", sets))
    odd = request(tmp_path, "e", "miniature_edges", sets, data__crop_px=24, data__eval_crop_px=24)
    with pytest.raises(UserError, match="a multiple of the scale 16 for this study, but got data.crop_px=24"):
        edges_to_photo.plan(odd)


@pytest.mark.parametrize(
    ("words", "status", "start"),
    [
        ([], "untested", "no set beside faces was given"),
        (["beats", "loses to"], "not reproduced", "some learnt more than the mean image: "),
        (["loses to", "loses to"], "reproduced", "arm0 "),
        (["loses to", "not separable"], "not enough evidence", "not separable: "),
        (["loses to", "not enough evidence"], "not enough evidence", "too few seeds: "),
    ],
)
def test_one_arm_that_converges_refutes_that_the_further_sets_do_not(words, status, start):
    verdicts = {f"arm{k}": Verdict(w, 1.0, Interval(1.0, 0.5, 1.5, 5), 0.01) for k, w in enumerate(words)}
    answer = edges_to_photo._further_sets(verdicts)
    assert answer.status == status and answer.why.startswith(start)
