"""experiments/cluster.py: mistakes are refused before anything is started."""

import re
import sys

import pytest
from helpers.clusters import laptop  # noqa: F401

from experiments import cluster
from experiments.common import cli
from orchestrator.cluster import launcher


def run(words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments/cluster.py", *words])
    with pytest.raises(SystemExit) as end:
        cli.run(cluster.main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["upp"], "no verb 'upp'; known: .*; did you mean 'up'?"),
        (["status"], "no cluster was started from here: start one with upsweep cluster up"),
        (["up", "--file", "nowhere.yaml"], "--file nowhere.yaml does not exist; name a cluster file"),
        (["up"], "cluster.yaml still names the storage CHANGE-ME: set UPSWEEP_STORAGE in it first"),
        (
            ["up", "--file", str(cli.ROOT / "cluster.local.yaml")],
            "cluster.local.yaml still names the storage",
        ),
    ],
)
def test_one_sentence_before_anything_is_started(laptop, capsys, monkeypatch, words, sentence):
    monkeypatch.setattr(launcher, "_ray", lambda *_: pytest.fail("Ray was called"))
    code, text = run(words, capsys, monkeypatch)
    assert code == cli.USER_MISTAKE
    assert re.search(sentence, text), text


@pytest.mark.parametrize("verb", ["status", "ui", "down", "wait"])
def test_every_verb_reaches_the_named_cluster(laptop, monkeypatch, verb):
    called = []

    def launch(cluster, *_):
        called.append(cluster.name)
        return ["a line"] if verb == "status" else 0

    monkeypatch.setattr(launcher, verb, launch)
    monkeypatch.setattr(sys, "argv", ["cluster.py", verb, "--file", str(cli.ROOT / "cluster.local.yaml")])
    assert cluster.main() == 0
    assert called == ["upsweep-own"]
