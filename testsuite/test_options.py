"""Numbers and years as g.parser lets them through, for each tool that has such an option."""

import importlib
import os
import re
from collections import defaultdict

import pytest

from imperviouslib.core.errors import InputError, counted
from imperviouslib.core.options import parse_years, resolve_nprocs
from imperviouslib.stage.change import report
from testsuite import TOP

TOOLS = {
    "r.s2.fetch": "FetchSettings", "r.s2.yearly": "YearlySettings", "r.s2.ard": "ArdSettings", "r.unet.train": "TrainSettings",
    "r.unet.predict": "PredictSettings", "r.impervious.sample": "SampleSettings", "r.impervious.change": "ChangeSettings",
}  # fmt: skip
GIVEN = {
    "r.s2.fetch": {"output": "archive", "years": "2018"}, "r.s2.yearly": {"input": "archive", "output": "s2"},
    "r.s2.ard": {"input": "s2", "output": "x.nc", "labels": "map"}, "r.unet.train": {"input": "x.nc", "output": "model"},
    "r.unet.predict": {"input": "x.nc", "model": "model", "output": "lc"}, "r.impervious.sample": {"input": "lc", "output": "sample"},
    "r.impervious.change": {"input": "lc", "zones": "nuts", "output": "table"},
}  # fmt: skip
"""Options without a default that a run needs."""


def header(tool):
    """Return option to (type, default) by the header of a tool; those of a standard option are known by its name."""
    found = {}
    for standard, block in re.findall(r"# %option ?(\w*)\n(.*?)# %end", (TOP / tool / f"{tool}.py").read_text(), re.S):
        words = dict(re.findall(r"# % (key|type|answer): ?(.*)", block))
        if standard == "G_OPT_M_NPROCS":
            words |= {"key": "nprocs", "type": "integer", "answer": "1"}
        key = words.get("key", "input" if "INPUT" in standard else "zones" if "_V_" in standard else "output")
        found[key] = words.get("type", "string"), words.get("answer", "")
    return found


def parse(tool, **changes):
    """Parse what g.parser gives where only these options are set."""
    module = importlib.import_module(f"imperviouslib.core.settings.{tool.split('.')[-1]}")
    options = {key: default for key, (_kind, default) in header(tool).items()} | GIVEN[tool] | changes
    return getattr(module, TOOLS[tool]).parse(options, defaultdict(bool))


NUMBERS = [
    (tool, key, kind)
    for tool in TOOLS
    for key, (kind, _) in header(tool).items()
    if kind != "string" and key != "label_year"  # which is parsed like <years>
]


def test_every_tool_has_numbers():
    """r.s2.ard has one alone, the year of the labels, which is parsed like <years>."""
    assert {tool for tool, _key, _kind in NUMBERS} == set(TOOLS) - {"r.s2.ard"}


@pytest.mark.parametrize(("tool", "key", "kind"), NUMBERS)
@pytest.mark.parametrize("text", ["2,5", "2x", "1e", "nan"])
def test_a_text_that_is_no_number_is_refused_by_name(tool, key, kind, text):
    with pytest.raises(
        InputError, match=rf"Option <{key}>: found '{text}', expected a {'whole ' if kind == 'integer' else ''}number"
    ):
        parse(tool, **{key: text})


@pytest.mark.parametrize(("tool", "key"), [(tool, key) for tool, key, kind in NUMBERS if kind == "integer"])
def test_a_fraction_is_no_whole_number(tool, key):
    with pytest.raises(InputError, match=rf"Option <{key}>: found '16.5', expected a whole number"):
        parse(tool, **{key: "16.5"})


def test_one_thing_is_no_plural_and_nothing_has_no_sign():
    assert [counted(number, "{} scene", "{} scenes") for number in (0, 1, 2)] == ["0 scenes", "1 scene", "2 scenes"]
    assert [report.shown("net", value) for value in (-0.00001, -0.0, -0.0001)] == ["+0.0000", "+0.0000", "-0.0001"]
    assert report.shown("gain", -0.0) == "0.0000"


def test_processes_are_counted_as_grass_does():
    assert [resolve_nprocs(wanted, 8) for wanted in (1, 99, 0, -1, -7, -8, -99)] == [1, 99, 8, 7, 1, 1, 1]


@pytest.mark.parametrize("text", ["0000", "0017", "9999", "2017-9999", "２０１７"])
def test_numbers_of_four_digits_that_are_no_years_are_refused(text):
    with pytest.raises(InputError, match=rf"Option <years>: found '{text}', expected years such as 2017-2019"):
        parse_years(text)


def test_a_seed_below_zero_is_refused_by_name():
    with pytest.raises(InputError, match=r"Option <seed>: found -1, expected 0 or more"):
        parse("r.impervious.sample", seed="-1")


@pytest.mark.parametrize("tool", [tool for tool, key, _kind in NUMBERS if key == "nprocs"])
def test_nprocs_counts_from_the_processors_in_every_tool(tool):
    def count(text):
        settings = parse(tool, nprocs=text)
        return getattr(settings, "nprocs", None) or settings.threads

    here = len(os.sched_getaffinity(0))
    assert [count("1"), count("3"), count("-1"), count("-100000")] == [1, 3, max(1, here - 1), 1]


def test_the_workers_of_a_scheduler_use_all_their_processors_by_zero():
    assert parse("r.unet.predict", nprocs="0").threads == 0
    assert parse("r.s2.yearly", nprocs="0").nprocs == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("tool", "changes", "said"),
    [
        ("r.s2.ard", {"label_year": "1"}, r"<label_year>: found '1', expected years such as"),
        ("r.s2.ard", {"label_year": "2017-2018"}, r"<label_year>: found '2017-2018', expected one year"),
        ("r.s2.ard", {"label_year": "2017.9"}, r"<label_year>: found '2017.9', expected years such as"),
        ("r.s2.yearly", {"tilemap": "9"}, r"<tilemap>: found '9', expected a name of letters, digits and _"),
        ("r.s2.yearly", {"tilemap": "t.m"}, r"<tilemap>: found 't.m', expected a name of letters, digits and _"),
        ("r.s2.yearly", {"tiles": "Common"}, r"<tiles>: found 'Common', expected common or all in small letters"),
        ("r.s2.yearly", {"tiles": "all,31UDS"}, r"<tiles>: found 'all,31UDS', expected common or all in small letters and alone"),
        (
            "r.impervious.sample", {"stock_points": "lucas", "stock_columns": "2018=a,2018=b"},
            r"<stock_columns>: found '2018=b', expected YEAR=COLUMN, such as 2018=sealed_2018, each year once",
        ),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused_by_name(tool, changes, said):
    with pytest.raises(InputError, match=rf"Option {said}"):
        parse(tool, **changes)
