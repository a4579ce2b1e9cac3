"""The report tells the answer first, escapes everything, and needs nothing but itself."""

import json
import re
from html.parser import HTMLParser

import pytest
from helpers.fake_sweep import fake_strip, fake_sweep

from orchestrator.report import build_report
from orchestrator.report.data import against_pick, by_image, read
from orchestrator.report.importance import column, importances, varied
from orchestrator.report.sentences import checkpoint_choice, headline, how_sure, verdicts
from orchestrator.report.svg import Axis, Mark, plane


class Page(HTMLParser):
    """What a browser would see: tags, text outside scripts, and every address."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.addresses, self.ids = [], [], [], []
        self.size = path.stat().st_size
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "data") and value:
                self.addresses.append(value)
            assert not name.startswith("on"), f"{tag} carries {name}"
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def test_the_answer_comes_first_with_gain_seeds_and_cost(tmp_path):
    fake_sweep(tmp_path)
    page = Page(build_report(tmp_path))
    assert re.search(r"adv=0\.1 wins, swd 3\d% better than bicubic, 3\d% better than its warm", page.text)
    assert "2 seeds, 31 test images: 2 of 2 beat bicubic and 2 of 2 beat their own warm start." in page.text
    assert "Fewer than 5 seeds: an estimate, not a claim." in page.text
    assert "15 trials screened" in page.text and "12 min on the clock" in page.text
    assert page.text.index("wins") < page.text.index("Perception against distortion")


def test_the_page_needs_no_network_and_stays_small(tmp_path):
    fake_sweep(tmp_path)
    fake_strip(tmp_path / "trials" / "confirm-0-s1" / "strip.png")
    page = Page(build_report(tmp_path))
    assert page.addresses and all(address.startswith("data:image/webp") for address in page.addresses)
    assert page.size < 300_000
    assert page.tags.count("svg") == 3 + 4 + 1 and page.tags.count("img") == 1


def test_every_run_has_a_line_and_diverged_numbers_are_not_shown(tmp_path):
    _, rows = fake_sweep(tmp_path)
    page = Page(build_report(tmp_path))
    assert {r["trial_id"] for r in rows} <= set(page.ids)
    assert "diverged: adversarial at step 33" in page.text and "300" not in page.text.split()


def test_five_seeds_are_enough_for_a_claim(tmp_path):
    fake_sweep(tmp_path, seeds=5)
    assert how_sure(read(tmp_path)) == (
        "5 seeds, 31 test images: 5 of 5 beat bicubic and 5 of 5 beat their own warm start."
    )


def test_designs_are_told_apart_from_the_pick_only_with_enough_seeds(tmp_path):
    fake_sweep(tmp_path, seeds=2)
    metric, words = against_pick(read(tmp_path))
    assert metric == "psnr_y"
    assert words["b8 bn transposed adv=0.01"].startswith("not enough evidence (+0.")
    fake_sweep(tmp_path, seeds=5)
    words = against_pick(read(tmp_path))[1]
    assert words["b8 bn transposed adv=0.01"].startswith("beats (+0.")
    assert words["b4 no-bn"].startswith("loses to (-0.")
    assert "against the pick, psnr_y" in Page(build_report(tmp_path)).text


def test_the_pick_is_held_against_bicubic_and_its_warm_start_image_by_image(tmp_path):
    _, rows = fake_sweep(tmp_path)
    told = by_image(read(tmp_path))
    assert re.match(r"By test image: psnr_y against bicubic: beats \(\+1\.\d+ \[\+1\.", told)
    assert "psnr_y against its warm start: loses to (-0.01 [" in told
    assert told in Page(build_report(tmp_path)).text
    for row in rows:
        row.pop("per_image", None)
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert by_image(read(tmp_path)) == ""


def test_designs_that_share_a_label_are_two_designs(tmp_path):
    _, rows = fake_sweep(tmp_path)
    for r in rows:
        if r["stage"] in ("confirm", "test"):
            r["design"] = "same"
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    designs = read(tmp_path).designs
    assert sorted(d.name for d in designs) == ["same", "same #2", "same #3"]
    assert [len(d.rows) for d in designs] == [2, 2, 2]


def test_a_price_gives_every_run_and_the_sweep_a_cost(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    assert "cost" not in Page(build_report(tmp_path)).text.split()
    for r in rows:
        r |= {"gpu_hours": 0.5, "cost": 1.25}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"gpu_hours": 12.5, "cost": 31.25}))
    text = Page(build_report(tmp_path)).text
    assert "cost 31.25 for 12.50 GPU-hours" in text and text.split().count("1.25") == len(rows)


def test_the_shipped_checkpoint_is_told_from_the_last_one(tmp_path):
    _, rows = fake_sweep(tmp_path)
    picked = next(r for r in rows if r["trial_id"] == "confirm-0-s1")
    picked |= {"chosen_step": 180, "last": {"step": 240, "psnr_y": 25.0, "swd": 33.25}}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    told = checkpoint_choice(read(tmp_path))
    assert told.startswith("The checkpoint at step 180 of 240 ships (swd ")
    assert told.endswith("the last: swd 33.2, psnr_y 25.00.")
    assert told in Page(build_report(tmp_path)).text


POISON = (
    "<script>alert(1)</script>\n\"'><img src=x onerror=alert(2)> &amp; ]]> --> {{x}} \u202e" + "A" * 10_000
)


def test_poisoned_names_appear_as_text_only(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    clean = Page(build_report(tmp_path))
    for key in (
        "name",
        "recipe",
        "command",
        "hardware",
        "experiment",
        "tracking_uri",
        "commit",
        "pick_reason",
    ):
        sweep[key] = POISON
    sweep["data"] = {POISON: {"spec": POISON, "digest": POISON, "n": 1}}
    sweep["versions"] = {POISON: POISON}
    for r in rows:
        r |= {"verdict": POISON, "mlflow_run_id": POISON, "strip": POISON, "protocol": {POISON: POISON}}
        r["values"] = {POISON: POISON}
        r["design"] += POISON
        r["trial_id"] += POISON
        if "of" in r:
            r["of"] += POISON
    sweep["pick"] += POISON
    sweep["front"] = [identity + POISON for identity in sweep["front"]]
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    page = Page(build_report(tmp_path))
    assert page.tags.count("script") == clean.tags.count("script") == 1
    assert "img" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_strips_that_are_no_pictures_or_cut_short_are_left_out(tmp_path):
    _, rows = fake_sweep(tmp_path)
    for r in rows:
        r["strip"] = "sweep.json"
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    cut = tmp_path / "trials" / "confirm-0-s1" / "strip.png"
    fake_strip(cut)
    cut.write_bytes(cut.read_bytes()[:300])
    assert "img" not in Page(build_report(tmp_path)).tags


def test_a_sweep_without_a_pick_or_without_rows_says_so(tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    sweep |= {"pick": None, "front": [], "pick_reason": "no confirmed design reaches the floor of 24.90 dB"}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert headline(read(tmp_path)).startswith(
        "No model is recommended: no confirmed design reaches the floor"
    )
    build_report(tmp_path)
    (tmp_path / "leaderboard.json").unlink()
    for key in ("pick", "pick_reason", "front", "cpu_hours", "gpu_hours"):
        sweep.pop(key, None)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"status": "running", "ended": None}))
    assert "No model is recommended: the sweep is running." in Page(build_report(tmp_path)).text


def test_verdicts_that_differ_by_a_number_are_one_group(tmp_path):
    fake_sweep(tmp_path)
    groups = dict(verdicts(read(tmp_path)))
    assert len(groups["diverged: adversarial at step …"]) == 1
    assert len(groups["screened out at step … of …"]) > 1


def test_the_setting_that_decides_is_named_first(tmp_path):
    fake_sweep(tmp_path, trials=40)
    facts = read(tmp_path)
    rows = [r for r in facts.of_stage("screen") if r["rung"] is None and not r["diverged"]]
    found = importances(facts, rows, varied(rows))
    assert max(found, key=found.get) == "loss.adversarial_weight"
    assert found["loss.adversarial_weight"] > 0.7 and sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("trials", [3, 40])
def test_trials_that_all_come_to_the_same_value_have_a_report(tmp_path, trials):
    """As where the adversarial loss is too weak to show in so few steps."""
    _, rows = fake_sweep(tmp_path, trials=trials)
    for r in rows:
        r["metrics"] |= {"psnr_y": 26.0, "swd": 46.0}
        r["curve"] = [[step, 26.0, 46.0] for step, *_ in r["curve"]]
        r |= {"per_image": {k: [26.0] * 31 for k in r["per_image"]}} if "per_image" in r else {}
        r |= {"rung": None} if r["stage"] == "screen" else {}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    page = build_report(tmp_path).read_text()
    assert "What the settings did" in page and "nan" not in page
    assert ("All came to the same value: no importances" in page) == (trials == 40)
    assert column("psnr_y", [26.0, 26.0]).labels == [(0.5, "26")]


def test_settings_that_only_some_trials_have_or_that_never_vary_are_left_out():
    rows = [{"values": {"a": 1, "b": 2, "c": True}}, {"values": {"a": 1, "b": 3}}]
    assert varied(rows) == ["b"]
    assert varied(rows[:1]) == []


def test_a_setting_over_decades_lies_on_a_logarithmic_axis_and_names_lie_evenly():
    assert column("x", [0.001, 0.01, 0.1]).places == pytest.approx([0, 0.5, 1])
    assert column("x", [1.0, 1.5, 2.0]).places == pytest.approx([0, 0.5, 1])
    assert column("x", ["none", "batch", "none"]).places == [0, 1, 0]
    assert column("generator.num_blocks", [16, 4, 8]).labels == [(0.0, "4"), (0.5, "8"), (1.0, "16")]


def test_axis_ticks_are_round_and_strays_are_drawn_on_the_border():
    axis = Axis([24.1, 26.3], 0, 100)
    assert axis.ticks() == pytest.approx([24.0, 24.5, 25.0, 25.5, 26.0])
    assert axis(1000) == 100 and axis(-1000) == 0
    marks = [Mark(x, x, "stopped", "") for x in range(40)] + [Mark(9_999, 1, "stopped", "")]
    assert 'cx="704.0"' in plane(marks, [], "swd", "psnr_y")
    assert Axis([5.0, 5.0], 0, 100)(5.0) == pytest.approx(50)
