"""Placement groups of dead actors are removed; those of living actors and of the driver stay."""

import time

import pytest

from orchestrator.cluster.connect import connect
from orchestrator.cluster.placement_groups import remove_orphans, removing_orphans
from orchestrator.cluster.ray_private import orphaned_placement_groups

pytestmark = pytest.mark.ray


def until(condition):
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def test_only_groups_of_dead_actors_are_removed(monkeypatch):
    monkeypatch.setattr("orchestrator.cluster.connect.usable_cpus", lambda: 2)
    with connect(None):
        import ray
        from ray.util.placement_group import placement_group

        @ray.remote(num_cpus=0)
        class Creator:
            def create(self):
                self.group = placement_group([{"CPU": 1}])
                return ray.get(self.group.ready()) and self.group.id.binary()

        of_driver = placement_group([{"CPU": 1}])
        ray.get(of_driver.ready())
        creator = Creator.remote()
        group = ray.get(creator.create.remote())
        assert orphaned_placement_groups() == [] and remove_orphans() == 0
        ray.kill(creator)
        assert until(orphaned_placement_groups) == [group]
        with removing_orphans():
            until(lambda: orphaned_placement_groups() == [])
            until(lambda: ray.available_resources().get("CPU") == 1)
        assert ray.util.placement_group_table(of_driver)["state"] == "CREATED"
