"""Tables, MLflow and the report hold every score and no name of a person."""

import csv
import json

import pytest
from helpers.fake_sweep import fake_sweep
from helpers.rating_panel import make, sit

from datasets.errors import UserError
from orchestrator.rating import publish
from orchestrator.rating.results import mlflow_metrics
from orchestrator.rating.scores import ScoreStore
from orchestrator.report import build_report


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


@pytest.fixture
def rated(tmp_path):
    study = make(tmp_path)
    store = ScoreStore(study)
    taste = {"sharpnet": 4, "softnet": 2, "nearest": 1, "bicubic": 2, "HR": 5}
    for name in ("Ada", "Bo", "Çelik"):
        sit(store, name, lambda model, image, repeat: taste[model])
    return study


def test_files_hold_every_score_and_no_name_of_a_person(rated):
    found = publish.compute_results(rated, "", 0.75)
    folder = publish.write_tables(rated, found)
    scores = list(csv.DictReader(open(folder / "scores.csv")))
    assert {line["model"]: float(line["mos"]) for line in scores}["sharpnet"] == 4
    assert scores[0]["model"] == "HR" and scores[0]["n5"] == "9"
    ratings = list(csv.DictReader(open(folder / "ratings.csv")))
    assert len(ratings) == 3 * (3 * 5 + 4) and {line["rater"] for line in ratings} == {
        f"rater {k}" for k in (1, 2, 3)
    }
    for file in folder.iterdir():
        assert not any(name in file.read_text() for name in ("Ada", "Çelik"))
    assert "rater 3 (Çelik)" in publish.to_markdown(found, names=True)


def test_metrics_carry_the_scores_under_their_models(rated):
    found = publish.compute_results(rated, "", 0.75)
    values = mlflow_metrics(found.panels, found.raters)
    assert values["mos/softnet"] == 2 and values["ratings/softnet"] == 9 and values["raters"] == 3


def test_unknown_references_and_consistencies_are_refused(rated):
    with pytest.raises(UserError, match="--against must be one of sharpnet, .*, but got 'x'"):
        publish.compute_results(rated, "x", 0.75)
    with pytest.raises(UserError, match="--min-consistency must be between 0 and 1, but got 75"):
        publish.compute_results(rated, "", 75)


def test_the_report_of_a_sweep_gets_a_section(rated, tmp_path):
    fake_sweep(tmp_path / "sweep")
    found = publish.compute_results(rated, "", 0.75)
    page = publish.add_to_report(rated, found, tmp_path / "sweep").read_text()
    section = page.split('<section id="opinions">')[1].split("</section>")[0]
    assert "<td>HR (hidden)</td><td>5.00</td>" in section and "Too little evidence" in section
    with pytest.raises(UserError, match="no sweep in .*nowhere"):
        publish.add_to_report(rated, found, tmp_path / "nowhere")


def test_text_of_a_study_cannot_break_the_report(rated, tmp_path):
    fake_sweep(tmp_path / "sweep")
    publish.add_to_report(rated, publish.compute_results(rated, "", 0.75), tmp_path / "sweep")
    file = tmp_path / "sweep/ratings/study.json"
    told = json.loads(file.read_text())
    told["panels"][0]["rows"][0][0] = "<b>bold</b>"
    file.write_text(json.dumps(told))
    assert "&lt;b&gt;bold" in build_report(tmp_path / "sweep").read_text()
