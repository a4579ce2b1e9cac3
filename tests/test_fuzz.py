"""Any input from outside, of each kind, is a result or one sentence: never a traceback, never a hang.

By default a few derandomised inputs of each kind; `-m slow` tries 5,000 of each.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.archives import packed
from helpers.hostile_images import JPEG, NOISE, PNG, SMOOTH, WEBP, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets import address, codec
from datasets.errors import Rejected, UserError
from datasets.manifest import MANIFEST, Split, parse_index, parse_manifest
from datasets.remote_shards import is_url
from datasets.shard_reader import _shard_samples, read_manifest
from datasets.sources import ZipSource, keys_for
from experiments import recipes
from orchestrator.cluster.known_clusters import check_word
from orchestrator.registry.registry import MODEL_NAME
from orchestrator.results import sweep_folder
from orchestrator.search.space_file import SpaceFile
from orchestrator.storage import Storage
from orchestrator.sweep.claim import last_beat
from orchestrator.sweep.request import Request
from orchestrator.tracking import server
from trainers import checkpoint
from trainers.inference.image_io import read

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged metadata
GOOD_SPACE = """
name: mine
axes:
  generator.num_blocks: [5, 8]
  loss.adversarial_weight: {log: [1e-4, 1e-1], or_zero: true}
points: [{generator.num_blocks: 5, loss.adversarial_weight: 0}]
trials: 8
"""
GOOD_FACTS = {"name": "s", "status": "finished", "started": 1.0, "ended": 2.0, "pick": "a", "request": {}}
GOOD_ROWS = [{"stage": "confirm", "trial_id": "a", "verdict": "", "checkpoint": None}]
GOOD_BEAT = {"host": "h", "pid": 1, "at": 1.0, "seconds": 2.0, "ended": False}
PROGRESSIVE = io.BytesIO()
Image.fromarray(NOISE).save(PROGRESSIVE, "JPEG", progressive=True)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def damaged(*bases: bytes) -> st.SearchStrategy[bytes]:
    """Return one of `bases` with some bytes set, cut off, doubled, or put in."""
    edit = st.tuples(st.floats(0, 1), st.sampled_from(("set", "cut", "double", "put")), st.binary(max_size=6))

    def apply(base: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
        for share, how, new in edits:
            at = int(share * len(base))
            middle = {"set": new, "put": new, "cut": b"", "double": base[at : at + 64] * 2}[how]
            after = {"set": at + len(new), "put": at, "cut": len(base), "double": at + 64}[how]
            base = base[:at] + middle + base[after:]
        return base

    return st.builds(apply, st.sampled_from(bases), st.lists(edit, max_size=4))


@st.composite
def spaces(draw: Callable[..., Any]) -> str:
    """Return the text of a YAML space: any values for its keys, or a good one that was damaged."""
    if draw(st.booleans()):
        return draw(damaged(GOOD_SPACE.encode())).decode("utf-8", "replace")
    axis = values | st.fixed_dictionaries({"log": st.lists(st.floats() | st.integers(), max_size=3)})
    names = st.sampled_from(("generator.num_blocks", "generator.norm", "loss.tv_weight", "optim.lr_g", "x"))
    content = {"axes": draw(st.dictionaries(names, axis, max_size=3) | values)}
    content |= draw(
        st.dictionaries(st.sampled_from(("name", "points", "only_if", "trials", "sampler")), values)
    )
    return yaml.safe_dump(content)


def read_space(text: str) -> None:
    SpaceFile("x.yaml", text).space().check(recipes.demo())


def read_name(text: str) -> None:
    keys_for([text])
    MODEL_NAME.fullmatch(text)
    for check in (
        lambda: Request(name=text)._check_ranges(),
        lambda: check_word("ssh_user", text),
        lambda: sweep_folder.read_facts(Storage("/nonexistent"), text),
    ):
        try:
            check()
        except UserError as error:
            one_sentence(error)


def read_address(text: str) -> None:
    shown = address.hide(text)
    assert address.reveal(shown) == text or address.MASK in text
    assert address.masked(address.masked(text)) == address.masked(text)
    server.database_path(text)
    for check in (lambda: address.split(text, "--x"), lambda: is_url(text)):
        try:
            check()
        except UserError as error:
            one_sentence(error)


def one_sentence(error: Exception) -> None:
    assert 0 < len(str(error)) < 3000 and "Traceback" not in str(error)


class Files:
    """A folder with one file of each kind of ours, and the readers that are tried on damaged copies."""

    def __init__(self, folder: Path) -> None:
        (folder / "photos").mkdir()
        for name, data in (("a.png", PNG), ("b.jpg", JPEG), ("c.webp", WEBP)):
            (folder / "photos" / name).write_bytes(data)
        self.folder, self.shards = folder, packed(folder / "photos", folder / "shards")
        self.manifest = read_manifest(str(self.shards))
        self.split: Split = self.manifest.splits["all"]
        self.tar = (self.shards / self.split.shards[0].file).read_bytes()
        self.index = (self.shards / self.split.index.file).read_bytes()
        self.storage = Storage(str(folder / "runs"))
        self.run = folder / "run"
        self.run.mkdir()

    def kinds(self) -> dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], object]]]:
        texts = st.text(max_size=80)
        url = st.builds(
            "{}://{}@{}/{}?{}".format, st.sampled_from(("http", "s3", "postgresql")), *[texts] * 4
        )
        ours = [json.dumps(v).encode() for v in (GOOD_FACTS, GOOD_ROWS, GOOD_BEAT)]
        pictures = damaged(JPEG, PNG, WEBP, PROGRESSIVE.getvalue())
        archive = zipped(("a.png", PNG), ("b/c.jpg", JPEG), compress=zipfile.ZIP_DEFLATED)
        return {
            "space": (spaces(), read_space),
            "name": (texts, read_name),
            "address": (texts | url, read_address),
            "manifest": (
                damaged((self.shards / MANIFEST).read_bytes()) | values.map(lambda v: json.dumps(v).encode()),
                lambda data: parse_manifest(data, "m"),
            ),
            "index": (damaged(self.index), lambda data: parse_index(data, self.split, "i")),
            "tar": (damaged(self.tar), self.read_tar),
            "zip": (damaged(archive), self.read_zip),
            "image": (pictures, codec.decode),
            "picture": (pictures, self.read_picture),
            "json": (damaged(*ours) | values.map(lambda v: json.dumps(v).encode()), self.read_ours),
        }

    def read_tar(self, data: bytes) -> None:
        list(_shard_samples(io.BytesIO(data), self.split.shards[0], "t"))

    def read_zip(self, data: bytes) -> None:
        (self.folder / "a.zip").write_bytes(data)
        source = ZipSource(self.folder / "a.zip")
        for member in source.members():
            source.read(member)

    def read_picture(self, data: bytes) -> None:
        (self.folder / "a.png").write_bytes(data)
        read(self.folder / "a.png")

    def read_ours(self, data: bytes) -> None:
        for name in ("sweep.json", "leaderboard.json", "alive.json", "stages/warm.json"):
            self.storage.write_bytes(f"s/{name}", data)
        for name in ("manifest.json", "config.json", "extra.json"):
            (self.run / name).write_bytes(data)
        for check in (
            lambda: sweep_folder.read_facts(self.storage, "s"),
            lambda: sweep_folder.read_rows(self.storage, "s"),
            lambda: sweep_folder.read_stage(self.storage, "s", "warm"),
            lambda: sweep_folder.newest_sweep(self.storage),
            lambda: last_beat(self.storage, "s"),
            lambda: checkpoint.verify(self.run),
            lambda: checkpoint.read_config(self.run),
            lambda: checkpoint.read_extra(self.run),
        ):
            try:
                check()
            except UserError as error:
                one_sentence(error)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    assert SMOOTH.shape
    return Files(tmp_path_factory.mktemp("fuzz")).kinds()


KINDS = ("space", "name", "address", "manifest", "index", "tar", "zip", "image", "picture", "json")

CHECKED_BY_READER = ("name", "address", "json")
"""Kinds whose readers above look at each answer and each refusal themselves."""


def fuzz(kinds: dict[str, Any], kind: str, inputs: int) -> Counter[str]:
    """Return how many inputs gave a result and how many one sentence; any other ending fails the test."""
    strategy, reader = kinds[kind]
    endings: Counter[str] = Counter()

    @settings(max_examples=inputs, derandomize=True, database=None, deadline=10_000,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def once(value: Any) -> None:
        try:
            reader(value)
            endings["result"] += 1
        except (UserError, Rejected) as error:
            one_sentence(error)
            endings["sentence"] += 1

    once()
    return endings


@pytest.mark.parametrize("kind", KINDS)
def test_any_input_is_a_result_or_one_sentence(kinds, kind, monkeypatch):
    monkeypatch.setenv(address.VARIABLE, "{}")
    endings = fuzz(kinds, kind, 40)
    assert endings.total() >= 40, "an input that was neither"
    assert bool(endings["sentence"]) == (kind not in CHECKED_BY_READER)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_inputs_are_a_result_or_one_sentence_each(kinds, kind, monkeypatch):
    monkeypatch.setenv(address.VARIABLE, "{}")
    assert fuzz(kinds, kind, 5000).total() >= 5000
