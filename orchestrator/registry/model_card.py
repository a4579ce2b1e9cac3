"""The model card of a registered version: summary, decision, limits, use, metrics on the gate set, origin."""

from collections.abc import Iterable, Mapping

from datasets.pixels import PixelFormat
from orchestrator.registry.candidate import Candidate
from orchestrator.registry.evaluate import GateResult
from orchestrator.registry.summary import licences, limits, summarize
from trainers import plugins
from trainers.benchmarks.cost import InferenceCost
from trainers.benchmarks.formats import markdown
from trainers.config import flatten

DECISIONS = {
    "promoted": "**Promoted** by the gate.",
    "refused": "**Refused** by the gate.",
    "forced": "**Forced** against the gate: ",
}
RESULTS = {True: "passed", False: "FAILED", None: "undecided"}
PICTURE = "gate_images.png"
"""Artifact of a promotion's run: three gate images as input, bicubic, ours and target."""


def model_card(
    model: str, candidate: Candidate, result: GateResult, facts: Mapping[str, str], run_id: str = ""
) -> str:
    """Return the card as Markdown, which MLflow shows as the version's description.

    `facts` are the version's tags, `run_id` is the run that holds the picture; without one there is none.
    """
    pixels = candidate.config.data.pixels
    drawn = run_id and result.pictures
    shown = f"![input, bicubic, ours, target](get-artifact?path={PICTURE}&run_uuid={run_id})"
    captions = "; ".join(plain(caption) for caption in result.pictures.get("captions", ()))
    return "\n\n".join(
        [
            f"# {plain(model)}",
            DECISIONS[facts["upsweep.decision"]] + plain(facts.get("upsweep.force", "")),
            *([f"This network is {plain(candidate.why_no_gan)}."] if candidate.why_no_gan else []),
            plain(summarize(candidate, result)),
            *([f"{shown}\n\nInput, bicubic, ours, target. Gate images: {captions}."] if drawn else []),
            "\n".join(f"- {RESULTS[c.passed]}: {plain(c.sentence)}" for c in result.decision.checks),
            "## Limits",
            _list(limits(candidate, result)),
            "## Use",
            f"Input and output are float32 (N, {pixels.channels}, H, W), {_bands(pixels)}, any size; "
            'another type, such as a photograph of uint8, is refused ("Failed to enforce schema"), and '
            "converted as below; `upsweep.upscale` takes it as it is. "
            "`extra_files/` holds `generator.safetensors` and `config.json` to continue training.",
            _snippet(model, pixels),
            "## Measured on the gate set",
            _table(facts),
            _list(text for name, text in facts.items() if "/protocol/" in name),
            "## Where it comes from",
            _origin(candidate, facts) + "\n" + _list(licences(candidate, result)),
        ]
    )


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)


def _snippet(model: str, pixels: PixelFormat) -> str:
    """Return Python code that upscales a picture, or an array of bands."""
    load = f'model = mlflow.pyfunc.load_model("models:/{plain(model)}@champion")\n'
    if not pixels.is_rgb8:
        return f"```python\nimport mlflow\n\n{load}sr = model.predict(lr_image)\n```"
    return (
        f"```python\nimport mlflow\nimport numpy as np\nfrom PIL import Image\n\n{load}"
        'picture = np.asarray(Image.open("small.png").convert("RGB"), np.float32) / 255\n'
        "sr = model.predict(picture.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)\n"
        'Image.fromarray((sr * 255).round().astype(np.uint8)).save("large.png")\n```'
    )


def _bands(pixels: PixelFormat) -> str:
    named = "RGB" if pixels.is_rgb8 else f"{', '.join(pixels.bands)} divided by {pixels.peak},"
    return f"{named} in [0, 1]"


def _table(facts: Mapping[str, str]) -> str:
    """Return a Markdown table with models as rows and metrics as columns."""
    cells: dict[str, dict[str, str]] = {}
    for name, text in facts.items():
        parts = name.split("/")
        if parts[0] == "gate" and parts[1] != "protocol":
            cells.setdefault(parts[1] if len(parts) == 3 else "this model", {})[parts[-1]] = text
    metrics = list(next(iter(cells.values())))
    rows = [[name, *(values[m] for m in metrics)] for name, values in cells.items()]
    return markdown(["", *metrics], rows)


def _origin(candidate: Candidate, facts: Mapping[str, str]) -> str:
    """Return a Markdown list; a fact that is not known has no line."""
    sweep, row = candidate.sweep, candidate.row
    data = "; ".join(
        f"{role}: {entry['spec']} ({entry['n']} images, {entry['digest']})"
        for role, entry in sweep["data"].items()
    )
    own = [value for value in flatten(candidate.config).values() if plugins.parse(value)]
    cost = row.get("inference")
    start = sweep.get("start")
    lines = {
        "Design": row["design"],
        "Inference": InferenceCost(**cost).describe() if cost else "",
        "Own code": f"{', '.join(own)} (each with its hash; the text is in config.json)" if own else "",
        "Sweep": f"{sweep['name']} (recipe {sweep['recipe']}, trial {row['trial_id']}, seed {row['seed']})",
        "Command": sweep["command"],
        "Commit": sweep["commit"],
        "Data": data,
        "Started from": "{source} (key {key}, licence {licence})".format(**start) if start else "",
        "Gate images": facts.get("upsweep.gate.other", ""),
        "Gate set": f"{facts['upsweep.gate.images']} images, {facts['upsweep.gate.digest']}; decision number "
        f"{facts['upsweep.gate.uses']} on them in this registry",
        "Steps": " of ".join(str(row[name]) for name in ("steps", "max_steps") if name in row),
        "GPU-hours of the sweep": str(sweep.get("gpu_hours", "")),
    }
    return "\n".join(f"- {name}: {plain(text)}" for name, text in lines.items() if text)


def plain(text: str) -> str:
    """Return `text` on one line without HTML and table bars: names from outside must not format the card."""
    return " ".join(text.replace("<", "‹").replace(">", "›").replace("|", "/").replace("`", "'").split())
