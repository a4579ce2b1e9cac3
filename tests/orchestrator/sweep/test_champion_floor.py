"""The distortion that champions of equal objectives demand, measured on the sweep's own images."""

import math
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.tiny import tiny

from datasets.address import hide
from orchestrator.registry import load_model
from orchestrator.registry.registry import Registry
from orchestrator.sweep.champion_floor import _comparable, champion_floor
from orchestrator.sweep.request import Request
from orchestrator.tracking.server import default_uri

CONFIG = tiny()
NONE = (-math.inf, "")


@pytest.fixture
def ask(tmp_path, migrated_database, monkeypatch):
    """ask(dB of each champion that there ever was, ...) -> what champion_floor answers for a sweep faces-2"""

    def go(*champions, kept=CONFIG, promoted=True):
        shutil.copy(migrated_database, tmp_path)
        uri = default_uri(tmp_path)
        registry = Registry(uri, "upsweep-faces")
        run = registry.client.create_run(
            registry.client.create_experiment("e", artifact_location="file:///t")
        )
        tags = {"upsweep.objective": kept.objective.pair}
        for number in range(1, len(champions) + 1):
            registry.register("file:///nowhere", run.info.run_id, tags, "card")
            if promoted:
                registry.promote(number, number - 1 or None)
        monkeypatch.setattr(load_model, "load_generator", lambda uri, store: (Network(uri), kept))

        def measure(network):
            return {"psnr_y": champions[network.number - 1], "swd": 1.0}

        request = Request(config=CONFIG, name="faces-2", tracking_uri=uri)
        return champion_floor(request, measure)

    return go


class Network:
    """A double of a registered network, which knows its version."""

    def __init__(self, uri):
        self.number = int(uri.rpartition("/")[2])


def test_without_a_champion_nothing_is_demanded(ask):
    assert ask(30.0, promoted=False) == NONE


def test_the_champion_may_be_missed_by_half_a_decibel(ask):
    assert ask(30.0) == (29.5, "the champion's 30.00 less 0.5")


def test_the_margin_is_not_used_up_again_at_each_promotion(ask):
    assert ask(30.0, 29.6, 29.2) == (29.5, "the first champion's 30.00 less 0.5")
    assert ask(30.0, 30.4) == (29.9, "the champion's 30.40 less 0.5")


@pytest.mark.parametrize("kept", [tiny(data__input="grey"), tiny(objective__delta_db=0.7)])
def test_a_champion_of_another_task_or_delta_demands_nothing(ask, kept):
    assert ask(30.0, kept=kept) == NONE


@pytest.mark.parametrize(
    "changes, is_comparable",
    [
        ({"optim__lr_g": 1e-5, "data__train": "elsewhere"}, True),
        ({"generator__scale": 2}, False),
        ({"objective__delta_db": 0.1}, False),
        ({"objective__max_ms": 9.0, "objective__ms_px": 512}, True),
        ({"data__degradation": "pil"}, False),
        ({"data__canny_high": 0.3}, False),
        ({"data__canny_low": 0.05}, False),
        ({"data__canny_sigma": 2.0}, False),
    ],
)
def test_scale_and_network_input_decide_what_can_be_measured_on_the_same_pairs(changes, is_comparable):
    edges = {"data__input": "edges"}
    assert _comparable(tiny(**edges | changes), tiny(**edges)) is is_comparable


def test_a_store_that_does_not_answer_demands_nothing_and_says_so():
    request = Request(config=CONFIG, name="faces", tracking_uri="http://127.0.0.1:9")
    floor, words = champion_floor(request, lambda network: {})
    assert floor == -math.inf
    assert words.startswith("the champion was not asked: no MLflow server answers")


class _FailingRegistry(BaseHTTPRequestHandler):
    """MLflow's answer to the check of an address, and status 500 to everything else."""

    def do_GET(self):
        found = "experiments/search" in self.path
        self.send_response(200 if found else 500)
        self.end_headers()
        self.wfile.write(b'{"experiments": []}' if found else b"{}")

    def log_message(self, *_):
        pass


def test_a_registry_that_fails_demands_nothing_and_says_so(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _FailingRegistry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = hide(f"http://bob:secret@127.0.0.1:{server.server_port}")
    floor, words = champion_floor(Request(config=CONFIG, name="faces", tracking_uri=uri), lambda net: {})
    server.shutdown()
    assert floor == -math.inf and "secret" not in words
    assert words.startswith("the champion was not asked: the model registry at http://***@127.0.0.1")


def test_a_store_that_does_not_exist_is_not_made(tmp_path):
    request = Request(config=CONFIG, name="faces", tracking_uri=default_uri(tmp_path))
    assert champion_floor(request, lambda network: {}) == NONE
    assert not list(tmp_path.iterdir())
