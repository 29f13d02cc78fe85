"""Contracts with one owner: errors and their parts, names of maps, provenance, and the lint rules that guard them."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core import errors, mapnames, series
from imperviouslib.core.errors import ImperviousError, InputError
from imperviouslib.core.grid import Grid, is_grid_projection
from imperviouslib.core.labels import majority
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.provenance import (
    ChangeProvenance,
    CompositeProvenance,
    MaskScenes,
    PredictionProvenance,
    SceneRecord,
    SeriesProvenance,
    parse_provenance,
)
from imperviouslib.core.recipe import Recipe
from imperviouslib.core.settings.ard import ArdSettings, LabelSettings
from imperviouslib.core.settings.fetch import FetchSettings
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.core.settings.yearly import YearlySettings
from tools import rules

SCENE = SceneRecord("S2A_X", "31UDS", "2018-06-01T10:56:19Z", "02.08", 0, "baseline 02.08 < 04.00", {"B12": "ab"})
GRID = Grid(0, 0, 100, 60)
COMPOSITE = CompositeProvenance("2018", "B12_p50", "median", {"mask": "scl", "dilate": 1}, (SCENE,), GRID, "0.1.0")
PREDICTION = PredictionProvenance(
    "2018", "aa", {"year": 2017, "legend": "s2glc"}, "bb", "cc", (0, 0, 100, 60), {"green": 0.7}, 1.2, (SCENE,), "0.1.0"
)
CHANGE = ChangeProvenance("gain", (2017, 2018), {"2017": "a@x", "2018": "b@x"}, "0.1.0", "artificial")


# Errors


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"found": "10 m", "expected": "20 m", "then": "Set it."}, "Map <a>: found 10 m, expected 20 m. Set it."),
        ({"found": "10 m", "then": "Set it."}, "Map <a>: found 10 m. Set it."),
        ({"expected": "20 m", "then": "Set it."}, "Map <a>: expected 20 m. Set it."),
        ({"then": "Set it."}, "Map <a>. Set it."),
        ({}, "Map <a>"),
    ],
)
def test_an_error_is_one_line_of_its_parts(parts, line):
    err = InputError("Map <a>", **parts)
    assert str(err) == line
    assert (err.found, err.expected, err.then) == tuple(parts.get(key, "") for key in ("found", "expected", "then"))


def test_every_error_pickles_with_its_parts():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImperviousError)]
    assert len(kinds) > 10
    for kind in kinds:
        err = kind("Item x", found="1", expected="2", then="Try again.")
        again = pickle.loads(pickle.dumps(err))
        assert type(again) is kind and str(again) == str(err) and vars(again) == vars(err)


def test_texts_are_translated_by_the_catalogue_of_the_session(monkeypatch, tmp_path):
    import gettext

    class Turned(gettext.NullTranslations):
        def gettext(self, message):
            return message[::-1] if message == "Option <{}>" else message

    monkeypatch.setattr(gettext, "translation", lambda domain, folder, fallback: Turned())
    monkeypatch.setenv("GISBASE", str(tmp_path))
    assert errors._("Option <{}>") == ">}{< noitpO"
    assert errors._("Map <{}>") == "Map <{}>"


# Choices in settings that are built in Python, without a parser before them


@pytest.mark.parametrize(
    "build",
    [
        lambda: Recipe(mask="date"), lambda: Recipe(method="mean"), lambda: LabelSettings("s2glc", ties="even"),
        lambda: FetchSettings(Path("a"), (2018,), choice="best"), lambda: FetchSettings(Path("a"), (2018,), resampling="lanczos"),
        lambda: FetchSettings(Path("a"), (2018,), format="xml"), lambda: YearlySettings(Path("a"), "s2", format="xml"),
        lambda: ArdSettings(check=Path("a.h5"), format="xml"), lambda: TrainSettings(Path("a.h5"), Path("m"), format="xml"),
    ],
)  # fmt: skip
def test_an_unknown_choice_is_refused_and_not_taken_for_another(build):
    with pytest.raises(InputError, match="expected one of"):
        build()


def test_unknown_ties_do_not_become_balanced():
    with pytest.raises(ValueError, match="ties 'even'"):
        majority(np.ones(GRID.shape, np.uint8), GRID, 1, "even")


# Names of maps

prefixes = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,12}", fullmatch=True)
parts = st.one_of(st.just(""), st.sampled_from(["01", "12", "summer", "leaf", "w2"]))
layers = st.sampled_from([
    "B12_p50", "B8A_max", "NDVI_p90", "count", "spread", "quality", "class", "p_artificial", "p_sealed", "series", "consistent",
])  # fmt: skip


@given(prefixes, st.integers(1000, 9999), parts, layers)
def test_a_name_is_parsed_into_its_parts(prefix, year, part, layer):
    one = PeriodMap(prefix, f"{year}-{part}" if part else str(year), layer)
    mapnames.check_prefix(one.name, "output")  # r.mapcalc can read it
    assert PeriodMap.parse(one.name, prefix) == one


@pytest.mark.parametrize(
    "name",
    ["s2_2018", "s2_2018_", "s3_2018_count", "s2_18_count", "s2_2018_2019_count", "s2_2018_2019_gain", "s2_2018_b12_p50", "s2_2018_2019_p_gain", "s2_2018_count_x"],
)  # fmt: skip
def test_other_names_are_no_maps_of_a_period(name):
    assert PeriodMap.parse(name, "s2") is None


def test_maps_of_a_period_are_found_among_others():
    names = ["s2_2019_count", "s2_2018_count", "s2_2018_B12_p50", "s2x_2018_count", "s2_2018_06_count"]
    found = mapnames.parse_period_maps(names, "s2", layer="count")
    assert [one.period for one in found] == ["2018", "2018-06", "2019"]
    assert len(mapnames.parse_period_maps(names, "s2")) == 4


@pytest.mark.parametrize("prefix", ["", "2s", "a-b", "a b", "a@b", "ä"])
def test_a_prefix_that_mapcalc_cannot_read_is_refused(prefix):
    with pytest.raises(InputError, match="Option <output>"):
        mapnames.check_prefix(prefix, "output")


# Provenance


@pytest.mark.parametrize(
    "record",
    [
        COMPOSITE,
        replace(COMPOSITE, mask_scenes=MaskScenes(9, "dd")),
        PREDICTION,
        CHANGE,
        replace(CHANGE, definition=None),
    ],
)
def test_provenance_survives_json(record):
    assert parse_provenance(json.loads(json.dumps(record.to_json()))) == record


def test_predictions_differ_by_precision_and_not_by_engine():
    """Maps of earlier versions, whose records have neither, were computed by TensorFlow in float32."""
    older = {k: v for k, v in PREDICTION.to_json().items() if k not in ("engine", "precision")}
    assert (parse_provenance(older).engine, parse_provenance(older).precision) == ("tensorflow", "float32")
    assert PREDICTION.difference(replace(PREDICTION, engine="openvino")) is None
    assert PREDICTION.difference(replace(PREDICTION, precision="bfloat16")) == "precision"


@pytest.mark.parametrize("record", [COMPOSITE, PREDICTION, CHANGE])
def test_an_incomplete_record_counts_as_none(record):
    whole = record.to_json()
    optional = {"definition", "mask_scenes", "engine", "precision"}
    for key in set(whole) - optional:
        assert parse_provenance({k: v for k, v in whole.items() if k != key}) is None, key
    assert parse_provenance({}) is None
    if "scenes" in whole:
        assert parse_provenance({**whole, "scenes": [{"tile": "x"}]}) is None


@pytest.mark.parametrize("record", [COMPOSITE, PREDICTION, CHANGE])
def test_what_a_later_version_adds_does_not_hide_the_record(record):
    assert parse_provenance({**record.to_json(), "unknown": 1}) == record


def test_the_older_key_of_mask_scenes_is_read():
    record = replace(COMPOSITE, mask_scenes=MaskScenes(9, "dd"))
    content = record.to_json()
    content["heard"] = content.pop("mask_scenes")
    assert parse_provenance(content) == record


def test_scenes_of_another_system_need_only_an_id():
    record = replace(PREDICTION, scenes=(SceneRecord("foreign"),))
    assert record.to_json()["scenes"] == [{"id": "foreign"}] and parse_provenance(record.to_json()) == record


def test_histories_of_other_constants_are_neither_the_same_nor_extended():
    """Nor are those that recorded none."""
    both = {"2017": "a", "2018": "b"}
    now = SeriesProvenance((2017, 2018), "s", "m", both, (0, 0, 40, 40), "1", constants=series.CONSTANTS)
    content = now.to_json()
    assert parse_provenance(content) == now
    del content["constants"]
    before = parse_provenance(content)
    longer = replace(now, years=(2017, 2018, 2019), data=both | {"2019": "c"})
    assert longer.extends(now)
    for other in (before, replace(now, constants=series.CONSTANTS | {"sharpness": 1.0})):
        assert now.difference(other) == "constants of the evidence"
        assert not longer.extends(other)


def test_two_predictions_differ_by_what_makes_the_cells():
    assert PREDICTION.difference(replace(PREDICTION, version="9", ard="other")) is None
    for field, word in (("period", "period"), ("model", "model"), ("data", "features"), ("bounds", "region")):
        assert PREDICTION.difference(replace(PREDICTION, **{field: "other"})) == word


# The lint rules


@pytest.mark.parametrize(
    ("check", "broken", "fine"),
    [
        (rules.options_read, 'x = options["years"]', "x = parse(options, flags)"),
        (rules.options_read, 'x = flags.get("n")', "x = settings.years"),
        (rules.names_built, 'name = f"{prefix}_{year}_class"', 'name = f"{prefix} {year}"'),
        (rules.names_built, 'name = f"{settings.prefix}_class"', 'text = f"<{settings.prefix}_*>"'),
        (rules.names_built, 'name = prefix + "_class"', 'text = prefix + ":"'),
    ],
)
def test_a_rule_finds_what_breaks_it(check, broken, fine):
    import ast

    assert list(check(ast.parse(broken))) and not list(check(ast.parse(fine)))


def test_a_method_may_not_be_named():
    code = rules.METHODS[-1]
    assert list(rules.methods_named(f'if method == "{code}":')) and not list(rules.methods_named("if method.whole:"))
    assert not list(rules.methods_named("an area that was estimated"))


def test_no_rule_is_broken():
    assert list(rules.findings()) == []


# The projection

LAEA = {
    "proj": "laea", "ellps": "grs80", "lat_0": "52", "lon_0": "10", "x_0": "4321000", "y_0": "3210000", "meters": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True), ({"ellps": "wgs84"}, True), ({"proj": "utm", "srid": "EPSG:3035"}, True), ({"ellps": "sphere"}, False),
        ({"ellps": "", "a": "6371000", "es": "0"}, False), ({"ellps": "bessel"}, False), ({"meters": "1000"}, False),
        ({"lat_0": "48"}, False), ({"x_0": "0"}, False), ({"proj": "lcc"}, False), ({"lon_0": ""}, None),
    ],
)  # fmt: skip
def test_the_projection_is_known_by_its_code_or_by_all_of_its_parameters(changes, same):
    if same is None:
        assert not is_grid_projection({key: value for key, value in LAEA.items() if key not in changes})
    else:
        assert is_grid_projection({**LAEA, **changes}) is same
