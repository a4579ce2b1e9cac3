"""Removal of placement groups whose creator is dead, so that the next trial gets their resources.

Ray frees the processes of a dead actor but, until its job ends, not the placement groups that it created
(those of Ray Train's controller, ray#54305). Ray Train's own cleaner asks the dashboard, which a Ray of one
machine does not have, and does not know a group that was still waiting for resources.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.cluster import ray_private

EVERY_S = 1.0


@contextmanager
def removing_orphans() -> Iterator[None]:
    """Within the block, remove each group about a second after the actor that created it died."""
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
        except Exception:  # noqa: BLE001, S112  a head that is unreachable for a moment; the next attempt may succeed
            continue


def remove_orphans() -> int:
    """Remove the groups of this job whose creator is dead; return their number."""
    import ray
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    groups = ray_private.orphaned_placement_groups()
    for group in groups:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(group)))
    return len(groups)
