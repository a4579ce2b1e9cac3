"""Who belongs to which role where people, not photographs, must stay on one side."""

from collections.abc import Sequence

import pytest

from datasets.errors import UserError
from datasets.sources import ArchiveMember
from datasets.splits import (
    STUDIES,
    Split,
    by_identity,
    least_for_gate,
    partition,
    role_sizes,
    split_by_share,
    split_by_sizes,
)

MEMBERS = [ArchiveMember(f"{i:06d}", f"img_align_celeba/{i:06d}.jpg", f"{i:06d}") for i in range(1, 301)]
PEOPLE = "\n".join(f"{i:06d}.jpg {i % 70 if i <= 200 else i}" for i in range(1, 301))


def shared(roles: Split) -> set[str]:
    seen: dict[str, str] = {}
    pairs = [(m.photograph, role) for role, members in roles.items() for m in members]
    return {person for person, role in pairs if seen.setdefault(person, role) != role}


def sizes(roles: Split) -> dict[str, int]:
    return {role: len(members) for role, members in roles.items()}


@pytest.fixture
def people() -> Sequence[ArchiveMember]:
    return by_identity(MEMBERS, PEOPLE)


def test_without_identities_photographs_of_a_person_may_part(people: Sequence[ArchiveMember]) -> None:
    person = {m.key: m.photograph for m in people}
    naive = split_by_share(MEMBERS)
    assert shared({r: [ArchiveMember(m.key, m.name, person[m.key]) for m in ms] for r, ms in naive.items()})


def test_a_gate_decides_from_88_photographs_on_and_train_keeps_half() -> None:
    assert role_sizes(51) == {"train": 41, "val": 4, "test": 4, "gate": 2}
    assert role_sizes(87)["gate"] == 3 and role_sizes(88) == {"train": 44, "val": 7, "test": 7, "gate": 30}
    assert role_sizes(180) == {"train": 90, "val": 30, "test": 30, "gate": 30}
    assert role_sizes(1000) == {"train": 800, "val": 80, "test": 80, "gate": 40}
    assert least_for_gate() == 88
    for n in range(4, 1200):
        sizes = role_sizes(n)
        assert sum(sizes.values()) == n and sizes["train"] >= n // 2 - 1 and min(sizes.values()) >= 1


def test_a_cut_by_identity_parts_no_person(people: Sequence[ArchiveMember]) -> None:
    roles = split_by_share(people)
    assert not shared(roles) and sum(sizes(roles).values()) == 300 and min(sizes(roles).values()) >= 1


@pytest.mark.parametrize("members", [MEMBERS, by_identity(MEMBERS, PEOPLE)], ids=["images", "people"])
def test_a_study_has_its_sizes_in_images(
    members: list[ArchiveMember], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"test": 26, "val": 11, "gate": 13, "train": 250}
    monkeypatch.setitem(STUDIES, "matrix", wanted)
    roles = split_by_sizes(members, "matrix")
    assert sizes(roles) == wanted and not shared(roles)


def test_a_study_that_people_cannot_fill_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STUDIES, "matrix", {"test": 3, "train": 4})
    pairs = [ArchiveMember(f"{i}", f"{i}.jpg", f"p{i // 2}") for i in range(8)]
    with pytest.raises(UserError, match="--split matrix: no whole groups make 3 images of test"):
        split_by_sizes(pairs, "matrix")


def test_the_gate_of_the_official_partition_parts_no_person(people: Sequence[ArchiveMember]) -> None:
    number = {m.key: int(m.photograph.removeprefix("person-")) for m in people}
    lines = "\n".join(f"{key}.jpg {min(2, n // 50)}" for key, n in number.items())
    roles = partition(people, lines)
    assert len(roles) == 4 and not shared(roles)


@pytest.mark.parametrize(
    "text, message",
    [
        ("000001.jpg x", "line 1 of the identity file is '000001.jpg x', not 'NAME NUMBER'"),
        ("000001.jpg 5", "299 images have no line in the identity file, such as img_align_celeba/000002.jpg"),
        ("<html>", "line 1 of the identity file is '<html>'"),
    ],
)
def test_another_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        by_identity(MEMBERS, text)
