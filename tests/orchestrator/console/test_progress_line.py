"""The progress line: counts, and the arithmetic of the time left."""

import io
import time

import pytest
from rich.console import Console

from datasets.text import format_duration
from orchestrator.console.progress_line import ProgressLine, StagePlan

PLAN = [StagePlan("warm", 2, 100, 0), StagePlan("screen", 4, 0, 50, 0.5), StagePlan("confirm", 2, 100, 50)]


def progress(slots=1):
    return ProgressLine(PLAN, slots, Console(file=io.StringIO(), force_terminal=False))


def test_no_time_left_is_given_before_a_step_was_timed():
    p = progress()
    p.begin("warm")
    assert p.seconds_left() is None
    assert "estimating the time left" in p.line()
    p.step("a", "psnr", 50, 10.0)
    assert p.seconds_left() is None, "one report may hold minutes of start-up"


def test_fewer_runs_than_planned_are_told_with_the_reason_and_more_are_counted():
    p = progress()
    p.begin("screen")
    p.expect(3)
    assert "screen 0 of 4 done" in p.line()
    p.expect(5)
    assert "screen 0 of 5 done" in p.line()
    p.expect(3, "the money is spent")
    p.expect(3, "the money is spent")
    assert "screen 0 of 3 done" in p.line()
    assert p.console.file.getvalue().count("screen: 3 of 5 planned, because the money is spent") == 1
    p.stage = "test"
    p.expect(3, "a stage without a plan has nothing to expect")


def test_how_far_a_sweep_has_come_is_a_phrase():
    p = progress()
    assert p.in_words() == "starting, 0:00 so far, estimating the time left"
    p.begin("warm")
    p.step("a", "psnr", 0, 0.0)
    p.step("a", "psnr", 100, 10.0)
    p.end("a")
    assert p.in_words() == "warm 1 of 2 done, 0:00 so far, about 1:10 left"  # (100 + 200 + 400) * 0.1


def test_the_line_and_the_phrase_count_alike_and_say_the_stage_in_words():
    """--status said "confirm-warm 1 of 6 done", a stage of no plan, while the line said 0/6."""
    out = io.StringIO()
    plan = [StagePlan("confirm-warm", 2, 100, 0), StagePlan("confirm", 1, 0, 100)]
    with ProgressLine(plan, 1, Console(file=out, force_terminal=False)) as p:
        p.begin("confirm-warm")
        p.step("a", "psnr", 0, 0.0)
        p.plain_at -= 11  # the last line was printed eleven seconds ago
        p.end("a")
        counted = "confirm (PSNR phases) 1 of 2 done"
        assert p.in_words().startswith(f"{counted}, ") and p.line().startswith(f"{counted} | ")
        assert out.getvalue().splitlines()[-1].startswith(counted), "at once, not after 20 seconds"
        p.expect(1, "the time is over")
        p.begin("confirm")
    assert "confirm (PSNR phases): 1 of 2 planned, because" in out.getvalue()
    assert "confirm (PSNR phases) done: 1 run" in out.getvalue() and "confirm-warm" not in out.getvalue()


def test_while_sizes_follow_from_the_hours_what_is_left_of_them_is_left():
    """After a resume, the old plan gave "2:21 of 6:00 so far, about 6:18 left"."""
    p = progress()
    p.hours, p.began = 0.1, p.began - 141
    p.begin("warm")
    p.step("a", "psnr", 0, 0.0)
    p.step("a", "psnr", 100, 10.0)
    assert p.in_words() == "warm 0 of 2 done, 2:21 of 6:00 so far, about 3:38 left"
    p.late = True
    assert p.in_words() == "warm 0 of 2 done, 2:21 of 6:00 so far, about 1:10 left"


def test_the_time_left_passes_while_nothing_is_reported(monkeypatch):
    """A confirmed run reports every half minute or so: "about 1:47 left" stood still."""
    p = progress()
    p.begin("warm")
    p.step("a", "psnr", 50, 5.0)
    p.step("a", "psnr", 100, 10.0)
    now = time.monotonic()
    before, said = p.seconds_left(), p.in_words()
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    assert said.endswith(f"about {format_duration(before)} left")
    assert p.in_words().endswith(f"about {format_duration(before - 30)} left")
    p.step("a", "psnr", 200, 40.0)
    assert p.in_words().endswith(f"about {format_duration(p.seconds_left())} left"), "a report is better"
    monkeypatch.setattr(time, "monotonic", lambda: now + 900)
    assert p.in_words().endswith("about 0:00 left")


@pytest.mark.parametrize("slots", [1, 2])
def test_time_left_by_hand(slots):
    p = progress(slots)
    p.begin("warm")
    p.step("a", "psnr", 0, 3.0)
    p.step("a", "psnr", 50, 8.0)  # 0.1 s a step; a GAN step is taken for 2
    # warm 200 - 50, screen 4 * 50 * 2 * 0.5, confirm 2 * (100 + 100)
    assert p.seconds_left() == pytest.approx((150 + 200 + 400) * 0.1 / slots)
    p.step("a", "psnr", 100, 13.0)
    p.end("a")
    assert p.seconds_left() == pytest.approx((100 + 200 + 400) * 0.1 / slots)


def test_measured_gan_steps_replace_the_guess():
    p = progress()
    p.begin("warm")
    p.step("a", "psnr", 0, 0.0)
    p.step("a", "psnr", 100, 10.0)
    p.begin("screen")
    p.step("t", "gan", 0, 0.0)
    p.step("t", "gan", 10, 5.0)  # 0.5 s: five PSNR steps
    # screen 4 * 50 * 5 * 0.5 less the 10 done, confirm 2 * (100 + 50 * 5)
    assert p.seconds_left() == pytest.approx((500 - 50 + 700) * 0.1)


def test_what_comes_after_the_last_step_is_expected_of_the_others():
    p = ProgressLine([StagePlan("run", 3, 100, 0)], 1, Console(file=io.StringIO()))
    p.begin("run")
    p.step("a", "psnr", 0, 1.0)
    p.step("a", "psnr", 100, 11.0)  # 0.1 s a step
    assert p.seconds_left() == pytest.approx(200 * 0.1)
    p.end("a", seconds=41.0)  # it was measured for 30 s
    assert p.seconds_left() == pytest.approx(200 * 0.1 + 2 * 30)
    p.step("b", "psnr", 0, 1.0)
    p.step("b", "psnr", 100, 11.0)
    assert p.seconds_left() == pytest.approx(100 * 0.1 + 2 * 30)
    p.end("b")
    assert p.seconds_left() == pytest.approx(100 * 0.1 + 30)


def test_a_sweep_whose_warm_starts_are_there_already():
    p = ProgressLine([StagePlan("warm", 0, 100, 0), *PLAN[1:]], 1, Console(file=io.StringIO()))
    p.begin("screen")
    p.step("t", "gan", 0, 0.0)
    p.step("t", "gan", 10, 4.0)  # 0.4 s, taken for two PSNR steps
    assert p.seconds_left() == pytest.approx((4 * 50 * 2 * 0.5 - 20) * 0.2 + 2 * (100 + 100) * 0.2)


def test_the_time_left_is_never_negative():
    p = progress()
    p.begin("screen")
    for trial in "abcd":
        p.step(trial, "gan", 0, 0.0)
        p.step(trial, "gan", 50, 5.0)  # early stopping was expected and stopped nobody
    assert p.seconds_left() >= 0
    for trial in "abcd":
        p.end(trial)
    p.begin("test")
    assert p.seconds_left() is None, "nothing tells how long a test takes"
    p.beside = {"screen": 5.0, "test": 30.0}
    assert 29 < p.seconds_left() <= 30
    p.stage_began -= 60
    assert p.seconds_left() == 0


def test_what_stages_take_beside_their_trials_is_part_of_the_time_left():
    p = progress()
    p.beside = {"screen": 5.0, "confirm": 10.0, "test": 30.0}
    p.begin("screen")
    p.step("t", "gan", 0, 0.0)
    p.step("t", "gan", 10, 1.0)
    without = p.seconds_left()
    p.beside = {}
    assert without == pytest.approx(p.seconds_left() + 40)


def test_a_trial_that_goes_back_to_its_checkpoint_counts_no_negative_steps():
    p = progress()
    p.begin("warm")
    p.step("a", "psnr", 50, 5.0)
    p.step("a", "psnr", 20, 6.0)
    p.step("a", "psnr", 50, 9.0)
    assert p.steps["psnr"] == 30 and p.seconds["psnr"] == pytest.approx(3.0)


def test_the_line_says_stage_count_note_and_time():
    p = progress()
    p.begin("screen")
    p.note = "best swd 120 at 30.00 dB"
    p.step("a", "gan", 10, 1.0)
    p.end("a")
    said = p.line()
    assert said.startswith("screen 1 of 4 done | 0:0") and said.endswith(" | best swd 120 at 30.00 dB")
    p.begin("confirm")
    assert "best swd" not in p.line()


def test_nodes_that_join_or_leave_are_printed_once_and_change_the_time_left():
    p = progress(1)
    p.begin("warm")
    p.step("a", "psnr", 0, 3.0)
    p.step("a", "psnr", 50, 8.0)
    before = p.seconds_left()
    for slots in (1, 2, 2, 1):
        p.set_slots(slots)
        assert p.seconds_left() == pytest.approx(before / slots)
    said = p.console.file.getvalue().splitlines()
    assert said[-2:] == ["nodes have joined: 2 trials at once", "nodes have left: 1 trial at once"]


def test_without_a_terminal_a_line_now_and_then():
    out = io.StringIO()
    p = ProgressLine(PLAN, 1, Console(file=out, force_terminal=False))
    with p:
        p.begin("warm")
        for step in range(20):
            p.step("a", "psnr", step, step / 10)
    assert out.getvalue().count("\n") <= 2, "not one line per report"


def test_on_sixty_columns_the_line_stays_one_row():
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    with ProgressLine(PLAN, 1, console) as p:
        p.begin("warm")
        p.note = "best swd 137.6 at 29.43 dB (bicubic swd 166.1 at 28.91 dB)"
        p.show()
        [row] = console.render_lines(p.live.renderable)
        assert len(p.line()) > 60 and "the time left" in "".join(segment.text for segment in row)


def test_a_stage_that_is_over_leaves_a_line_and_one_that_failed_leaves_none():
    out = io.StringIO()
    with pytest.raises(KeyError):
        with ProgressLine(PLAN, 1, Console(file=out, force_terminal=False, width=60)) as p:
            p.begin("warm")
            p.step("a", "psnr", 100, 10.0)
            p.end("a")
            p.note = "best swd 137.6 at 29.43 dB (bicubic swd 166.1 at 28.91 dB)"
            p.begin("warm")
            p.begin("screen")
            raise KeyError
    lines = [line for line in out.getvalue().splitlines() if " done" in line and "left" not in line]
    (line,) = lines
    assert line.startswith("warm done: 1 run in 0:0") and line.endswith("(bicubic swd 166.1 at 28.91 dB)")
    with ProgressLine(PLAN, 1, Console(file=out, force_terminal=False)) as p:
        p.begin("test")
    assert out.getvalue().splitlines()[-1].startswith("test done in 0:0")


def test_a_stage_without_planned_runs_is_not_spoken_of():
    """A fidelity sweep has no warm starts and no repeats."""
    out = io.StringIO()
    plan = [StagePlan("warm", 0, 0, 0), StagePlan("screen", 1, 100, 0), StagePlan("repeat", 0, 0, 0)]
    with ProgressLine(plan, 1, Console(file=out, force_terminal=False)) as p:
        p.begin("warm")
        p.begin("screen")
        p.step("a", "psnr", 100, 10.0)
        p.end("a")
        p.begin("repeat")
    assert "screen done: 1 run" in out.getvalue()
    assert "warm" not in out.getvalue() and "repeat" not in out.getvalue()


def test_colours_are_for_terminals_alone():
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=40, _environ={"TERM": "xterm-256color"})
        with ProgressLine(PLAN, 1, console) as p:
            p.begin("warm")
        assert ("\x1b[" in out.getvalue()) == terminal
