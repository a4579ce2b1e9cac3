"""The wall time of a sweep's stages: slots, shared and derived PSNR phases, parts that add up."""

from dataclasses import replace

from orchestrator.sweep.wall_time import Pace, Sizes, Work, makespan, seconds_of, stage_seconds

FULL = Sizes(psnr_steps=24_000, gan_steps=12_000, trials=64, repeat_top=12, confirm_top=2, confirm_seeds=5)
CPU = Pace(psnr_step=0.05, gan_step=0.3, evaluation=0.8, start=8, test=16, ending=16, slots=2)
WORK = Work(architectures=4, missing=4)


def test_derived_warm_starts_take_their_part_of_the_time():
    whole = stage_seconds(FULL, CPU, WORK)["warm"]
    derived = stage_seconds(FULL, CPU, replace(WORK, derived=3, share=0.15))["warm"]
    phase, part = CPU.psnr_phase(FULL.psnr_steps), CPU.psnr_phase(int(0.15 * FULL.psnr_steps))
    assert whole == CPU.start + 2 * phase, "four phases in two slots"
    assert derived == CPU.start + phase + CPU.start + 2 * part
    few = replace(WORK, derived=3, share=0.15)
    assert stage_seconds(replace(FULL, trials=1), CPU, few)["warm"] == CPU.start + phase


def test_the_stages_from_one_on_and_before_another_add_up():
    stages = stage_seconds(FULL, CPU, WORK)
    assert list(stages) == ["warm", "screen", "repeat", "confirm", "test"]
    assert seconds_of(FULL, CPU, WORK) == sum(stages.values())
    assert seconds_of(FULL, CPU, WORK, "screen", "confirm") == stages["screen"] + stages["repeat"]
    assert seconds_of(FULL, CPU, WORK, "confirm", "confirm") == 0


def test_trials_start_in_order_as_soon_as_a_slot_is_free():
    assert makespan([], 2) == 0
    assert makespan([3.0, 1.0, 1.0, 1.0], 2) == 3.0
    assert makespan([1.0, 1.0, 1.0], 2) == 2.0
    assert makespan([1.0] * 5, 1) == 5.0
