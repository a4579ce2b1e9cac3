"""A source of pairs: HR and LR images of two sources, matched by name. Decoding is in validate.py.

Two names match if they are equal without extension, or equal after removal of marks of resolution at the end:
0801.png and 0801x4.png, tree.png and tree_x4.jpg, Canon_001_HR.png and Canon_001_LR4.png.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets.codec import size_of
from datasets.errors import Rejected, UserError
from datasets.folders import PassedOver
from datasets.sources import ArchiveMember, Source, open_source, passed_over

MAX_SCALE = 16
SIZED_PAIRS = 200  # so many pairs, evenly spaced, tell the scale
_MARK = re.compile(r"[-_. ]*(?<![a-z])(?:x\d{1,2}|\d{1,2}x|(?:lr|hr|lq|gt|srf)[-_]?\d{0,2})$", re.IGNORECASE)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def bare_name(name: str) -> str:
    """Return a name without its extension and without marks of resolution at its end."""
    stem = _stem(name)
    while (shorter := _MARK.sub("", stem)) and shorter != stem and not shorter.endswith("/"):
        stem = shorter
    return stem


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """Settings of an import of pairs."""

    hr: str = ""
    """Pairs: folder or zip of the HR images."""
    lr: str = ""
    """Pairs: folder or zip of the LR images, named like the HR images but for marks such as _x4, _LR, _HR."""
    scale: int = 0
    """Pairs: HR size over LR size; 0: the whole ratio that most pairs have."""
    max_shift: float = 1.0
    """Pairs: leave out pairs that are shifted by more LR pixels than this, and those of two pictures."""
    keep_shifted: bool = False
    """Pairs: keep all pairs, however they are shifted."""

    def check(self, name: str, source: str) -> None:
        """Raise UserError unless the settings fit an import of dataset `name` from --source `source`."""
        if name != "pairs" and self != PairOptions():
            raise UserError(
                "--hr, --lr, --scale, --max-shift and --keep-shifted are for pairs: upsweep prepare pairs"
            )
        if name == "pairs" and (source or not self.hr or not self.lr):
            raise UserError("pairs need --hr and --lr, the folders or zips of the images, and no --source")
        if self.scale < 0 or self.max_shift <= 0:
            raise UserError(
                f"--scale must be 0 or more and --max-shift above 0, but got {self.scale} and "
                f"{self.max_shift}"
            )


def open_pairs(options: PairOptions) -> "PairSource":
    """Open the folders or zips of `options`; UserError if they make no pairs."""
    hr, lr = Path(options.hr).resolve(), Path(options.lr).resolve()
    if hr == lr:
        raise UserError(f"--hr and --lr are both {hr}; put the LR images into a folder of their own")
    name = hr.parent.name if hr.name.lower() in ("hr", "gt") else hr.stem
    return PairSource(open_source(hr, name), open_source(lr), options.scale)


def refuse_pairs(folder: Path, option: str) -> None:
    """Raise UserError if the plain folder that `option` names holds pairs, as HR/ and LR/."""
    if (folder / "HR").is_dir() and (folder / "LR").is_dir():
        raise UserError(
            f"{folder} holds pairs, which are measured when they are imported: upsweep "
            f"prepare pairs --hr {folder}/HR --lr {folder}/LR --out OUT, then "
            f"{option}=OUT"
        )


class PairSource:
    """HR members of one source with the LR image of each in another; `scale` is HR size over LR size.

    UserError if no two names match, or if the sizes have no common whole ratio.
    """

    def __init__(self, hr: Source, lr_images: Source, scale: int = 0) -> None:
        self.name = hr.name
        self._hr, self._lr = hr, lr_images
        self._pairs, self._alone = _matched(hr, lr_images)
        if not self._pairs:
            raise UserError(
                f"no image of {hr.name} has the name of one of {lr_images.name}, such as "
                f"{hr.members()[0].name} and {lr_images.members()[0].name}; names must be equal but for "
                f"marks such as _x4, _LR, _HR"
            )
        self.scale = scale or _common_scale(self)

    def members(self) -> Sequence[ArchiveMember]:
        """Return the HR member of each pair."""
        return [hr for hr, _ in self._pairs.values()]

    def fingerprint(self) -> str:
        text = f"{self._hr.fingerprint()} {self._lr.fingerprint()} x{self.scale}"
        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, member: ArchiveMember) -> bytes:
        """Return the bytes of the HR image."""
        return self._hr.read(member)

    def read_lr(self, member: ArchiveMember) -> bytes:
        """Return the bytes of the LR image of the pair of HR `member`."""
        return self._lr.read(self._pairs[member.key][1])

    @property
    def passed_over(self) -> list[PassedOver]:
        """The images without a partner, and what the two sources pass over."""
        return [*self._alone, *passed_over(self._hr), *passed_over(self._lr)]


def _matched(
    hr: Source, lr_images: Source
) -> tuple[dict[str, tuple[ArchiveMember, ArchiveMember]], list[PassedOver]]:
    """Return {HR key: (HR member, LR member)} by name, and the images that have no partner, or several."""
    by_stem, by_bare = {}, defaultdict(list)
    for member in lr_images.members():
        by_stem[_stem(member.name)] = member
        by_bare[bare_name(member.name)].append(member)
    highs = hr.members()
    repeated = Counter(bare_name(member.name) for member in highs)
    pairs, alone, used = {}, [], set()
    for member in highs:
        bare = bare_name(member.name)
        exact = by_stem.get(_stem(member.name))
        candidates = [exact] if exact else by_bare[bare] if repeated[bare] == 1 else []
        if len(candidates) == 1:
            pairs[member.key] = (member, candidates[0])
            used.add(candidates[0].name)
        else:
            names = ", ".join(c.name for c in candidates[:3])
            alone.append((member.name, f"several LR images: {names}" if names else "no LR image of its name"))
    left = (m for m in lr_images.members() if m.name not in used)
    return pairs, alone + [(m.name, "no HR image of its name, or several") for m in left]


def _common_scale(source: PairSource) -> int:
    """Return the whole ratio of most of the pairs' sizes."""
    votes: Counter[int] = Counter()
    members = source.members()
    for member in members[:: max(1, len(members) // SIZED_PAIRS)]:
        try:
            (height, width), (lr_height, lr_width) = (
                size_of(source.read(member)),
                size_of(source.read_lr(member)),
            )
        except Rejected:
            continue  # validation rejects it by its name
        for scale in {round(height / lr_height), round(width / lr_width)}:
            if fits((height, width), (lr_height, lr_width), scale):
                votes[scale] += 1
    scale = votes.most_common(1)[0][0] if votes else 0
    if not 1 <= scale <= MAX_SCALE:
        raise UserError(
            f"no pair of {source.name} has an HR image that is 1 to {MAX_SCALE} times, a whole number, as "
            f"large as its LR image"
        )
    return scale


def fits(hr: tuple[int, int], lr_image: tuple[int, int], scale: int) -> bool:
    """Return True if the sides of HR are `scale` times those of LR, to less than one LR pixel."""
    return scale >= 1 and all(abs(h - scale * low) < scale for h, low in zip(hr, lr_image, strict=True))
