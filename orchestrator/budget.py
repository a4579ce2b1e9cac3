"""How much a sweep may take before it draws no new designs: wall hours, GPU-hours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Zero is no limit. What runs is never cut short, and the confirmation comes on top."""

    hours: float = 0.0
    gpu_hours: float = 0.0

    def reached(self, hours: float, gpu_hours: float) -> str:
        """Which limit this is beyond, in words; empty while there is time."""
        if self.hours and hours >= self.hours:
            return f"the {self.hours:g} hours of --max-hours"
        if self.gpu_hours and gpu_hours >= self.gpu_hours:
            return f"the {self.gpu_hours:g} GPU-hours of --max-gpu-hours"
        return ""

    def __str__(self) -> str:
        limits = [f"{self.hours:g} hours"] * bool(self.hours)
        return " or ".join(limits + [f"{self.gpu_hours:g} GPU-hours"] * bool(self.gpu_hours))
