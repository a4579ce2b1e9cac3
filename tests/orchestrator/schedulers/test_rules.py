"""The rules of early stopping, each against its definition on values with many ties."""

import random

import pytest

from orchestrator.schedulers.rules import (
    RULES,
    Rung,
    RungEntry,
    epsilon_net,
    feasible_first,
    nondominated_sorting,
    single_objective,
)
from trainers.objectives import dominates, front_ranks


def rung_of(entries):
    rung = Rung()
    for k, entry in enumerate(entries):
        rung.add(f"t{k}", entry)
    return rung


def test_feasible_entries_come_first_then_perception_counts():
    below = RungEntry((28.0, -90.0), floor=28.5)
    near = RungEntry((28.4, -150.0), floor=28.5)
    kept = RungEntry((28.6, -180.0), floor=28.5)
    sharp = RungEntry((28.5, -120.0), floor=28.5)
    assert sorted([below, near, kept, sharp], key=lambda e: e.key) == [sharp, kept, near, below]


@pytest.mark.parametrize("seed", range(20))
def test_feasible_first_counts_what_its_definition_counts(seed):
    draw = random.Random(seed)  # few values, so that many are equal in one coordinate or both
    entries = [
        RungEntry((float(draw.randint(0, 4)), float(draw.randint(0, 4))), float(draw.randint(0, 4)))
        for _ in range(40)
    ]
    rung = rung_of(entries)
    assert rung.front == sorted(
        {e.point for e in entries if not any(dominates(o.point, e.point) for o in entries)}
    )
    for entry in entries:
        ahead = [o for o in entries if o.key < entry.key and not dominates(entry.point, o.point)]
        on_front = not any(dominates(o.point, entry.point) for o in entries)
        kept = on_front and entry.point[0] >= entry.floor
        assert feasible_first(entry, rung) == (0 if kept else len(ahead))
        assert single_objective(entry, rung) == sum(o.point[1] > entry.point[1] for o in entries)


@pytest.mark.parametrize("seed", range(10))
def test_front_ranks_are_those_of_the_definition(seed):
    """Against the definition: front k is what nothing dominates once the fronts before it are gone."""
    draw = random.Random(seed)
    points = sorted({(draw.randint(0, 9), draw.randint(0, 9)) for _ in range(60)}, reverse=True)
    found, left, rank = dict(zip(points, front_ranks(points), strict=True)), set(points), 0
    while left:
        layer = {p for p in left if not any(dominates(q, p) for q in left)}
        assert {p for p in left if found[p] == rank} == layer
        left, rank = left - layer, rank + 1


def test_nondominated_sorting_prefers_an_earlier_front_then_distant_points():
    def ahead(point):
        return nondominated_sorting(RungEntry(point, 0.0), rung_of(recorded))

    first = [(30.0, -200.0), (29.9, -198.0), (29.0, -150.0), (28.0, -100.0)]
    recorded = [RungEntry(p, 0.0) for p in [*first, (28.5, -160.0), (27.0, -120.0)]]
    assert [ahead(p) for p in first] == [1, 3, 2, 0], "the twin of an extreme comes last of its front"
    assert ahead((28.5, -160.0)) >= 4 and ahead((27.0, -120.0)) >= 4
    assert epsilon_net([(1.0, 1.0)]) == [(1.0, 1.0)]


def test_every_rule_has_its_name_and_one_stops_trials_that_no_gan_loss_moves():
    counts = {name: rule.count_ahead for name, rule in RULES.items()}
    named = {"feasible_first": feasible_first, "front": nondominated_sorting, "asha": single_objective}
    assert counts == named
    assert [name for name, rule in RULES.items() if rule.needs_gan_loss] == ["feasible_first"]


def test_a_rung_knows_its_front_and_what_is_dominated():
    rung = rung_of(RungEntry(p, 0.0) for p in [(1.0, 1.0), (2.0, 0.0), (0.0, 0.5), (1.0, 1.0), (1.5, 1.5)])
    assert rung.front == [(1.5, 1.5), (2.0, 0.0)] and len(rung) == 5
    assert rung.is_dominated((1.0, 1.5)) and not rung.is_dominated((1.5, 1.5))
    assert not rung.is_dominated((3.0, -1.0)) and not Rung().is_dominated((0.0, 0.0))
    assert list(rung.entries) == [f"t{k}" for k in range(5)], "in order of arrival"
