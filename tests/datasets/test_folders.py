"""One rule for pictures in folders and archives."""

from datasets.folders import choose_pictures, find_pictures
from datasets.sources import FolderSource


def test_pictures_by_suffix_in_any_case_and_the_rest_counted():
    found = choose_pictures(["b.JPG", "a.jfif", "x/.y/c.png", "._b.jpg", "notes.txt", "README", "d.psd"])
    assert found.names == ["a.jfif", "b.JPG"]
    assert found.describe() == "2 hidden, 1 .psd, 1 .txt, 1 without suffix"


def test_no_half_of_the_photographs_is_missing_because_of_its_suffix(tmp_path):
    for k in range(6):
        (tmp_path / f"a{k}.jpg").write_bytes(b"")
        (tmp_path / f"b{k}.jfif").write_bytes(b"")
    source = FolderSource(tmp_path)
    assert len(source.members()) == 12 and source.passed_over == []


def test_a_suffix_that_controls_a_terminal_or_is_not_text_is_shown_as_escapes():
    assert choose_pictures(["a.\x1b[2j", "b.\udcff"]).describe() == "1 .\\x1b[2j, 1 .\\udcff"


def test_links_and_hidden_folders_of_a_folder_are_counted_and_not_followed(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/a.png").write_bytes(b"")
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "again").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert found.names == ["a.png"] and found.describe() == "1 hidden, 1 links"
