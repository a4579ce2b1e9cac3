"""Import of datasets: a catalogue name and its archive, or plain photographs, become a shard folder.

The reader, split and transform of each dataset are in preparers.py; packing is in shard_writer.py.
"""

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from datasets import splits
from datasets.catalogue import CATALOGUE, check_exists
from datasets.demo import demo_sources
from datasets.errors import UserError, unknown
from datasets.files import own_folder
from datasets.manifest import MANIFEST, Manifest
from datasets.pairs import PairOptions, refuse_pairs
from datasets.preparers import PREPARERS, ImportRequest, Parts, divided
from datasets.remote_shards import is_url, upload
from datasets.shard_reader import is_shards
from datasets.shard_writer import MARKER, PackSettings, pack
from datasets.sources import open_source
from datasets.validate import Progress, SplitSource


def prepare(
    name: str,
    source: str,
    out: str,
    *,
    split: str = "",
    limit: int = 0,
    min_px: int = 0,
    max_rejected: float = 0.05,
    bands: tuple[str, ...] = (),
    peak: int = 0,
    pairs: PairOptions | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Import the dataset `name` from `source` into `out`, a folder or an s3://, gs:// or az:// URL.

    `bands` and `peak` are as in PackSettings. An import that was interrupted is resumed. UserError for an
    unknown name or split, a missing or wrong source, or too many broken images.
    """
    if name not in CATALOGUE:
        raise unknown("dataset", name, CATALOGUE)
    entry = CATALOGUE[name]
    if not out:
        raise UserError("--out is missing: the folder for the shards")
    pairs = pairs or PairOptions()
    pairs.check(name, source)
    if not source and name not in ("demo", "pairs"):
        raise UserError(f"--source is missing: {entry.bring}, from {entry.get}")
    if split and split not in entry.splits:
        raise unknown(f"split of {name} called", split, entry.splits, "--split")
    request = ImportRequest(
        name=name,
        source=Path(source),
        out=_staging(out, name, source, split, limit, min_px, bands, peak, pairs),
        split=split or entry.splits[0],
        limit=limit,
        settings=PackSettings(min_px=min_px, max_rejected=max_rejected, bands=bands, peak=peak),
        pairs=pairs,
    )
    parts, settings = PREPARERS[name](request)
    title = next(iter(parts.values())).source.name
    manifest = pack(request.out, title, parts, settings, progress, temporary=is_url(out))
    shutil.rmtree(request.scratch, ignore_errors=True)
    if is_url(out):
        upload(request.out, out, MARKER, MANIFEST)
        shutil.rmtree(request.out)
    return manifest


def _staging(out: str, *wishes: object) -> Path:
    # For a URL, the name of the temporary folder depends on the request alone, so that a retry resumes in it.
    if not is_url(out):
        return Path(out)
    return own_folder(Path(tempfile.gettempdir())) / f"import-{_short(repr((out, *wishes)))}"


def import_once(
    spec: str,
    split: str,
    work_dir: Path,
    option: str,
    advice: str = "",
    progress: Progress | None = None,
) -> str:
    """Return the shard folder or URL of `spec`; photographs are imported into `work_dir`/datasets if needed.

    `spec` is a shard folder or its URL, the name of a dataset that was prepared in `work_dir`/datasets,
    "demo", or a folder or zip of photographs, which is divided as `split` (see splits.split_plain).
    `progress` is called when an import begins, and as it proceeds. UserError if there is nothing to read, or
    too few images; it names `option`, and adds `advice` to the command to prepare a set.
    """
    if is_shards(spec) or is_url(spec):
        return spec
    folder = work_dir / "datasets"
    if spec == "demo":
        demo = demo_sources()
        out = folder / f"demo-{_short(''.join(source.fingerprint() for source in demo.values()))}"
        # members decode every photograph to find the tiles with contrast, so only the import asks for them
        return _packed(out, spec, lambda: {r: SplitSource(s, s.members()) for r, s in demo.items()}, progress)
    if spec in CATALOGUE:
        if is_shards(place := str(folder / spec)):
            return place
        raise UserError(
            f"{option}={spec} is not prepared in {place}; get it from {CATALOGUE[spec].get} and run "
            f"upsweep prepare {spec} --source FILE --out {shlex.quote(place)}{advice}"
        )
    check_exists(spec, option)
    refuse_pairs(Path(spec), option)
    plain = open_source(Path(spec))
    out = folder / f"{_short(plain.fingerprint())}-{split}"
    return _packed(out, plain.name, lambda: divided(plain, plain.members(), split), progress)


def _packed(out: Path, name: str, parts: Callable[[], Parts], progress: Progress | None) -> str:
    if not is_shards(str(out)):
        found = parts()
        if progress is not None:
            progress("examined", 0, sum(len(part.members) for part in found.values()))
        pack(out, name, found, PackSettings(), progress)
    return str(out)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prepare_study_set(spec: str, split: str, work_dir: Path) -> str:
    """Return the shard folder or URL of `spec` for a study, which compares sets of equal sizes.

    `spec` is as in `import_once`; photographs are divided as `split` of splits.STUDIES, or by each run of the
    study if `split` is "". UserError if there is nothing to read, or too few images for the split.
    """
    if spec == "demo" or (not split and spec not in CATALOGUE and Path(spec).exists()):
        return spec
    is_offered = spec in CATALOGUE and split in CATALOGUE[spec].splits
    try:
        return import_once(spec, split, Path(work_dir), "--data", f" --split {split}" if is_offered else "")
    except splits.TooFew as error:
        raise UserError(
            f"{spec} has {error.given:,} images, but this study cuts each set into {error.sizes}; use "
            f"larger sets, or sets of equal size as shards (upsweep prepare folder)"
        ) from None
