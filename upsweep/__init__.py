"""Upsweep from Python: sweeps, leaderboards, champions and upscaled arrays.

    import upsweep

    sweep = upsweep.sweep(train="photos", name="mine")   # as experiments/sweep.py does
    sweep.leaderboard()                                  # a pandas DataFrame
    model = upsweep.load("models:/upsweep-mine@champion")
    large = upsweep.upscale(model, small)                # uint8 or uint16 arrays (h, w, 3)

The commands (`upsweep sweep`, `upsweep promote`, ...) do the same in a shell; `upsweep --help` lists them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upsweep.api import Model, Sweep, load, resume, sweep, upscale

__all__ = ["Model", "Sweep", "load", "resume", "sweep", "upscale"]


def __getattr__(name: str) -> Any:
    """Import the interface at its first use: `import upsweep` alone must not load torch."""
    if name not in __all__:
        raise AttributeError(f"module 'upsweep' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module("upsweep.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
