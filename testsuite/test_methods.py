"""Methods and settings of r.impervious.change: what is known of each, and a new one that no other file knows. No GRASS session."""

import itertools
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from imperviouslib.core import change, mapnames
from imperviouslib.core.errors import InputError
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import DEFINITIONS
from imperviouslib.core.mapkinds import CLASSES, KINDS, PREDICTED, SHARES, MapKind, resolve_histories
from imperviouslib.core.methods import METHODS, ClassRule, known_methods, methods_for
from imperviouslib.core.methods.mapped_series import expected_pairs, history_chances
from imperviouslib.core.series import Histories
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.table import Run
from imperviouslib.core.tablecheck import check_table
from imperviouslib.core.tableschema import SCHEMA, TRANSITIONS, VALUES, method_facts
from imperviouslib.core.tally import Units, make_strip
from imperviouslib.core.zones import Zone
from imperviouslib.stage.change import output_maps, report
from testsuite.history_ground import random_maps

BASE = {"zones": "nuts", "output": Path("table"), "vintage": date(2026, 1, 1)}
OPTIONS = {
    "input": "lc", "classes": "", "shares": "", "years": "", "legend": "", "zones": "nuts", "column": "NUTS_ID",
    "nuts_version": "2024", "output": "~/table", "prefix": "change", "definition": "", "method": "", "vintage": "", "format": "plain",
    "population": "", "previous": "", "design": "", "sample": "",
}  # fmt: skip


def codes_of(methods):
    return [method.code for method in methods]


def test_every_method_is_in_the_schema():
    assert set(SCHEMA["methods"]) == set(SCHEMA["codes"]["method"])
    kinds = {kind for known in KINDS.values() for kind in type(known).__mro__ if issubclass(kind, MapKind)}
    for code, method in METHODS.items():
        assert method.code == code and set(method.needs) <= kinds and method.notes
        assert method.facts.ground in ("region", "seen")
    ranks = [method_facts(code).rank for code in SCHEMA["methods"]]
    assert len(set(ranks)) == len(ranks)
    # The least preferred first.
    assert codes_of(known_methods()) == ["mapped_raw", "mapped_consistent", "mapped_series", "assisted", "estimated"]


def test_settings_are_parsed_once():
    options = {
        **OPTIONS, "input": "", "classes": "a@x,a@x", "years": "2017-2018", "definition": "artificial,artificial_natural",
        "method": "mapped_consistent,mapped_raw", "vintage": "2026-02-03", "legend": "s2glc", "format": "json",
    }  # fmt: skip
    settings = ChangeSettings.parse(options, {"n": True})
    assert settings == ChangeSettings(
        zones="nuts", output=Path("~/table").expanduser(), vintage=date(2026, 2, 3), classes=("a@x", "a@x"), years=(2017, 2018),
        legend="s2glc", definitions=("artificial", "artificial_natural"), methods=methods_for(CLASSES), write_columns=False,
        format="json",
    )  # fmt: skip
    assert settings.kind is CLASSES


def test_defaults_follow_the_kind_of_maps():
    predicted, shares = ChangeSettings(**BASE, input="lc"), ChangeSettings(**BASE, shares=("a",), years=(2018,))
    classes = ChangeSettings(**BASE, classes=("a",), years=(2018,))
    assert (predicted.kind, classes.kind, shares.kind) == (PREDICTED, CLASSES, SHARES)
    assert predicted.definitions == classes.definitions == ("artificial_natural",) and shares.definitions == (
        "artificial",
    )
    # Which methods the maps allow is known when they are found.
    assert predicted.methods == () == ChangeSettings.parse(OPTIONS, {"n": False}).methods
    assert codes_of(methods_for(SHARES)) == ["mapped_raw"]
    assert codes_of(methods_for(CLASSES)) == ["mapped_raw", "mapped_consistent"]
    assert codes_of(methods_for(PREDICTED)) == ["mapped_raw", "mapped_consistent", "mapped_series"]


@pytest.mark.parametrize("code", ["mapped_raw", "mapped_consistent", "mapped_series"])
def test_one_method_can_be_chosen(code):
    assert codes_of(ChangeSettings.parse({**OPTIONS, "method": code}, {"n": False}).methods) == [code]


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
        ({"input": "lc", "share_scale": 100}, "Option <share_scale> cannot be used with <input>"),
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
        (
            {"classes": ("a",), "years": (2018,), "methods": (METHODS["mapped_series"],)},
            "mapped_series cannot be computed from the maps of <classes>. Choose from: mapped_raw, mapped_consistent.",
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
        ("share_scale", "255", "found '255', expected one of 1, 100"),
        ("licence", "all rights reserved", "found 'all rights reserved', expected the name of a licence in one word"),
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

    def __init__(self, stack, years, categories, histories=None):
        self.years, self.pairs, self.categories = years, change.resolve_spans(years), categories
        self.maps = {year: f"map{year}" for year in years}
        self.zone_maps, self.cell_parts = {1: "zones"}, 1
        self.cells = {"zones": categories, **dict(zip(self.maps.values(), stack, strict=True))}
        self.histories, self.expressions = histories, {}

    def observed(self):
        return self.figures(self.maps)

    def figures(self, maps):
        return CLASSES.figures(self, maps)

    def measure(self, measure):
        """All strips of one row are added at once."""
        units = Units(1)
        for row in range(len(self.categories)):
            grid = Grid(0, -20 * row - 20, 20 * self.categories.shape[1], -20 * row)
            cells = {name: self.cells[name][row : row + 1] for name in (*measure.codes, *measure.values)}
            measure.add(make_strip(grid, self.categories[np.newaxis, row : row + 1], units, cells, cells))
        return units.members

    def output(self, one):
        return one.name("ch")

    def mapcalc(self, expressions):
        self.expressions |= expressions

    def blocks(self, codes, values=()):
        """Strips of one row."""
        for row in range(len(self.categories)):
            yield tuple(np.stack([self.cells[name][row : row + 1] for name in names]) for names in (codes, values))

    def apply(self, rule, outs):
        self.cells |= zip(outs, rule(np.stack([self.cells[name] for name in self.maps.values()])), strict=True)

    def count_pairs(self, before, now):
        pairs = change.fromto(self.cells[now], self.cells[before])
        self.cells["pairs"] = np.where(pairs == change.UNKNOWN, 0, pairs)
        return self.count("pairs")

    def count(self, name):
        found = {}
        for cat in np.unique(self.categories).tolist():
            codes, numbers = np.unique(self.cells[name][self.categories == cat], return_counts=True)
            found[cat] = {int(c): int(n) for c, n in zip(codes, numbers, strict=True) if c}
        return lambda: found


def test_a_new_method_is_a_class_and_an_entry_of_the_schema(monkeypatch):
    method, years = AnyTwo(), (2017, 2018, 2019)
    facts = {"title": "Any two", "short": "two", "key": "two", "ground": "seen", "interval": False}
    monkeypatch.setitem(METHODS, method.code, method)
    monkeypatch.setitem(SCHEMA["methods"], method.code, {"rank": 9, **facts})
    monkeypatch.setitem(SCHEMA["codes"]["method"], method.code, "The class that two years agree on")

    settings = ChangeSettings(**BASE, input="lc")
    assert codes_of(methods_for(settings.kind)) == ["any_two", "mapped_raw", "mapped_consistent", "mapped_series"]
    settings = replace(settings, methods=methods_for(CLASSES))
    names = [one.name("ch") for one in output_maps(settings, years)]
    assert names[-6:] == [f"ch_{year}_{layer}" for layer in ("agreed", "consistent") for year in years]
    assert "Classes that two years agree on, 2018" in [one.title for one in output_maps(settings, years)]
    assert report.method_notes(settings.methods)[0] == "any_two counts the class that two years agree on."

    # Three cells in region 7: sealed from 2018 on; flickering; unseen in 2018. One in region 8, of another class each year.
    stack = np.array([[[3, 3, 1, 1]], [[1, 1, 0, 2]], [[1, 3, 1, 3]]])
    work = ArrayWork(stack, years, np.array([[7, 7, 7, 8]]))
    zones = [Zone("XX1", 7, 1, "West", "", 3), Zone("XX2", 8, 1, "East", "", 1)]
    run = Run(years, "2024", "2026-01-01", 400)
    figures = {"any_two": method.figures(work)(), "mapped_raw": METHODS["mapped_raw"].figures(work)()}
    made = report.make_table(zones, work.observed()(), figures, run, ["artificial"], work.pairs)
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
        [zone], work.observed()(), {"mapped_consistent": work.figures(filled)()}, run, ["artificial"], work.pairs
    )
    seen = {(row["lc_flow"], row["TIME_PERIOD"]): (row["COVERAGE"], row["N_PIX"]) for row in made[VALUES]}
    assert seen["STK", 2017] == (0.5, 2) and seen["STK", 2018] == (1.0, 2) and seen["NET", 2018] == (0.5, 2)


# Histories. Five cells: sealed in two steps; unsealed; water; seen in no year; of another region, always sealed.

CHANCES = {
    "lc_2017_p_sealed": [0.1, 0.8, 0, None, 1], "lc_2018_p_sealed": [0.7, 0.3, 0, None, 1], "lc_2020_p_sealed": [0.9, 0.3, 0, None, 1],
    "lc_2017_2018_p_gain": [0.6, 0, 0, None, 0], "lc_2018_2020_p_gain": [0.2, 0, 0, None, 0], "lc_2017_2020_p_gain": [0.8, 0, 0, None, 0],
    "lc_2017_2018_p_loss": [0, 0.5, 0, None, 0], "lc_2018_2020_p_loss": [0, 0, 0, None, 0], "lc_2017_2020_p_loss": [0, 0.5, 0, None, 0],
}  # fmt: skip
# The first cell was not seen in 2020, the second only then. Of the first, 3 parts in 10 are natural material, of the second 2 parts.
YEARLY = {
    "lc_2017_p_natural": [2000, 0, 1, 0, 10], "lc_2018_p_natural": [1000, 0, 1, 0, 10], "lc_2020_p_natural": [0, 1, 1, 0, 10],
    "lc_2017_p_green": [6000, 0, 1, 0, 30], "lc_2018_p_green": [1000, 0, 1, 0, 30], "lc_2020_p_green": [0, 4, 1, 0, 30],
    "lc_2017_p_other": [0, 0, 98, 0, 0], "lc_2018_p_other": [0, 0, 98, 0, 0], "lc_2020_p_other": [0, 0, 98, 0, 0],
}  # fmt: skip
ZONES = (Zone("XX1", 7, 1, "West", "", 4), Zone("XX2", 8, 1, "East", "", 1))
CATEGORIES = np.array([[7, 7, 7, 7, 8]])
SEEN = np.array([[[1, 1, 4, 0, 1]], [[0, 1, 4, 0, 1]], [[1, 1, 4, 0, 1]]])


def on_paper():
    """Return the cells by map."""
    chances = {name: np.array([values], "float32") for name, values in CHANCES.items()}
    return chances | {name: np.array([values]) for name, values in YEARLY.items()}


def rows_of_series(cells, years, *, zones=ZONES, categories=CATEGORIES, observed=SEEN):
    """Return the checked table of the method, and the work that made it."""
    work = ArrayWork(observed, years, categories, resolve_histories(cells, "lc", years))
    work.cells |= cells
    found = METHODS["mapped_series"].figures(work)()
    run = Run(years, "2024", "2026-01-01", 400)
    rows = report.make_table(zones, work.observed()(), {"mapped_series": found}, run, list(DEFINITIONS), work.pairs)
    check_table(rows, 400)
    return rows, work


def in_cells(rows, flow, year, first=None, *, geo="XX1", cover="IMP", definition="artificial", column="OBS_VALUE"):
    """Return a value in cells, or another column of its row."""
    key = {
        "geo": geo, "lc_flow": flow, "TIME_PERIOD": year, "time_from": first or year, "landcover": cover, "unit": "KM2",
        "definition": definition,
    }  # fmt: skip
    (row,) = [row for row in rows[VALUES] if key.items() <= row.items()]
    return row[column] * 1e6 / 400 if column == "OBS_VALUE" else row[column]


def test_histories_on_paper():
    rows, work = rows_of_series(on_paper(), (2017, 2018, 2020))
    # Three of the region's four cells are known; they stand for all four.
    whole = 4 / 3
    stocks = [in_cells(rows, "STK", year) for year in (2017, 2018, 2020)]
    assert stocks == pytest.approx([whole * (0.1 + 0.8), whole * (0.7 + 0.3), whole * (0.9 + 0.3)])
    assert in_cells(rows, "GAIN", 2018, 2017) == pytest.approx(whole * 0.6)
    assert in_cells(rows, "LOSS", 2018, 2017) == pytest.approx(whole * 0.5)
    assert in_cells(rows, "GAIN", 2020, 2017) == pytest.approx(whole * (0.6 + 0.2))
    assert in_cells(rows, "LOSS", 2020, 2017) == pytest.approx(whole * 0.5)
    assert [in_cells(rows, flow, 2020, 2017, geo="XX2") for flow in ("GAIN", "LOSS", "NET")] == [0, 0, 0]
    # Natural material is 3 parts of 10 in the first cell where it is not sealed, 2 in the second, 1 of 100 in the third.
    more = {"definition": "artificial_natural"}
    natural = 0.1 + 0.9 * 0.3 + 0.8 + 0.2 * 0.2 + 0.01
    assert in_cells(rows, "STK", 2017, **more) == pytest.approx(whole * natural)
    assert in_cells(rows, "GAIN", 2018, 2017, **more) == pytest.approx(whole * 0.6 * 0.7)
    assert in_cells(rows, "LOSS", 2018, 2017, **more) == pytest.approx(whole * 0.5 * 0.8)
    assert in_cells(rows, "STK", 2017, cover="GRN") == pytest.approx(whole * (0.9 * 0.7 + 0.2 * 0.8 + 0.01))
    moves = {
        (row["landcover_from"], row["landcover_to"]): row["OBS_VALUE"] * 1e6 / 400
        for row in rows[TRANSITIONS]
        if (row["geo"], row["time_from"], row["TIME_PERIOD"], row["unit"], row["definition"])
        == ("XX1", 2017, 2018, "KM2", "artificial")
    }
    assert moves == pytest.approx({
        ("GRN", "IMP"): whole * 0.6 * 0.7, ("OTH", "IMP"): whole * 0.6 * 0.3, ("IMP", "GRN"): whole * 0.5 * 0.8,
        ("IMP", "OTH"): whole * 0.5 * 0.2, ("GRN", "OTH"): 0, ("OTH", "GRN"): 0,
    })  # fmt: skip
    # What was seen, and what is provisional.
    columns = {
        year: [in_cells(rows, "STK", year, column=name) for name in ("N_PIX", "COVERAGE", "OBS_FLAG")]
        for year in work.years
    }
    assert columns == {2017: [3, 0.75, "epu"], 2018: [3, 0.5, "eu"], 2020: [3, 0.75, "epu"]}
    assert sorted(work.expressions) == [f"ch_2017_2020_{kind}" for kind in ("gainp", "gainyear", "lossp", "lossyear")]


def test_a_run_of_some_years_gives_the_figures_of_all_years():
    rows, work = rows_of_series(on_paper(), (2017, 2020), observed=SEEN[::2])
    every, _ = rows_of_series(on_paper(), (2017, 2018, 2020))
    assert work.histories.years == (2017, 2018, 2020)
    for definition in DEFINITIONS:
        for key in (("STK", 2017), ("STK", 2020), ("GAIN", 2020, 2017), ("LOSS", 2020, 2017)):
            assert in_cells(rows, *key, definition=definition) == in_cells(every, *key, definition=definition)
    # Years outside the run count for the classes of land that is not sealed, not for its change.
    first, work = rows_of_series(on_paper(), (2017,), observed=SEEN[:1])
    more = {"definition": "artificial_natural"}
    assert in_cells(first, "STK", 2017, **more) == in_cells(every, "STK", 2017, **more)
    assert not work.expressions and not METHODS["mapped_series"].outputs((2017,))


def test_maps_that_are_missing_are_named():
    cells = on_paper()
    for name in cells:
        if "2017_2020" not in name:
            with pytest.raises(InputError, match=f"Map <{name}> does not exist. Run r.unet.predict with all years"):
                resolve_histories(cells.keys() - {name}, "lc", (2017, 2018, 2020))
    with pytest.raises(InputError, match="Map <lc_2019_p_sealed>"):
        resolve_histories(cells, "lc", (2018, 2019))
    with pytest.raises(InputError, match="Map <other_2018_p_sealed>"):
        resolve_histories(cells, "other", (2018,))
    # The whole span is the sum of its pairs and is not read; seasons are no years.
    maps = resolve_histories([*cells, "lc_2019_summer_p_sealed"], "lc", (2018, 2020))
    assert maps.years == (2018, 2020) and "lc_2017_2020_p_gain" not in maps.names
    assert maps.sealing == {(2018, 2020): "lc_2018_2020_p_gain"}


@pytest.mark.parametrize(
    ("name", "year"), [("lc_2018_p_sealed", 2018), ("lc_2017_2018_p_gain", 2018), ("lc_2018_2020_p_loss", 2020)]
)
def test_maps_that_do_not_belong_together_are_refused(name, year):
    cells = on_paper()
    cells[name][0, 0] += 0.002
    with pytest.raises(InputError, match=f"Map <lc_{year}_p_sealed>: found probabilities that are wrong by up to 0.0"):
        rows_of_series(cells, (2017, 2018, 2020))


def test_sums_of_random_histories_agree_with_the_formulas():
    years, shape = (2017, 2018, 2019, 2021, 2022), (30, 40)
    cells = random_maps(years, shape, 5)
    categories = np.arange(30 * 40).reshape(shape) % 3 + 1
    zones = [Zone(f"XX{cat}", cat, 1, "", "", int((categories == cat).sum())) for cat in (1, 2, 3)]
    seen = np.stack([np.where(cells[f"lc_{year}_p_green"] > 0, 3, 0) for year in years])
    run_years = (2017, 2019, 2022)
    rows, work = rows_of_series(
        cells, run_years, zones=zones, categories=categories, observed=seen[[years.index(y) for y in run_years]]
    )
    known = ~np.isnan(cells["lc_2017_p_sealed"])
    sums = {key: sum(cells[f"lc_{year}_p_{key}"] for year in years) for key in ("natural", "green", "other")}
    with np.errstate(invalid="ignore"):
        natural = sums["natural"] / sum(sums.values())
    for zone in zones:
        there = known & (categories == zone.cat)
        whole = zone.cells / there.sum()
        for year in run_years:
            sealed = cells[f"lc_{year}_p_sealed"].astype(float)
            expected = {"artificial": sealed, "artificial_natural": sealed + (1 - sealed) * natural}
            for name, values in expected.items():
                found = in_cells(rows, "STK", year, geo=zone.geo, definition=name)
                assert found == pytest.approx(whole * values[there].sum(), rel=1e-6)
        for a, b in work.pairs:
            steps = [pair for pair in itertools.pairwise(years) if a <= pair[0] and pair[1] <= b]
            for flow, kind in (("GAIN", "p_gain"), ("LOSS", "p_loss")):
                change_ = sum(cells[mapnames.change_map("lc", pair, kind)].astype(float) for pair in steps)
                expected = {"artificial": change_, "artificial_natural": change_ * (1 - natural)}
                for name, values in expected.items():
                    found = in_cells(rows, flow, b, a, geo=zone.geo, definition=name)
                    assert found == pytest.approx(whole * values[there].sum(), rel=1e-6)


def test_probabilities_of_histories_keep_their_limits_whatever_the_rounding():
    # 0.3 and 0.7 as float32 add up to more than 1, and all sealed land is lost.
    first, loss = np.full((1, 1), 0.3, "float32"), np.full((1, 1, 1), 0.3, "float32")
    gain = np.full((1, 1, 1), 0.7, "float32")
    found = history_chances(first.astype(float), gain.astype(float), loss.astype(float))
    assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-15)
    assert found.ravel() == pytest.approx([0, 0, 0.7, 0.3], abs=1e-7)


def test_pairs_of_classes_come_from_the_state_of_a_history_in_both_years():
    # Never, always, sealed, unsealed; two classes.
    counts, states = np.array([[1, 2], [4, 8], [16, 32], [64, 128]]), Histories((2017, 2018)).sealed()
    assert expected_pairs(counts, (2, 3), *states.T) == {22: 1, 33: 2, 11: 4 + 8, 21: 16, 31: 32, 12: 64, 13: 128}
