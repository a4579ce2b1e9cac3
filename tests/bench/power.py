"""The power of a verdict: how often five or more seeds say "beats" when a design is better by so much.

    PYTHONPATH=. python tests/bench/power.py [--draws 2000]

Prints the table of docs/statistics.md. Variances are those of small GANs in docs/results.md: standard
deviations of 0.15 dB between seeds, half of it shared by designs of equal seeds, 0.25 dB between designs on
an image, 0.30 dB left over. Verdicts are those of reports: paired by seed, Holm over the compared arms.
"""

import argparse
import math

import numpy as np
from scipy.special import stdtr

EFFECTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SEED_SD, DESIGN_BY_IMAGE, RESIDUAL, SHARED = 0.15, 0.25, 0.30, 0.5


def p_values(seeds: int, images: int, effect: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the two-sided p-value of each draw, NaN where the estimate is on the wrong side.

    The closed form of hierarchical_bootstrap(paired=True), to which its resampling converges.
    """
    seed = SEED_SD * math.sqrt(2 * (1 - SHARED)) * rng.normal(size=(draws, seeds, 1))
    image = DESIGN_BY_IMAGE * math.sqrt(2) * rng.normal(size=(draws, 1, images))
    difference = effect + seed + image + RESIDUAL * math.sqrt(2) * rng.normal(size=(draws, seeds, images))
    parts = [
        (difference.mean(axis=2).var(axis=1, ddof=1) / seeds, seeds - 1),
        (difference.mean(axis=1).var(axis=1, ddof=1) / images, images - 1),
    ]
    variance = sum(v for v, _ in parts)
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    estimate = difference.mean(axis=(1, 2))
    p = 2 * stdtr(freedom, -np.abs(estimate) / np.sqrt(variance))
    return np.where(estimate > 0, p, np.nan)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    draws, rng = parser.parse_args().draws, np.random.default_rng(0)
    print("| seeds | images | arms |", " | ".join(f"{e:g} dB" for e in EFFECTS), "|")
    print("|---:" * (3 + len(EFFECTS)) + "|")
    for seeds in (5, 8, 12):
        for images in (30, 130):
            for arms in (1, 4):
                shares = [(p_values(seeds, images, e, draws, rng) * arms < 0.05).mean() for e in EFFECTS]
                print(f"| {seeds} | {images} | {arms} |", " | ".join(f"{s:.2f}" for s in shares), "|")


if __name__ == "__main__":
    main()
