"""Ray's private parts, as the installed Ray has them: a story for each function of ray_private.

Three are told elsewhere: `orphaned_placement_groups` in test_placement_groups.py, `head_address` in
tests/cluster/test_cluster_lab.py, and what `private_settings` does to a Ray in test_connect.py.
"""

import os
import pkgutil
import sys

import pytest
from helpers.job_api import TOKEN, serving

from orchestrator.cluster import ray_private


@pytest.mark.parametrize(
    "name",
    [
        "ray._private.ray_constants.ENABLE_RAY_CLUSTER",
        "ray._private.services.ConsolePopen",
        "ray._private.state.state",
        "ray._raylet.AuthenticationTokenLoader",
        "ray._raylet.GcsClient",
        "ray._raylet.InnerGcsClient.drain_node",
        "ray.autoscaler._private.commands.get_head_node_ip",
        "ray.core.generated.autoscaler_pb2.DrainNodeReason",
        "ray.core.generated.gcs_pb2.PlacementGroupTableData",
        "ray.job_submission.JobSubmissionClient._do_request",
        "ray.train.torch.TorchTrainer._create_default_callbacks",
        "ray.train.v2._internal.callbacks.placement_group_callback.PlacementGroupCleanerCallback",
        "ray.tune.execution.tune_controller.TuneController._maybe_cache_trial_actor",
        "ray.tune.execution.tune_controller.TuneController._maybe_update_trial_queue",
        "ray.tune.tune.TuneController",
        "ray.tune.tune.air_usage.tag_callbacks",
    ],
)
def test_a_private_name_exists_in_the_installed_ray(name):
    assert pkgutil.resolve_name(name) is not None


def test_the_client_takes_its_address_not_ray_s_variables_and_limits_each_request(monkeypatch):
    import requests

    limits, real = [], requests.request

    def request(*words, **more):
        limits.append(more.get("timeout"))
        return real(*words, **more)

    monkeypatch.setattr(requests, "request", request)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://192.0.2.9:8265")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.9:6379")
    with serving() as server:
        client = ray_private.job_client(server.url, {"Authorization": f"Bearer {TOKEN}"}, True)
        assert client.list_jobs() == []
    assert os.environ["RAY_ADDRESS"] == "192.0.2.9:6379"
    assert len(limits) > 1 and set(limits) == {(ray_private.CONNECT_S, ray_private.READ_S)}


def test_ray_starts_its_processes_in_sessions_of_their_own():
    from ray._private import services

    original = services.ConsolePopen
    line = [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"]
    with ray_private.sessions_of_their_own():
        process = services.ConsolePopen(line, stdout=-1, preexec_fn=lambda: None, creationflags=0)
    assert process.communicate()[0] == b"True\n" and services.ConsolePopen is original


def test_a_private_ray_has_a_token_of_its_own_and_the_user_s_settings_count_again(monkeypatch):
    from ray._private import ray_constants

    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-user")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    listens_widely = ray_constants.ENABLE_RAY_CLUSTER
    with ray_private.private_settings():
        first = os.environ["RAY_AUTH_TOKEN"]
        assert len(first) == 64 and "RAY_AUTH_MODE" not in os.environ
        assert ray_constants.ENABLE_RAY_CLUSTER is False
    with ray_private.private_settings():
        assert os.environ["RAY_AUTH_TOKEN"] != first
    assert (os.environ["RAY_AUTH_TOKEN"], os.environ["RAY_AUTH_MODE"]) == ("of-the-user", "disabled")
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ and ray_constants.ENABLE_RAY_CLUSTER == listens_widely


def test_tune_constructs_the_given_controller_and_its_own_after_that():
    import ray.tune.tune

    original = ray_private.tune_controller()

    class Controller(original):
        pass

    with ray_private.using_tune_controller(Controller):
        assert ray.tune.tune.TuneController is Controller
        assert ray.tune.tune.air_usage.tag_callbacks([]) is False
    assert ray.tune.tune.TuneController is original


def test_the_cleaner_alone_is_left_out_of_ray_train_s_callbacks():
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    cleaner = PlacementGroupCleanerCallback.__new__(PlacementGroupCleanerCallback)
    assert ray_private.without_cleaner(["another", cleaner]) == ["another"]
