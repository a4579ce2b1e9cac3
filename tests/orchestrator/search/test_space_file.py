"""Spaces from files of the user's own: read as text, refused in a sentence, found again when resumed."""

import pickle
import subprocess
import sys

import pytest
from helpers.own_code import CODE

from datasets.errors import UserError
from experiments import spaces
from experiments.recipes.demo import demo
from orchestrator.search import space_file
from orchestrator.search.sampler import build_search
from orchestrator.search.space import Choice, LogFloat
from orchestrator.sweep.request import Request
from orchestrator.sweep.resume import load_space
from trainers import plugins
from trainers.objectives import Objectives

CLASS = """
from orchestrator.search.space import Choice, LogFloat, Space

class Mine(Space):
    def __init__(self):
        super().__init__(name="mine", axes={"loss.adversarial_weight": LogFloat(0.01, 1)}, trials=6)

INSTANCE = Space(name="theirs", axes={"generator.num_blocks": Choice((2, 4))})
ELSE = 3
"""
TABLE = """
axes:
  generator.upsampler: [pixel_shuffle, transposed_conv]
  generator.icnr: [true, false]
  loss.adversarial_weight: {log: [1e-4, 1e-1]}
  loss.pixel_weight: {log: [1e-3, 1], or_zero: true}
only_if:
  generator.icnr: {generator.upsampler: pixel_shuffle}
points:
  - {generator.upsampler: transposed_conv, loss.adversarial_weight: 1e-3, loss.pixel_weight: 0}
trials: 12
stopping: front
"""


@pytest.fixture
def write(tmp_path):
    def go(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return go


def load(spec):
    return space_file.read(spec).space()


def test_a_class_or_an_instance_of_a_python_file(write):
    path = write("mine.py", CLASS)
    assert load(f"{path}:Mine").trials == 6
    assert load(f"{path}:INSTANCE").axes == {"generator.num_blocks": Choice((2, 4))}


def test_a_table(write):
    space = load(write("faces.yaml", TABLE))
    assert (space.name, space.trials, space.stopping) == ("faces", 12, "front")
    assert space.axes["loss.adversarial_weight"] == LogFloat(1e-4, 1e-1)
    assert space.axes["loss.pixel_weight"] == LogFloat(1e-3, 1, or_zero=True)
    weights = {"loss.adversarial_weight": 1e-3, "loss.pixel_weight?": False}
    assert space.points == ({"generator.upsampler": "transposed_conv"} | weights,)
    space.check(demo())
    assert len(space.architectures()) == 3


@pytest.mark.parametrize(
    ("name", "text", "spec", "sentence"),
    [
        ("a.py", CLASS, "a.py", "a.py also needs the name of the class in it: --space .*a.py:Name"),
        ("a.py", CLASS, "a.py:Min", "a.py:Min: no space 'Min'; known: .*Mine.*; did you mean 'Mine'"),
        (
            "a.py",
            CLASS,
            "a.py:ELSE",
            "ELSE must be an orchestrator.search.space.Space or return one, but got 3",
        ),
        ("a.py", "import nowhere_at_all", "a.py:Mine", "ModuleNotFoundError: No module named 'nowhere"),
        ("a.py", "class Mine(", "a.py:Mine", "was never closed"),
        ("a.py", "", "b.py:Mine", "b.py cannot be read"),
        ("a.yaml", "axes: [", "a.yaml", "while parsing"),
        ("a.yaml", "trials: 3", "a.yaml", "a space needs 'axes'"),
        ("a.yaml", "axes: {a.b: [1]}\ntrails: 3", "a.yaml", "no key 'trails'.*did you mean 'trials'"),
        ("a.yaml", "axes: {loss.tv_weight: 3}", "a.yaml", "loss.tv_weight must be a list of values or"),
        ("a.yaml", "axes: {loss.tv_weight: {log: [1]}}", "a.yaml", "must be a list of values or"),
    ],
)
def test_a_file_that_says_no_space_is_refused_in_a_sentence(write, tmp_path, name, text, spec, sentence):
    write(name, text)
    with pytest.raises(UserError, match=sentence) as refused:
        load(str(tmp_path / spec))
    assert "\n" not in str(refused.value)


def test_networks_of_the_user_are_read_beside_the_space_and_pinned(write, tmp_path):
    write("own.py", CODE)
    points = "points: [{generator.kind: own.py:Net}]"
    write("a.yaml", f"axes: {{generator.kind: [srresnet, 'own.py:Net']}}\n{points}")
    file = space_file.read(f"{tmp_path}/a.yaml")
    space = file.space().pinned(file.read_beside)
    (name,) = space.own_names()
    assert plugins.parse(name).file == "own.py" and space.points == ({"generator.kind": name},)
    space.check(demo())
    assert {d["generator.kind"] for d in space.architectures()} == {"srresnet", name}
    with pytest.raises(UserError, match="gone.py cannot be read"):
        space_file.read(write("b.yaml", "axes: {generator.kind: ['gone.py:Net']}")).space().pinned(
            file.read_beside
        )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axes: {generator.num_block: [1, 2]}", "no setting 'generator.num_block'; did you mean"),
        ("axes: {generator.icnr: [true]}\ntrials: 0", "trials must be a number of 1 or more, but got 0"),
        ("axes: {loss.tv_weight: {log: [2, 1]}}", "needs 0 < low < high, but got 2.0 and 1.0"),
        ("axes: {optim.lr_g: {log: [1e-5, .inf]}}", "needs 0 < low < high, but got 1e-05 and inf"),
        ("axes: {}", "space a needs at least one axis"),
        ("axes: {generator.icnr: [true]}\nonly_if: {generator.icn: {}}", "no axis 'generator.icn'"),
        (
            "axes: {generator.icnr: [true], generator.norm: [none]}\n"
            "only_if: {generator.icnr: {generator.norm: none}}",
            "generator.icnr depends on generator.norm, so it must come after it",
        ),
    ],
)
def test_a_space_that_cannot_be_swept_is_refused(write, text, sentence):
    space = load(write("a.yaml", text))
    with pytest.raises(UserError, match=sentence):
        space.check(demo())


def test_a_users_class_is_found_by_whoever_reads_the_search_again(write, tmp_path):
    spec = f"{write('mine.py', CLASS)}:Mine"
    search = build_search(load(spec), Objectives.of(demo().objective), "x", 0, [], 4)
    first = search.suggest("t0")
    search.save(str(tmp_path / "state"))
    code = (
        "import sys; from orchestrator.search import sampler, space_file\n"
        "space_file.read(sys.argv[1]).space()\n"
        "from pathlib import Path; from orchestrator.results.pages import PagedPickle\n"
        "state = PagedPickle('search').loads(Path(sys.argv[2]).read_bytes(), None)\n"
        "print(state['_ot_study'].trials[0].params)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, spec, str(tmp_path / "state")], capture_output=True, text=True
    )
    assert str(first) in done.stdout, done.stderr
    assert pickle.loads(pickle.dumps(load(spec))).trials == 6


def test_a_resumed_sweep_reads_the_text_it_kept(write, tmp_path):
    """The file itself may be gone, or may have changed since."""
    path = write("mine.py", CLASS)
    request = Request(space=f"{path}:Mine", storage=str(tmp_path / "runs"), name="s")
    before = load_space(request, spaces.build)
    assert before.space.name == "mine" and before.file.stored_name == "space.py"
    kept = tmp_path / "runs" / "s" / "submission"
    kept.mkdir(parents=True)
    (kept / before.file.stored_name).write_text(before.file.text)
    write("mine.py", "raise ValueError")
    again = load_space(request, spaces.build, resume=True)
    assert vars(again.space) == vars(before.space) and again.file == before.file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axes: {a: [1]}\naxes: {b: [1]}", "the key 'axes' is given twice"),
        ("axes:\n  a: [1]\n  a: [2]", "the key 'a' is given twice"),
        ("axes: {a: &x [1], b: *x}", "an alias .* is not supported"),
        ("axes: {a: [1, 1]}", "a lists a value twice"),
        ("axes: {a: [.nan]}", "a must be a list of values"),
        ("#" * 300_000, "it has 300,000 characters, more than 262,144"),
        ("axes: {a: [1]}\nname: 3", "'name' must be a str, but got 3"),
        ("axes: {a: [1]}\ntrials: many", "'trials' must be a int, but got 'many'"),
        ("axes: {a: [1]}\nsampler: [tpe]", "'sampler' must be a str"),
        ("axes: {a: [1]}\npoints: [3]", "a point must be a table"),
        ("axes: {a: [1]}\nonly_if: {a: 3}", "only_if of a must be a table"),
        ("axes: {a: {log: [1, 2], or_zero: maybe}}", "a must be a list of values or"),
    ],
)
def test_yaml_says_what_it_means_or_is_refused(write, text, sentence):
    with pytest.raises(UserError, match=sentence):
        load(write("a.YAML", text))
