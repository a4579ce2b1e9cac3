"""The table of known datasets."""

from datasets.catalogue import CATALOGUE
from datasets.preparers import PREPARERS
from datasets.splits import STUDIES


def test_every_catalogue_name_can_be_prepared() -> None:
    assert PREPARERS.keys() == CATALOGUE.keys()


def test_every_row_says_what_to_provide_and_where_to_get_it() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.bring and entry.licence and entry.get and entry.images >= 0, name
        assert set(entry.splits) <= {"cut", "whole", "official", "packaged", *STUDIES}, name
