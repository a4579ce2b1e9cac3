"""Splits into roles: cuts by photograph, official partitions, and the named sizes of studies.

A hash of the photograph's name decides, so that a set is cut in the same way on every machine.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from datasets.config import DECIDABLE
from datasets.errors import UserError
from datasets.sources import ArchiveMember
from datasets.text import count

Split = dict[str, list[ArchiveMember]]

SHARES = (("train", 0.80), ("val", 0.08), ("test", 0.08), ("gate", 0.04))
"""Shares of the photographs when a plain set is cut into four roles."""

STUDIES: dict[str, dict[str, int]] = {
    # 200,000 training and 2,599 test images; val and gate are cut from the training images.
    "matrix": {"test": 2_599, "val": 500, "gate": 500, "train": 199_000},
    # The upsampling study has no gate, so the gate is cut from images that the study does not use.
    "upsampling": {"test": 250, "val": 250, "train": 2_000, "gate": 250},
    # The largest sizes for sets of about 530 photographs.
    "miniature": {"test": 130, "val": 1, "train": 400},
}
HELD_OUT_ONE_IN = 50
"""One in this many photographs of an official training set becomes val, and one in this many gate."""


class TooFew(UserError):
    """A set has fewer images than the split of a study needs.

    `split` is a name of STUDIES, `given` the number of images of the set. The attribute `sizes` lists the
    needed images as text, such as "130 test, 1 val, 400 train".
    """

    def __init__(self, split: str, given: int) -> None:
        self.given, needed = given, sum(STUDIES[split].values())
        self.sizes = ", ".join(f"{size:,} {role}" for role, size in STUDIES[split].items())
        super().__init__(f"--split {split} needs {needed:,} images, but there are {given:,}; use --split cut")


def split_plain(members: Sequence[ArchiveMember], split: str) -> Split:
    """Split a set without official roles: "whole" (all images for any role), "cut", or a name of STUDIES.

    UserError as from `split_by_share` ("cut") and `split_by_sizes` (a name of STUDIES).
    """
    if split == "whole":
        return {"all": list(members)}
    return split_by_share(members) if split == "cut" else split_by_sizes(members, split)


def split_by_share(members: Sequence[ArchiveMember]) -> Split:
    """Split into the four roles by photograph, in the sizes of `role_sizes`.

    UserError if there are fewer than four photographs.
    """
    n = len({m.photograph for m in members})
    if n < len(SHARES):
        raise UserError(
            f"{count(n, 'photograph')} cannot be cut into train, val, test and gate; provide at least 4"
        )
    return _in_sizes(members, role_sizes(n))


def role_sizes(photographs: int) -> dict[str, int]:
    """Return the number of photographs of each role, of at least four in all.

    Each role has its share; but gate, then test, then val have DECIDABLE if train keeps half, because a gate
    of fewer images decides nothing.
    """
    sizes = {role: max(1, round(share * photographs)) for role, share in SHARES[1:]}
    for role in ("gate", "test", "val"):
        larger = sizes | {role: max(sizes[role], DECIDABLE)}
        if sum(larger.values()) <= photographs // 2:
            sizes = larger
    return {"train": photographs - sum(sizes.values()), **sizes}


def least_for_gate() -> int:
    """Return the number of photographs from which on a plain set has a gate that decides."""
    return next(n for n in itertools.count(len(SHARES)) if role_sizes(n)["gate"] >= DECIDABLE)


def split_by_sizes(members: Sequence[ArchiveMember], name: str) -> Split:
    """Split into the numbers of images of STUDIES[name]; images of one photograph or person stay together.

    Raises:
        TooFew: there are fewer images than the study needs.
        UserError: no choice of whole photographs or people has exactly the number of images of a role.
    """
    sizes = STUDIES[name]
    if len(members) < sum(sizes.values()):
        raise TooFew(name, len(members))
    images_per_photograph = Counter(m.photograph for m in members)
    left = by_hash(images_per_photograph)
    role_of: dict[str, str] = {}
    for role, size in sizes.items():
        chosen = fill(size, left, images_per_photograph)
        if sum(images_per_photograph[p] for p in chosen) < size:
            raise UserError(
                f"--split {name}: no whole groups make {size:,} images of {role}; use --split cut"
            )
        role_of.update(dict.fromkeys(chosen, role))
        left = [p for p in left if p not in role_of]
    return _by_role(members, role_of, sizes)


def fill(size: int, photographs: Sequence[str], images_per_photograph: Mapping[str, int]) -> list[str]:
    """Choose photographs, in order, until they have `size` images; skip those with more than are missing."""
    chosen = []
    for photograph in photographs:
        if images_per_photograph[photograph] <= size:
            chosen.append(photograph)
            size -= images_per_photograph[photograph]
        if not size:
            break
    return chosen


def hold_out(train: Sequence[ArchiveMember], test: Sequence[ArchiveMember]) -> Split:
    """Return the split of an official training and test set, which stays as it is.

    Val and gate get one photograph in HELD_OUT_ONE_IN of train each, one at least. UserError for fewer than
    three training photographs.
    """
    order = by_hash(m.photograph for m in train)
    size = max(1, len(order) // HELD_OUT_ONE_IN)
    if len(order) < 3:
        raise UserError(
            f"{len(order)} training photographs leave nothing for val and gate; provide at least 3"
        )
    roles = _in_sizes(train, {"val": size, "gate": size, "train": len(order) - 2 * size})
    return roles | {"test": list(test)}


def _in_sizes(members: Sequence[ArchiveMember], sizes: Mapping[str, int]) -> Split:
    """Give the first photographs by hash to the first role, and so on; leave out the rest."""
    photographs = by_hash(m.photograph for m in members)
    role_of: dict[str, str] = {}
    for role, size in sizes.items():
        start = len(role_of)
        role_of.update(dict.fromkeys(photographs[start : start + size], role))
    return _by_role(members, role_of, sizes)


def _by_role(members: Sequence[ArchiveMember], role_of: Mapping[str, str], roles: Iterable[str]) -> Split:
    found: Split = {role: [] for role in roles}
    for member in members:
        if member.photograph in role_of:
            found[role_of[member.photograph]].append(member)
    return found


def by_hash(photographs: Iterable[str]) -> list[str]:
    """Return the names, each once, in the order of their SHA-256."""
    return sorted(set(photographs), key=_hash)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def partition(members: Sequence[ArchiveMember], text: str) -> Split:
    """Divide by CelebA's list_eval_partition.txt: 0 train, 1 val, 2 test; a tenth of val, by hash, is gate.

    UserError if the text is not such a list, or has no line for an image.
    """
    found: Split = {"train": [], "val": [], "test": [], "gate": []}
    numbers = _numbers(members, text, "partition file", {"0", "1", "2"})
    for member, number in zip(members, numbers, strict=True):
        role = ("train", "val", "test")[number]
        if role == "val" and int(_hash(member.photograph)[:8], 16) % 10 == 0:
            role = "gate"
        found[role].append(member)
    return {role: chosen for role, chosen in found.items() if chosen}


def by_identity(members: Sequence[ArchiveMember], text: str) -> list[ArchiveMember]:
    """Replace each member's photograph by its person in CelebA's identity_CelebA.txt.

    All images of a person then stay in one role of every split. UserError if the text is not such a list, or
    has no line for an image.
    """
    numbers = _numbers(members, text, "identity file")
    return [replace(m, photograph=f"person-{n}") for m, n in zip(members, numbers, strict=True)]


def _numbers(
    members: Sequence[ArchiveMember], text: str, what: str, known: Collection[str] = ()
) -> list[int]:
    """Return each member's number in a list of lines "NAME NUMBER"; `known` are the valid numbers, if any."""
    numbers = {}
    for i, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal() or (known and words[1] not in known):
            meant = "0|1|2" if known else "NUMBER"
            raise UserError(f"line {i} of the {what} is {line[:60]!r}, not 'NAME {meant}'")
        numbers[words[0]] = int(words[1])
    names = [m.name.rsplit("/", 1)[-1] for m in members]
    missing = [m.name for m, name in zip(members, names, strict=True) if name not in numbers]
    if missing:
        raise UserError(f"{len(missing)} images have no line in the {what}, such as {missing[0]}")
    return [numbers[name] for name in names]
