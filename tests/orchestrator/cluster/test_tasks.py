"""Ray tasks in order, their exceptions, their retries, and results as they arrive."""

import os
import time

import pytest

from datasets.errors import UserError
from orchestrator.cluster.connect import connect
from orchestrator.cluster.tasks import TaskPool, run_tasks

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def ray_of_two_cores():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.cluster.connect.usable_cpus", lambda: 2)
        with connect(None):
            yield


def test_results_come_in_the_order_of_arguments():
    def slow_first(number, seconds):
        time.sleep(seconds)
        return 10 * number

    assert run_tasks(slow_first, [(1, 0.3), (2, 0.0), (3, 0.0)]) == [10, 20, 30]
    assert run_tasks(slow_first, []) == []


def test_a_task_raises_what_the_function_raised_without_a_retry(tmp_path):
    def fail():
        with open(tmp_path / "calls", "a") as file:
            file.write("x")
        raise UserError("the gate images are gone")

    with pytest.raises(UserError, match=r"^the gate images are gone$") as caught:
        run_tasks(fail, [()])
    assert "in fail" in str(caught.value.__cause__), "the worker's traceback"
    assert (tmp_path / "calls").read_text() == "x"


def test_a_task_whose_process_dies_starts_again(tmp_path):
    def die_once():
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return "done"

    assert run_tasks(die_once, [()]) == ["done"]


def test_a_task_asks_for_one_core_and_its_share_of_a_gpu():
    import ray

    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    assert run_tasks(assigned, [()]) == [{"CPU": 1.0}]
    pool = TaskPool(assigned, gpus=0.5)  # this Ray has no GPU, so the task waits for ever
    pool.submit("waits")
    assert pool.ended(0.5) == set()


def test_a_result_can_be_had_before_slower_tasks_end():
    def sleep(seconds):
        time.sleep(seconds)
        if not seconds:
            raise ValueError("too short")
        return seconds

    pool = TaskPool(sleep)
    assert pool.ended(10.0) == set(), "without tasks there is nothing to wait for"
    pool.submit("long", 60.0)
    pool.submit("short", 0.0)
    deadline = time.monotonic() + 30
    while not (ended := pool.ended(0.2)) and time.monotonic() < deadline:
        pass
    assert ended == {"short"}
    with pytest.raises(ValueError, match="too short"):
        pool.result("short")
    assert pool.ended(0.0) == set()
