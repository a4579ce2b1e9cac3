"""Trials under Tune and Ray Train in fp64, for tests that compare more digits than fp32 has."""

from dataclasses import replace
from functools import lru_cache


def run_trial(params, spec):
    """Run a trial of one process."""
    from orchestrator.trial import trial

    install()
    trial.run_trial(params, spec)


def run_ranks(params, spec):
    """Run a trial of several ranks; its driver trains nothing."""
    from orchestrator.trial import distributed

    distributed._run_rank = run_rank
    distributed.run_ranks(params, spec)


def run_rank(settings):
    """Run one rank of such a trial; its process has the product's own function."""
    from orchestrator.trial import distributed

    install()
    distributed._run_rank(settings)


@lru_cache
def install():
    """Networks of float64 weights, and batches of them, in this process."""
    from datasets import loader
    from trainers import state

    for name in ("build_generator", "build_discriminator"):
        setattr(state, name, _doubled(getattr(state, name)))
    original = loader.TrainLoader._batch

    def batch(self, cut):
        made = original(self, cut)
        return replace(made, hr=made.hr.double(), lr_image=made.lr_image.double())

    loader.TrainLoader._batch = batch


def _doubled(build):
    def built(config):
        module = build(config).double()
        module.register_forward_pre_hook(_exact)
        return module

    return built


def _exact(module, inputs):
    """What is measured comes in fp32."""
    return tuple(x.double() for x in inputs)
