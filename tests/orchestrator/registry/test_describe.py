"""Decisions and histories as people read them."""

from types import SimpleNamespace

from orchestrator.registry.describe import describe_outcome, history
from orchestrator.registry.gate import Check, Decision
from orchestrator.registry.promote import Outcome
from orchestrator.registry.registry import Version
from orchestrator.tracking.server import default_uri

GOOD, BAD = Check("a", True, "40 gate images"), Check("b", False, "mean tint of 3.00 grey levels (at most 2)")


def outcome(*checks, version=2, forced="", uri=None, **more):
    uri = default_uri("runs") if uri is None else uri
    return Outcome(Decision(checks), "upsweep-demo", version, "card", forced, tracking_uri=uri, **more)


def test_a_decision_has_a_headline_and_a_line_for_each_check():
    assert describe_outcome(outcome(GOOD)).splitlines() == [
        "upsweep-demo v2: promoted to champion",
        "  ok   40 gate images",
        "upscale: upsweep upscale PICTURE --model models:/upsweep-demo@champion",
    ]
    assert describe_outcome(outcome(GOOD, BAD)).splitlines() == [
        "upsweep-demo v2: refused by the gate",
        "  ok   40 gate images",
        "  FAIL mean tint of 3.00 grey levels (at most 2)",
    ]


def test_a_refusal_ends_with_remedies_and_the_use_without_a_promotion():
    few = Check("evidence", False, "2 gate images", "{promote} --gate FOLDER")
    open_ = Check("c", None, "lpips -0.1 [-0.2, -0.1] against bicubic: not decided: 2 images")
    other = Check("d", False, "a tint", "another run")
    names = {"command": "upsweep promote mine", "folder": "runs/mine"}
    checks = few, open_, other, other, GOOD
    assert describe_outcome(outcome(*checks, **names)).splitlines()[1:] == [
        "  FAIL 2 gate images",
        "  ?    lpips -0.1 [-0.2, -0.1] against bicubic: not decided: 2 images",
        *["  FAIL a tint"] * 2,
        "  ok   40 gate images",
        "remedy: upsweep promote mine --gate FOLDER",
        "remedy: another run",
        "without a promotion: upsweep upscale PICTURE --model runs/mine",
    ]
    for version in (2, None):
        assert "remedy" not in describe_outcome(outcome(GOOD, version=version, **names))
    assert "remedy" not in describe_outcome(outcome(few, forced="a reason", **names))


def test_gate_images_that_are_not_the_sweep_s_own_are_named():
    said = describe_outcome(outcome(GOOD, other_gate="rooms.zip, named with --gate, not the sweep's own"))
    assert "gate images: rooms.zip, named with --gate, not the sweep's own" in said.splitlines()


def test_the_design_that_is_promoted_is_named():
    found = Outcome(Decision((GOOD,)), "upsweep-demo", 1, "card", design="PSNR network of 8 blocks")
    assert describe_outcome(found).splitlines()[1] == "  PSNR network of 8 blocks"


def test_why_it_is_no_gan_and_what_the_numbers_mean_have_lines_of_their_own():
    more = {
        "design": "PSNR network",
        "why_no_gan": "not a GAN, because b4 is worse",
        "legend": "a difference",
    }
    said = describe_outcome(outcome(GOOD, **more)).splitlines()
    assert said[1:3] == ["  PSNR network", "  not a GAN, because b4 is worse"] and said[4] == "  a difference"


def test_the_printed_command_finds_a_registry_that_is_not_in_runs():
    command = describe_outcome(outcome(GOOD, uri="sqlite:////my disk/mlflow.db")).splitlines()[-1]
    assert command.endswith("@champion --tracking-uri 'sqlite:////my disk/mlflow.db'")


def test_a_dry_run_and_an_overruled_gate_are_named():
    assert describe_outcome(outcome(BAD, version=None)).startswith("upsweep-demo (dry run): would be refused")
    assert "upscale" not in describe_outcome(outcome(GOOD, version=None)), "there is no champion to use"
    forced = describe_outcome(outcome(BAD, forced="skin looks right"))
    assert forced.startswith("upsweep-demo v2: promoted to champion against the gate (skin looks right)")


def store(*names):
    """MLflow's client with registered models of these names."""
    found = [SimpleNamespace(name=name) for name in names]
    return SimpleNamespace(search_registered_models=lambda query: found)


def test_a_history_lists_versions_with_aliases_and_events():
    tags = {"upsweep.design": "b8 bn", "upsweep.decision": "promoted", "upsweep.events": "first\nsecond"}
    versions = [Version(2, ("champion",), tags, "now"), Version(1, (), {}, "before")]
    client = store("upsweep-demo", "upsweep-mine")
    registry = SimpleNamespace(
        model="upsweep-demo", versions=lambda: versions, is_interrupted=lambda: False, client=client
    )
    assert history(registry).splitlines() == [
        "v2 [champion] b8 bn (promoted)",
        "    first",
        "    second",
        "v1  (?)",
        "other models here (--model): upsweep-mine",
    ]
    empty = SimpleNamespace(model="upsweep-demo", versions=list, is_interrupted=lambda: False, client=store())
    assert history(empty) == "no model upsweep-demo is registered"
