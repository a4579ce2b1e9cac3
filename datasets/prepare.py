"""Import of datasets: a catalogue name and its archive, or plain photographs, become a shard folder.

Chosen here: the reader of the archive, the split and the transform. Packing is in shard_writer.py.
"""

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import splits
from datasets.catalogue import CATALOGUE
from datasets.codec import size_of
from datasets.demo import demo_sources
from datasets.errors import Rejected, UserError, unknown
from datasets.files import own_folder
from datasets.lsun import LmdbSource, unpacked
from datasets.manifest import MANIFEST, Manifest
from datasets.pairs import PairOptions, open_pairs, refuse_pairs
from datasets.remote_shards import is_url, upload
from datasets.shard_reader import is_shards
from datasets.shard_writer import MARKER, PackSettings, pack
from datasets.sources import ArchiveMember, Source, ZipSource, open_source
from datasets.tiles import TiledSource
from datasets.validate import Progress, SplitSource

DIV2K_TILE_PX = 256
FFHQ_TRAIN = 60_000

Parts = dict[str, SplitSource]
Prepared = tuple[Parts, PackSettings, str]
"""Members of each split, settings (with the transform) and title of a dataset."""


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """One import by `prepare`; `out` is the local folder to pack into."""

    name: str
    source: Path
    out: Path
    split: str
    limit: int
    settings: PackSettings
    pairs: PairOptions

    @property
    def scratch(self) -> Path:
        """A folder for unpacking an archive that cannot be read in place."""
        return self.out.with_name(f"{self.out.name}.unpacked")

    def first(self, members: Sequence[ArchiveMember]) -> list[ArchiveMember]:
        """Return the first `limit` members by name, or all if `limit` is 0."""
        return list(members[: self.limit or None])


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
    """Import the dataset `name` from `source` into `out`, a folder or an s3:// or gs:// URL.

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
    parts, settings, title = PREPARERS[name](request)
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
    digest = hashlib.sha256(repr((out, *wishes)).encode()).hexdigest()[:16]
    return own_folder(Path(tempfile.gettempdir())) / f"import-{digest}"


def import_once(spec: str, split: str, work_dir: Path, option: str, advice: str = "") -> str:
    """Return the shard folder or URL of `spec`; photographs are imported into `work_dir`/datasets if needed.

    `spec` is a shard folder or its URL, the name of a dataset that was prepared in `work_dir`/datasets,
    "demo", or a folder or zip of photographs, which is divided as `split` (see splits.split_plain).
    UserError if there is nothing to read, or too few images; it names `option`, and adds `advice` to the
    command to prepare a set.
    """
    if is_shards(spec) or is_url(spec):
        return spec
    folder = work_dir / "datasets"
    if spec == "demo":
        demo = demo_sources()
        out = folder / f"demo-{_short(''.join(source.fingerprint() for source in demo.values()))}"
        return _packed(out, spec, lambda: {role: SplitSource(s, s.members()) for role, s in demo.items()})
    if spec in CATALOGUE:
        if is_shards(place := str(folder / spec)):
            return place
        raise UserError(
            f"{option}={spec} is not prepared in {place}; get it from {CATALOGUE[spec].get} and run "
            f"upsweep prepare {spec} --source FILE --out {shlex.quote(place)}{advice}"
        )
    if not Path(spec).exists():
        raise unknown(f"folder, zip, shard folder or dataset for {option}", spec, CATALOGUE)
    refuse_pairs(Path(spec), option)
    plain = open_source(Path(spec))
    out = folder / f"{_short(plain.fingerprint())}-{split}"
    return _packed(out, plain.name, lambda: _parts(plain, splits.split_plain(plain.members(), split)))


def _packed(out: Path, name: str, parts: Callable[[], Parts]) -> str:
    if not is_shards(str(out)):
        pack(out, name, parts(), PackSettings())
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
    if spec in CATALOGUE:
        advice = f" --split {split}" if split in CATALOGUE[spec].splits else ""
        return import_once(spec, split, Path(work_dir), "--data", advice)
    try:
        return import_once(spec, split, Path(work_dir), "--data")
    except splits.TooFew as error:
        raise UserError(
            f"{spec} has {error.given:,} images, but this study cuts each set into {error.sizes}; use "
            f"larger sets, or sets of equal size as shards (upsweep prepare folder)"
        ) from None


def _parts(source: Source, roles: splits.Split) -> Parts:
    return {role: SplitSource(source, members) for role, members in roles.items()}


def _divided(request: ImportRequest, source: Source, members: Sequence[ArchiveMember]) -> Parts:
    return _parts(source, splits.split_plain(members, request.split))


def _demo(request: ImportRequest) -> Prepared:
    parts = {role: SplitSource(s, request.first(s.members())) for role, s in demo_sources().items()}
    return parts, request.settings, "demo"


def _folder(request: ImportRequest) -> Prepared:
    source = open_source(request.source)
    title = source.name if request.name == "folder" else request.name
    return _divided(request, source, request.first(source.members())), request.settings, title


def _pairs(request: ImportRequest) -> Prepared:
    source, options = open_pairs(request.pairs), request.pairs
    limit = 0.0 if options.keep_shifted else options.max_shift
    settings = replace(request.settings, max_shift_px=limit)
    return _divided(request, source, request.first(source.members())), settings, source.name


def _celeba(request: ImportRequest) -> Prepared:
    """Read the official zip or its folder; partition and identity files may be in it or beside it."""
    source = open_source(request.source, "celeba", "img_align_celeba/")
    members = request.first(source.members())
    settings = replace(request.settings, transform=_celeba_transform(source, members))
    people = _list_text(source, request.source, "identity_CelebA.txt")
    if people is not None:
        members = splits.by_identity(members, people)
    if request.split != "official":
        return _divided(request, source, members), settings, "celeba"
    text = _list_text(source, request.source, "list_eval_partition.txt")
    roles = splits.split_by_share(members) if text is None else splits.partition(members, text)
    return _parts(source, roles), settings, "celeba"


def _celeba_transform(source: Source, members: Sequence[ArchiveMember]) -> str:
    # Aligned CelebA (178x218) is cropped and resized to 128 px; smaller copies are kept as they are.
    try:
        return "celeba128" if size_of(source.read(members[0])) == (218, 178) else "none"
    except Rejected as error:
        raise UserError(f"the first image {members[0].name} cannot be read: {error}") from None


def _list_text(source: Source, path: Path, name: str) -> str | None:
    beside = (path if path.is_dir() else path.parent) / name
    if beside.is_file():
        return beside.read_text(errors="replace")
    return source.text(name) if isinstance(source, ZipSource) else None


def _lsun(request: ImportRequest) -> Prepared:
    source = LmdbSource(unpacked(request.source, request.scratch), request.name)
    return _divided(request, source, request.first(source.members())), request.settings, request.name


def _div2k(request: ImportRequest) -> Prepared:
    """Cut the training photographs into tiles; the 100 validation photographs are the test set, uncut."""
    train = _div2k_half(request.source, "train")
    tiles = TiledSource(train, tile_px=DIV2K_TILE_PX, stride_px=DIV2K_TILE_PX)
    keep = {m.photograph for m in request.first(train.members())}
    members = [m for m in tiles.members() if m.photograph in keep]
    if request.split == "cut":
        return _parts(tiles, splits.split_by_share(members)), request.settings, "div2k"
    test = _div2k_half(request.source, "valid")
    chosen = request.first(test.members())
    parts = _parts(tiles, splits.hold_out(members, []))
    return parts | {"test": SplitSource(test, chosen)}, request.settings, "div2k"


def _div2k_half(path: Path, half: str) -> Source:
    name = f"DIV2K_{half}_HR"
    if path.is_file() and name in path.name:
        return open_source(path, "div2k")
    for candidate in (path / f"{name}.zip", path / name):
        if candidate.exists():
            return open_source(candidate, "div2k")
    advice = "" if half == "train" else ", or use --split cut"
    raise UserError(f"{path} has no {name}.zip and no {name} folder; provide one{advice}")


def _ffhq(request: ImportRequest) -> Prepared:
    """Use the official split: the first 60,000 images for train, the last 10,000 for test."""
    source = open_source(request.source, "ffhq")
    members = request.first(source.members())
    if request.split != "official":
        return _divided(request, source, members), request.settings, "ffhq"
    numbers = [int(Path(m.name).stem) if Path(m.name).stem.isdigit() else -1 for m in members]
    if min(numbers) < 0:
        raise UserError(f"{members[numbers.index(-1)].name} is not an FFHQ name such as 00000.png")
    train = [m for m, i in zip(members, numbers, strict=True) if i < FFHQ_TRAIN]
    test = [m for m, i in zip(members, numbers, strict=True) if i >= FFHQ_TRAIN]
    return _parts(source, splits.hold_out(train, test)), request.settings, "ffhq"


def _selfie2anime(request: ImportRequest) -> Prepared:
    """Use the anime half, trainB and testB."""
    source = open_source(request.source, "selfie2anime")
    halves = {
        half: request.first([m for m in source.members() if half in Path(m.name).parts])
        for half in ("trainB", "testB")
    }
    if not all(halves.values()):
        raise UserError(f"{request.source} has no trainB and testB folders; provide the selfie2anime archive")
    if request.split != "official":
        return _divided(request, source, sum(halves.values(), [])), request.settings, "selfie2anime"
    roles = splits.hold_out(halves["trainB"], halves["testB"])
    return _parts(source, roles), request.settings, "selfie2anime"


PREPARERS: dict[str, Callable[[ImportRequest], Prepared]] = {
    "demo": _demo,
    "celeba": _celeba,
    "div2k": _div2k,
    "ffhq": _ffhq,
    "selfie2anime": _selfie2anime,
    "pairs": _pairs,
    **dict.fromkeys(("lsun_dining_room", "lsun_tower"), _lsun),
    **dict.fromkeys(("set5", "set14", "bsd100", "urban100", "t91", "folder"), _folder),
}
