"""From options to a request: of a new sweep, and read back from the sweep that is resumed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file

from datasets.errors import UserError
from experiments import recipes, spaces
from experiments.common import cli
from experiments.common.sweep_options import SweepOptions, requested
from orchestrator.search.space import Choice, LogFloat, Space
from orchestrator.sweep import resume
from orchestrator.sweep.request import Request
from orchestrator.tracking.server import default_uri
from trainers import checkpoint
from trainers.config import GeneratorConfig, override
from trainers.models import build_generator
from trainers.weight_formats import public_weights


def options(tmp_path, **given):
    return SweepOptions(storage=str(tmp_path / "runs"), **given)


def new(tmp_path, **given):
    return resume.new_request(options(tmp_path, **given))


def resumed(tmp_path, **given):
    return resume.resumed_request(options(tmp_path, **given), "mine")


def existing(tmp_path, name="mine", **changes):
    """A sweep that began before; returns its request."""
    config = override(recipes.demo(), {"run.gan_steps": 40})
    own = {"trials": 3, "confirm_top": 1, "confirm_seeds": 2, "seed": 9, "gpus_per_trial": 0.5}
    own |= {"space": "balance", "tracking_uri": "sqlite:////x/mlflow.db", "storage": str(tmp_path / "runs")}
    request = Request(config=config, name=name, **own | changes)
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(
        json.dumps({"space": "balance", "request": request.to_json(), "champion_floor": {}})
    )
    return request


def test_the_space_follows_the_recipe(tmp_path):
    assert new(tmp_path).space == "demo"
    assert new(tmp_path, config=recipes.build("srgan_8")).space == "full"
    assert new(tmp_path, space="balance").space == "balance"
    assert new(tmp_path, config=recipes.build("srresnet")).space == "fidelity"
    with pytest.raises(UserError, match="--hours and --effort need a GAN phase, but run.gan_steps is 0"):
        new(tmp_path, config=recipes.build("srresnet"), hours=1.0)


def test_what_is_not_given_is_left_to_the_hours_and_the_images(tmp_path):
    assert new(tmp_path).planned == ""
    words = ["--hours", "--run.gan-steps"]  # given, though its value is the recipe's own
    request = resume.new_request(options(tmp_path, hours=2.0, trials=5), words)
    planned = request.planned.split()
    assert "run.psnr_steps" in planned and "confirm_seeds" in planned
    assert not {"run.gan_steps", "trials", "data.crop_px"} & set(planned)
    own = resume.new_request(options(tmp_path, config=recipes.build("photos")), ["--data.crop-px"])
    assert own.space == "photos" and "data.eval_crop_px" in own.planned.split()
    assert "data.crop_px" not in own.planned and "trials" not in own.planned


def test_an_effort_is_a_name_of_hours(tmp_path):
    assert new(tmp_path, effort="overnight").hours == 10.0 and new(tmp_path, hours=3.0).hours == 3.0
    with pytest.raises(UserError, match="no effort 'qick'; known: overnight, quick; did you mean 'quick'"):
        new(tmp_path, effort="qick")
    with pytest.raises(UserError, match="--effort quick is --hours 0.25; leave out one"):
        new(tmp_path, effort="quick", hours=1.0)


def test_a_public_file_is_the_network_of_every_trial_and_losses_are_what_varies(tmp_path):
    generator = GeneratorConfig(kind="compact", size='{"num_conv": 1, "num_feat": 4}')
    file = tmp_path / "public.safetensors"
    save_file(public_weights(build_generator(generator), generator), file, {"license": "MIT"})
    request = new(tmp_path, start=str(file))
    assert request.space == "finetune" and request.config.generator == generator
    assert request.config.run.psnr_steps == 0
    start = checkpoint.read_extra(Path(request.config.run.start_from))["start"]
    assert (start["source"], start["licence"]) == (str(file), "MIT")
    resume.check_not_varied(request.config, request.config, spaces.build("balance"))
    with pytest.raises(UserError, match=r"--start decides the generator, which space full varies"):
        resume.check_not_varied(request.config, request.config, spaces.build("full"))
    with pytest.raises(UserError, match=r"leave out --generator\.norm"):
        resume.new_request(options(tmp_path, start=str(file)), ["--generator.norm", "none"])


def test_data_options_are_short_for_the_dotted_names(tmp_path):
    data = new(tmp_path, train="faces", test="towers", gate="rooms").config.data
    assert (data.train, data.val, data.test, data.gate) == ("faces", "", "towers", "rooms")


def test_a_free_name_is_found(tmp_path):
    assert new(tmp_path).name == "demo"
    existing(tmp_path, "demo")
    assert new(tmp_path).name == "demo-2"
    existing(tmp_path, "demo-2")
    assert new(tmp_path).name == "demo-3"
    (tmp_path / "runs" / "demo-3").mkdir()
    assert new(tmp_path).name == "demo-3", "a folder without a sweep is no sweep"


def test_a_resumed_sweep_takes_everything_from_itself(tmp_path):
    before = existing(tmp_path, sampler="nsga2", stopping="front", hours=2.0)
    assert resumed(tmp_path) == before


def test_what_may_change_is_taken_from_the_options(tmp_path):
    existing(tmp_path)
    again = resumed(tmp_path, tracking_uri="http://10.0.0.1:5000", price_per_gpu_hour=2.5)
    assert again.tracking_uri == "http://10.0.0.1:5000", "a server may have moved meanwhile"
    assert again.price_per_gpu_hour == 2.5
    existing(tmp_path, "remote")
    again = resume.resumed_request(options(tmp_path, address="10.0.0.1:6379"), "remote")
    assert again.address == "10.0.0.1:6379", "where it runs is decided anew each time"


def test_the_words_of_the_command_that_resumes_are_no_settings(tmp_path):
    """The parser notes which options were given; a sweep keeps those that it began with."""
    began = existing(tmp_path, given="--trials --storage")
    words = [
        "--resume",
        "mine",
        "--storage",
        str(tmp_path / "runs"),
        "--local",
        "--price-per-gpu-hour",
        "2.5",
    ]
    options = cli.parse(SweepOptions, recipes.build, words)
    assert options.given, "what is tested here"
    request, _ = requested(options)
    assert (request.given, request.trials) == (began.given, began.trials)
    assert request.local and request.price_per_gpu_hour == 2.5


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"trials": 20}, "--trials"),
        ({"name": "other"}, "--name"),
        ({"train": "faces"}, "--train"),
        ({"hours": 3.0}, "--hours"),
        ({"config": override(recipes.demo(), {"optim.lr_g": 1e-3})}, "--optim.lr-g"),
    ],
)
def test_settings_beside_resume_are_refused_rather_than_ignored(tmp_path, given, named):
    existing(tmp_path)
    with pytest.raises(UserError, match=f"--resume mine uses the settings .* leave out {named}"):
        resumed(tmp_path, **given)


def test_a_sweep_that_is_not_there_cannot_be_resumed(tmp_path):
    with pytest.raises(UserError, match=r"no sweep 'mine' in .*/runs; known: none"):
        resumed(tmp_path)


def test_a_sweep_of_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    existing(tmp_path)
    path = tmp_path / "runs" / "mine" / "sweep.json"
    path.write_text(json.dumps({"request": {"config": {}, "trials": 3}}))
    with pytest.raises(UserError, match="begun by an earlier version and cannot be resumed"):
        resumed(tmp_path)


def test_a_users_space_is_read_from_the_sweep_when_its_file_is_gone(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("axes:\n  loss.adversarial_weight: [0.1, 0.2]\n")
    request = existing(tmp_path, space=str(file))
    loaded = resume.load_space(request, spaces.build)
    assert loaded.file.text == file.read_text()
    kept = tmp_path / "runs" / "mine" / "submission"
    kept.mkdir()
    (kept / loaded.file.stored_name).write_text(loaded.file.text)
    file.unlink()
    again = resume.load_space(request, spaces.build, resume=True)
    assert again.space == loaded.space
    assert resume.load_space(Request(space="balance"), spaces.build).file is None


def test_a_flag_for_a_setting_that_the_space_varies_is_refused():
    space = Space(
        "mine", {"generator.num_blocks": Choice((4, 8)), "loss.adversarial_weight": LogFloat(0.01, 1)}
    )
    recipe = recipes.build("srgan_8")
    resume.check_not_varied(override(recipe, {"optim.lr_d": 1e-5}), recipe, space)
    for name, value in {"loss.adversarial_weight": 0.5, "generator.num_blocks": 3}.items():
        with pytest.raises(
            UserError, match=f"--{name.replace('_', '-')} {value} has no effect, because space mine varies it"
        ):
            resume.check_not_varied(override(recipe, {name: value}), recipe, space)


def test_images_that_changed_are_refused(tmp_path):
    existing(tmp_path)
    path = tmp_path / "runs" / "mine" / "sweep.json"
    facts = json.loads(path.read_text()) | {"data": {"train": {"digest": "a"}}}
    floor = {"value": None, "set_by": ""}
    facts |= {
        "started": 1.0,
        "warm_starts": {"trained": 1, "reused": 0},
        "commit": "c",
        "command": "x",
        "ended": None,
    }
    facts["champion_floor"] = floor
    path.write_text(json.dumps(facts))
    from orchestrator.storage import Storage

    def plan(digest):
        images = {"train": SimpleNamespace(digest=digest)}
        request = SimpleNamespace(name="mine")
        return SimpleNamespace(request=request, storage=Storage(str(tmp_path / "runs")), images=images)

    resume.check_same_images(plan("a"))
    with pytest.raises(UserError, match="the images of data.train have changed since sweep 'mine' began"):
        resume.check_same_images(plan("b"))
    kept = {"started": 1.0, "warm_starts": {"trained": 1, "reused": 0}, "commit": "c", "command": "x"}
    kept["champion_floor"] = floor
    assert resume.kept_facts(plan("a")) == kept


def test_a_sweep_that_others_can_write_is_not_resumed(tmp_path):
    existing(tmp_path)
    space = tmp_path / "runs/mine/submission/space.py"
    space.parent.mkdir()
    space.write_text("")
    assert resumed(tmp_path).name == "mine"
    space.chmod(0o666)
    with pytest.raises(
        UserError, match="space.py may be written by other users, and a resumed sweep runs code"
    ):
        resumed(tmp_path)


def test_a_moved_sweep_is_resumed_and_recorded_where_it_is_now(tmp_path):
    """Neither the folder nor the database where it began is made anew."""
    existing(tmp_path, tracking_uri=default_uri(tmp_path / "runs"))
    (tmp_path / "runs").rename(tmp_path / "moved")
    request = resume.resumed_request(SweepOptions(storage=str(tmp_path / "moved")), "mine")
    assert request.filled(spaces.build("balance")).tracking_uri == default_uri(tmp_path / "moved")
    assert request.work_dir == tmp_path / "moved" and not (tmp_path / "runs").exists()
