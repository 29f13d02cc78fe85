"""The options of r.s2.fetch, parsed once."""

import re
from datetime import date
from pathlib import Path

import pytest

from imperviouslib.core.bands import DEFAULT_BANDS
from imperviouslib.core.choice import METHODS as CHOICES
from imperviouslib.core.errors import InputError
from imperviouslib.core.options import FORMATS, parse_years
from imperviouslib.core.resample import METHODS
from imperviouslib.core.retry import RetryPolicy
from imperviouslib.core.settings.fetch import FetchSettings
from imperviouslib.core.window import Window, parse_window
from testsuite import TOP

HEADER = (TOP / "r.s2.fetch" / "r.s2.fetch.py").read_text()
BLOCKS = re.findall(r"# %(option|flag)(.*?)# %end", HEADER, re.S)


def answers(**changes):
    """Return what g.parser gives when nothing but `output` and `years` is set, by the tool's own header."""
    found = {}
    for kind, block in BLOCKS:
        if kind == "option":
            named = re.search(r"key: (\w+)", block)
            answer = re.search(r"answer: (.*)", block)
            # The one option without a key of its own is G_OPT_M_NPROCS.
            found[named[1] if named else "nprocs"] = answer[1] if answer else ("" if named else "1")
    return {**found, "output": "archive", "years": "2018", **changes}


def parse(*flags, **changes):
    return FetchSettings.parse(answers(**changes), {flag: flag in flags for flag in "lnik"})


def test_the_defaults_of_the_header_are_those_of_the_settings():
    assert parse() == FetchSettings(archive=Path("archive"), years=(2018,))
    assert {key: block for kind, block in BLOCKS if kind == "flag" for key in re.findall(r"key: (\w)", block)}.keys() == set("lnik")  # fmt: skip


@pytest.mark.parametrize(("key", "known"), [("resampling", METHODS), ("format", FORMATS), ("choice", CHOICES)])
def test_the_values_of_the_header_are_those_of_the_settings(key, known):
    block = next(block for _, block in BLOCKS if re.search(rf"key: {key}\n", block))
    assert tuple(re.search(r"options: (.*)", block)[1].split(",")) == known


def test_every_option_becomes_a_value():
    found = parse(
        "k", stac="x.json", collection="c1", bbox="4.2, 50.7,4.6,51", years="2017-2019,2021", bands="b8a, B04",
        window="11-15/02-10", clouds="7.5", scenes="2", tiles="T31UFS,31UES,31ues", choice="bytes", resampling="bilinear",
        prefix="mine", tries="3", timeout="1.5", nprocs="4", format="json",
    )  # fmt: skip
    assert found == FetchSettings(
        archive=Path("archive"), years=(2017, 2018, 2019, 2021), stac="x.json", collection="c1", bbox=(4.2, 50.7, 4.6, 51.0),
        window=Window((11, 15), (2, 10)), bands=("B8A", "B04"), tiles=("31UES", "31UFS"), max_cloud_pct=7.5, max_scenes=2,
        choice="bytes", resampling="bilinear", prefix="mine", retry=RetryPolicy(tries=3, timeout_s=1.5), nprocs=4,
        format="json", keep_going=True,
    )  # fmt: skip
    assert parse(area="places").area == "places"
    flags = {flag: parse(flag) for flag in "lni"}
    assert flags["l"].list_only and flags["n"].no_maps and flags["i"].import_maps
    assert found.scene_filter.all_bands == ("B8A", "B04", "SCL")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"bands": "B12,B99"}, "Option <bands>: found 'B12,B99'"), ({"bands": "B12,b12"}, "each once"),
        ({"bands": ""}, "Option <bands>"), ({"bands": "SCL"}, "SCL is always fetched"), ({"bbox": "1,2,3"}, "Option <bbox>"),
        ({"bbox": "5,1,4,2"}, "Option <bbox>"), ({"bbox": "a,b,c,d"}, "Option <bbox>"), ({"bbox": "1,-91,2,0"}, "Option <bbox>"),
        ({"area": "places", "bbox": "1,2,3,4"}, "<area> and <bbox> exclude each other"), ({"prefix": "2018"}, "Option <prefix>"),
        ({"choice": "best"}, "one of clear, bytes"), ({"resampling": "mode"}, "one of nearest"), ({"format": "xml"}, "Option <format>"),
        ({"window": "1-1/2-2"}, "Option <window>"), ({"years": "2021,2020"}, "Option <years>"),
    ],
)  # fmt: skip
def test_an_invalid_option_is_refused(changes, found):
    with pytest.raises(InputError, match=re.escape(found)):
        parse(**changes)


@pytest.mark.parametrize("flags", ["ln", "li", "ni", "lni"])
def test_flags_that_exclude_each_other_are_refused(flags):
    with pytest.raises(InputError, match="exclude each other"):
        parse(*flags)


def test_without_maps_the_prefix_is_not_checked():
    assert parse("n", prefix="2018").prefix == "2018"


def test_the_default_bands_are_those_of_the_suite():
    assert parse().bands == DEFAULT_BANDS


def test_a_window_may_cross_the_end_of_the_year():
    window = parse_window("11-15/02-10")
    assert window.days(2018) == (date(2018, 11, 15), date(2019, 2, 10))
    assert window.holds(date(2019, 2, 10), 2018)
    assert not window.holds(date(2018, 2, 1), 2018)
    assert not window.holds(date(2019, 2, 11), 2018)
    assert str(window) == "11-15/02-10"


@pytest.mark.parametrize("text", ["", "04-15", "4-15/10-15", "02-29/10-01", "13-01/12-01", "04-15/10-15 "[:-2]])
def test_a_window_of_another_form_is_refused(text):
    with pytest.raises(InputError, match="mm-dd/mm-dd"):
        parse_window(text)


@pytest.mark.parametrize("text", ["", "2018,2017", "2017,2017", "2019-2017", "17", "2017-2019,2018", "2017;2018"])
def test_years_out_of_order_or_doubled_are_refused(text):
    with pytest.raises(InputError, match="Option <years>"):
        parse_years(text)
