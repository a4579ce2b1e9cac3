"""Published numbers, each read in its source and shown with it in a separate, unranked block."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainers.benchmarks.formats import Block, TableRow


@dataclass(frozen=True)
class Quoted:
    """One published model at one scale: {test set: (PSNR-Y in dB, SSIM-Y)}, as `metrics` define them."""

    name: str
    scale: int
    source: str
    values: dict[str, tuple[float, float]]
    metrics: tuple[str, str] = ("psnr_y", "ssim_y")

    def columns(self, sets: Sequence[str], metrics: Sequence[str]) -> dict[tuple[str, str], float]:
        """Return the values on those of `sets` in those of `metrics` that were published."""
        shown = [(k, m) for k, m in enumerate(self.metrics) if m in metrics]
        return {(s, m): self.values[s][k] for s in sets if s in self.values for k, m in shown}


# Means of the per-image results that Huang et al. (CVPR 2015) ship with their code: MATLAB bicubic input,
# Y of YCbCr, border of scale px shaved, one-channel pictures without YCbCr. SRCNN is the code of 2014 there.
_HUANG = "per-image results shipped with SelfExSR (Huang et al., 2015)"
# The table in the README of the ESRGAN code (Wang et al., 2018): Y, border shaved.
_WANG = "README of the ESRGAN code (Wang et al., 2018)"

# Measured by BasicSR, whose Y is not rounded.
_PAPERS = "the papers of SPAN (Wan et al., 2024) and DAT (Chen et al., 2023)"
_FLOAT = ("psnr_y_float", "ssim_y_float")

_SETS = ("Set5", "Set14", "BSD100")


def _quoted(name: str, scale: int, source: str, *values: tuple[float, float]) -> Quoted:
    return Quoted(name, scale, source, dict(zip(_SETS, values, strict=True)))


QUOTED: tuple[Quoted, ...] = (
    _quoted("bicubic", 2, _HUANG, (33.64, 0.9292), (30.22, 0.8683), (29.55, 0.8425)),
    _quoted("ScSR", 2, _HUANG, (35.78, 0.9485), (31.64, 0.8940), (30.77, 0.8744)),
    _quoted("SRCNN", 2, _HUANG, (36.28, 0.9509), (32.00, 0.9012), (31.11, 0.8835)),
    _quoted("SelfExSR", 2, _HUANG, (36.50, 0.9537), (32.23, 0.9036), (31.18, 0.8855)),
    _quoted("bicubic", 3, _HUANG, (30.39, 0.8678), (27.53, 0.7737), (27.20, 0.7382)),
    _quoted("ScSR", 3, _HUANG, (31.34, 0.8869), (28.19, 0.7977), (27.72, 0.7647)),
    _quoted("SRCNN", 3, _HUANG, (32.37, 0.9025), (28.90, 0.8124), (28.20, 0.7794)),
    _quoted("SelfExSR", 3, _HUANG, (32.62, 0.9094), (29.16, 0.8197), (28.30, 0.7843)),
    _quoted("bicubic", 4, _HUANG, (28.42, 0.8101), (25.99, 0.7023), (25.96, 0.6672)),
    _quoted("ScSR", 4, _HUANG, (29.07, 0.8263), (26.40, 0.7218), (26.61, 0.6983)),
    _quoted("SRCNN", 4, _HUANG, (30.08, 0.8525), (27.13, 0.7395), (26.70, 0.7018)),
    _quoted("SelfExSR", 4, _HUANG, (30.33, 0.8623), (27.40, 0.7518), (26.85, 0.7108)),
    _quoted("SRCNN 9-5-5", 4, _WANG, (30.48, 0.8628), (27.50, 0.7513), (26.90, 0.7101)),
    _quoted("RRDB", 4, _WANG, (32.73, 0.9011), (28.99, 0.7917), (27.85, 0.7455)),
    Quoted("SPAN", 4, _PAPERS, {"Set5": (32.20, 0.8952)}, _FLOAT),
    Quoted("DAT-light", 4, _PAPERS, {"Set5": (32.57, 0.8991)}, _FLOAT),
)


def quoted_blocks(scale: int, sets: Sequence[str], metrics: Sequence[str]) -> list[Block]:
    """Return one unranked block per source: its rows at `scale` with values of `metrics` on `sets`."""
    blocks = []
    for source in dict.fromkeys(q.source for q in QUOTED):
        rows = [
            TableRow(q.name, values)
            for q in QUOTED
            if q.source == source and q.scale == scale and (values := q.columns(sets, metrics))
        ]
        if rows:
            blocks.append(Block(f"quoted, x{scale}: {source}; not measured here", rows, ranked=False))
    return blocks
