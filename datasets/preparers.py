"""The known datasets, one function each: which archive is read, how it is divided, and the transform."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import splits
from datasets.codec import size_of
from datasets.config import DECIDABLE
from datasets.demo import demo_sources
from datasets.errors import Rejected, UserError
from datasets.lsun import LmdbSource, unpacked
from datasets.pairs import PairOptions, open_pairs
from datasets.shard_writer import PackSettings
from datasets.sources import ArchiveMember, Source, ZipSource, open_source
from datasets.tiles import TiledSource
from datasets.validate import SplitSource

DIV2K_TILE_PX = 256
FFHQ_TRAIN = 60_000

Parts = dict[str, SplitSource]
Prepared = tuple[Parts, PackSettings]
"""Members of each split, of sources with the dataset's name, and settings (with the transform)."""


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


def _parts(source: Source, roles: splits.Split, at_least: int = 0) -> Parts:
    return {role: SplitSource(source, members, at_least) for role, members in roles.items()}


def divided(source: Source, members: Sequence[ArchiveMember], split: str) -> Parts:
    """Divide `members` as `split` (see splits.split_plain) says."""
    # Only a cut of our own may be filled up from train: the images of an official split are given.
    at_least = DECIDABLE if split == "cut" else 0
    return _parts(source, splits.split_plain(members, split), at_least)


def _demo(request: ImportRequest) -> Prepared:
    parts = {role: SplitSource(s, request.first(s.members())) for role, s in demo_sources().items()}
    return parts, request.settings


def _folder(request: ImportRequest) -> Prepared:
    source = open_source(request.source, "" if request.name == "folder" else request.name)
    return divided(source, request.first(source.members()), request.split), request.settings


def _pairs(request: ImportRequest) -> Prepared:
    source, options = open_pairs(request.pairs), request.pairs
    limit = 0.0 if options.keep_shifted else options.max_shift
    settings = replace(request.settings, max_shift_px=limit)
    return divided(source, request.first(source.members()), request.split), settings


def _celeba(request: ImportRequest) -> Prepared:
    """Read the official zip or its folder; partition and identity files may be in it or beside it."""
    source = open_source(request.source, "celeba", "img_align_celeba/")
    members = request.first(source.members())
    settings = replace(request.settings, transform=_celeba_transform(source, members))
    people = _list_text(source, request.source, "identity_CelebA.txt")
    if people is not None:
        members = splits.by_identity(members, people)
    if request.split != "official":
        return divided(source, members, request.split), settings
    text = _list_text(source, request.source, "list_eval_partition.txt")
    if text is None:
        return divided(source, members, "cut"), settings
    return _parts(source, splits.partition(members, text)), settings


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
    return divided(source, request.first(source.members()), request.split), request.settings


def _div2k(request: ImportRequest) -> Prepared:
    """Cut the training photographs into tiles; the 100 validation photographs are the test set, uncut."""
    train = _div2k_half(request.source, "train")
    tiles = TiledSource(train, tile_px=DIV2K_TILE_PX, stride_px=DIV2K_TILE_PX)
    keep = {m.photograph for m in request.first(train.members())}
    members = [m for m in tiles.members() if m.photograph in keep]
    if request.split == "cut":
        return divided(tiles, members, "cut"), request.settings
    test = _div2k_half(request.source, "valid")
    chosen = request.first(test.members())
    parts = _parts(tiles, splits.hold_out(members, []))
    return parts | {"test": SplitSource(test, chosen)}, request.settings


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
        return divided(source, members, request.split), request.settings
    numbers = [int(Path(m.name).stem) if Path(m.name).stem.isdigit() else -1 for m in members]
    if min(numbers) < 0:
        raise UserError(f"{members[numbers.index(-1)].name} is not an FFHQ name such as 00000.png")
    train = [m for m, i in zip(members, numbers, strict=True) if i < FFHQ_TRAIN]
    test = [m for m, i in zip(members, numbers, strict=True) if i >= FFHQ_TRAIN]
    return _parts(source, splits.hold_out(train, test)), request.settings


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
        return divided(source, sum(halves.values(), []), request.split), request.settings
    roles = splits.hold_out(halves["trainB"], halves["testB"])
    return _parts(source, roles), request.settings


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
