"""A registered model in plain words: its purpose, gain over bicubic, limits, and the licences of its data."""

from datasets.catalogue import CATALOGUE
from datasets.config import SHIPPED
from datasets.pixels import PixelFormat
from datasets.text import short_number
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.evaluate import GateResult
from orchestrator.registry.gate import LEVEL
from orchestrator.results.labels import spelled_out
from trainers.config import TrainConfig
from trainers.metrics import METRICS, format_metric, meanings


def summarize(candidate: Candidate, result: GateResult) -> str:
    """Return what the network does, for which images, and how much better than bicubic it is."""
    config, name = candidate.config, result.sets["train"]
    design = spelled_out(candidate.row.get("values") or {})
    images = candidate.sweep["data"].get("train", {}).get("n")
    trained = f"{name} ({images:,} images)" if isinstance(images, int) else name
    objective = config.objective
    gains = [_gain(metric, result) for metric in (objective.perceptual, objective.distortion)]
    explained = meanings(objective.perceptual, objective.distortion)
    sentences = [
        f"{_purpose(config)} ({design}), for images like those of {trained}, on which it was trained.",
        f"On {len(result.candidate.keys)} gate images, used by neither training nor the sweep's choice: "
        f"{'; '.join(gains)} (intervals at {LEVEL:.2%}).",
        *([f"{explained}."] if explained else []),
    ]
    return " ".join(sentences)


def _gain(metric: str, result: GateResult) -> str:
    """Return "swd 9.0 against 10.0 of bicubic, 10% better, difference -1.0 [-1.2, -0.8]"."""
    own, base = (e.summary[metric] for e in (result.candidate, result.references["bicubic"]))
    interval, unit = result.gains[metric], METRICS[metric].unit
    better = (own < base) == (METRICS[metric].direction == "min")
    word = "equal" if own == base else "better" if better else "worse"
    if unit != "dB" and base:  # a share of decibels means nothing
        word = f"{abs(own - base) / abs(base):.0%} {word}"
    ends = ", ".join(short_number(end, sign="+") for end in (interval.low, interval.high))
    values = f"{format_metric(metric, own)} against {format_metric(metric, base)}"
    measure = f"{metric} in {unit}" if unit else metric
    gain = short_number(interval.estimate, sign="+")
    return f"{measure} {values} of bicubic, {word}, difference {gain} [{ends}]"


def _purpose(config: TrainConfig) -> str:
    """Return what the network makes of what, as a verb and its objects."""
    made_of = {"grey": " from grey ones", "edges": " from their edges"}.get(config.data.input, "")
    scale, kind = config.generator.scale, _kind(config.data.pixels)
    if scale > 1 and not made_of:
        return f"Enlarges {kind} images {scale} times"
    return f"Makes {kind} images{made_of}" + (f", {scale} times larger" if scale > 1 else "")


def _kind(pixels: PixelFormat) -> str:
    if pixels.is_rgb8:
        return "8-bit RGB"
    return f"{pixels.channels}-band ({', '.join(pixels.bands)}; white is {pixels.peak})"


def limits(candidate: Candidate, result: GateResult) -> list[str]:
    """Return a sentence for each thing that the network was not made for, or not judged on."""
    config = candidate.config
    data, objective = config.data, config.objective
    shortest, longest = result.sides
    protocol = result.candidate.protocol[objective.distortion]
    if SHIPPED in protocol:
        inputs = (
            "Its inputs were the small images of the pairs: images made small by another camera or program"
        )
    else:
        inputs = f"Its inputs were gate images made small by {data.degradation}: noisy or compressed images"
    sentences = [
        f"Factor {config.generator.scale} and {_kind(data.pixels)} images only.",
        f"{inputs} were not judged"
        + (f"; trained on inputs degraded by {data.train_degradation}." if data.train_degradation else "."),
        f"Judged on {result.sets['gate']} alone, sides of {shortest} to {longest} px: not on other kinds of "
        f"images, and not on video.",
        f"Judged by {objective.perceptual} and {objective.distortion}, not by people (upsweep rate).",
    ]
    if config.run.gan_steps:
        sentences.append("A GAN adds detail that may not be there: do not use it where a detail decides.")
    return sentences


def licences(candidate: Candidate, result: GateResult) -> list[str]:
    """Return for each role where its images come from, and their licence as far as it is known."""
    sentences = []
    for role, name in result.sets.items():
        spec = str(candidate.sweep["data"].get(role, {}).get("spec") or candidate.config.data.source(role))
        entry = next((CATALOGUE[known] for known in (spec, name) if known in CATALOGUE), None)
        found = f"{entry.licence} ({entry.get})" if entry else "not known here; its owner has to say"
        sentences.append(f"Licence of the {role} images, {spec}: {found}")
    return sentences


def describe_model(model: str, candidate: Candidate, result: GateResult) -> str:
    """Return the description of a registered model, true of all its versions."""
    return (
        f"Networks of one kind. {_purpose(candidate.config)}, for images like {result.sets['train']}. The "
        f"alias champion is the version to use, previous the one before it, challenger the last that was "
        f"measured. The description of a version says what was measured, its limits and the licence of its "
        f"data.\n\n    upsweep upscale PICTURE --model models:/{model}@champion"
    )
