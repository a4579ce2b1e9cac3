"""The steps at which trials are ranked: rungs of early stopping, generations of population based training."""

LAGS = 2  # averaging times of the weights before a trial is ranked
GENERATIONS = 8  # at most, of population based training


def rungs(max_steps: int, eval_every: int, reduction: int, count: int, ema_decay: float = 0.0) -> list[int]:
    """Return `count` budgets below `max_steps`, a factor of `reduction` apart, on the grid of evaluations.

    A rung value is a median of three evaluations, so the first rung is not before the third. It is measured
    on averaged weights, so the first rung is not before LAGS / (1 - `ema_decay`) steps, when their average
    has left the warm start: on recorded curves, earlier ranks predicted the end as badly as those of the PSNR
    phase.
    """
    wanted = [max_steps / reduction**k for k in range(count, 0, -1)]
    first = earliest(eval_every, ema_decay)
    on_grid = [max(first, round(w / eval_every) * eval_every) for w in wanted]
    return sorted({r for r in on_grid if r < max_steps})


def earliest(eval_every: int, ema_decay: float) -> int:
    """Return the first step at which trials may be ranked."""
    lag = LAGS / (1 - ema_decay) if ema_decay else 0.0
    return max(3, round(lag / eval_every)) * eval_every


def generations(max_steps: int, eval_every: int, ema_decay: float) -> list[int]:
    """Return the last steps of the generations of population based training; the last one is `max_steps`.

    They are equally far apart on the grid of evaluations, as many as can be ranked, at most GENERATIONS.
    """
    first = earliest(eval_every, ema_decay)
    count = max(1, min(GENERATIONS, max_steps // first))
    ends = [max(first, round(max_steps * k / count / eval_every) * eval_every) for k in range(1, count)]
    return [*sorted({e for e in ends if e < max_steps}), max_steps]
