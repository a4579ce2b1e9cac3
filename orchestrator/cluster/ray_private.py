"""Everything that this project uses of Ray and that Ray does not promise to keep, and nothing else.

Each function imports what it needs, because --help and commands for other machines must not wait for Ray.
tests/test_layout.py refuses such names in other files, and
tests/orchestrator/cluster/test_ray_private.py tells which of them a new release of Ray has changed.
"""

import logging
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ADDRESSES = {"RAY_API_SERVER_ADDRESS": "", "RAY_ADDRESS": ""}
"""Variables by which Ray's client replaces the address that it is given."""
CONNECT_S, READ_S = 5.0, 60.0
"""Limits of a request, in seconds: to connect, and for each wait for the answer. Ray's client has none."""
PRIVATE = {
    "RAY_AUTH_TOKEN": "",  # drawn for each
    "RAY_AUTH_TOKEN_PATH": "/dev/null",  # Ray's default is a file that every user can read
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # its setting for desktops: it listens on loopback alone
}
"""Settings of a local sweep's own Ray; those of the user count again afterwards."""
CHECK_TOKEN = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
"""Program that connects to the Ray at an address; it fails with InvalidAuthToken if our token is refused."""


def job_client(url: str, headers: Mapping[str, str], verify: bool | str) -> "JobSubmissionClient":
    """Return Ray's client for the job API at `url`, with time limits and without regard to Ray's variables.

    Args:
        headers: sent with each request.
        verify: True to check the certificate by the usual authorities, or the path of a file of authorities.

    Raises:
        OSError, RuntimeError, AuthenticationError: Ray does not answer, or refuses the headers.
    """
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # they would announce each upload
        logging.getLogger(name).setLevel(logging.ERROR)

    class Client(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
            return super()._do_request(method, endpoint, **({"timeout": (CONNECT_S, READ_S)} | more))

    with _without_addresses():
        return Client(url, headers=dict(headers), verify=verify)


@contextmanager
def sessions_of_their_own() -> Iterator[None]:
    """Start Ray's processes in sessions of their own within the block, out of reach of the group's signals.

    timeout(1), schedulers and a closed terminal signal a whole process group, and a sweep needs its Ray to
    stop cleanly. The kernel still ends these processes with the process that started them.
    """
    from ray._private import services

    original = services.ConsolePopen
    services.ConsolePopen = partial(subprocess.Popen, start_new_session=True)  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        services.ConsolePopen = original  # type: ignore[misc]


@contextmanager
def _without_addresses() -> Iterator[None]:
    """Remove the variables that name an address while the block runs."""
    kept = dict(os.environ)
    for name in ADDRESSES:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update({name: kept[name] for name in ADDRESSES if name in kept})


@contextmanager
def private_settings() -> Iterator[None]:
    """Make the Ray that starts in the block one that other users, and other machines, can do nothing with.

    It has a token of its own, which only the environment of its processes holds, and listens on the loopback
    interface alone.
    """
    import ray._raylet as raylet
    from ray._private import ray_constants

    tokens: Any = getattr(raylet, "AuthenticationTokenLoader").instance()  # noqa: B009 - unknown to mypy
    before, listens_widely = dict(os.environ), ray_constants.ENABLE_RAY_CLUSTER
    for name, value in PRIVATE.items():
        os.environ[name] = value or secrets.token_hex(32)
    os.environ.pop("RAY_AUTH_MODE", None)  # if "disabled", that is for clusters; ray.init sets it to "token"
    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray read the variable when it was imported
    tokens.reset_cache()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = listens_widely
        for name in PRIVATE:
            del os.environ[name]
        os.environ.pop("RAY_AUTH_MODE", None)
        os.environ.update({name: before[name] for name in ("RAY_AUTH_MODE", *PRIVATE) if name in before})
        tokens.reset_cache()


def head_address(cluster_file: str) -> str:
    """Return the address of a cluster's head, from its provider."""
    from ray.autoscaler._private.commands import get_head_node_ip

    return get_head_node_ip(cluster_file)


def orphaned_placement_groups() -> list[bytes]:
    """Return the ids of the placement groups of this job that an actor created which is dead now."""
    import ray
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    job = bytes.fromhex(ray.get_runtime_context().get_job_id())
    no_actor = ray.ActorID.nil().binary()  # the driver itself: Tune's own groups, which Tune removes
    table: Any = gcs_pb2.PlacementGroupTableData  # type: ignore[attr-defined]
    rows = state._connect_and_get_accessor().get_placement_group_table()
    return [
        group.placement_group_id
        for group in map(table.FromString, rows)
        if group.creator_job_id == job
        and group.creator_actor_dead
        and group.creator_actor_id != no_actor
        and group.state != table.REMOVED
    ]


def drain_this_node(reason: str, deadline_ms: int) -> None:
    """Let this node get no more work, as before a preemption at `deadline_ms` (milliseconds since 1970)."""
    import ray
    from ray import _raylet
    from ray.core.generated import autoscaler_pb2

    here = ray.get_runtime_context()
    protocol: Any = autoscaler_pb2
    client: Any = _raylet
    kind = protocol.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    client.GcsClient(address=here.gcs_address).drain_node(here.get_node_id(), kind, reason, deadline_ms)


def tune_controller() -> Any:
    """Return the class of Tune's controller, to be derived from."""
    from ray.tune.execution.tune_controller import TuneController

    return TuneController


@contextmanager
def using_tune_controller(controller: type) -> Iterator[None]:
    """Make Tuner.fit construct `controller` within the block; Tune has no public way to choose one.

    Nor does it then count callbacks for its usage statistics, for which it would import MLflow: that takes
    seconds and memory of the driver, and the statistics are off.
    """
    import ray.tune.tune

    usage: Any = ray.tune.tune.air_usage
    original, count = ray.tune.tune.TuneController, usage.tag_callbacks
    ray.tune.tune.TuneController = controller  # type: ignore[misc,assignment]
    usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        ray.tune.tune.TuneController = original  # type: ignore[misc]
        usage.tag_callbacks = count


def without_cleaner(callbacks: list[Any]) -> list[Any]:
    """Return Ray Train's callbacks without its cleaner process of placement groups."""
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

    return [callback for callback in callbacks if not isinstance(callback, PlacementGroupCleanerCallback)]
