"""Bands: one table, and what repeats its defaults where no import is possible."""

import re

import pytest

from imperviouslib.core import bands, mapnames
from testsuite import TOP


def test_names_are_unique():
    for names in ([b.name for b in bands.TABLE], [b.common_name for b in bands.TABLE]):
        assert len(set(names)) == len(names)
    assert set(bands.DEFAULT_BANDS) <= set(bands.BANDS) and bands.SCL not in bands.BANDS


def test_a_band_is_found_by_its_name_and_its_common_name():
    for band in bands.TABLE:
        assert bands.parse_band(band.name) == bands.parse_band(band.common_name) == band
    assert bands.parse_band("b12").name == "B12"
    assert bands.parse_band("B99") is bands.parse_band("") is None


@pytest.mark.parametrize(
    ("band", "label"), [("B02", "S2_2"), ("B04", "S2_4"), ("B8A", "S2_8A"), ("B11", "S2_11"), ("SCL", "S2_SCL")]
)
def test_semantic_labels_are_those_of_grass(band, label):
    assert bands.semantic_label(band) == label


def test_every_band_makes_a_feature_name():
    assert all(mapnames.is_feature(f"{band}_p50") for band in bands.BANDS)


@pytest.mark.parametrize("tool", ["r.s2.fetch", "r.s2.yearly"])
def test_the_tools_headers_name_the_default_bands(tool):
    """A header is plain text for g.parser, so it cannot import them."""
    header = (TOP / tool / f"{tool}.py").read_text()
    answer = re.search(r"# % key: bands\n(?:# % (?!key).*\n)*?# % answer: (.*)\n", header)[1]
    assert tuple(answer.split(",")) == bands.DEFAULT_BANDS
