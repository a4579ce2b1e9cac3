"""The command that downloads weights: missing files, unknown metrics, and failures."""

import pytest

from datasets.errors import UserError
from experiments import fetch_weights
from experiments.fetch_weights import FetchOptions


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSWEEP_WEIGHTS", str(tmp_path))


def test_without_a_name_missing_files_are_listed_and_nothing_is_downloaded(monkeypatch, capsys):
    monkeypatch.setattr(fetch_weights, "missing", lambda needs: list(needs)[:1])
    monkeypatch.setattr(fetch_weights, "fetch", None)
    assert fetch_weights.main(FetchOptions()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lpips_alex: ") and line.endswith(" is missing") for line in lines)
    assert not any(line.startswith("psnr_y") for line in lines), "psnr_y needs no file"


def test_named_metrics_are_downloaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch_weights, "missing", lambda needs: ["a.pth"])
    monkeypatch.setattr(fetch_weights, "fetch", lambda file: tmp_path / file)
    monkeypatch.setattr(fetch_weights.METRICS["niqe"].__class__, "unavailable", lambda self: "")
    assert fetch_weights.main(FetchOptions(("niqe",))) == 0
    assert capsys.readouterr().out == f"niqe: {tmp_path / 'a.pth'}\n"


def test_an_unknown_metric_and_one_that_stays_unavailable_are_errors(monkeypatch):
    with pytest.raises(UserError, match="no metric 'lpips_alexx'.*did you mean 'lpips_alex'"):
        fetch_weights.main(FetchOptions(("lpips_alexx",)))
    monkeypatch.setattr(fetch_weights, "missing", lambda needs: [])
    monkeypatch.setattr(fetch_weights.METRICS["fid"].__class__, "unavailable", lambda self: "fid is absent")
    with pytest.raises(UserError, match="fid is absent"):
        fetch_weights.main(FetchOptions(("fid",)))
