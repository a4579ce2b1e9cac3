"""The plan of a sweep in words, with the time and the price of its stages, before anything is trained."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from orchestrator.cluster import connect
from orchestrator.search.space import Space
from orchestrator.sweep.clock import SweepClock
from orchestrator.sweep.cost_estimate import estimate, measure_pace, pace_alone
from orchestrator.sweep.devices import usable_capacity
from orchestrator.sweep.latency import leave_out_slow, measure_architectures
from orchestrator.sweep.plan import make_plan
from orchestrator.sweep.request import Request


def describe_plan(
    request: Request,
    space: Space,
    resume: bool,
    say: Callable[[str], Any],
    began: float,
) -> list[str]:
    """Return the lines that --dry-run prints: the plan, and its time and price by a few timed steps.

    On a cluster that answers they are timed on one of its workers, else on this machine; with --hours on
    workers here too, since their start is a part of the hours, which count from `began` on (time.monotonic).
    """
    fits_hours = bool(request.hours) and not resume
    with ExitStack() as stack:
        plan, capacity = make_plan(request, space, resume), None
        if request.address or fits_hours:
            if request.address:
                connect.reach(request.address)
            connected = stack.enter_context(connect.connect(request.address or None))
            capacity = usable_capacity(plan.request, connected)
        say("timing a few steps, which takes half a minute or so")
        plan.costs = measure_architectures(plan, capacity)
        slow = leave_out_slow(plan, resume)
        clock = []
        if fits_hours:
            assert capacity is not None  # connected above
            pace = measure_pace(plan, capacity)
            elapsed = time.monotonic() - began  # the lines say what is over now, not after more timing
            alone = partial(pace_alone, plan, capacity, pace)
            clock = SweepClock.start(plan, pace, lambda: elapsed, lambda text: None, alone).describe()
        price = plan.request.price_per_gpu_hour
        told = estimate(plan, capacity).describe(price)
        if clock and not price:
            told = told[1:]  # --hours are the time
        return [plan.heading, *plan.describe(), *slow, *told, *clock]
