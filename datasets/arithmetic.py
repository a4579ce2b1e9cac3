"""The check of a processor's own divisions: some cores compute wrongly, without any error.

Hochschild et al., "Cores that don't count" (2021), report such cores in large fleets. One was met here: the
third of the four float64 quotients of a vector division was wrong, -9 / 4.5 = -8, at some times and not at
others. SSIM was above 1, equal sets of images were not at distance zero, and nothing failed. Other faulty
cores are wrong in the last bit of some such quotients, so that runs do not repeat to the bit.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from threading import Thread
from typing import ParamSpec, TypeVar

import numpy as np

P, R = ParamSpec("P"), TypeVar("R")
WAITS = (1.0, 5.0, 20.0, 60.0)
"""Seconds before something is computed again where every core divided wrongly."""
MOST = 16
"""Cores that are checked; a larger machine's others are left to the processes that run on them."""


def quotients(values: float | np.ndarray, divisors: float | np.ndarray) -> np.ndarray:
    """Return values / divisors in float64, divided one by one, as also faulty cores do rightly.

    For constants that a process keeps to its end: nothing computes them again.
    """
    pairs = np.broadcast(np.asarray(values, dtype=np.float64), np.asarray(divisors, dtype=np.float64))
    return np.array([float(value) / float(divisor) for value, divisor in pairs]).reshape(pairs.shape)


_NUMERATORS = np.arange(1.0, 1025.0) * 0.37
_DENOMINATORS = np.arange(1024.0, 0.0, -1.0) * 1.9
_QUOTIENTS = quotients(_NUMERATORS, _DENOMINATORS)


def _divides_wrongly() -> bool:
    """Return True if the core that runs this divides vectors otherwise than single numbers."""
    return not np.array_equal(_NUMERATORS / _DENOMINATORS, _QUOTIENTS)


def faulty_cores() -> list[int]:
    """Return the numbers of the cores, of those that this process may use, that divide wrongly now.

    Each takes some 30 microseconds. Where threads cannot be bound to cores (macOS), [-1] stands for any.
    """
    found: list[int] = []

    def check() -> None:  # in a thread of its own, since it binds itself to one core after the other
        for core in sorted(os.sched_getaffinity(0))[:MOST]:
            os.sched_setaffinity(0, {core})
            if _divides_wrongly():
                found.append(core)

    if not hasattr(os, "sched_setaffinity"):
        return [-1] if _divides_wrongly() else []
    thread = Thread(target=check)
    thread.start()
    thread.join()
    return found


def _own_cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {-1}


@contextmanager
def _bound_to(cores: set[int]) -> Iterator[None]:
    """Bind all threads of this process to `cores` within the block; if it is empty, they stay as they are."""
    before: dict[int, set[int]] = {}

    def bind(of: Callable[[int], set[int]]) -> None:
        for thread in map(int, os.listdir("/proc/self/task") if cores else ()):
            with suppress(OSError):  # it has ended
                before.setdefault(thread, os.sched_getaffinity(thread))
                os.sched_setaffinity(thread, of(thread))

    own = _own_cores()
    bind(lambda thread: cores)
    known = dict(before)
    try:
        yield
    finally:
        bind(lambda thread: known.get(thread, own))  # threads that began within have inherited `cores`


def on_sound_cores(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, called again if a core divides wrongly right after it, up to 4 times.

    It is called again on the other cores, or after WAITS if there is no other. An error of its own counts
    only if no core divides wrongly.

    Raises:
        RuntimeError: one still does.
    """

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        faulty: set[int] = set()
        for wait in (0.0, *WAITS):
            if faulty and not _own_cores() - faulty:
                time.sleep(wait)
                faulty.clear()
            with _bound_to(_own_cores() - faulty if faulty else set()):
                try:
                    result = function(*args, **kwargs)
                except Exception:
                    if not (found := faulty_cores()):
                        raise
                else:
                    if not (found := faulty_cores()):
                        return result
            faulty.update(found)
        raise RuntimeError(
            f"CPU core {', '.join(map(str, sorted(faulty)))} of this machine divides wrongly, so nothing "
            f"that it computes counts: use another machine, or exclude the core (taskset)"
        )

    return checked
