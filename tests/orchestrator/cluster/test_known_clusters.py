"""Clusters that were started from here: notes of `ray up`, and the cluster files that name them."""

import os

import pytest
from helpers.clusters import CLOUD, OWN, laptop, note_of_ray_up, write_cluster_file  # noqa: F401

from datasets.errors import UserError
from orchestrator.cluster import known_clusters
from orchestrator.cluster.known_clusters import KnownCluster


def test_without_ray_up_there_is_no_cluster(laptop):
    write_cluster_file(laptop, OWN)
    note_of_ray_up(laptop, OWN | {"cluster_name": "another"})
    note_of_ray_up(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "192.0.2.9"}}, "ray-config-2")
    (laptop / "ray-config-3").write_text("torn {")
    assert known_clusters.latest(laptop / "checkout") is None


def test_a_cluster_is_remembered_over_a_reboot_until_it_is_forgotten(laptop):
    path = write_cluster_file(laptop, CLOUD)
    note_of_ray_up(laptop, CLOUD | {"auth": CLOUD["auth"] | {"ssh_private_key": "~/.ssh/ray.pem"}})
    found = known_clusters.latest(laptop / "checkout")
    assert found == KnownCluster("mine", str(path), "aws", "ubuntu", str(laptop / ".ssh/ray.pem"))
    known_clusters.remember(found, laptop / "checkout")
    (laptop / "ray-config-1").unlink()
    assert known_clusters.latest(laptop / "checkout") == found
    assert known_clusters.latest(laptop / "another") is None, "of this checkout, not of its neighbour"
    known_clusters.forget(found)
    assert known_clusters.latest(laptop / "checkout") is None


def test_of_two_clusters_the_one_started_last_counts(laptop):
    write_cluster_file(laptop, CLOUD)
    write_cluster_file(laptop, OWN | {"cluster_name": "own"}, "cluster.local.yaml")
    note_of_ray_up(laptop, CLOUD)
    note_of_ray_up(laptop, OWN | {"cluster_name": "own"}, "ray-config-2")
    os.utime(laptop / "ray-config-1", (1, 1))
    assert known_clusters.latest(laptop / "checkout").name == "own"
    os.utime(laptop / "ray-config-1", (2**32, 2**32))
    assert known_clusters.latest(laptop / "checkout").name == "mine"


@pytest.mark.parametrize(
    ("text", "fault"),
    [("a: [", "cannot be read"), ("a: 1", "lacks cluster_name, provider, auth"), ("", "it lacks")],
)
def test_a_file_that_is_not_a_cluster_file_is_named(laptop, text, fault):
    (laptop / "cluster.mine.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"cluster.mine.yaml .*{fault}.*use --local to run here"):
        known_clusters.latest(laptop)


def test_the_key_that_ray_up_made_is_found_by_cluster_file(laptop):
    path = write_cluster_file(laptop, CLOUD)
    assert known_clusters.from_file(path).key == ""
    note_of_ray_up(laptop, CLOUD | {"auth": CLOUD["auth"] | {"ssh_private_key": "/keys/ray.pem"}})
    assert known_clusters.from_file(path).key == "/keys/ray.pem"


@pytest.mark.parametrize("user", ["-oProxyCommand=touch x", "a b", "", "a@b", "../x"])
def test_a_word_that_ssh_would_take_for_an_option_is_refused(user):
    with pytest.raises(UserError, match="ssh_user must be letters, digits"):
        KnownCluster("mine", "/x/cluster.yaml", "local", user, "")


def test_a_note_that_others_can_write_is_not_believed(laptop):
    write_cluster_file(laptop, CLOUD)
    note_of_ray_up(laptop, CLOUD)
    assert known_clusters.latest(laptop / "checkout") is not None
    (laptop / "ray-config-1").chmod(0o666)
    assert known_clusters.latest(laptop / "checkout") is None


def test_a_damaged_note_is_one_sentence(laptop):
    (known_clusters.home()).mkdir(parents=True)
    (known_clusters.home() / "x.json").write_text("{torn")
    with pytest.raises(UserError, match="x.json is damaged"):
        known_clusters.latest(laptop / "checkout")
