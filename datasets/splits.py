"""Who belongs to which role: cuts by photograph, official partitions, the studies' named sizes."""

import hashlib
from collections.abc import Sequence

from datasets.errors import UserError
from datasets.importers import Member

Split = dict[str, list[Member]]

SHARES = (("train", 0.80), ("val", 0.08), ("test", 0.08), ("gate", 0.04))
"""Of the photographs, when a plain set is cut into four roles."""


def cut(members: Sequence[Member]) -> Split:
    """Four roles by a hash of the photograph's name: a photograph is on one side, at least one each.

    The hash, not chance, decides: adding pictures moves only a few. UserError below four photographs.
    """
    photographs = sorted({m.photograph for m in members}, key=_hash)
    n = len(photographs)
    if n < len(SHARES):
        raise UserError(f"{n} photographs cannot be cut into train, val, test and gate; bring at least 4")
    role_of, start = {}, 0
    sizes = {role: max(1, round(share * n)) for role, share in SHARES}
    sizes["train"] = n - sum(size for role, size in sizes.items() if role != "train")
    for role, size in sizes.items():
        role_of.update(dict.fromkeys(photographs[start : start + size], role))
        start += size
    return {role: [m for m in members if role_of[m.photograph] == role] for role in sizes}


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def partition(members: Sequence[Member], text: str) -> Split:
    """CelebA's list_eval_partition.txt: 0 train, 1 val, 2 test; a tenth of val, by hash, is the gate.

    Train and test keep their official images. UserError where the text is no such list, or an image has
    no line in it.
    """
    numbers = _partition_numbers(text)
    missing = [m.name for m in members if m.name.rsplit("/", 1)[-1] not in numbers]
    if missing:
        raise UserError(
            f"{len(missing)} images have no line in the partition file, for instance {missing[0]}"
        )
    found: Split = {"train": [], "val": [], "test": [], "gate": []}
    for member in members:
        role = ("train", "val", "test")[numbers[member.name.rsplit("/", 1)[-1]]]
        if role == "val" and int(_hash(member.photograph)[:8], 16) % 10 == 0:
            role = "gate"
        found[role].append(member)
    return {role: chosen for role, chosen in found.items() if chosen}


def _partition_numbers(text: str) -> dict[str, int]:
    numbers = {}
    for i, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise UserError(
                f"line {i} of the partition file is {line[:60]!r}, not 'NAME 0|1|2'; fetch it again"
            )
        numbers[words[0]] = int(words[1])
    return numbers
