"""Hours in, sizes out: as large as the time allows, never less for more hours, and what is given stays."""

import itertools
import math
from dataclasses import astuple, replace

import pytest

from experiments import recipes
from orchestrator.sweep import hours
from orchestrator.sweep.hours import fit, sizes_at
from orchestrator.sweep.wall_time import Pace, Sizes, Work, seconds_of, stage_seconds
from trainers.config import flatten

FULL = Sizes(psnr_steps=24_000, gan_steps=12_000, trials=64, repeat_top=12, confirm_top=2, confirm_seeds=5)
CPU = Pace(psnr_step=0.05, gan_step=0.3, evaluation=0.8, start=8, test=16, ending=16, slots=2)
GPUS = Pace(psnr_step=0.01, gan_step=0.05, evaluation=0.5, start=15, test=8, ending=30, slots=8)
WORK = Work(architectures=4, missing=4)


def total(sizes, pace=CPU, work=WORK, first="warm"):
    return seconds_of(sizes, pace, work, first)


@pytest.mark.parametrize("pace", [CPU, GPUS, replace(CPU, slots=1)])
@pytest.mark.parametrize("fixed", [{}, {"trials": 9}, {"gan_steps": 500, "confirm_seeds": 3}])
def test_more_hours_never_give_less_of_anything(pace, fixed):
    budgets = [60 * 1.1**k for k in range(90)]
    sizes = [astuple(fit(seconds, pace, FULL, fixed, WORK)) for seconds in budgets]
    for less, more in itertools.pairwise(sizes):
        assert all(a <= b for a, b in zip(less, more, strict=True)), (less, more)
    assert sizes[0] != sizes[-1]


@pytest.mark.parametrize("pace", [CPU, GPUS])
def test_the_sizes_fit_and_one_design_more_would_not(pace):
    for seconds in (720, 3_600, 20_000, 400_000):
        sizes = fit(seconds, pace, FULL, {}, WORK)
        assert 0.7 * seconds < total(sizes, pace) <= seconds
        more = sizes_at(sizes.trials + 1, FULL, {})
        assert total(more, pace) > seconds


@pytest.mark.parametrize("seconds", [720, 3_600, 7_200, 20_000])
def test_the_confirmation_takes_what_whole_designs_leave_and_never_more(seconds):
    sizes = fit(seconds, CPU, FULL, {}, WORK)
    before = total(sizes) - total(sizes, first="confirm")
    longer = hours.stretched(seconds - before, sizes, FULL, {}, CPU, WORK)
    assert before + total(longer, first="confirm") <= seconds
    assert before + total(longer, first="confirm") > 0.94 * seconds or longer.gan_steps == FULL.gan_steps
    assert longer.psnr_steps / sizes.psnr_steps == pytest.approx(longer.gan_steps / sizes.gan_steps, rel=0.01)
    assert replace(longer, psnr_steps=0, gan_steps=0) == replace(sizes, psnr_steps=0, gan_steps=0)
    half = hours.stretched(1, sizes, FULL, {}, CPU, WORK)
    assert (half.psnr_steps, half.gan_steps) == (round(sizes.psnr_steps / 2), round(sizes.gan_steps / 2))
    assert hours.stretched(1e9, sizes, FULL, {}, CPU, WORK).gan_steps == FULL.gan_steps, "the recipe's length"
    shorter = replace(sizes, gan_steps=sizes.gan_steps // 2)
    longest = hours.stretched(1e9, shorter, FULL, {}, CPU, WORK)
    assert (longest.psnr_steps, longest.gan_steps) == (FULL.psnr_steps, FULL.gan_steps)
    without = replace(sizes, psnr_steps=0)
    never_psnr = replace(FULL, psnr_steps=0)
    assert hours.stretched(1e9, without, never_psnr, {}, CPU, WORK).gan_steps == FULL.gan_steps
    just = total(sizes, first="confirm")
    assert hours.stretched(1, sizes, FULL, {"gan_steps": sizes.gan_steps}, CPU, WORK) == sizes, "as given"
    assert hours.stretched(1.01 * just, sizes, FULL, {}, CPU, WORK) == sizes, (
        "no reason to differ from screening"
    )


def test_seeds_that_fill_an_idle_slot_are_confirmed_as_well():
    """One seed left a core idle in its GAN phase, and beside the longer PSNR phase of its comparison."""
    one = replace(
        FULL, psnr_steps=2_500, gan_steps=1_250, trials=2, repeat_top=0, confirm_top=1, confirm_seeds=1
    )
    costly = replace(CPU, longer=9.0)
    time = total(one, costly, first="confirm")
    two = hours.stretched(time, one, FULL, {}, costly, WORK)
    assert two == replace(one, confirm_seeds=2)
    assert total(two, costly, first="confirm") <= 1.02 * time
    assert hours.stretched(time, one, FULL, {"confirm_seeds": 1}, costly, WORK) == one, "as given"
    alone = replace(costly, slots=1)
    assert hours.stretched(total(one, alone, first="confirm"), one, FULL, {}, alone, WORK) == one


def test_the_full_number_of_designs_has_the_recipes_own_phases_and_beyond_it_only_designs_grow():
    assert sizes_at(64, FULL, {}) == FULL
    double = sizes_at(128, FULL, {})
    assert (double.psnr_steps, double.gan_steps) == (FULL.psnr_steps, FULL.gan_steps)
    assert (double.trials, double.repeat_top, double.confirm_seeds) == (128, 24, 5)
    half = sizes_at(32, FULL, {})
    share = (5_000 / 24_000) ** (1 / 5)
    assert (half.psnr_steps, half.trials) == (int(share * 24_000), 32)


def test_a_short_sweep_spends_its_time_on_longer_phases_of_two_designs():
    assert [sizes_at(n, FULL, {}).psnr_steps for n in (0.5, 1, 2)] == [1_250, 2_500, 5_000]
    assert [sizes_at(n, FULL, {}).trials for n in (0.5, 1, 2, 2.9, 3)] == [2, 2, 2, 2, 3]
    short = replace(FULL, psnr_steps=4_000, gan_steps=2_000)
    assert sizes_at(2, short, {}).psnr_steps == 4_000, "a recipe that is short anyway"
    few = sizes_at(1, replace(FULL, trials=2), {})
    assert (few.trials, few.psnr_steps) == (2, 12_000), "a space of two designs"


def test_what_is_given_stays_and_the_rest_takes_what_it_leaves():
    given = {"trials": 20, "gan_steps": 60}
    sizes = fit(3_600, CPU, FULL, given, WORK)
    assert (sizes.trials, sizes.gan_steps) == (20, 60)
    assert sizes.psnr_steps > fit(3_600, CPU, FULL, {}, WORK).psnr_steps


def test_the_time_from_which_there_are_enough_designs():
    enough = hours.enough_seconds(CPU, FULL, {}, WORK)
    at, before = fit(enough + 1, CPU, FULL, {}, WORK), fit(0.9 * enough, CPU, FULL, {}, WORK)
    assert before.trials < hours.ENOUGH_DESIGNS == at.trials
    few = replace(FULL, trials=3, repeat_top=2)
    whole = total(replace(few, confirm_seeds=1))
    assert hours.enough_seconds(CPU, few, {}, WORK) == whole, "a space that has no more"


def test_too_little_time_gives_the_least_sweep():
    sizes = fit(1, CPU, FULL, {}, WORK)
    assert astuple(sizes) == (hours.LEAST_PSNR, hours.LEAST_GAN, 2, 0, 1, 1)
    never_psnr = replace(FULL, psnr_steps=0)
    assert sizes_at(2, never_psnr, {}).psnr_steps == 0
    assert stage_seconds(sizes_at(8, never_psnr, {}), CPU, WORK)["warm"] == 0


def test_later_stages_are_fitted_by_themselves():
    begun = {"psnr_steps": 400, "gan_steps": 200, "trials": 8}
    sizes = fit(300, CPU, FULL, begun, WORK, first="repeat")
    assert total(sizes, first="repeat") <= 300 < total(sizes)
    longer = fit(900, CPU, FULL, begun, WORK, first="repeat")
    assert longer.repeat_top > sizes.repeat_top and longer.repeat_top <= 8
    last = fit(3_000, CPU, FULL, begun | {"repeat_top": 2}, WORK, first="confirm")
    assert last.confirm_seeds == 5 and last.confirm_top >= 2


def test_further_seeds_are_as_many_as_there_is_time_for_with_their_test():
    done = replace(FULL, psnr_steps=400, gan_steps=200, confirm_top=1, confirm_seeds=1)

    def needed(more):
        """Own PSNR phases, GAN phases, two starts, and the test of all networks and the longer PSNR one."""
        rounds = math.ceil(more / 2)
        phases = rounds * (CPU.psnr_phase(400) + CPU.gan_phase(200))
        return phases + 2 * CPU.start + CPU.start + CPU.test * math.ceil((1 + more + 1) / 2) + CPU.ending

    for more in (1, 2, 3, 4):
        assert hours.further_seeds(needed(more), done, 5, CPU, WORK) >= more
        assert hours.further_seeds(needed(more) - 0.1, done, 5, CPU, WORK) < more
    assert hours.further_seeds(1e6, done, 5, CPU, WORK) == 4
    assert hours.further_seeds(1e6, done, 1, CPU, WORK) == 0, "all that may be"


@pytest.mark.parametrize("name", ["photos_small", "photos", "srgan_8", "demo"])
def test_cadences_follow_the_phases_and_are_never_wider_than_the_recipes(name):
    run = {n: v for n, v in flatten(recipes.build(name)).items() if n.startswith("run.")}
    sizes = replace(FULL, psnr_steps=400, gan_steps=120)
    settings = hours.run_settings(sizes, run)
    assert set(settings) == set(hours.HOURS_DECIDE)
    assert settings["run.eval_every_steps"] == min(15, run["run.eval_every_steps"])
    assert settings["run.ema_decay"] <= 1 - 4 / 120 + 1e-3
    assert settings["run.log_every_steps"] <= settings["run.eval_every_steps"]
    full = replace(FULL, psnr_steps=run["run.psnr_steps"], gan_steps=run["run.gan_steps"])
    if name != "demo":
        assert hours.run_settings(full, run) == {n: run[n] for n in settings} | {
            "run.checkpoint_every_steps": settings_at(full, run)
        }


def settings_at(full, run):
    every = min(run["run.eval_every_steps"], full.gan_steps // hours.GAN_EVALUATIONS)
    return min(run["run.checkpoint_every_steps"], 3 * every)
