"""Sets cut to a study's own sizes: a zip or folder of photographs -> shards with exactly that many images.

Studies compare sets, so every set must bring equally many images; what the official archives are cut into
for one run or one sweep is in prepare.py.
"""

import hashlib
from pathlib import Path

from datasets import splits
from datasets.catalogue import CATALOGUE
from datasets.errors import UserError, unknown
from datasets.remote_shards import is_url
from datasets.shard_reader import is_shards
from datasets.shard_writer import PackSettings, pack
from datasets.sources import open_source
from datasets.validate import SplitSource


def prepare_study_set(spec: str, split: str, work_dir: Path) -> str:
    """Where the shards of `spec` are, cut as `split` of splits.STUDIES where they have to be made.

    `spec` is a shard folder or its URL, a catalogue name that was prepared under `work_dir`/datasets, or a
    folder or zip of photographs, which is imported once; with `split` "" it may have any size and is cut as
    in any run. UserError where there is nothing to read, or too few images.
    """
    if is_url(spec) or is_shards(spec) or spec == "demo":
        return spec
    prepared = Path(work_dir) / "datasets" / spec
    if spec in CATALOGUE:
        if not is_shards(str(prepared)):
            cut = f" --split {split}" if split in CATALOGUE[spec].splits else ""
            raise UserError(
                f"{spec} is not prepared in {prepared}: get it from {CATALOGUE[spec].get} and run python "
                f"experiments/prepare_data.py {spec} --source FILE --out {prepared}{cut}"
            )
        return str(prepared)
    if not Path(spec).exists():
        raise unknown("folder, zip, shard folder or dataset for --data", spec, CATALOGUE)
    return str(_imported(Path(spec), split, Path(work_dir))) if split else spec


def _imported(path: Path, split: str, work_dir: Path) -> Path:
    source = open_source(path)
    name = hashlib.sha256(source.fingerprint().encode()).hexdigest()[:16]
    out = work_dir / "datasets" / f"{name}-{split}"
    if not is_shards(str(out)):
        sizes, found = splits.STUDIES[split], len(source.members())
        if found < sum(sizes.values()):
            words = ", ".join(f"{size:,} {role}" for role, size in sizes.items())
            raise UserError(
                f"{path} has {found:,} photographs, but this study cuts each set into {words}; bring larger "
                f"ones, or sets of equal size as shards (python experiments/prepare_data.py folder)"
            )
        roles = splits.study(source.members(), split)
        parts = {role: SplitSource(source, members) for role, members in roles.items()}
        pack(out, source.name, parts, PackSettings())
    return out
