"""A device's numerical settings: they hold inside their context, and nobody else's are changed."""

import os
import subprocess
import sys

import pytest
import torch
from helpers.paths import ROOT
from helpers.tiny import tiny

from trainers.numerics import measuring_numerics, training_numerics

CUDA = torch.device("cuda")  # flags can be set where there is no card


def flags():
    cudnn = torch.backends.cudnn
    algorithms = torch.are_deterministic_algorithms_enabled()
    return cudnn.allow_tf32, cudnn.deterministic and algorithms, cudnn.benchmark


@pytest.mark.parametrize(
    ("precision", "deterministic", "expected"),
    [
        ("fp32", True, (False, True, False)),
        ("tf32", True, (True, True, False)),
        ("bf16", True, (True, True, False)),
        ("fp32", False, (False, False, True)),
        ("bf16", False, (True, False, True)),
    ],
)
def test_training_follows_the_settings_and_measuring_never_does(precision, deterministic, expected):
    run = tiny(run__precision=precision, run__deterministic=deterministic).run
    before = flags()
    for _ in range(2):  # a context is entered at every step
        with training_numerics(run, CUDA):
            assert flags() == expected
            # a context may be entered inside itself
            with measuring_numerics(CUDA), training_numerics(run, CUDA):
                assert flags() == expected
            with measuring_numerics(CUDA):
                assert flags() == (False, True, False)
            assert flags() == expected
        assert flags() == before


def test_an_error_inside_restores_the_settings():
    before = flags()
    with pytest.raises(ZeroDivisionError), measuring_numerics(CUDA):
        raise ZeroDivisionError
    assert flags() == before


def test_a_cpu_has_no_such_settings():
    before = flags()
    with training_numerics(tiny(run__deterministic=False).run, torch.device("cpu")):
        assert flags() == before


def test_a_sum_has_the_same_bits_whatever_the_shell_says_of_threads():
    """Of the size of projections of SWD: the BLAS of numpy sums them in another order with more threads."""
    code = """
import hashlib, numpy as np
from trainers.numerics import use_threads
use_threads(1)
draw = np.random.default_rng(0).standard_normal
a, b = draw((512, 147), dtype=np.float32), draw((147, 3456), dtype=np.float32)
print(hashlib.sha256((a @ b).tobytes()).hexdigest())
"""
    said = set()
    for threads in ("1", "2", "4"):
        env = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1
