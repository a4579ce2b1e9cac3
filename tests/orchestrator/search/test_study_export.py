"""study.db: the copy of a sweep's study that optuna-dashboard and optuna.load_study open."""

from types import SimpleNamespace

import optuna
from helpers.optuna_search import result, search

from orchestrator.search.hooks import active
from orchestrator.search.sampler import CONSTRAINT
from orchestrator.search.study_export import StudyExport
from orchestrator.storage import Storage


def test_every_snapshot_exports_the_trials_that_finished(tmp_path, capfd):
    storage = Storage(str(tmp_path / "runs"))
    s, export = search(), StudyExport(storage, "sweep")
    optuna.logging.set_verbosity(optuna.logging.INFO)
    for trial_id in ("full", "stopped", "crashed", "runs still"):
        s.suggest(trial_id)
    s.on_trial_complete("full", result(28.0, 150.0))
    s.on_trial_complete("stopped", result(29.0, 140.0, step=30))
    s.on_trial_complete("crashed", None, error=True)
    with active("sweep-screen", SimpleNamespace(on_search_saved=export, write_page=None)):
        s.save(str(tmp_path / "state"))

    path = tmp_path / "runs" / "sweep" / "study.db"
    seen = optuna.load_study(study_name="sweep-screen", storage=f"sqlite:///{path}")
    assert seen.directions == s._ot_study.directions and seen.metric_names == ["psnr_y", "swd"]
    assert [t.state.name for t in seen.trials] == ["COMPLETE", "COMPLETE", "FAIL"], "none runs for ever"
    assert [t.user_attrs["trial"] for t in seen.trials] == ["full", "stopped", "crashed"]
    assert [t.values for t in seen.trials[:2]] == [[28.0, 150.0], [29.0, 140.0]]
    assert [t.constraints for t in seen.trials[:2]] == [{CONSTRAINT: 0.0}, {CONSTRAINT: 0.75}]
    assert [t.params for t in seen.trials] == [t.params for t in s._ot_study.trials[:3]]
    assert [t.number for t in seen.best_trials] == [0], "the dashboard's front holds whole trials only"
    assert capfd.readouterr().err == "", "a resumed sweep has not asked Optuna to be quiet before"


def test_the_export_waits_between_snapshots_but_not_at_the_end(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    s, export = search(), StudyExport(storage, "sweep")
    written = []
    for k in range(3):
        s.suggest(f"t{k}")
        s.on_trial_complete(f"t{k}", result(28.0 + k, 150.0))
        export(s._ot_study)
        written.append(len(export.exported))
    assert written == [1, 1, 1]
    export.write()
    assert len(export.exported) == 3
    assert [p.name for p in (tmp_path / "runs" / "sweep").iterdir()] == ["study.db"]


def test_nothing_is_written_before_a_study_was_seen_or_a_trial_has_ended(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    s, export = search(), StudyExport(storage, "sweep")
    export.write()
    assert storage.names() == []
    s.suggest("t0")
    s.on_trial_complete("t0", result(28.0, 150.0))
    export(s._ot_study)
    before = (tmp_path / "runs" / "sweep" / "study.db").stat().st_mtime_ns
    export.write()
    assert (tmp_path / "runs" / "sweep" / "study.db").stat().st_mtime_ns == before
