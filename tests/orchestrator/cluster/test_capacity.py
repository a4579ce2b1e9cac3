"""The size of a cluster, now and at most, and how many trials run on it at once."""

import json
from functools import partial

import pytest
from helpers.clusters import node

from orchestrator.cluster import capacity
from orchestrator.cluster.capacity import Capacity, LiveCapacity, Size


def test_busy_cores_are_those_that_were_not_idle(monkeypatch):
    texts = iter(["cpu  100 0 100 700 100 0 0 0 0 0\ncpu0", "cpu  200 0 150 750 100 0 0 0 0 0\ncpu0"])
    monkeypatch.setattr(capacity.Path, "read_text", lambda path: next(texts))
    monkeypatch.setattr(capacity.os, "cpu_count", lambda: 4)
    assert capacity.busy_cpus(0.0) == pytest.approx(4 * 150 / 200)
    monkeypatch.setattr(capacity.Path, "read_text", lambda path: open("/nowhere").read())
    assert capacity.busy_cpus(0.0) == 0, "a system without /proc does not tell"


@pytest.mark.parametrize(
    ("gpus", "cpus", "per_trial", "slots"),
    [
        (0, 2, 1.0, 2),
        (1, 8, 1.0, 1),
        (1, 8, 0.5, 2),
        (4, 3, 0.5, 3),
        (8, 64, 0.25, 32),
        (0, 0, 1.0, 1),
        (2, 8, 0.6, 2),  # a share never spans two GPUs
        (2, 8, 0.4, 4),
        (2, 8, 0.3333, 6),
        (2, 8, 0.3334, 4),
        (1, 64, 0.1, 10),
    ],
)
def test_slots(gpus, cpus, per_trial, slots):
    assert Capacity("here", True, 1, cpus, gpus).slots(per_trial, 1) == slots


@pytest.mark.parametrize(
    ("gpus", "cpus", "ranks", "slots"), [(0, 5, 2, 2), (8, 64, 4, 2), (8, 6, 2, 3), (7, 64, 2, 3)]
)
def test_slots_of_trials_with_several_ranks(gpus, cpus, ranks, slots):
    assert Capacity("here", True, 1, cpus, gpus).slots(float(ranks), ranks) == slots


def test_capacity_follows_its_nodes_but_trials_keep_asking_for_a_gpu_or_for_none():
    sizes = [Size(1, 1, 0), Size(3, 5, 4), Size(1, 1, 0)]
    without_gpus = Capacity("there", False, 1, 1, 0, lambda: sizes[0])
    assert without_gpus.current().slots(1.0, 1) == 1
    sizes.pop(0)
    assert without_gpus.current().slots(1.0, 1) == 5, "trials that ask for no GPU run on every core"
    with_gpus = Capacity("there", False, 2, 8, 2, lambda: sizes[0])
    assert with_gpus.current().slots(0.5, 1) == 5
    sizes.pop(0)
    shrunk = with_gpus.current()
    assert shrunk.gpus and shrunk.slots(1.0, 1) == 1, "one trial waits for the next GPU"
    fixed = Capacity("here", True, 1, 2, 0)
    assert fixed.current() is fixed


def test_live_capacity_is_the_sum_of_nodes_and_is_read_every_two_seconds():
    alive, reads, clock = [node(2, is_head=True)], [], [100.0]
    live = LiveCapacity(lambda: reads.append(1) or alive, None, lambda: clock[0])
    assert live() == Size(1, 2, 0)
    alive.append(node(8, 1))
    clock[0] += live.EVERY_S / 2
    assert live() == Size(1, 2, 0) and len(reads) == 1
    clock[0] += live.EVERY_S
    assert live() == Size(2, 10, 1)
    alive[1]["Alive"] = False
    clock[0] += live.EVERY_S
    assert live() == Size(1, 2, 0)


def test_live_capacity_is_the_declared_size_or_a_larger_present_one():
    worker = {"max_workers": 3, "resources": {"CPU": 4, "GPU": 1}}
    config = {"max_workers": 3, "head_node_type": "head", "provider": {"type": "aws"}}
    config["available_node_types"] = {"head": {}, "worker": worker}
    alive = [node(2, is_head=True)]
    most = partial(capacity.maximum, config)
    assert LiveCapacity(lambda: alive, most)() == Size(4, 14, 3)
    alive += [node(64)] * 4
    assert LiveCapacity(lambda: alive, most)() == Size(5, 2 + 4 * 64, 3)


def test_a_machine_that_does_not_come_is_told_with_the_reason_once():
    worker = {"max_workers": 3, "resources": {"CPU": 4, "GPU": 1}}
    config = {"max_workers": 3, "head_node_type": "head", "provider": {"type": "kuberay"}}
    config["available_node_types"] = {"head": {}, "gpu": worker}
    clock, nodes, reasons = [100.0], [node(0, is_head=True)], [""]
    most = partial(capacity.maximum, config)
    live = LiveCapacity(lambda: nodes, most, lambda: clock[0], lambda: reasons[0])

    def after(seconds, with_gpu=True):
        clock[0] += seconds
        live()
        return live.trouble(with_gpu)

    assert after(0) == after(live.ASK_S) == "", "machines take minutes to start"
    reasons[0] = 'pods "gpu" is forbidden: exceeded quota: gpus'
    assert after(live.ASK_S) == f"no machine for trials after 20 s: {reasons[0]}"
    assert after(live.ASK_S) == "", "once"
    reasons[0] = ""
    assert after(live.LONG_S).endswith("the command `ray status` on the head tells what it asks for")
    nodes.append(node(4, 1))
    assert after(live.ASK_S) == "" and not live.missing_from
    nodes[1] = node(4, 0)
    assert after(live.ASK_S) == after(live.ASK_S) == "" and live.missing_from, "a GPU is missing"
    reasons[0] = "a quota"
    assert after(0, with_gpu=False) == "", "trials on CPU cores miss no GPU"
    nodes[1] = node(0, 1)
    assert after(live.ASK_S, False) == "" and after(live.ASK_S, False).endswith("after 10 s: a quota")
    small = LiveCapacity(lambda: [node(2, is_head=True)], None, lambda: clock[0], lambda: "a reason")
    assert small() == Size(1, 2, 0) and not small.missing_from, "trials run on the head"


def test_an_autoscaled_cluster_is_as_large_as_its_node_types_declare():
    config = {
        "provider": {"type": "aws"},
        "max_workers": 10,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "max_workers": 0},
            "small": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 8},
            "large": {"resources": {"CPU": 48, "GPU": 4}, "max_workers": 4},
        },
    }
    nodes = [node(0, is_head=True)]
    assert not capacity.is_unknown(config, nodes)
    assert capacity.maximum(config, nodes) == Size(11, 8 * 8 + 2 * 48, 8 + 2 * 4)
    assert capacity.describe_maximum(config) == "11 nodes, 16 GPUs, 160 CPU cores"
    assert str(capacity.now(nodes)) == "1 node, 0 GPUs, 0 CPU cores"


def test_machines_of_one_s_own_count_as_the_smallest_that_has_joined():
    kinds = {"local.cluster.node": {"resources": {}, "max_workers": 3}}
    config = {"provider": {"type": "local"}, "max_workers": 3, "available_node_types": kinds}
    config["head_node_type"] = "local.cluster.node"
    nodes = [node(0, is_head=True), node(0, alive=False)]
    assert capacity.is_unknown(config, nodes) and capacity.describe_maximum(config) == "4 nodes"
    seen = iter([nodes, nodes, [*nodes, node(4, 1)]])
    capacity.wait_for_worker(lambda: next(seen), lambda: None)
    joined = [*nodes, node(4, 1), node(8, 2)]
    assert not capacity.is_unknown(config, joined)
    assert capacity.maximum(config, joined) == Size(4, 12, 3)


def test_the_declared_cluster_is_known_on_its_head_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert capacity.declared() is None
    (tmp_path / "ray_bootstrap_config.yaml").write_text(json.dumps({"max_workers": 3}))
    assert capacity.declared() == {"max_workers": 3}
