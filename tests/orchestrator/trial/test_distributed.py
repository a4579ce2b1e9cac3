"""The driver of a trial of several ranks, without Ray: whose words reach Tune, and why a trial ended."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayActorError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError

from orchestrator.trial import distributed, preemption

LOST = UserExceptionWithTraceback(
    RuntimeError(), "Traceback:\n  gloo\nRuntimeError: Connection closed by peer\n"
)


def died(**words):
    error = RayActorError(**words) if words else ActorDiedError()
    return WorkerHealthCheckFailedError("A worker health check failed.\nWorker info: ...", error)


@pytest.mark.parametrize(
    ("failures", "sentence"),
    [
        ({0: LOST, 1: died()}, "rank 1 died: The actor died unexpectedly before finishing this task."),
        ({1: LOST}, "rank 1: RuntimeError: Connection closed by peer"),
        ({0: ValueError("")}, r"rank 0: ValueError\(''\)"),
    ],
)
def test_the_rank_that_was_first_to_fail_is_named_in_one_line(failures, sentence):
    found = distributed._cause(WorkerGroupError("two ranks", failures))
    with pytest.raises(RuntimeError, match=f"^{sentence}$"):
        raise found


def test_a_taken_machine_is_no_failure_whatever_the_other_ranks_say():
    taken = died(error_msg="the node was reclaimed", preempted=True)
    assert isinstance(distributed._cause(WorkerGroupError("", {0: LOST, 1: taken})), preemption.Preempted)


def test_what_is_no_rank_s_fault_is_said_as_it_is():
    assert str(distributed._cause(RuntimeError("one\nno room for 2 ranks\n"))) == "no room for 2 ranks"
    assert str(distributed._cause(None)) == "its ranks ended without a last word"


class Line:
    """What two ranks would say, one word after the other; counts the answers."""

    def __init__(self, *words):
        self.words, self.answers = list(words), 0
        self.hear = SimpleNamespace(remote=lambda limit: self.words.pop(0) if self.words else None)
        self.answer = SimpleNamespace(remote=self._answer)
        self.leave = SimpleNamespace(remote=lambda: self.words.clear())

    def _answer(self):
        self.answers += 1


class Tune:
    """Takes reports."""

    def __init__(self):
        self.reports = []

    def report(self, payload, pointer):
        self.reports.append((payload, pointer))


@pytest.fixture
def relayed(monkeypatch):
    """relayed(line, training) -> what Tune was told."""
    monkeypatch.setattr(distributed.ray, "get", lambda answer: answer)

    def relay(line, training):
        tune = Tune()
        distributed._relay(line, training, tune)
        return tune.reports

    return relay


def ended(error=None):
    training = Future()
    training.set_exception(error) if error else training.set_result(None)
    return training


def test_each_report_reaches_tune_and_is_answered_with_silence_in_between(relayed, monkeypatch):
    waited = []
    monkeypatch.setattr(distributed, "wait_for", lambda futures, limit: waited.append(futures))
    first, last = ({"step": 2, "complete": 0}, "p/2"), ({"step": 4, "complete": 1}, "")
    line, training = Line(first, None, None, last), Future()
    assert relayed(line, training) == [first, last]
    assert line.answers == 2 and waited == [[training]], "the ranks have time to end by themselves"


def test_an_error_after_the_last_word_changes_nothing_and_one_before_it_is_raised(relayed):
    late = ended(WorkerGroupError("", {0: died()}))
    told = ({"failed": "no warm start", "complete": 0}, "")
    assert relayed(Line(told), late) == [told]
    with pytest.raises(RuntimeError, match="rank 0 died"):
        relayed(Line(({"step": 2, "complete": 0}, "")), late)
    with pytest.raises(RuntimeError, match="without a last word"):
        relayed(Line(), ended())


def test_ranks_that_left_a_taken_machine_are_tried_elsewhere(relayed):
    with pytest.raises(preemption.Preempted):
        relayed(Line(({"yielded": 1}, "p/8")), ended())
