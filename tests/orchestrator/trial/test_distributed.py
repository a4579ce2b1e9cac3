"""The driver of a trial of several ranks, without Ray: the reports that reach Tune, and why a trial ended."""

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayActorError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError

from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.trial import distributed, preemption
from orchestrator.trial.spec import TrialSpec

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


def test_an_error_of_no_rank_is_named_as_it_is():
    assert str(distributed._cause(RuntimeError("one\nno room for 2 ranks\n"))) == "no room for 2 ranks"
    assert str(distributed._cause(None)) == "its ranks ended without a last report"


class Queue:
    """A double of the report actor: the reports of two ranks in turn; counts the acknowledgements."""

    def __init__(self, *received):
        self.received, self.acknowledged, self.closed = list(received), 0, False
        self.receive = SimpleNamespace(remote=lambda limit: self.received.pop(0) if self.received else None)
        self.acknowledge = SimpleNamespace(remote=self._acknowledge)
        self.close = SimpleNamespace(remote=self._close)

    def _acknowledge(self):
        self.acknowledged += 1

    def _close(self):
        self.closed = True


class Tune:
    """Takes reports."""

    def __init__(self):
        self.reports = []

    def report(self, result, pointer):
        self.reports.append((result, pointer))


@pytest.fixture
def relayed(monkeypatch):
    """relayed(queue, training) -> the reports that reached Tune."""
    monkeypatch.setattr(distributed.ray, "get", lambda answer: answer)

    def relay(queue, training):
        tune = Tune()
        distributed._relay(queue, training, tune)
        return tune.reports

    return relay


def ended(error=None):
    training = Future()
    training.set_exception(error) if error else training.set_result(None)
    return training


def result(status=Status.RUNNING, step=2):
    return TrialReport(status=status, step=step).to_result()


def test_each_report_reaches_tune_and_is_acknowledged_with_silence_in_between(relayed, monkeypatch):
    waited = []
    monkeypatch.setattr(distributed, "wait_for", lambda futures, limit: waited.append(futures))
    first, last = (result(), "p/2"), (result(Status.COMPLETE, 4), "")
    queue, training = Queue(first, None, None, last), Future()
    assert relayed(queue, training) == [first, last]
    assert queue.acknowledged == 2 and queue.closed
    assert waited == [[training]], "the ranks have time to end by themselves"


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.DIVERGED, Status.FAILED])
def test_an_error_after_the_last_report_changes_nothing_and_one_before_it_is_raised(relayed, status):
    late = ended(WorkerGroupError("", {0: died()}))
    last = (result(status), "")
    assert relayed(Queue(last), late) == [last]
    with pytest.raises(RuntimeError, match="rank 0 died"):
        relayed(Queue((result(), "")), late)
    with pytest.raises(RuntimeError, match="without a last report"):
        relayed(Queue(), ended())


def test_ranks_that_left_a_taken_machine_are_tried_elsewhere(relayed):
    queue = Queue((result(Status.PREEMPTED), "p/8"))
    with pytest.raises(preemption.Preempted):
        relayed(queue, ended())
    assert queue.acknowledged == 1 and queue.closed


def test_a_rank_holds_one_core_and_its_gpu():
    spec = TrialSpec("s", "screen", "", "", {}, {})
    assert distributed.resources_per_rank(spec) == {"CPU": 1}
    assert distributed.resources_per_rank(replace(spec, gpus=1.0)) == {"CPU": 1, "GPU": 1.0}
