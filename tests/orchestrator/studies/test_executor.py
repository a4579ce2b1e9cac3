"""Executors: what ended, in which order results come, and what a training raised."""

import time

import pytest

from orchestrator.studies import executor


def test_a_training_ends_once_and_its_error_is_raised_as_itself(monkeypatch):
    def train(job):
        if job == "bad":
            raise KeyError("lost")

    monkeypatch.setattr(executor, "run_training", train)
    with executor.open_executor(ray=False, gpus=0, slots=1) as pool:
        pool.submit("a", "good")
        pool.submit("b", "bad")
        ended = set()
        while ended != {"a", "b"}:
            ended |= pool.ended(5)
        pool.result("a")
        with pytest.raises(KeyError, match="lost"):
            pool.result("b")
        assert pool.ended(0) == set()


def test_waiting_ends_after_the_timeout(monkeypatch):
    monkeypatch.setattr(executor, "run_training", lambda job: time.sleep(0.3))
    with executor.open_executor(ray=False, gpus=0, slots=1) as pool:
        pool.submit("a", "slow")
        assert pool.ended(0.05) == set() and pool.ended(5) == {"a"}
