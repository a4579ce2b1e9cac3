"""The choice of a candidate, declared once: the command line's flags and what a promotion is asked for.

Free of torch and MLflow, so that --help answers at once.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.results.sweep_folder import work_dir


def why_no_gan(facts: Mapping[str, Any], trial_id: str) -> str:
    """Return why a sweep picked its PSNR network `trial_id`; empty for a GAN, and for any other trial.

    `facts` is the content of its sweep.json.
    """
    if trial_id != facts.get("pick") or "pick_test" not in facts:
        return ""
    why = str(facts["pick_reason"]).partition("; so the PSNR network")[0]
    return f"not a GAN, because no GAN of sweep {facts['name']} was good enough: {why}"


def announce_pick(facts: Mapping[str, Any]) -> str:
    """Return the sentence about the pick of a sweep, before it is judged; `facts` is its sweep.json."""
    network = facts.get("pick_design") or facts["pick"]
    why = why_no_gan(facts, facts["pick"]) or facts.get("pick_reason")
    return f"the gate judges the pick of sweep {facts['name']}: {network}" + (f" ({why})" if why else "")


@dataclass(frozen=True)
class CandidateSource:
    """The storage that holds candidates, and the choice of one."""

    storage: str = "./runs"
    """Folder or URL of all sweeps."""
    name: str = ""
    """The sweep whose pick is the candidate; if empty, the newest finished sweep."""
    model: str = ""
    """Registered name; if empty, upsweep-<sweep> (demo-2 competes with demo)."""
    tracking_uri: str = ""
    """MLflow store; if empty, the sweep's."""
    run: str = ""
    """Promote the network of this MLflow run of a sweep instead of a pick."""
    gate: str = ""
    """Gate images in place of the sweep's own, which serve 20 decisions, dry runs included."""
    checkpoint: str = ""
    """Promote the network in this folder instead: a checkpoint's, or a run's, whose best one it is."""

    @property
    def work_dir(self) -> Path:
        """The folder for imported images and local copies on this machine."""
        return work_dir(self.storage)

    def command(self, sweep: str) -> str:
        """Return the command that promotes this candidate, of `sweep` unless a run or a folder is named."""
        words = ["upsweep", "promote", *([sweep] if not (self.run or self.checkpoint) else [])]
        for name in ("run", "checkpoint", "storage", "model", "tracking_uri"):
            if (value := getattr(self, name)) != getattr(CandidateSource, name):
                words += [f"--{name.replace('_', '-')}", value]
        return shlex.join(words)

    def folder(self, sweep: str) -> str:
        """Return what --model of other commands names this candidate; empty if there is no such name."""
        if self.run or (not self.checkpoint and "://" in self.storage):
            return ""
        return self.checkpoint or str(Path(self.storage) / sweep)

    def other_gate(self, own: str) -> str:
        """Return the gate images in words if they are others than the candidate's `own`; else empty."""
        whose = "the run's own" if self.checkpoint else "the sweep's own"
        return f"{self.gate}, named with --gate, not {whose}" if self.gate not in ("", own) else ""
