"""A design near another one: small steps, within its axes, each setting sometimes drawn anew."""

import random

from orchestrator.search.perturb import FACTORS, RESAMPLE_PROBABILITY, perturb
from orchestrator.search.space import Choice, Derived, LogFloat, Space

WEIGHT, RATE, KIND = "loss.adversarial_weight", "optim.lr_g", "loss.adversarial"
TV, PIXEL = "loss.tv_weight", "loss.pixel_weight"
SPACE = Space(
    name="near",
    axes={
        WEIGHT: LogFloat(0.01, 1.0),
        RATE: Choice((4e-4, 1e-4, 2e-4)),
        KIND: Choice(("standard", "relativistic")),
        PIXEL: LogFloat(0.1, 1.0, or_zero=True),
        TV: Derived((RATE,), (((1e-4,), 0.0), ((2e-4,), 1.0), ((4e-4,), 2.0))),
    },
    only_if={PIXEL: {KIND: "standard"}},
)
NOW = {WEIGHT: 0.1, RATE: 2e-4, KIND: "standard", PIXEL: 0.5, TV: 1.0}


class Draws:
    """A generator of given numbers: `random` returns them in turn, `choice` takes the given place."""

    def __init__(self, numbers, place=0):
        self.numbers, self.place = list(numbers), place

    def random(self):
        return self.numbers.pop(0)

    def choice(self, values):
        return values[self.place]


def test_numbers_take_one_step_and_everything_else_is_kept():
    keep = [RESAMPLE_PROBABILITY] * 9
    down, up = (perturb(SPACE, NOW, Draws(keep, place)) for place in (0, -1))
    assert down == {WEIGHT: 0.1 * FACTORS[0], RATE: 1e-4, KIND: "standard", PIXEL: 0.5 * FACTORS[0], TV: 0.0}
    assert up == {WEIGHT: 0.1 * FACTORS[1], RATE: 4e-4, KIND: "standard", PIXEL: 0.5 * FACTORS[1], TV: 2.0}


def test_steps_end_where_the_axis_ends():
    keep = [RESAMPLE_PROBABILITY] * 9
    low = perturb(SPACE, NOW | {WEIGHT: 0.0101, RATE: 1e-4}, Draws(keep, 0))
    high = perturb(SPACE, NOW | {WEIGHT: 0.99, RATE: 4e-4}, Draws(keep, -1))
    assert (low[WEIGHT], low[RATE]) == (0.01, 1e-4)
    assert (high[WEIGHT], high[RATE]) == (1.0, 4e-4)


def test_a_setting_drawn_anew_lies_anywhere_on_its_axis():
    drawn = perturb(SPACE, NOW, Draws([0.0, 0.5, *[0.0] * 9], place=-1))
    assert drawn[WEIGHT] == 0.01 * 100**0.5, "the middle of a logarithmic scale"
    assert drawn[KIND] == "relativistic" and PIXEL not in drawn, "its condition no longer holds"


def test_each_setting_has_one_chance_in_four_to_be_drawn_anew():
    draw = random.Random(0)
    kinds = [perturb(SPACE, NOW, draw)[KIND] for _ in range(2000)]
    assert 0.10 < kinds.count("relativistic") / 2000 < 0.15, "half of the draws give the old value again"


def test_a_value_off_its_axis_is_drawn_anew():
    draw = random.Random(0)
    assert {perturb(SPACE, NOW | {RATE: 7e-4}, draw)[RATE] for _ in range(100)} == {1e-4, 2e-4, 4e-4}


def test_an_axis_that_is_off_stays_off_unless_it_is_drawn():
    draw = random.Random(0)
    values = [
        v for _ in range(2000) if (v := perturb(SPACE, NOW | {PIXEL: 0.0}, draw).get(PIXEL)) is not None
    ]
    assert 0.84 < values.count(0.0) / len(values) < 0.91
    assert all(0.1 <= v <= 1.0 for v in values if v)
