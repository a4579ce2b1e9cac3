"""Hooks of a stage: found by key while the stage runs, and never after it."""

import pickle
from types import SimpleNamespace

import pytest

from orchestrator.search.hooks import active, hooks_of
from orchestrator.sweep.tune_callback import StageCallback


def test_hooks_are_found_while_the_block_runs():
    one, other = SimpleNamespace(), SimpleNamespace()
    with active("s/screen", one):
        with active("s/confirm", other):
            assert hooks_of("s/screen") is one and hooks_of("s/confirm") is other
        assert hooks_of("s/confirm") is None
    assert hooks_of("s/screen") is None


def test_hooks_are_gone_after_a_failed_stage():
    with pytest.raises(KeyboardInterrupt), active("s/screen", SimpleNamespace()):
        raise KeyboardInterrupt
    assert hooks_of("s/screen") is None


def test_what_tune_pickles_finds_the_hooks_again_by_its_key():
    hooks = SimpleNamespace(cannot_be_pickled=lambda: None)
    with active("s/screen", hooks):
        assert pickle.loads(pickle.dumps(StageCallback("s/screen"))).hooks is hooks
