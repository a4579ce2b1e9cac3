"""Resources that a dead trial still holds: placement groups whose maker is gone.

Ray frees the processes of a dead actor and, until its job ends, not the placement groups that it made (those
of Ray Train's controller, ray#54305). Ray Train's own cleaner asks the dashboard, which a Ray of one machine
does not have, and does not know a group that was still waiting for room.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EVERY_S = 1.0


@contextmanager
def removing_orphans() -> Iterator[None]:
    """Within the block, a group is removed moments after the actor that made it died."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(over,), name="orphans", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(over: threading.Event) -> None:
    while not over.wait(EVERY_S):
        try:
            remove_orphans()
        except Exception:  # noqa: BLE001, S112  a head that is away for a moment; the next look may succeed
            continue


def remove_orphans() -> int:
    """Remove the groups of this job whose maker is dead; how many there were."""
    import ray
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    groups = find_orphans()
    for group in groups:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(group)))
    return len(groups)


def find_orphans() -> list[bytes]:
    """Ids of the groups of this job that were made by an actor which is dead."""
    import ray
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    words: Any = gcs_pb2.PlacementGroupTableData  # type: ignore[attr-defined]
    job = bytes.fromhex(ray.get_runtime_context().get_job_id())
    no_actor = ray.ActorID.nil().binary()  # the driver itself made it: Tune's own, which frees them
    rows = state._connect_and_get_accessor().get_placement_group_table()
    tables = [words.FromString(row) for row in rows]
    return [
        t.placement_group_id
        for t in tables
        if t.creator_job_id == job
        and t.creator_actor_dead
        and t.creator_actor_id != no_actor
        and t.state != words.REMOVED
    ]
