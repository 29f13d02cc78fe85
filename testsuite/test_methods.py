"""Methods and settings of r.impervious.change: what is known of each, and a new one that no other file knows. No GRASS session."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from imperviouslib.core import change
from imperviouslib.core.errors import InputError
from imperviouslib.core.legend import DEFINITIONS
from imperviouslib.core.mapkinds import CLASSES, KINDS
from imperviouslib.core.methods import METHODS, ClassRule, known_methods
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.table import Run
from imperviouslib.core.tablecheck import check_table
from imperviouslib.core.tableschema import SCHEMA, TRANSITIONS, VALUES, method_facts
from imperviouslib.core.zones import Zone
from imperviouslib.stage.change import output_maps, report

BASE = {"zones": "nuts", "output": Path("table"), "vintage": date(2026, 1, 1)}
OPTIONS = {
    "input": "lc", "classes": "", "shares": "", "years": "", "legend": "", "zones": "nuts", "column": "NUTS_ID",
    "nuts_version": "2024", "output": "~/table", "prefix": "change", "definition": "", "method": "", "vintage": "", "format": "plain",
}  # fmt: skip


def codes_of(settings):
    return [method.code for method in settings.methods]


def test_every_method_is_in_the_schema():
    assert set(SCHEMA["methods"]) == set(SCHEMA["codes"]["method"])
    for code, method in METHODS.items():
        assert method.code == code and method.needs <= set(KINDS) and method.notes
        assert method.facts.ground in ("region", "seen")
    ranks = [method_facts(code).rank for code in SCHEMA["methods"]]
    assert len(set(ranks)) == len(ranks)
    assert [method.code for method in known_methods()] == [
        "mapped_raw",
        "mapped_consistent",
    ]  # the least preferred first


def test_settings_are_parsed_once():
    options = {
        **OPTIONS, "input": "", "classes": "a@x,a@x", "years": "2017-2018", "definition": "artificial,artificial_natural",
        "method": "mapped_consistent,mapped_raw", "vintage": "2026-02-03", "legend": "s2glc", "format": "json",
    }  # fmt: skip
    settings = ChangeSettings.parse(options, {"n": True})
    assert settings == ChangeSettings(
        zones="nuts", output=Path("~/table").expanduser(), vintage=date(2026, 2, 3), classes=("a@x", "a@x"), years=(2017, 2018),
        legend="s2glc", definitions=("artificial", "artificial_natural"), methods=known_methods(), write_columns=False,
        format="json",
    )  # fmt: skip
    assert settings.kind is CLASSES


def test_defaults_follow_the_kind_of_maps():
    classes, shares = ChangeSettings(**BASE, input="lc"), ChangeSettings(**BASE, shares=("a",), years=(2018,))
    assert (classes.definitions, codes_of(classes)) == (("artificial_natural",), ["mapped_raw", "mapped_consistent"])
    assert (shares.definitions, codes_of(shares)) == (("artificial",), ["mapped_raw"])
    assert ChangeSettings.parse(OPTIONS, {"n": False}).methods == classes.methods


@pytest.mark.parametrize("code", ["mapped_raw", "mapped_consistent"])
def test_one_method_can_be_chosen(code):
    assert codes_of(ChangeSettings.parse({**OPTIONS, "method": code}, {"n": False})) == [code]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "0 of the options <input>, <classes> and <shares> are set. Give exactly one"),
        (
            {"input": "lc", "shares": ("a",), "years": (2018,)},
            "2 of the options <input>, <classes> and <shares> are set",
        ),
        ({"input": "lc", "legend": "s2glc"}, "Option <legend> cannot be used with <input>"),
        ({"classes": ("a",), "years": (2017, 2018)}, "found 2 years for 1 maps, expected one year per map"),
        ({"input": "lc", "prefix": "9x"}, "Option <prefix>"),
        ({"input": "lc", "definitions": ("water",)}, "found 'water', expected one or more of artificial"),
        (
            {"shares": ("a",), "years": (2018,), "definitions": tuple(DEFINITIONS)},
            "2 definitions cannot be used with <shares>",
        ),
        (
            {"shares": ("a",), "years": (2018,), "methods": (METHODS["mapped_consistent"],)},
            "mapped_consistent cannot be computed from the maps of <shares>. Choose from: mapped_raw.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(more, message):
    with pytest.raises(InputError) as caught:
        ChangeSettings(**BASE, **more)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("method", "mapped_raw,guess", "found 'guess', expected one or more of mapped_raw, mapped_consistent"),
        ("vintage", "2026-02-30", "found '2026-02-30', expected a date"),
        ("years", "2018,2017", "ascending"),
    ],
)
def test_options_that_cannot_be_parsed_are_refused(option, text, message):
    with pytest.raises(InputError) as caught:
        ChangeSettings.parse({**OPTIONS, option: text}, {"n": False})
    assert message in str(caught.value) and str(caught.value).startswith(f"Option <{option}>")


# A method that no other file knows


class AnyTwo(ClassRule):
    """The class that two years agree on, for all years."""

    code = "any_two"
    notes = ("any_two counts the class that two years agree on.",)
    layer, title = "agreed", "Classes that two years agree on"

    @staticmethod
    def rule(stack):
        counts = np.stack([(stack == code).sum(0) for code in range(1, 5)])
        return np.broadcast_to(np.where(counts.max(0) > 1, counts.argmax(0) + 1, 0), stack.shape)


class ArrayWork:
    """What the stage gives a method, on arrays in place of maps, for one level of regions."""

    def __init__(self, stack, years, categories):
        self.years, self.pairs, self.categories = years, change.resolve_pairs(years), categories
        self.maps = {year: f"map{year}" for year in years}
        self.cells = dict(zip(self.maps.values(), stack, strict=True))

    def observed(self):
        return self.figures(self.maps)

    def figures(self, maps):
        return CLASSES.figures(self, maps)

    def output(self, one):
        return one.name("ch")

    def apply(self, rule, outs):
        self.cells |= zip(outs, rule(np.stack([self.cells[name] for name in self.maps.values()])), strict=True)

    def compare(self, layers, maps):
        assert layers == ["fromto"]
        made = {("fromto", pair): f"fromto of {maps[pair[0]]} and {maps[pair[1]]}" for pair in self.pairs}
        for (_, (a, b)), name in made.items():
            pairs = change.fromto(self.cells[maps[b]], self.cells[maps[a]])
            self.cells[name] = np.where(pairs == change.UNKNOWN, 0, pairs)
        return made

    def count(self, name):
        found = {}
        for cat in np.unique(self.categories).tolist():
            codes, numbers = np.unique(self.cells[name][self.categories == cat], return_counts=True)
            found[cat] = {int(c): int(n) for c, n in zip(codes, numbers, strict=True) if c}
        return found


def test_a_new_method_is_a_class_and_an_entry_of_the_schema(monkeypatch):
    method, years = AnyTwo(), (2017, 2018, 2019)
    facts = {"title": "Any two", "short": "two", "key": "two", "ground": "seen", "interval": False}
    monkeypatch.setitem(METHODS, method.code, method)
    monkeypatch.setitem(SCHEMA["methods"], method.code, {"rank": 9, **facts})
    monkeypatch.setitem(SCHEMA["codes"]["method"], method.code, "The class that two years agree on")

    settings = ChangeSettings(**BASE, input="lc")
    assert codes_of(settings) == ["any_two", "mapped_raw", "mapped_consistent"]
    names = [one.name("ch") for one in output_maps(settings, years)]
    assert names[-6:] == [f"ch_{year}_{layer}" for layer in ("agreed", "consistent") for year in years]
    assert "Classes that two years agree on, 2018" in [one.title for one in output_maps(settings, years)]
    assert report.method_notes(settings.methods)[0] == "any_two counts the class that two years agree on."

    # Three cells in region 7: sealed from 2018 on; flickering; unseen in 2018. One in region 8, of another class each year.
    stack = np.array([[[3, 3, 1, 1]], [[1, 1, 0, 2]], [[1, 3, 1, 3]]])
    work = ArrayWork(stack, years, np.array([[7, 7, 7, 8]]))
    zones = [Zone("XX1", 7, 1, "West", "", 3), Zone("XX2", 8, 1, "East", "", 1)]
    run = Run(years, "2024", "2026-01-01", 400)
    figures = {"any_two": method.figures(work), "mapped_raw": METHODS["mapped_raw"].figures(work)}
    made = report.make_table(zones, work.observed(), figures, run, ["artificial"], work.pairs)
    check_table(made, 400)

    def cells(code, geo, year, column="OBS_VALUE"):
        key = {"method": code, "geo": geo, "lc_flow": "STK", "landcover": "IMP", "unit": "KM2", "TIME_PERIOD": year}
        (row,) = [row for row in made[VALUES] if key.items() <= row.items()]
        return row[column] if row[column] is None or column != "OBS_VALUE" else round(row[column] * 1e6 / 400)

    assert [cells("any_two", "XX1", year) for year in years] == [2, 2, 2]
    assert [cells("mapped_raw", "XX1", year) for year in years] == [1, 2, 2]
    assert (cells("any_two", "XX1", 2018, "N_PIX"), cells("any_two", "XX1", 2018, "COVERAGE")) == (3, 2 / 3)
    assert cells("any_two", "XX2", 2018) is None and cells("mapped_raw", "XX2", 2017) == 1
    assert {row["OBS_VALUE"] for row in made[TRANSITIONS] if row["method"] == "any_two" and row["unit"] == "KM2"} == {
        0,
        None,
    }
    summary = report.summarise(made, zones, ["any_two", "mapped_raw"])
    assert [(part["geo"], part["method"]) for part in summary] == [
        ("XX1", "any_two"), ("XX1", "mapped_raw"), ("XX2", "any_two"), ("XX2", "mapped_raw"),
    ]  # fmt: skip


def test_a_method_that_is_not_in_the_schema_fails_at_once(monkeypatch):
    monkeypatch.setitem(METHODS, AnyTwo.code, AnyTwo())
    with pytest.raises(KeyError, match="any_two"):
        ChangeSettings(**BASE, input="lc")


def test_the_cells_seen_are_those_of_the_maps_as_given():
    years = (2017, 2018)
    work = ArrayWork(np.array([[[1, 0]], [[1, 1]]]), years, np.array([[7, 7]]))
    filled = dict.fromkeys(years, "filled")
    work.cells["filled"] = np.array([[1, 1]])
    zone, run = Zone("XX1", 7, 1, "West", "", 2), Run(years, "2024", "2026-01-01", 400)
    made = report.make_table(
        [zone], work.observed(), {"mapped_consistent": work.figures(filled)}, run, ["artificial"], work.pairs
    )
    seen = {(row["lc_flow"], row["TIME_PERIOD"]): (row["COVERAGE"], row["N_PIX"]) for row in made[VALUES]}
    assert seen["STK", 2017] == (0.5, 2) and seen["STK", 2018] == (1.0, 2) and seen["NET", 2018] == (0.5, 2)
