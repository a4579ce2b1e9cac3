"""A user's own network, loss and metric: one file, pinned by its text, which travels with the settings."""

import pickle
import subprocess
import sys

import pytest
import torch
from helpers.own_code import CODE, write
from helpers.paths import ROOT
from helpers.tiny import batch, tiny

from datasets.errors import UserError
from trainers import checkpoint, plugins
from trainers.config import digest, flatten, from_flat, override, portable
from trainers.metrics import METRICS, require
from trainers.models import build_generator
from trainers.preflight import check_plugins
from trainers.state import new_state
from trainers.train_step import TrainStep
from trainers.warm_start_key import warm_start_key


def own(path, **names):
    """Return tiny settings that name a network, a loss and a metric in the file, pinned."""
    names = {"kind": "Net", "extra": "edge_loss", "perceptual": "score"} | names
    places = {"kind": "generator.kind", "extra": "loss.extra", "perceptual": "objective.perceptual"}
    values = {places[k]: plugins.pin(places[k], f"{path}:{name}") for k, name in names.items()}
    return override(tiny(), values | {"loss.extra_weight": 0.5})


def test_a_pinned_name_has_the_hash_of_the_text_and_no_folder(tmp_path):
    path = write(tmp_path)
    first = plugins.pin("generator.kind", f"{path}:Net")
    assert plugins.parse(first)[:2] == ("mine.py", "Net") and plugins.pin("generator.kind", first) == first
    write(tmp_path, CODE + "# changed\n")
    assert plugins.pin("generator.kind", f"{path}:Net") != first
    assert plugins.pin("generator.kind", "rrdb") == "rrdb"


def test_the_text_travels_with_written_settings_and_only_with_these(tmp_path):
    path = write(tmp_path)
    config = own(path)
    path.unlink()
    written = portable(config)
    (text,) = [v for k, v in written.items() if k.startswith(plugins.CODE)]
    assert text == CODE and not any(k.startswith(plugins.CODE) for k in flatten(config))
    assert from_flat(written) == config == pickle.loads(pickle.dumps(config))
    assert digest(flatten(config)) == digest(flatten(from_flat(written)))


def test_another_process_runs_the_code_from_pickled_settings_without_the_file(tmp_path):
    path = write(tmp_path)
    (tmp_path / "config.pkl").write_bytes(pickle.dumps(own(path)))
    path.unlink()
    program = (
        "import pickle, sys; config = pickle.load(open(sys.argv[1], 'rb'))\n"
        "from trainers.preflight import check_plugins; check_plugins(config); print('ran')"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "config.pkl")]
    assert subprocess.check_output(command, cwd=ROOT, text=True) == "ran\n"


def test_another_process_reads_a_pickled_network_of_the_users_class_after_its_settings(tmp_path):
    """A promotion on a cluster sends networks to a worker, which did not know the module of their class."""
    path = write(tmp_path)
    config = own(path)
    network = build_generator(config.generator)
    (tmp_path / "pair.pkl").write_bytes(pickle.dumps((config, network)))
    path.unlink()
    program = (
        "import pickle, sys; config, network = pickle.load(open(sys.argv[1], 'rb'))\n"
        "from trainers.models import build_generator\n"
        "print(type(build_generator(config.generator)) is type(network))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "pair.pkl")]
    assert subprocess.check_output(command, cwd=ROOT, text=True) == "True\n"


def test_a_step_trains_the_network_on_the_loss_and_a_checkpoint_opens_without_the_file(tmp_path):
    path = write(tmp_path)
    config = override(own(path), {"loss.pixel_weight": 0.0, "loss.adversarial_weight": 0.0})
    path.unlink()
    state = new_state(config, "gan", torch.device("cpu"))
    before = {n: p.clone() for n, p in state.generator.named_parameters()}
    step = TrainStep(config, state)
    step(*batch())
    step.check()
    assert all(not torch.equal(p, before[n]) for n, p in state.generator.named_parameters())
    assert "gradient_norm/extra" in step.read()
    folder = checkpoint.save_generator(tmp_path, config, state.generator, {})
    network, read = checkpoint.load_generator(folder)
    assert read == config
    torch.testing.assert_close(network(batch()[1]), state.generator.eval()(batch()[1]))


def test_a_metric_has_its_direction_and_measures_pairs_of_images(tmp_path):
    path = write(tmp_path)
    low, high = (plugins.pin("objective.perceptual", f"{path}:{name}") for name in ("score", "agreement"))
    assert [m.direction for m in require([low, high])] == ["min", "max"]
    assert low in METRICS and low not in list(METRICS) and "mine.py" in METRICS[low].protocol
    check_plugins(own(path))


def test_the_warm_start_key_follows_the_network_s_text_and_not_the_loss_s(tmp_path):
    path = write(tmp_path)
    config = own(path)
    other = write(tmp_path, CODE + "# changed\n", "mine.py")
    assert warm_start_key(own(other), "d") != warm_start_key(config, "d")
    loss = override(config, {"loss.extra": plugins.pin("loss.extra", f"{other}:edge_loss")})
    assert warm_start_key(loss, "d") == warm_start_key(config, "d")


@pytest.mark.parametrize(
    ("changed", "names", "sentence"),
    [
        ("raise OSError('no card')", {}, r"generator.kind mine.py:Net-\w+: OSError: no card"),
        ("import nowhere", {}, "ModuleNotFoundError: No module named 'nowhere'"),
        ("def", {}, "SyntaxError: invalid syntax"),
        ("", {"kind": "Nett"}, "no generator.kind 'Nett'; known: .*did you mean 'Net'?"),
        ("Net = lambda config: 3", {}, "must return a torch module, but got 3"),
        ("Net = lambda config: nn.Identity()", {}, "has no parameters to train"),
        (
            "Net = lambda config: nn.Conv2d(3, 3, 1)",
            {},
            r"into \(1, 3, 128, 96\) at .*, but returns \(1, 3, 32",
        ),
        (
            "Net = lambda config: nn.Linear(5, 5)",
            {},
            r"raised RuntimeError: .* for an input of \(1, 3, 32, 24\)",
        ),
        (
            "edge_loss = lambda sr, hr: sr - hr",
            {},
            r"loss.extra mine.py:edge_loss-\w+ must return a tensor of one",
        ),
        ("edge_loss = lambda sr, hr: 0.5", {}, "a tensor of one number, but got 0.5"),
        ("edge_loss = lambda sr, hr: hr.mean()", {}, "has no gradient to the generated images"),
        ("edge_loss = lambda sr, hr: sr.gone", {}, r"loss.extra mine.py:edge_loss-\w+ raised AttributeError"),
        ("score = lambda sr, hr: None", {}, r"metric mine.py:score-\w+ must return a number, but got None"),
        ("score.direction = 'up'", {}, "must be min or max, but got 'up'"),
    ],
)
def test_code_that_does_not_work_is_one_sentence(changed, names, sentence, tmp_path):
    config = own(write(tmp_path, f"{CODE}\n{changed}\n"), **names)
    with pytest.raises(UserError, match=sentence) as refused:
        check_plugins(config)
    assert "\n" not in str(refused.value)


def test_a_file_without_a_name_or_without_a_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"loss.extra mine.py also needs the name in that file"):
        plugins.pin("loss.extra", "mine.py")
    with pytest.raises(UserError, match="gone.py cannot be read"):
        plugins.pin("loss.extra", f"{tmp_path}/gone.py:x")
    with pytest.raises(UserError, match="loss.extra_weight needs a loss of your own"):
        tiny(loss__extra_weight=1.0)
    with pytest.raises(UserError, match="the text of this file is not stored with these settings"):
        build_generator(tiny(generator__kind="mine.py:Net-000000000000").generator)
