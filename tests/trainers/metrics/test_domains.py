"""FD- and KD-domains: a classifier that learns its domains, and distances with known endings."""

import numpy as np
import pytest

from trainers.metrics import domains
from trainers.metrics.frechet import kernel_distance


def images(colour, count=24, seed=0):
    rng = np.random.default_rng(seed)
    base = np.zeros((20, 20, 3)) + colour
    return [np.clip(base + rng.normal(0, 25, base.shape), 0, 255).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "domains.safetensors"
    right = domains.train_classifier([images((180, 60, 60)), images((60, 60, 180), seed=1)], 16, path)
    return str(path), right


def test_it_learns_to_tell_the_domains_apart_and_is_the_same_each_time(classifier, tmp_path):
    path, right = classifier
    assert right > 0.95
    again = tmp_path / "again.safetensors"
    domains.train_classifier([images((180, 60, 60)), images((60, 60, 180), seed=1)], 16, again)
    assert again.read_bytes() == open(path, "rb").read()
    assert domains.protocol(path).startswith("64 features of domain classifier ")


def test_a_set_is_near_itself_and_far_from_the_other_domain(classifier):
    path, _ = classifier
    own, blurred, other = images((180, 60, 60)), images((170, 66, 66), seed=2), images((60, 60, 180), seed=3)
    zero, near, far = (domains.distances(x, own, path) for x in (own, blurred, other))
    assert zero["fd_domains"] == pytest.approx(0, abs=1e-6)
    assert zero["fd_domains"] < near["fd_domains"] < far["fd_domains"]
    assert near["kd_domains"] < far["kd_domains"]


def test_pairs_that_belong_together_do_not_pull_the_kernel_distance_below_zero():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        a = rng.normal(0, 2, (40, 8))
        found.append(
            (domains.paired_kernel_distance(a, a + rng.normal(0, 1e-3, a.shape)), kernel_distance(a, a))
        )
    paired, unpaired = np.mean(found, axis=0)
    assert abs(paired) < 1e-2 < -unpaired, "without the own pairs: no bias; with them: far below 0"
