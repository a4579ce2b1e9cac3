"""Colouring at its smallest scale, and another task refused."""

import pytest
from helpers.studies import request, run_tiny, sets, statuses  # noqa: F401  (a fixture)

from datasets.errors import UserError
from orchestrator.studies.claims import UNTESTED
from orchestrator.studies.kinds import colorize


def test_colouring_measures_colour_against_the_grey_input(tmp_path, sets):
    answer = run_tiny(colorize, request(tmp_path, "colorize", "miniature_colorize", sets, run__gan_steps=1))
    rows = {(row[0], row[1]): row for row in answer.tables[0].rows}
    assert rows["warm", "grey input"][-1] == "0.000", "grey has no saturation"
    assert float(rows["warm", "one tint"][6]) < float(rows["warm", "grey input"][6]), "reddish all over"
    assert {"strip-warm.png", "strip-cold.png", "bars-chroma.svg"} == set(answer.figures)
    assert statuses(answer)["colour-towers"] == UNTESTED, "two sets were given, the third is missing"


def test_another_task_is_refused(tmp_path, sets):
    message = "colouring needs data.input grey and generator.scale 1, but got image and 4"
    with pytest.raises(UserError, match=message):
        colorize.plan(request(tmp_path, "c", "miniature_matrix", sets))
