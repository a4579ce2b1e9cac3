"""The devices that a request's trials use: run.device, GPUs that are not there yet, ranks without room."""

from functools import partial

import pytest
from helpers.clusters import node
from helpers.tiny import tiny

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity, LiveCapacity, Size, maximum
from orchestrator.sweep.devices import usable_capacity
from orchestrator.sweep.request import Request


def use(capacity, device="auto", **options):
    said = []
    request = Request(config=tiny(run__device=device), **options)
    return usable_capacity(request, capacity, said.append), said


def machine(cpus=8, gpus=2):
    return Capacity("this machine", True, 1, cpus, gpus)


def cluster(*sizes):
    """A cluster that has each of these sizes in turn."""
    turn = iter(sizes)
    return Capacity("the cluster", False, 1, sizes[0].cpus, sizes[0].gpus, lambda: next(turn))


def test_trials_on_the_cpu_use_every_core_of_a_machine_with_gpus():
    on_cpu, _ = use(machine(), "cpu")
    assert (on_cpu.gpus, on_cpu.slots(1.0, 1)) == (0, 8)
    on_gpu, _ = use(machine(), "cuda")
    assert (on_gpu.gpus, on_gpu.slots(1.0, 1)) == (2, 2)
    assert use(machine())[0] == machine()
    with pytest.raises(UserError, match="--gpus-per-trial and run.device cpu exclude each other"):
        use(machine(), "cpu", gpus_per_trial=0.5)


@pytest.mark.parametrize(
    ("device", "missing"), [("auto", True), ("cuda", True), ("cpu", False), ("mps", False)]
)
def test_trials_that_ask_for_no_gpu_do_not_miss_those_of_an_autoscaled_cluster(device, missing):
    worker = {"max_workers": 3, "resources": {"CPU": 4, "GPU": 1}}
    config = {"max_workers": 3, "head_node_type": "head", "provider": {"type": "kuberay"}}
    config["available_node_types"] = {"head": {}, "gpu": worker}
    nodes, clock = [node(0, is_head=True), node(4, 0)], [100.0]
    live = LiveCapacity(lambda: nodes, partial(maximum, config), lambda: clock[0], lambda: "a quota")
    usable, _ = use(Capacity("the cluster", False, 4, 12, 3, live, live.trouble), device)
    live()
    clock[0] += live.ASK_S
    told = usable.trouble(bool(usable.gpus))
    assert told == ("no machine for trials after 10 s: a quota" if missing else "")


def test_one_trial_at_a_time_uses_the_gpu_of_a_mac():
    """Ray counts no such GPU, so that as many trials as cores would share it."""
    assert use(machine(gpus=0), "mps")[0].slots(1.0, 1) == 1
    assert use(machine(gpus=0), "mps")[0].current().slots(1.0, 1) == 1


def test_a_share_that_was_asked_for_waits_for_the_first_gpu_of_a_cluster():
    waiting, said = use(cluster(Size(1, 0, 0), Size(1, 0, 0), Size(3, 16, 2)), gpus_per_trial=0.5)
    assert said == ["no GPU is here yet: trials wait for the first, because --gpus-per-trial was given"]
    assert waiting.gpus == 1, "trials ask for a GPU"
    assert waiting.current().current() is not None
    assert waiting.current().slots(0.5, 1) == 4
    several, _ = use(cluster(Size(1, 0, 0)), gpus_per_trial=2.0)
    assert several.gpus == 2
    assert use(cluster(Size(1, 4, 0)))[1] == [], "without the option they run on the cores"


def test_a_machine_without_a_gpu_refuses_the_option():
    with pytest.raises(UserError, match="--gpus-per-trial 0.5 needs a GPU, but Ray finds none here"):
        use(machine(gpus=0), gpus_per_trial=0.5)


@pytest.mark.parametrize(
    ("place", "option", "words"),
    [
        (machine(gpus=2), {"gpus_per_trial": 4.0}, "each of the 4 ranks needs a GPU and a CPU core"),
        (
            machine(cpus=2, gpus=0),
            {"ranks_per_trial": 3},
            "each of the 3 ranks needs a CPU core, but there is this",
        ),
    ],
)
def test_ranks_without_room_are_refused(place, option, words):
    with pytest.raises(UserError, match=words):
        use(place, **option)


def test_an_empty_cluster_of_unknown_size_is_remarked():
    _, said = use(cluster(Size(1, 0, 0)))
    assert said[-1] == "if workers have GPUs, stop this and pass --gpus-per-trial 1"
    assert use(cluster(Size(9, 64, 8)))[1] == [], "what the autoscaler may reach is known"
