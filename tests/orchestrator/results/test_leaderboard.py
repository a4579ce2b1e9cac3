"""Choices among rows: the best checkpoint of a trial, and the best designs."""

from helpers.rows import SWD, report_of, row

from orchestrator.results.leaderboard import best_designs, group_by_design, mean_metrics, use_best_checkpoint

CANDIDATES = (
    {"step": 0, "psnr_y": 30.2, "swd": 190.0, "checkpoint": "0"},
    {"step": 64, "psnr_y": 29.8, "swd": 110.0, "checkpoint": "64"},
    {"step": 120, "psnr_y": 29.0, "swd": 100.0, "checkpoint": "120"},  # below the floor of 29.7
)


def test_a_confirmed_trial_is_its_best_evaluated_checkpoint():
    chosen = use_best_checkpoint(row(report=report_of(candidates=CANDIDATES)), SWD)
    assert (chosen["chosen_step"], chosen["checkpoint"]) == (64, "64")
    assert chosen["metrics"]["swd"] == 110.0 and chosen["metrics"]["warm/swd"] == 190.0
    assert chosen["last"] == {"step": 120, "psnr_y": 29.0, "swd": 100.0}
    assert chosen["verdict"].endswith("; its checkpoint at step 64 counts"), "remarks are about the last one"


def test_of_equal_checkpoints_the_later_one_is_chosen():
    equal = ({**CANDIDATES[1], "step": 32, "checkpoint": "32"}, CANDIDATES[1])
    chosen = use_best_checkpoint(row(report=report_of(candidates=equal)), SWD)
    assert chosen["checkpoint"] == "64" and "counts" not in chosen["verdict"]


def test_a_row_without_candidates_stays_as_it_is():
    assert use_best_checkpoint(row(), SWD) == row()


def screened(trial_id, steps, psnr, swd, **more):
    made = row(trial_id, steps=steps, **more)
    return made | {"metrics": made["metrics"] | {"psnr_y": psnr, "swd": swd}}


def test_full_budget_before_stopped_then_the_rule():
    rows = [
        screened("stopped", 32, 32.0, 50.0),
        screened("full", 120, 30.0, 150.0),
        screened("sharper", 120, 30.0, 140.0),
        screened("further", 64, 30.0, 180.0),
        screened("diverged", 120, 12.0, 10.0, diverged=True),
        screened("never began", 0, 30.0, 10.0),
        row("warm-1", stage="warm"),
    ]
    names = [r["trial_id"] for r in best_designs(rows, SWD, 9)]
    assert names == ["sharper", "full", "further", "stopped"]
    assert [r["trial_id"] for r in best_designs(rows, SWD, 1)] == ["sharper"]
    assert best_designs([], SWD, 2) == []


def test_a_design_drawn_twice_is_confirmed_once():
    same = {"generator.num_blocks": 4}
    rows = [
        screened("early", 32, 30.0, 150.0, values=same),
        screened("again", 120, 30.0, 150.0, values=same),
        screened("other", 120, 30.0, 170.0, values={"generator.num_blocks": 2}),
    ]
    assert [r["trial_id"] for r in best_designs(rows, SWD, 3)] == ["again", "other"]


def test_a_design_is_worth_the_mean_of_its_runs_screened_and_repeated():
    lucky, steady = ({"generator.num_blocks": n} for n in (4, 8))
    rows = [
        screened("lucky", 120, 30.0, 100.0, values=lucky),
        screened("steady", 120, 30.0, 120.0, values=steady),
        screened("lucky again", 120, 30.0, 160.0, stage="repeat", values=lucky | {"run.seed": 1}),
        screened("steady again", 120, 30.0, 124.0, stage="repeat", values=steady | {"run.seed": 1}),
    ]
    assert [r["trial_id"] for r in best_designs(rows[:2], SWD, 2)] == ["lucky", "steady"]
    assert [r["trial_id"] for r in best_designs(rows, SWD, 2)] == ["steady", "lucky"]


def test_rows_are_grouped_by_design_in_order_of_appearance():
    seeds = [row(f"confirm-{k}", values={"a.b": k % 2, "run.seed": k}) for k in range(4)]
    groups = [[r["trial_id"] for r in group] for group in group_by_design(seeds).values()]
    assert groups == [["confirm-0", "confirm-2"], ["confirm-1", "confirm-3"]]


def test_mean_over_seeds_holds_what_all_seeds_hold():
    rows = [{"metrics": {"swd": 1.0, "psnr_y": 3.0, "x": 1.0}}, {"metrics": {"swd": 2.0, "psnr_y": 4.0}}]
    assert mean_metrics(rows) == {"psnr_y": 3.5, "swd": 1.5}
