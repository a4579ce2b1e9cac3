"""The clock of --hours: sizes for a plan, fitted again from what trials took, kept for a resumed sweep."""

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments import recipes, spaces
from experiments.common.sweep_options import SweepOptions
from orchestrator.storage import Storage
from orchestrator.sweep.clock import STATE, SweepClock, open_clock
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.resume import new_request
from orchestrator.sweep.wall_time import Pace, makespan
from orchestrator.trial.warm_starts import LONG_PHASE

PACE = Pace(psnr_step=0.05, gan_step=0.3, evaluation=0.8, start=8, test=16, ending=16, slots=2)


class Progress:
    plan = ()

    def __init__(self):
        self.said = []
        self.say = self.said.append


@pytest.fixture
def made(tmp_path):
    """A function that makes a plan and its clock, at which so many seconds have passed.

    The pace of one training takes `timing` seconds to measure.
    """

    def make(hours=0.2, passed=30.0, words=(), timing=0.0, **options):
        config = recipes.build("photos_small")
        request = new_request(
            SweepOptions(storage=str(tmp_path), config=config, hours=hours, name="s", **options), words
        )
        space = spaces.build(request.space)
        storage = Storage(str(tmp_path))
        images = {"train": SimpleNamespace(digest="d")}
        plan = SweepPlan(request.filled(space), space, storage, images)
        plan.find_architectures(False)
        time = SimpleNamespace(now=passed)
        keep = lambda text: storage.write_text(f"s/{STATE}", text)  # noqa: E731

        def alone():
            time.now += timing
            return PACE

        clock = SweepClock.start(plan, PACE, lambda: time.now, keep, alone)
        return plan, clock, time, storage

    return make


def rows(stage, count, steps, seconds):
    return [
        {"trial_id": f"{stage}-{k}", "stage": stage, "steps": steps, "seconds": seconds, "finished": True}
        for k in range(count)
    ]


def screened(plan, clock, factor=1.0):
    """Both of the first stages done, each trial `factor` times as slow as it was timed."""
    run = plan.request.config.run
    clock.learn(rows("warm", 4, run.psnr_steps, factor * PACE.psnr_phase(run.psnr_steps)))
    clock.replan(plan, "screen", Progress())
    run = plan.request.config.run
    clock.learn(rows("screen", 6, run.gan_steps, factor * PACE.gan_phase(run.gan_steps)))


def test_a_given_number_of_designs_leaves_the_steps_to_the_hours(made):
    """It was taken for the number of the whole space: a quarter of the recipe's steps was the least."""
    plan, clock, *_ = made(words=("--trials", "4"), trials=4)
    assert plan.request.trials == 4 and plan.request.config.run.psnr_steps < 2_000
    assert clock.full.trials == spaces.build("photos_small").trials > 4


def test_a_sweep_that_will_end_late_says_so_before_the_stage(made):
    plan, clock, time, _ = made()
    screened(plan, clock)
    progress = Progress()
    clock.replan(plan, "repeat", progress)
    assert not any(line.startswith("late ") for line in progress.said)
    time.now = 3600 * clock.hours + 30
    clock.replan(plan, "confirm", progress)
    late = next(line for line in progress.said if line.startswith("late "))
    assert "minutes more than the 12: steps or starts take longer" in late


def test_the_plan_has_what_the_hours_allow_and_says_what_twice_as_many_would(made):
    plan, clock, _, _ = made()
    run = plan.request.config.run
    assert 40 < run.psnr_steps < 24_000 and run.gan_steps == run.psnr_steps // 2
    assert run.eval_every_steps == run.gan_steps // 8
    assert len(plan.architectures) == len(plan.missing) <= plan.request.trials == 2
    more, *_ = made(hours=10.0)
    assert more.request.trials > 8 and more.request.config.run.gan_steps > run.gan_steps
    lines = clock.describe()
    assert lines[0].startswith("hours    0.2 h: 0.5 of 12 minutes are over; then minutes of warm ")
    assert lines[1].startswith("double   0.4 h would give 2 designs of ")
    assert lines[2].startswith("one      with less than about ")
    command = lines[3].strip()
    assert command.startswith("upsweep train --recipe photos_small --data.train "), "a line to be copied"
    assert clock.facts(plan)["hours"]["one_command"] == command, "the end of the sweep says the same"
    assert not any(line.startswith(("one ", "short ")) for line in made(hours=10.0)[1].describe())
    _, short, one, _ = made(hours=0.03)[1].describe()
    assert short.startswith("short    even the least sweep takes about 0.") and one.startswith("one ")
    _, short, *more = made(hours=0.01)[1].describe()
    assert short.startswith("short    ") and not more, "no time for one training either"


def test_the_plan_has_no_time_that_measuring_for_the_advice_took(made):
    """A sweep of half an hour began with "even the least sweep takes about 0.51 h here"."""
    _, clock, time, _ = made(timing=40.0)
    assert time.now == 70.0 and not any(line.startswith("short ") for line in clock.describe())
    _, _, time, _ = made(hours=10.0, timing=40.0)
    assert time.now == 30.0, "no advice comes with enough designs, so nothing is measured"


def test_what_is_given_wins(made):
    words = ["--run.gan-steps", "--run.eval-every-steps"]
    plan, clock, *_ = made(words=words, trials=3, repeat_top=0)
    assert plan.request.config.run.gan_steps == 12_000 and plan.request.config.run.eval_every_steps == 500
    clock.replan(plan, "screen", Progress())
    assert (plan.request.trials, plan.request.repeat_top) == (3, 0)
    assert clock.fixed == {"gan_steps": 12_000, "trials": 3, "repeat_top": 0}


def test_slower_trials_make_the_rest_smaller_and_faster_ones_larger(made):
    counts = {}
    for factor in (0.5, 1.0, 2.0):
        plan, clock, time, _ = made(hours=10)
        time.now = 2_000.0
        screened(plan, clock, factor)
        assert clock.present_pace().gan_step == pytest.approx(factor * PACE.gan_step)
        time.now = 20_000.0
        clock.replan(plan, "repeat", progress := Progress())
        counts[factor] = plan.request.repeat_top + plan.request.confirm_top * plan.request.confirm_seeds
        assert progress.plan, "the progress line counts the new sizes"
    assert counts[0.5] >= counts[1.0] >= counts[2.0] < counts[0.5]


def test_what_slows_the_warm_stage_shortens_the_gan_phases(made):
    plan, clock, time, _ = made(hours=0.5)
    before = plan.request.config.run.gan_steps
    clock.learn(rows("warm", 4, 900, 3 * PACE.psnr_phase(900)))
    time.now = 250.0
    clock.replan(plan, "screen", progress := Progress())
    assert plan.request.config.run.gan_steps < before
    assert progress.said[0].startswith("hours    4.2 of 30 minutes are over; now planned: screen ")


def test_a_machine_that_was_busy_in_the_first_stage_is_not_taken_for_a_slow_one_later(made):
    plan, clock, time, _ = made()
    clock.stage_took(80.0, rows("warm", 2, 100, 20.0))
    clock.stage_took(35.0, rows("screen", 2, 100, 20.0))
    assert clock.starts == [60.0, 15.0] and clock.present_pace().start == 15.0


@pytest.mark.parametrize("slow", [0.5, 4.0])
def test_sizes_that_are_fitted_again_keep_the_keys_of_the_warm_starts(slow, made):
    """The averaging of weights follows the GAN phase's length, and the PSNR phase averages as well."""
    plan, clock, *_ = made()
    trained, steps = list(plan.warm_keys), plan.request.config.run.gan_steps
    screened(plan, clock, slow)
    assert plan.request.config.run.gan_steps != steps
    plan.find_architectures(False)
    assert plan.warm_keys == trained


def test_screening_draws_while_there_is_time_for_the_later_stages(made):
    plan, clock, time, _ = made(hours=2.0)
    clock.replan(plan, "screen", Progress())
    assert plan.request.trials == 2 * clock.sizes["screen"]["trials"]
    assert not clock.is_spent(2)
    time.now = 6_000.0
    assert not clock.is_spent(1), "a sweep of one design compares nothing"
    assert clock.is_spent(2)
    time.now = 30.0
    assert clock.is_spent(2), "what has ended stays so"


def test_slow_screening_gives_up_no_designs_for_later_stages_that_shrink_as_well(made):
    """Two of six planned designs were screened, and the time of the four others went to repeats and seeds."""
    plan, clock, time, _ = made(hours=4.0)
    clock.replan(plan, "screen", Progress())
    planned = clock.sizes["screen"]["trials"]
    clock.learn(rows("screen", 2, gan := clock.sizes["screen"]["gan_steps"], 2.0 * PACE.gan_phase(gan)))
    psnr = clock.sizes["warm"]["psnr_steps"]
    time.now = 60.0 + 2 * PACE.psnr_phase(psnr) + PACE.start + 2.0 * PACE.gan_phase(gan)
    spent = [n for n in range(1, 2 * planned) if replace(clock).is_spent(n)]
    assert 2 < spent[0] < planned, "smaller than planned, but not at once"


def test_a_design_whose_architecture_has_no_warm_start_is_never_drawn(made):
    plan, clock, *_ = made(hours=0.04)
    drawn = plan.request.trials
    assert drawn < 4 and len(plan.architectures) <= drawn
    clock.learn(rows("warm", 2, 40, 0.01))  # fast: there is time for many more
    clock.replan(plan, "screen", Progress())
    assert plan.request.trials == drawn


def test_a_resumed_sweep_has_the_sizes_of_its_stages_and_the_remainder(made):
    plan, clock, time, storage = made(hours=0.5)
    screened(plan, clock)
    clock.stage_took(100.0, rows("screen", 6, 100, 20.0))
    time.now = 800.0
    clock.replan(plan, "repeat", Progress())
    sizes, request = dict(clock.sizes), plan.request
    again = SweepPlan(replace(request, trials=64, repeat_top=0), plan.space, storage, plan.images)
    resumed = SweepClock.resume(again, lambda: 1_200.0, storage)
    assert resumed.sizes == sizes and resumed.starts == [40.0]
    assert again.request.repeat_top == request.repeat_top
    assert again.request.config.run == request.config.run
    resumed.replan(again, "repeat", Progress())
    assert again.request == request, "a stage that had its sizes keeps them"
    resumed.replan(again, "confirm", Progress())
    clock.replan(plan, "confirm", Progress())
    steps = [p.request.config.run.gan_steps for p in (again, plan)]
    assert steps[0] < steps[1], "less time is left"
    assert json.loads(plan.storage.read_text(f"s/{STATE}"))["sizes"]["confirm"]


def test_hours_that_are_left_after_the_confirmation_become_further_seeds(made):
    """Steps that a busy machine had slowed while it was planned left a fifth and more of the hours unused."""
    plan, clock, time, storage = made(hours=0.5)
    time.now = 1_650.0
    screened(plan, clock)
    clock.replan(plan, "confirm", progress := Progress())
    first = plan.request.confirm_seeds
    assert first < clock.full.confirm_seeds and progress.fitted
    time.now = 1_300.0  # as if the confirmation had been fitted for a machine that was busy until then
    clock.add_seeds(plan, progress)
    added = plan.request.confirm_seeds - first
    assert added > 0 and f"; there is time to confirm {added} further seed" in progress.said[-1]
    stored = SweepPlan(plan.request, plan.space, storage, plan.images)
    resumed = SweepClock.resume(stored, lambda: 1_790.0, storage)
    resumed.replan(stored, "confirm", progress)
    assert stored.request.confirm_seeds == first, "the first round is read back as it was"
    resumed.add_seeds(stored, progress)
    assert stored.request.confirm_seeds == first + added, "what was added is no more asked of the time left"
    resumed.add_seeds(stored, progress)
    assert stored.request.confirm_seeds == first + added and not progress.fitted


def test_without_repeats_the_confirmation_is_planned_once_and_takes_what_is_left(made):
    """Two lines at one moment planned two seeds, then three."""
    plan, clock, time, _ = made()
    screened(plan, clock)
    time.now = 200.0
    clock.replan(plan, "repeat", progress := Progress())
    assert plan.request.repeat_top == 0 and not progress.said
    before = plan.request.config.run
    clock.replan(plan, "confirm", progress)
    after = plan.request.config.run
    assert after.psnr_steps > before.psnr_steps and after.gan_steps > before.gan_steps
    assert after.ema_decay == before.ema_decay
    (told,) = progress.said
    assert "; now planned: repeat none, confirm 1 design x 2 seeds of " in told


def test_given_steps_are_those_of_the_confirmation_too(made):
    plan, clock, time, _ = made(words=["--run.gan-steps"], trials=3)
    screened(plan, clock)
    time.now = 10.0
    clock.replan(plan, "confirm", Progress())
    assert plan.request.config.run.gan_steps == 12_000


def test_a_given_number_of_seeds_gets_no_further_ones(made):
    plan, clock, time, _ = made(hours=0.5, words=["--confirm-seeds"], confirm_seeds=1)
    screened(plan, clock)
    clock.replan(plan, "confirm", progress := Progress())
    clock.add_seeds(plan, progress)
    assert plan.request.confirm_seeds == 1 and not progress.fitted


def test_a_resumed_sweep_says_how_much_of_its_hours_is_over(made):
    plan, _, _, storage = made(hours=0.5)
    said, heartbeat = [], SimpleNamespace(seconds=lambda: 600.0)
    assert open_clock(plan, None, heartbeat, True, said.append).seconds_left == 1_200
    assert len(said) == 1 and said[0].startswith("hours    10.0 of 30 minutes are over, this start included")


def test_a_busy_machine_is_the_reason_of_a_smaller_plan(made):
    _, clock, *_ = made()
    assert not any(line.startswith("busy") for line in clock.describe())
    clock.pace = replace(clock.pace, busy=1.26)
    (told,) = (line for line in clock.describe() if line.startswith("busy"))
    assert told.startswith("busy     other programs use 1.3 CPU cores") and "the plan is smaller" in told


def test_without_hours_there_is_no_clock():
    plan = SimpleNamespace(request=SimpleNamespace(hours=0.0))
    assert open_clock(plan, None, None, False, print) is None


def simulated(plan, clock, time, factor, noise=lambda: 1.0):
    """Run a sweep of this plan on a machine that at each moment is `factor()` times as slow as it was timed.

    The time of each trial is multiplied by `noise()` besides.
    """
    slots = PACE.slots

    def stage(name, durations):
        if durations:
            time.now += factor() * PACE.start
            made = [
                row | {"seconds": s}
                for row, s in zip(rows(name, len(durations), 0, 0), durations, strict=True)
            ]
            time.now += makespan(durations, slots)
            clock.stage_took(factor() * PACE.start + makespan(durations, slots), made)
        return durations

    def phases(kind, count, steps):
        took = PACE.psnr_phase if kind == "warm" else PACE.gan_phase
        return [noise() * lasting(took(steps)) for _ in range(count)]

    def lasting(seconds):
        """In parts of ten seconds: a machine that was slow at the begin of a trial can be faster later."""
        begin, left = time.now, seconds
        while left > 0:
            part = min(10.0, left)
            time.now += factor() * part
            left -= part
        taken, time.now = time.now - begin, begin
        return taken

    def done(kind, durations, steps, mark):
        clock.learn(
            [
                {**r, "trial_id": f"{kind}{mark}-{k}", "steps": steps, "seconds": s}
                for k, (r, s) in enumerate(zip(rows(kind, len(durations), 0, 0), durations, strict=True))
            ]
        )

    psnr, derived = plan.request.config.run.psnr_steps, len(plan.derived)
    done("warm", stage("warm", phases("warm", len(plan.missing) - derived, psnr)), psnr, "")
    if derived:
        part = plan.phases[plan.derived[0]].run.psnr_steps
        done("warm", stage("warm", phases("warm", derived, part)), part, "-derived")
    clock.replan(plan, "screen", Progress())
    gan = plan.request.config.run.gan_steps
    begin, free, drawn = time.now + factor() * PACE.start, [0.0] * slots, 0
    while drawn < plan.request.trials:
        slot = free.index(min(free))
        time.now = begin + free[slot]
        if drawn and clock.is_spent(drawn):
            break
        (seconds,) = phases("screen", 1, gan)
        free[slot] += seconds
        done("screen", [seconds], gan, drawn)
        drawn += 1
    time.now = begin + max(free)
    clock.replan(plan, "repeat", Progress())
    r = plan.request
    for count in (r.repeat_top, 2 * -(-r.repeat_top // 2)):
        done("repeat", stage("repeat", phases("repeat", count, gan)), gan, count)
    clock.replan(plan, "confirm", Progress())
    r = plan.request
    psnr, gan = r.config.run.psnr_steps, r.config.run.gan_steps
    networks, begun = min(r.confirm_top, 4), 0
    while seeds := plan.request.confirm_seeds - begun:
        longer = [] if begun else phases("warm", networks, psnr + round(gan * PACE.longer))
        stage("warm", phases("warm", networks * seeds, psnr) + longer)
        done("confirm", stage("confirm", phases("confirm", r.confirm_top * seeds, gan)), gan, begun)
        begun += seeds
        clock.add_seeds(plan, Progress())
    r = plan.request
    count = r.confirm_top * r.confirm_seeds + networks
    time.now += factor() * (PACE.start + PACE.ending + makespan([PACE.test] * count, slots))
    return time.now


@pytest.mark.parametrize("hours", [0.2, 0.5, 3.0, 10.0])
@pytest.mark.parametrize("slowness", [0.7, 1.0, 1.6])
def test_a_sweep_ends_within_15_percent_on_a_machine_that_is_slower_or_faster_than_timed(
    made, hours, slowness
):
    noise = random.Random(f"{hours} {slowness}")
    for derive in (0.0, 0.0, 0.15):
        plan, clock, time, _ = made(hours=hours, derive=derive)
        is_long = plan.request.config.run.psnr_steps >= LONG_PHASE
        others = len(plan.architectures) - 1
        assert is_long == (hours >= 0.5) and len(plan.derived) == others * (derive > 0 and is_long)
        took = simulated(plan, clock, time, lambda: slowness, lambda: noise.uniform(0.85, 1.15))
        assert 0.85 <= took / (3600 * hours) <= 1.15, (took / 3600, clock.sizes)


@pytest.mark.parametrize("hours", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("slowness", [1.5, 2.5, 3.5])
def test_a_machine_that_is_busy_at_first_leaves_no_hours_unused(made, hours, slowness):
    plan, clock, time, _ = made(hours=hours)
    took = simulated(plan, clock, time, lambda: slowness if time.now < 0.15 * 3600 * hours else 1.0)
    assert 0.85 <= took / (3600 * hours) <= 1.15, (took / 3600, clock.sizes)
