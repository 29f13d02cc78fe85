"""r.impervious.change: the rules with cases worked out by hand, their r.mapcalc twins, and the tool in a real session."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grass.script as gs
import grass.script.setup  # noqa: F401 - the session of the tests needs it loaded, and GRASS 8.2 does not load it by itself
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imperviouslib.core import change
from imperviouslib.core.errors import InputError
from imperviouslib.core.figures import ShareFigures
from imperviouslib.core.grid import Grid
from imperviouslib.core.mapkinds import ClassMaps
from imperviouslib.core.methods import METHODS, ClassRule, Method
from imperviouslib.core.methods.persistence import persistent, persistent_expressions
from imperviouslib.core.outline import count_cells
from imperviouslib.core.tally import Measure, UnitSums
from imperviouslib.edge.grass import read_strips
from testsuite.history_ground import random_maps
from testsuite.refusal import parse_refusal

TOP = Path(__file__).parents[1]
# The nine pairs of {not impervious, impervious, NULL}, before and now, as classes; and whether the cell is newly impervious.
TRUTH = {
    (3, 3): 0, (3, 1): 1, (1, 3): 0, (1, 2): 0,
    (3, 0): 255, (1, 0): 255, (0, 3): 255, (0, 1): 255, (0, 0): 255,
}  # fmt: skip


NINE = set(itertools.product((0, 1, 255), repeat=2))


def truths(before, now):
    """The pairs of whether cells are impervious, as they occur."""
    impervious = (change.belongs(classes, (1, 2)).ravel().tolist() for classes in (before, now))
    return set(zip(*impervious, strict=True))


def test_nine_pairs_of_newly():
    before, now = (np.array(values, "uint8") for values in zip(*TRUTH, strict=True))
    assert truths(before, now) == NINE
    assert change.newly(now, before, (1, 2)).tolist() == list(TRUTH.values())


def test_null_in_either_year_is_no_pair():
    now, before = np.array([[1, 0, 1, 4]]), np.array([[3, 3, 0, 4]])
    assert change.fromto(now, before).tolist() == [[31, 255, 255, 44]]


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        ("3 1 1", "3 1 1"),  # confirmed
        ("3 1 3", "3 3 3"),  # did not last
        ("3 3 1", "3 3 1"),  # into the last year: taken as seen
        ("1 3 3", "1 3 3"),  # an error in the first year shows
        ("3 1", "3 1"),  # two years: nothing to confirm with
        ("0 3 0 1 1", "3 3 3 1 1"),  # gaps before and between
        ("3 1 0 1 0", "3 1 1 1 1"),  # confirmed across a gap, filled after
        ("3 1 0 3", "3 3 3 3"),
        ("3 1 2 2", "3 3 2 2"),  # another class follows: not confirmed
        ("3 1 3 1 3 1", "3 3 3 3 3 1"),  # flicker
        ("0 0 0", "0 0 0"),
        ("0 4 0", "4 4 4"),
        ("2", "2"),
    ],
)
def test_persistence_on_paper(seen, kept):
    stack = np.array([int(word) for word in seen.split()]).reshape(-1, 1, 1)
    assert " ".join(map(str, persistent(stack).ravel())) == kept


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7).flatmap(lambda years: arrays("uint8", (years, 2, 3), elements=st.integers(0, 4))))
def test_persistence_never_invents_a_class_and_never_uses_null(stack):
    kept = persistent(stack)
    for row, col in np.ndindex(stack.shape[1:]):
        seen, given_ = set(stack[:, row, col].tolist()) - {0}, set(kept[:, row, col].tolist())
        assert given_ <= seen if seen else given_ == {0}
    assert (persistent(kept)[:-1] == kept[:-1]).all() or len(stack) > 2
    raw = (np.diff(np.where(stack == 0, kept, stack).astype(int), axis=0) != 0).sum()
    assert (np.diff(kept.astype(int), axis=0) != 0).sum() <= raw


def test_share_scale():
    assert change.resolve_share_scale({"a": (0, 1)}) == 1
    assert change.resolve_share_scale({"a": (0, 1.5)}) == 100
    for least, most in ((-0.1, 1), (0, 101), (float("nan"), 1), (0, 255), (0, float("inf"))):
        with pytest.raises(InputError, match=r"map <b>.*shares from 0 to 1"):
            change.resolve_share_scale({"a": (0, 50), "b": (least, most)})


@pytest.mark.parametrize(
    ("highest", "scale"),
    [
        ((0.9, 0.2), 1), ((1, 1), 1), ((0, 0), 1), ((0, 0.5), 1), ((0, 80), 100), ((80, 100), 100), ((1.01, 0), 100),
        ((1, 100), None), ((0.9, 80), None), ((80, 0.9, 70), None), ((0, 0.3, 30), None), ((0.01, 2), None),
    ],
)  # fmt: skip
def test_each_share_map_is_judged_and_a_mix_of_scales_is_refused(highest, scale):
    limits = {f"map{number}": (0, most) for number, most in enumerate(highest)}
    if scale is None:
        with pytest.raises(InputError, match="expected one scale in all maps") as caught:
            change.resolve_share_scale(limits)
        # Both maps are named, with what they hold.
        assert str(caught.value).count("<map") == 2
    else:
        assert change.resolve_share_scale(limits) == scale


@pytest.mark.parametrize(
    ("highest", "whole", "given", "scale"),
    [
        ((1, 0), "ab", None, None), ((1, 1), "ab", None, None), ((0, 0), "ab", None, 1), ((1, 0.4), "a", None, 1), ((1, 1), "a", None, 1),
        ((1, 7), "ab", None, None), ((7, 0), "ab", None, 100),
        ((1, 0), "ab", 100, 100), ((1, 0), "ab", 1, 1), ((1, 7), "ab", 100, 100), ((0.4, 0), "", 100, 100), ((0.3, 7), "b", 1, None),
    ],
)  # fmt: skip
def test_the_scale_of_whole_numbers_up_to_1_is_not_guessed(highest, whole, given, scale):
    limits = {name: (0, most) for name, most in zip("ab", highest, strict=True)}
    if scale is None:
        with pytest.raises(InputError, match="share_scale"):
            change.resolve_share_scale(limits, whole=whole, given=given)
    else:
        assert change.resolve_share_scale(limits, whole=whole, given=given) == scale


def centres_inside(ring, grid):
    """Count cell centres in a ring one by one, by the even-odd rule."""
    inside = 0
    for row, col in np.ndindex(grid.shape):
        x, y = grid.west + (col + 0.5) * grid.res_m, grid.north - (row + 0.5) * grid.res_m
        edges = zip(ring, [*ring[1:], ring[0]], strict=True)
        crossed = [x < x0 + (y - y0) * (x1 - x0) / (y1 - y0) for (x0, y0), (x1, y1) in edges if (y0 > y) != (y1 > y)]
        inside += sum(crossed) % 2
    return inside


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(5, 95), min_size=3, max_size=9),
    st.tuples(st.integers(-5, 4), st.integers(-5, 4), st.integers(1, 6), st.integers(1, 6)),
)
def test_cells_of_an_outline_are_those_whose_centre_lies_within(radii, window):
    # A star around an odd centre: simple, with vertices at no centre of a cell.
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    ring = [(3.3 + r * np.cos(a), -2.7 + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    whole = Grid(-120, -120, 120, 120)
    west, south, width, height = window
    part = Grid(20 * west, 20 * south, 20 * (west + width), 20 * (south + height))
    for closed in (ring, [*ring, ring[0]], ring[::-1]):
        assert count_cells([[closed]]) == centres_inside(ring, whole)
        assert count_cells([[closed]], part) == centres_inside(ring, part)


def test_hole_is_not_counted():
    outer, hole = [(0, 0), (100, 0), (100, 100), (0, 100)], [(20, 20), (20, 60), (60, 60), (60, 20)]
    assert count_cells([[outer, hole]]) == 5 * 5 - 2 * 2
    assert count_cells([[outer], [[(x + 100, y) for x, y in outer]]]) == 2 * 5 * 5


# In a real session


def region(grid):
    gs.run_command("g.region", w=grid.west, s=grid.south, e=grid.east, n=grid.north, res=grid.res_m)


def write(name, array, *, null=0, kind="CELL"):
    """Write an array as a raster in the current region."""
    rows, cols = array.shape
    info = gs.region()
    head = f"north: {info['n']}\nsouth: {info['s']}\nwest: {info['w']}\neast: {info['e']}\nrows: {rows}\ncols: {cols}\nnull: {null}\n"
    body = "\n".join(" ".join(f"{value:.9g}" for value in row) for row in array.tolist())
    gs.write_command(
        "r.in.ascii", input="-", output=name, type=kind, stdin=head + body + "\n", quiet=True, overwrite=True
    )


def read(name, null=0):
    raw = gs.read_command("r.out.ascii", flags="h", input=name, null_value=str(null), precision=15, quiet=True)
    return np.array([[float(word) for word in line.split()] for line in raw.splitlines()])


def mapcalc(*expressions):
    gs.write_command("r.mapcalc", file="-", stdin="\n".join(expressions) + "\n", quiet=True, overwrite=True)


def test_mapcalc_twins_give_the_same_cells(mapset):
    pairs = np.array(list(itertools.product(range(5), range(5)))).T.reshape(2, 1, 25)
    region(Grid(0, 0, 25 * 20, 20))
    for name, cells in zip(("before", "now"), pairs, strict=True):
        write(name, cells)
    mapcalc(
        change.fromto_expression("pair", "now", "before"),
        change.belongs_expression("is_now", "now", (1, 2)),
        change.newly_expression("gain", "now", "before", (1, 2)),
        change.newly_expression("green", "now", "before", (3,)),
    )
    before, now = pairs
    assert (read("pair", 255) == change.fromto(now, before)).all()
    assert (read("is_now", 255) == change.belongs(now, (1, 2))).all()
    assert (read("gain", 255) == change.newly(now, before, (1, 2))).all()
    assert (read("green", 255) == change.newly(now, before, (3,))).all()
    # The nine pairs of true, false and not known are all among the twenty-five.
    assert truths(before, now) == NINE


@pytest.mark.parametrize("years", [1, 2, 4])
def test_mapcalc_twin_of_the_persistence_rule_on_every_sequence(mapset, years):
    stack = np.array(list(itertools.product(range(5), repeat=years))).T.reshape(years, 1, -1)
    region(Grid(0, 0, stack.shape[2] * 20, 20))
    names = [f"seen-{year}" for year in range(years)]
    outs = [f"kept_{year}" for year in range(years)]
    for name, cells in zip(names, stack, strict=True):
        write(name, cells)
    # Twice: the second time the outputs exist, under the names of the expressions' own variables.
    for _ in range(2):
        mapcalc(*persistent_expressions(outs, names))
        assert all((read(out) == kept).all() for out, kept in zip(outs, persistent(stack), strict=True))


def test_mapcalc_twin_of_growth_of_shares(mapset):
    values = np.array([0.0, 0.25, 1.0, np.nan])
    before, now = (part.reshape(1, 16) for part in np.meshgrid(values, values))
    region(Grid(0, 0, 16 * 20, 20))
    for name, cells in (("before", before), ("now", now)):
        write(name, np.where(np.isnan(cells), -1, cells), null=-1, kind="DCELL")
    mapcalc(
        change.grown_share_expression("grown", "now", "before"), change.kept_share_expression("kept", "before", "now")
    )
    expected = change.grown_share(now, before)
    assert (read("grown", -9) == np.where(np.isnan(expected), -9, expected)).all()
    assert (read("kept", -9) == np.where(np.isnan(before + now), -9, before)).all()


def test_mapcalc_twin_of_the_year_of_a_change(mapset):
    values = np.array([0.0, 0.25, 0.5, 1.0, np.nan], "float32")
    chances = np.stack([part.reshape(1, 125) for part in np.meshgrid(values, values, values)])
    region(Grid(0, 0, 125 * 20, 20))
    names = ["p-1", "greatest", "p_3"]
    for name, cells in zip(names, chances, strict=True):
        write(name, np.where(np.isnan(cells), -1, cells), null=-1, kind="FCELL")
    for count in (1, 2, 3):
        years = (2018, 2019, 2021)[:count]
        mapcalc(
            change.change_year_expression("year", names[:count], years), change.sum_expression("sum", names[:count])
        )
        assert (read("year") == change.change_year(chances[:count], years)).all()
        total = np.minimum(chances[:count].sum(0), 1)
        assert (read("sum", -9) == np.where(np.isnan(total), -9, total)).all()
        assert gs.raster_info("year")["datatype"] == "CELL" and gs.raster_info("sum")["datatype"] == "FCELL"
    # On paper: the earlier of two equal years, and no year where the change is unlikely.
    paper = np.array([[0.25, 0.25, 0.1], [0.25, 0.5, 0.1], [0, 0.1, 0.25]])
    assert change.change_year(paper, years).tolist() == [2018, 2019, 0]


def test_maps_are_read_side_by_side_in_strips(mapset):
    grid = Grid(0, 0, 80, 100)
    region(grid)
    codes, values = np.arange(20).reshape(5, 4), np.linspace(0, 1, 20, dtype="float32").reshape(5, 4)
    write("codes", codes)
    write("values", np.where(values > 0.9, -1, values), null=-1, kind="FCELL")
    strips = list(read_strips(["codes", "codes"], ["values"], grid, 2))
    assert [first.shape for first, _ in strips] == [(2, 2, 4), (2, 2, 4), (2, 1, 4)]
    whole, real = (np.concatenate(parts, axis=1) for parts in zip(*strips, strict=True))
    assert whole.dtype == "int32" and (whole == codes).all()
    assert real.dtype == "float32" and np.array_equal(real[0], np.where(values > 0.9, np.nan, values), equal_nan=True)
    assert [real.shape for _, real in read_strips(["codes"], [], grid, 5)] == [(0, 5, 4)]
    with pytest.raises(InputError, match="Map <missing> has cells that cannot be read"):
        next(read_strips(["codes"], ["missing"], grid, 2))


def square(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def import_zones(folder, name, features, **extra):
    """Import regions, (code, level, name, ring) each, as a vector map."""
    file = Path(folder) / f"{name}.geojson"
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
        "features": [
            {
                "type": "Feature",
                "properties": {"NUTS_ID": geo, "LEVL_CODE": level, "NAME_LATN": title},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
            for geo, level, title, ring in features
        ],
    }
    file.write_text(json.dumps(collection), encoding="utf-8")
    gs.run_command("v.in.ogr", input=file, output=name, quiet=True, **extra)


# 10 x 10 cells from 0 to 200 m are the region; XX3 lies half outside it, XX4 wholly, and of level 2 nothing is within.
ZONES = (
    ("XX", 0, "Land", square(0, 0, 200, 200)),
    ("XX1", 1, "West", square(0, 0, 100, 100)),
    ("XX2", 1, "East", square(100, 0, 180, 200)),
    ("XX3", 1, "Ploče", square(180, 0, 220, 200)),
    ("XX5", 1, "Unseen", square(0, 100, 100, 200)),
    ("XX4", 1, "Far", square(1000, 1000, 1100, 1100)),
    ("XX41", 2, "Farther", square(1000, 1000, 1060, 1100)),
)


def world():
    """Three years of classes on 10 x 10 cells: green; a sealed block grows and stays; one cell flickers; XX5 is never seen."""
    stack = np.full((3, 10, 10), 3)
    stack[:, 5:7, 0:2] = 1  # 4 cells in XX1, always
    stack[1:, 7, 0:2] = 2  # 2 cells in XX1, from 2018 on
    stack[1, 9, 5] = 1  # flickers in XX2
    stack[2, 9, 8] = 1  # in XX2, 2019 only: provisional
    stack[1, 9, 0] = 0  # unseen in 2018, in XX1
    stack[:, 0:5, 0:5] = 0
    return stack


@pytest.fixture
def three_years(mapset, tmp_path):
    region(Grid(0, 0, 200, 200))
    for year, cells in zip((2017, 2018, 2019), world(), strict=True):
        write(f"lc_{year}_class", cells)
    import_zones(tmp_path, "nuts", ZONES)
    return tmp_path


def tool(*words, **env):
    return subprocess.run(
        ["r.impervious.change", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
    )


def rows_of(folder, name="impervious_nuts"):
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def value(
    rows, geo, flow, year, *, time_from=None, method="mapped_raw", landcover="IMP", unit="KM2", column="OBS_VALUE"
):
    found = [
        row[column]
        for row in rows
        if (
            row["geo"],
            row["lc_flow"],
            row["TIME_PERIOD"],
            row["time_from"],
            row["method"],
            row["landcover"],
            row["unit"],
        )
        == (geo, flow, str(year), str(time_from or year), method, landcover, unit)
    ]
    assert len(found) == 1
    return found[0]


def cells(rows, *key, **more):
    """Return a value in cells of 400 m2."""
    return float(value(rows, *key, **more)) * 1e6 / 400


def rasters():
    return set(gs.read_command("g.list", type="raster", mapset=".").split())


def test_three_years_of_classes_with_overlapping_levels(three_years):
    out = three_years / "table"
    words = ("input=lc", "zones=nuts", "vintage=2026-01-01", "prefix=ch")
    done = tool(*words, f"output={out}", "format=json", "definition=artificial_natural")
    assert done.returncode == 0, done.stderr
    assert "2 of 7 regions have no cell in the current region" in done.stderr
    rows = rows_of(out)

    # Raw, by hand.
    assert [cells(rows, "XX1", "STK", year) for year in (2017, 2018, 2019)] == pytest.approx([4, 6, 6])
    assert cells(rows, "XX1", "GAIN", 2018, time_from=2017) == pytest.approx(2)
    assert [cells(rows, "XX2", "STK", year) for year in (2017, 2018, 2019)] == pytest.approx([0, 1, 1])
    assert cells(rows, "XX2", "LOSS", 2019, time_from=2018) == pytest.approx(1)
    assert cells(rows, "XX", "GAIN", 2019, time_from=2017) == pytest.approx(2 + 1)
    # The parent is counted although its children lie over it: 75 of 100 cells are seen, 74 in 2018.
    assert value(rows, "XX", "STK", 2017, column="N_PIX") == "75"
    assert value(rows, "XX", "STK", 2018, column="COVERAGE") == "0.74"

    # Consistent: the flicker is gone, the unseen cell filled, 2019's change provisional, 75 known cells stand for 100.
    more = {"method": "mapped_consistent"}
    assert cells(rows, "XX2", "GAIN", 2018, time_from=2017, **more) == 0
    assert cells(rows, "XX2", "GAIN", 2019, time_from=2018, **more) == pytest.approx(1)
    assert value(rows, "XX2", "GAIN", 2019, time_from=2018, column="OBS_FLAG", **more) == "pu"
    assert value(rows, "XX1", "STK", 2018, column="N_PIX", **more) == "25"
    assert value(rows, "XX1", "STK", 2018, column="OBS_FLAG", **more) == "eu"
    assert cells(rows, "XX", "STK", 2018, **more) == pytest.approx(6 * 100 / 75)

    # Partly outside: 10 of its 20 cells are in the region, so coverage is 1/2 and the consistent value stands.
    assert value(rows, "XX3", "STK", 2017, column="COVERAGE") == "0.5"
    assert value(rows, "XX3", "STK", 2017, **more) == "0.0"
    # In the region but never seen: a row, blank.
    for method in ("mapped_raw", "mapped_consistent"):
        assert value(rows, "XX5", "STK", 2017, method=method) == ""
        assert value(rows, "XX5", "STK", 2017, method=method, column="OBS_FLAG") == "u"
        assert value(rows, "XX5", "STK", 2017, method=method, column="COVERAGE") == "0.0"

    regions = {row["geo"]: row for row in rows_of(out, "nuts_regions")}
    assert {geo: (row["parent"], row["area_km2"]) for geo, row in regions.items()} == {
        "XX": ("", "0.04"), "XX1": ("XX", "0.01"), "XX2": ("XX", "0.016"), "XX3": ("XX", "0.008"), "XX5": ("XX", "0.01"),
    }  # fmt: skip
    assert regions["XX3"]["name"] == "Ploče"

    # Maps, by their twins.
    stack = world()
    kept = persistent(stack)
    assert all((read(f"ch_{y}_consistent") == kept[n]).all() for n, y in enumerate((2017, 2018, 2019)))
    assert (read("ch_2017_2019_fromto", 255) == change.fromto(stack[2], stack[0])).all()
    assert (read("ch_2018_2019_gain", 255) == change.newly(stack[2], stack[1], (1, 2))).all()
    assert (read("ch_2018_2019_loss", 255) == change.newly(stack[1], stack[2], (1, 2))).all()
    assert (read("ch_2018_2019_greengain", 255) == change.newly(stack[2], stack[1], (3,))).all()
    assert "Green -&gt;" not in gs.read_command("r.category", map="ch_2017_2019_fromto")
    assert not [name for name in rasters() if "impervious" in name]

    # Columns: those of v.rast.stats, for all levels.
    text = gs.read_command("v.db.select", map="nuts", columns="NUTS_ID,imp_2018_sum,new_2017_2018_sum", format="json")
    columns = {r["NUTS_ID"]: (r["imp_2018_sum"], r["new_2017_2018_sum"]) for r in json.loads(text)["records"]}
    assert columns["XX"] == (7, 3) and columns["XX1"] == (6, 2) and columns["XX2"] == (1, 1)
    assert columns["XX4"] == (None, None)

    # What is printed is what is written.
    printed = json.loads(done.stdout)
    raw = next(part for part in printed["summary"] if part["method"] == "mapped_raw")
    assert (raw["geo"], raw["gain"]["2017-2019"]) == ("XX", float(value(rows, "XX", "GAIN", 2019, time_from=2017)))
    outlines = json.loads((out / "outlines.geojson").read_text("utf-8"))
    assert {f["properties"]["geo"]: f["properties"]["level"] for f in outlines["features"]} == {
        "XX": 0, "XX1": 1, "XX2": 1, "XX3": 1, "XX5": 1,
    }  # fmt: skip
    # The parent is one ring, without its children's borders.
    assert len(outlines["features"][0]["geometry"]["coordinates"]) == 1
    package = json.loads((out / "datapackage.json").read_text("utf-8"))
    assert package["status"] == "experimental" and package["provenance"]["2018"]["map"].startswith("lc_2018_class@")

    # A second run may not replace the first without --overwrite; with it, it writes the same table.
    again = tool(*words, f"output={three_years / 'other'}")
    assert again.returncode == 1 and "--overwrite" in again.stderr and not (three_years / "other").exists()
    assert tool(*words, f"output={out}", "--overwrite", "definition=artificial_natural").returncode == 0
    assert rows_of(out) == rows


def test_masked_cells_count_as_not_seen(three_years):
    # The mask leaves the eastern six columns: all of XX1 but a column is hidden, and all of XX5.
    for year in (2017, 2018, 2019):
        gs.run_command(
            "r.mapcalc", expression=f"all_{year} = if(isnull(lc_{year}_class), 3, lc_{year}_class)", quiet=True
        )
    gs.run_command("r.mapcalc", expression="shown = if(col() > 4 && !(row() < 6 && col() < 6), 1, null())", quiet=True)
    words = ("zones=nuts", "years=2017-2019", "classes=all_2017,all_2018,all_2019", "vintage=2026-01-01")
    seen = {}
    for name in ("open", "masked"):
        if name == "masked":
            gs.run_command("r.mask", raster="shown", quiet=True)
        done = tool(*words, f"output={three_years / name}", f"prefix={name}", "--overwrite")
        assert done.returncode == 0, done.stderr
        seen[name] = rows_of(three_years / name)
    assert gs.find_file("MASK", element="cell")["mapset"] == gs.gisenv()["MAPSET"]
    assert rows_of(three_years / "open", "nuts_regions") == rows_of(three_years / "masked", "nuts_regions")
    rows = seen["masked"]
    assert [value(seen["open"], "XX1", "STK", 2017, column=column) for column in ("COVERAGE", "N_PIX")] == ["1.0", "25"]
    assert [value(rows, "XX1", "STK", 2017, column=column) for column in ("COVERAGE", "N_PIX")] == ["0.2", "5"]
    assert [value(rows, "XX5", "STK", 2017, column=column) for column in ("COVERAGE", "OBS_VALUE")] == ["0.0", ""]
    # Of XX 45 cells are not seen; 55 of its cells stand for all 100.
    assert value(rows, "XX", "STK", 2018, column="COVERAGE") == "0.55"
    assert cells(rows, "XX", "STK", 2018) == pytest.approx(1)
    assert cells(rows, "XX", "STK", 2019, method="mapped_consistent") == pytest.approx(1 * 100 / 55)


def test_shares_in_per_cent_and_zones_of_another_mapset(location, grass_exec, three_years):
    before = np.array([[0, 50, 100, -1], [10, 20, 30, 40]])
    now = np.array([[25, 50, 80, 60], [10, -1, 30, 50]])
    region(Grid(0, 0, 80, 40))
    for name, array in (("s1", before), ("s2", now)):
        write(name, array, null=-1, kind="DCELL")
    # Made by another process, in a mapset of its own.
    mapset = f"zones{os.getpid()}"
    import_zones(three_years, "unused", [("YY", 0, "All", square(0, 0, 400, 40))])
    done = grass_exec("v.in.ogr", f"input={three_years / 'unused.geojson'}", "output=wholes", mapset=mapset)
    assert done.returncode == 0, done.stderr
    # A copy of the zones map is a vector map, whose names are fewer than those of rasters.
    for prefix in ("a.b", "_b"):
        done = tool(
            "shares=s1,s2",
            "years=2012,2014",
            f"zones=wholes@{mapset}",
            f"output={three_years / 'none'}",
            f"prefix={prefix}",
        )
        said = " ".join(done.stderr.split())
        assert done.returncode == 1 and said.count("ERROR") == 1 and "Writing the change maps" not in said
        assert f"Option <prefix>: found '{prefix}', expected a name of letters, digits and _" in said
    out = three_years / "shares"
    # The span from 2012 to 2015 has no map of its own.
    words = ("shares=s1,s2,s2,s2", "years=2012,2014,2015,2017", f"zones=wholes@{mapset}")
    done = tool(*words, f"output={out}", "prefix=sh")
    assert done.returncode == 0, done.stderr
    rows = rows_of(out)
    assert {row["definition"] for row in rows} == {"artificial"} and {row["landcover"] for row in rows} == {"IMP"}
    assert cells(rows, "YY", "STK", 2012) == pytest.approx(0 + 0.5 + 1 + 0.1 + 0.2 + 0.3 + 0.4)
    assert cells(rows, "YY", "GAIN", 2015, time_from=2012) == pytest.approx(0.25 + 0.1)
    assert cells(rows, "YY", "LOSS", 2015, time_from=2012) == pytest.approx(0.2)
    assert cells(rows, "YY", "NET", 2015, time_from=2012) == pytest.approx(0.15)
    share = value(rows, "YY", "GAIN", 2015, time_from=2012, unit="PC")
    assert float(share) == pytest.approx(100 * 0.35 / (0 + 0.5 + 1 + 0.1 + 0.3 + 0.4))
    assert rows_of(out, "impervious_nuts_transitions") == []
    # The foreign map is untouched; the columns are in a copy.
    assert "imp_2012_sum" in gs.vector_columns("sh_zones") and "imp_2012_sum" not in gs.vector_columns(
        f"wholes@{mapset}"
    )


def test_shares_of_one_per_cent_are_not_full_ones(three_years):
    region(Grid(0, 0, 80, 40))
    for number, shares in enumerate(([[0, 1, 1, 0]] * 2, [[1, 1, 1, 0]] * 2)):
        write(f"low{number}", np.array(shares), null=-1)
    import_zones(three_years, "few", [("YY", 0, "All", square(0, 0, 400, 40))])
    out = three_years / "low"
    words = ("shares=low0,low1", "years=2018-2019", "zones=few", f"output={out}", "prefix=low", "-n")
    done = tool(*words)
    assert done.returncode == 1 and not out.exists()
    assert "Set share_scale=1 if 1 is a full share, or share_scale=100" in " ".join(done.stderr.split())
    # An empty folder is as good as none.
    out.mkdir()
    # g.parser would take it for the beginning of 100, if it knew the values.
    done = tool(*words, "share_scale=10")
    assert done.returncode == 1 and "found '10', expected one of 1, 100" in " ".join(done.stderr.split())
    done = tool(*words, "share_scale=100")
    assert done.returncode == 0, done.stderr
    assert "100 is a cell that is sealed as a whole" in " ".join(done.stderr.split())
    assert cells_of_all(out) == pytest.approx({2018: 4 * 0.01, 2019: 6 * 0.01})
    assert json.loads((out / "datapackage.json").read_text())["parameters"]["share_scale"] == 100
    done = tool(*words, "share_scale=1", "--overwrite")
    assert done.returncode == 0 and cells_of_all(out) == pytest.approx({2018: 4, 2019: 6})


def cells_of_all(out):
    """Return the cells of the stock of each year in a table of the region YY."""
    return {year: cells(rows_of(out), "YY", "STK", year) for year in (2018, 2019)}


def test_a_session_without_home_writes_its_table(three_years):
    """Some batch systems set no HOME; GRASS needs it to copy the attributes of a vector map."""
    write("bare", world()[0])
    words = (
        "classes=bare",
        "years=2017",
        "zones=nuts",
        f"output={three_years / 'homeless'}",
        "prefix=homeless",
        "-n",
    )
    command = ["env", "-u", "HOME", "r.impervious.change", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    assert rows_of(three_years / "homeless")


def test_other_codes_by_a_legend_and_one_year_only(three_years):
    write("glc", np.where(world()[0] == 1, 62, np.where(world()[0] == 3, 82, 255)), null=-1)
    out = three_years / "stock"
    words = ("classes=glc", "years=2017", "zones=nuts", f"output={out}", "legend=s2glc", "-n")
    done = tool(*words)
    assert done.returncode == 0, done.stderr
    assert "one year only" in done.stderr
    rows = rows_of(out)
    assert {row["lc_flow"] for row in rows} == {"STK"}
    assert cells(rows, "XX1", "STK", 2017) == pytest.approx(4)
    # S2GLC's 255 is no data, so XX5 is unseen as ever.
    assert value(rows, "XX5", "STK", 2017) == ""
    assert "imp_2017_sum" not in gs.vector_columns("nuts")
    assert not [name for name in rasters() if "impervious" in name]
    # Without a persistence rule there is no map to write at all.
    before = rasters()
    done = tool(*words[:3], f"output={three_years / 'raw'}", "legend=s2glc", "-n", "method=mapped_raw", "prefix=raw")
    assert done.returncode == 0, done.stderr
    assert rasters() == before and rows_of(three_years / "raw")


def test_spans_indicators_and_an_earlier_table(three_years):
    out, people = three_years / "table", three_years / "people.csv"
    people.write_text("geo,year,persons\nXX1,2017,40\nXX1,2021,50\nAA,2017,1\n")
    jobs, floor = three_years / "jobs.csv", three_years / "floor.csv"
    jobs.write_text("geo,year,jobs\nXX1,2017,20\nXX1,2021,30\n")
    floor.write_text("geo;year;floor_m2\nXX1;2018;500\nXX1;2019;300\nXX1;2020;0\n")
    # Five years from three maps: what is sealed in 2019 is so in 2020 and 2021 too.
    words = ["years=2017-2021", "zones=nuts", f"output={out}", f"population={people}", "-n", "method=mapped_raw"]
    words += [f"jobs={jobs}", f"floor={floor}"]
    maps = ["lc_2017_class", "lc_2018_class", *["lc_2019_class"] * 3]
    done = tool(*words, f"classes={','.join(maps)}", "vintage=2026-01-01", "prefix=ch")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 regions of <population> are not among those of the table" in " ".join(done.stderr.split())
    rows, stack = rows_of(out), world()
    spans = {(int(row["time_from"]), int(row["TIME_PERIOD"])) for row in rows if row["lc_flow"] == "NET"}
    assert spans == {*itertools.pairwise(range(2017, 2022)), (2017, 2020), (2018, 2021), (2017, 2021)}
    assert {f"ch_{a}_{b}_gain" for a, b in spans} & rasters() == {
        f"ch_{a}_{b}_gain" for a, b in spans - {(2017, 2020), (2018, 2021)}
    }
    west = np.zeros((10, 10), bool)
    west[5:, :5] = True
    for first, now, before in ((2017, stack[2], stack[0]), (2018, stack[2], stack[1])):
        for flow, cells_ in (("GAIN", change.newly(now, before, (1, 2))), ("LOSS", change.newly(before, now, (1, 2)))):
            assert cells(rows, "XX1", flow, first + 3, time_from=first) == pytest.approx((cells_[west] == 1).sum())
    assert {row["MISSING_REASON"] for row in rows if row["geo"] == "XX5"} == {"NOT_SEEN"}
    found = {
        (row["indicator"], row["geo"], row["time_from"], row["TIME_PERIOD"]): row["OBS_VALUE"] or row["MISSING_REASON"]
        for row in rows_of(out, "impervious_indicators")
    }
    assert found["IMP_HAB", "XX1", "2017", "2017"] == str(4 * 400 / 40)
    assert found["IMP_HAB", "XX2", "2021", "2021"] == "NO_POPULATION"
    assert found["IMP_JOB", "XX1", "2017", "2017"] == str(4 * 400 / 20)
    gain = (change.newly(stack[2], stack[0], (1, 2))[west] == 1).sum()
    assert gain > 0
    assert float(found["GAIN_FLOOR", "XX1", "2017", "2020"]) == pytest.approx(gain * 400 / (500 + 300 + 0))
    # A cell of the region was not seen in 2018.
    assert found["GAIN_FLOOR", "XX1", "2018", "2019"] == "PART_SEEN"
    assert found["GAIN_JOB", "XX2", "2017", "2021"] == "NO_JOBS"

    # The next vintage knows 2020 otherwise; the earlier figures stay, also where the folder is replaced.
    words += [f"previous={out}", "prefix=next", "--overwrite"]
    maps[3] = "lc_2018_class"
    refused = tool(*words, f"classes={','.join(maps)}", "vintage=2026-01-01")
    assert refused.returncode == 1 and "expected one from before 2026-01-01" in " ".join(refused.stderr.split())
    done = tool(*words, f"classes={','.join(maps)}", "vintage=2026-02-01", "format=json")
    assert done.returncode == 0, done.stderr
    assert "Against vintage 2026-01-01:" in done.stderr
    both = rows_of(out)
    assert [row for row in both if row["vintage"] == "2026-01-01"] == rows
    (revised,) = [
        row
        for row in rows_of(out, "impervious_revisions")
        if (row["geo"], row["lc_flow"], row["landcover"], row["method"], row["unit"])
        == ("XX2", "LOSS", "IMP", "mapped_raw", "KM2")
        if (row["time_from"], row["TIME_PERIOD"]) == ("2018", "2019")
        or (row["time_from"], row["TIME_PERIOD"]) == ("2020", "2021")
    ]
    assert (revised["TIME_PERIOD"], revised["VALUE_FROM"], revised["OBS_VALUE"]) == ("2021", "0.0", "0.0004")
    package = json.loads((out / "datapackage.json").read_text("utf-8"))
    assert package["population"]["file"] == "people.csv" and len(package["population"]["sha256"]) == 64
    assert (package["jobs"]["numbers"], package["parameters"]["floor"]) == (2, "floor.csv")
    assert package["earlier"][0]["vintage"] == "2026-01-01"
    assert package["earlier"][0]["datapackage"]["provenance"]["2020"]["map"].startswith("lc_2019_class@")
    printed = json.loads(done.stdout)
    raw = next(part for part in printed["summary"] if part["method"] == "mapped_raw")
    assert raw["stock"]["2020"] == raw["stock"]["2018"]


def test_only_a_table_folder_is_replaced(three_years):
    out = three_years / "table"
    words = ("input=lc", "zones=nuts", f"output={out}", "prefix=ch", "vintage=2026-01-01", "-n")
    out.mkdir()
    # A photo; a data package of another kind; a table, and a file of the user beside it.
    photo, package = out / "photo.jpg", out / "datapackage.json"
    for file, text, message in (
        (photo, "photo", "file 'photo.jpg'"),
        (package, '{"name": "photos"}', "without the datapackage.json of a table"),
    ):
        file.write_text(text)
        done = tool(*words, "--overwrite")
        assert done.returncode == 1 and message in " ".join(done.stderr.split()), done.stderr
        assert [path.read_text() for path in out.iterdir()] == [text]
        file.unlink()
    # An empty folder is free.
    assert tool(*words).returncode == 0
    exists = tool(*words)
    assert exists.returncode == 1 and "already exists" in exists.stderr
    assert tool(*words, "--overwrite").returncode == 0
    before = package.read_bytes()
    photo.write_text("photo")
    done = tool(*words, "--overwrite")
    assert done.returncode == 1 and photo.exists() and package.read_bytes() == before
    photo.unlink()
    assert tool(*words, "--overwrite", "years=2017-2018").returncode == 0
    assert package.read_bytes() != before


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_interrupted_run_leaves_nothing_and_can_run_again(three_years, mapset, how):
    out = three_years / "table"
    words = ["r.impervious.change", "input=lc", "zones=nuts", f"output={out}", "prefix=ch"]
    before = rasters()
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(mapset.glob("cell/impervious_out_gain_2017_2018*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    _, message = process.communicate(timeout=120)
    assert not out.exists() and not list(mapset.glob("cell/ch_*"))
    assert [path.name for path in three_years.iterdir() if path.name.endswith(".part")] == []
    assert "imp_2017_sum" not in gs.vector_columns("nuts")
    if how == signal.SIGTERM:
        assert process.returncode == 1 and "Interrupted" in message
        assert rasters() == before
    # What a killed run could not clear away, the next one does.
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert not [name for name in rasters() if "impervious" in name]


def test_a_run_killed_while_it_sums_leaves_the_zones_map_as_it_was(three_years, mapset):
    out = three_years / "table"
    words = ["r.impervious.change", "input=lc", "zones=nuts", f"output={out}", "prefix=ch", "nprocs=2"]
    before = gs.vector_columns("nuts")
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(mapset.glob("vector/impervious_zones*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and gs.vector_columns("nuts") == before
    done = tool(*words[1:], "years=2017-2018")
    assert done.returncode == 0, done.stderr
    assert gs.read_command("g.list", type="vector").split() == ["nuts"]
    text = gs.read_command("v.db.select", map="nuts", columns="NUTS_ID,imp_2018_sum", format="json")
    assert {r["NUTS_ID"]: r["imp_2018_sum"] for r in json.loads(text)["records"]}["XX1"] == 6
    again = tool(*words[1:3], f"output={three_years / 'other'}", "prefix=other")
    assert again.returncode == 1 and "column imp_2017_sum" in again.stderr


def test_a_run_that_fails_at_the_last_leaves_what_an_earlier_one_made(three_years):
    out = three_years / "table"
    words = ["input=lc", "zones=nuts", f"output={out}", "prefix=ch", "vintage=2026-01-01"]

    def state():
        maps = {name: read(name, 255).tolist() for name in rasters() if name.startswith("ch_")}
        sums = gs.read_command("v.db.select", map="nuts", separator="comma")
        return maps, sums, {path.name: path.read_bytes() for path in out.iterdir()}

    assert tool(*words, "years=2017-2018").returncode == 0
    before = state()
    # Another class everywhere, other years; and a table that can be read but not written.
    gs.run_command("r.mapcalc", expression="lc_2018_class = 4", overwrite=True, quiet=True)
    gs.run_command(
        "db.execute",
        sql="CREATE TRIGGER closed BEFORE UPDATE ON nuts BEGIN SELECT RAISE(ABORT, 'closed'); END",
        quiet=True,
    )
    done = tool(*words, "--overwrite")
    assert done.returncode == 1 and "closed" in done.stderr and "Traceback" not in done.stderr
    assert state() == before
    assert not [name for name in rasters() if "impervious" in name]
    assert gs.read_command("g.list", type="vector").split() == ["nuts"]
    assert [path.name for path in three_years.iterdir() if path.name.endswith(".part")] == []
    gs.run_command("db.execute", sql="DROP TRIGGER closed", quiet=True)
    assert tool(*words, "--overwrite").returncode == 0
    assert state()[0].keys() > before[0].keys() and state()[0] != before[0]


def test_a_zones_map_that_another_run_writes_is_left_alone(three_years):
    holding = "import subprocess, sys; from imperviouslib.edge import grass\n"
    holding += "with grass.lock_vector('nuts'): sys.exit(subprocess.call(sys.argv[1:]))"
    words = ["r.impervious.change", "input=lc", "zones=nuts", f"output={three_years / 'table'}", "prefix=ch"]
    done = subprocess.run([sys.executable, "-c", holding, *words], capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 1 and "Vector map <nuts>: in use by another run" in done.stderr
    # Without columns it writes elsewhere only.
    done = subprocess.run([sys.executable, "-c", holding, *words, "-n"], capture_output=True, text=True, cwd=TOP)
    assert done.returncode == 0, done.stderr


def test_every_bad_input_gets_one_line_and_leaves_nothing(three_years):
    write("five", np.full((10, 10), 5))
    gs.run_command("r.mapcalc", expression="half = 0.5", quiet=True)
    gs.run_command("r.mapcalc", expression="much = 101.5", quiet=True)
    gs.run_command("r.mapcalc", expression="never = null()", quiet=True)
    region(Grid(400, 400, 600, 600))
    gs.run_command("r.mapcalc", expression="elsewhere = 1", quiet=True)
    gs.run_command("g.region", n=210, s=10, w=10, e=210, res=20)
    gs.run_command("r.mapcalc", expression="shifted = 1", quiet=True)
    region(Grid(0, 0, 200, 200))
    here = square(0, 0, 200, 200)
    for name, features in {
        "doubled": [("XX", 0, "", square(0, 0, 100, 100)), ("XX", 0, "", square(100, 0, 200, 100))],
        "nameless": [("XX", 0, "", square(0, 0, 100, 100)), (None, 0, "", square(100, 0, 200, 100))],
        "overlapping": [("XX", 0, "", here), ("YY", 0, "", square(100, 0, 300, 200))],
        "outside": [("XX", 0, "", square(900, 900, 1000, 1000))],
        "formula": [("=1+1", 0, "", here)],
    }.items():
        import_zones(three_years, name, features)
    import_zones(three_years, "degrees", [("XX", 0, "", square(3, 50, 4, 51))])
    gs.write_command("v.in.ascii", input="-", output="points", stdin="10|10|1\n", quiet=True)
    legend = three_years / "legend.txt"
    legend.write_text("1 artificial\n")
    (three_years / "file").write_text("")

    good = {"input": "lc", "zones": "nuts", "output": three_years / "table", "prefix": "ch"}
    two = {"input": None, "classes": "lc_2017_class,lc_2018_class", "years": "2017,2018"}
    table = [
        ({"input": "nothing"}, "no map <nothing_YEAR_class>"),
        ({"years": "2017-2020"}, "no raster map <lc_2020_class>"),
        ({"years": "2018,2017"}, "years in ascending order"),
        ({"years": "2017,2017"}, "years in ascending order"),
        ({"years": "abc"}, "'abc'"),
        ({**two, "years": "2017-2019"}, "3 years for 2 maps"),
        ({**two, "classes": "lc_2017_class,five"}, "code 5"),
        ({**two, "classes": "lc_2017_class,half"}, "cells of type DCELL"),
        ({**two, "classes": "lc_2017_class,shifted"}, "expected 20 m cells at multiples of 20 m"),
        ({**two, "classes": "never,elsewhere"}, "no map has a cell in it"),
        ({**two, "legend": str(legend)}, "code 3"),
        ({**two, "legend": "missing.txt"}, "found 'missing.txt', expected s2glc"),
        ({"input": None, "shares": "half,much", "years": "2017,2018"}, "found values from 101.5 to 101.5"),
        ({"vintage": "2026-02-30"}, "'2026-02-30'"),
        ({"method": "guess"}, "found 'guess', expected one or more of mapped_raw, mapped_consistent"),
        ({"zones": "missing"}, "no vector map <missing>"),
        ({"zones": "points"}, "no areas"),
        ({"column": "CODE"}, "a column CODE"),
        ({"zones": "doubled"}, "code 'XX' occurs 2 times"),
        ({"zones": "nameless"}, "no code in column NUTS_ID"),
        ({"zones": "overlapping"}, "regions XX and YY of level 0 overlap"),
        ({"zones": "outside"}, "no region with a cell"),
        ({"zones": "degrees"}, "look like degrees"),
        ({"zones": "formula"}, "code '=1+1'"),
        ({"output": three_years}, "a new or empty folder, or one with a table only"),
        ({"output": three_years / "file" / "table"}, "a file"),
    ]
    before, vectors = rasters(), gs.read_command("g.list", type="vector")
    for changed, message in table:
        options = {key: value for key, value in {**good, **changed}.items() if value is not None}
        done = tool(*(f"{key}={value}" for key, value in options.items()))
        assert done.returncode == 1, (changed, done.stderr)
        assert message in parse_refusal(done.stderr).line, (changed, done.stderr)
        assert "Traceback" not in done.stderr and done.stdout == "", changed
        assert rasters() == before and gs.read_command("g.list", type="vector") == vectors, changed
        assert not (three_years / "table").exists()
    for words, message in (
        ({"n": 200, "s": 0, "w": 0, "e": 200, "res": 10}, "10 x 10 m"),
        ({"n": 210, "s": 10, "res": 20}, "210"),
    ):
        gs.run_command("g.region", **words)
        done = tool(*(f"{key}={value}" for key, value in good.items()))
        assert done.returncode == 1 and message in done.stderr, done.stderr


class AnyTwo(ClassRule):
    """The class that two years agree on, for all years; computed with NumPy, because it has no r.mapcalc twin."""

    code = "any_two"
    notes = ("any_two counts the class that two years agree on.",)
    layer, title = "agreed", "Classes that two years agree on"

    @staticmethod
    def rule(stack):
        counts = np.stack([(stack == code).sum(0) for code in range(1, 5)])
        agreed = np.where(counts.max(0) > 1, counts.argmax(0) + 1, 0)
        return np.broadcast_to(agreed, stack.shape)


class PersistenceByArrays(ClassRule):
    """The persistence rule without its r.mapcalc twin."""

    code = "arrays"
    notes = ("arrays is the persistence rule with NumPy.",)
    layer, title = "kept", "Classes after the persistence rule"
    rule = staticmethod(persistent)


class SealedSums(Measure):
    """Cells known in two years, and sums over them: sealed in the earlier, gained, lost. A sealed cell is 1, as a probability would be."""

    def __init__(self, before, now):
        self.codes = tuple(dict.fromkeys((before, now)))
        self.pair = before, now
        self.sums = UnitSums()

    def add(self, strip):
        before, now = (np.where(strip.codes[name] == 0, np.nan, strip.codes[name] <= 2) for name in self.pair)
        known = ~np.isnan(before + now)
        step = (now - before)[known]
        values = (np.ones(known.sum()), before[known], np.maximum(step, 0), np.maximum(-step, 0))
        found = [np.bincount(strip.units[known], strip.weigh(value, known), len(strip.numbers)) for value in values]
        self.sums.add(np.stack(found, axis=1), strip.numbers)

    def merge(self, other, units):
        self.sums.add(other.sums.array, units)


class SumsOfValues(Method):
    """Sums by region of a measure of its own."""

    code = "sums"
    needs = (ClassMaps,)
    notes = ("sums adds values of cells.",)

    def figures(self, work):
        asked = {}
        for a, b in [*((year, year) for year in work.years), *work.pairs]:
            measure = SealedSums(work.maps[a], work.maps[b])
            asked[a, b] = measure, work.measure(measure)

        def figures():
            found = {
                pair: {cat: measure.sums.of(units).tolist() for cat, units in members().items()}
                for pair, (measure, members) in asked.items()
            }
            stocks = {
                year: {cat: (n, sealed) for cat, (n, sealed, *_) in found[year, year].items()} for year in work.years
            }
            flows = (
                {pair: {cat: (row[0], row[place]) for cat, row in found[pair].items()} for pair in work.pairs}
                for place in (1, 2, 3)
            )
            return ShareFigures(stocks, *flows)

        return figures


def test_a_method_of_another_file_runs_without_a_change_to_the_stage(three_years, monkeypatch):
    from imperviouslib.core.settings.change import ChangeSettings
    from imperviouslib.core.tableschema import SCHEMA
    from imperviouslib.stage.change import figures, run

    for rank, method in enumerate((AnyTwo(), PersistenceByArrays(), SumsOfValues()), start=10):
        facts = {"title": method.code, "short": method.code, "key": method.code, "interval": False}
        ground = "region" if method.code == "arrays" else "seen"
        monkeypatch.setitem(METHODS, method.code, method)
        monkeypatch.setitem(SCHEMA["methods"], method.code, {"rank": rank, "ground": ground, **facts})
        monkeypatch.setitem(SCHEMA["codes"]["method"], method.code, method.code)
    # Strips of two rows.
    monkeypatch.setattr(figures, "_BLOCK_CELLS", 2 * 10 * 3)
    out = three_years / "table"
    settings_ = ChangeSettings.parse(
        {
            "input": "lc", "classes": "", "shares": "", "years": "", "legend": "", "zones": "nuts", "column": "NUTS_ID",
            "nuts_version": "2024", "output": str(out), "prefix": "ch", "definition": "", "method": "", "vintage": "2026-01-01",
            "format": "plain", "population": "", "previous": "", "design": "", "sample": "",
        },
        {"n": False},
    )  # fmt: skip
    assert run(settings_) == 0
    stack = world()
    for n, year in enumerate((2017, 2018, 2019)):
        assert (read(f"ch_{year}_agreed") == AnyTwo.rule(stack)[n]).all()
        assert (read(f"ch_{year}_kept") == read(f"ch_{year}_consistent")).all()
    assert "Classes that two years agree on, 2017" in gs.read_command("r.info", map="ch_2017_agreed")
    rows = rows_of(out)
    assert {row["method"] for row in rows} == {"sums", "arrays", "any_two", "mapped_raw", "mapped_consistent"}
    # The flicker and the change into 2019 are gone; what grew in 2018 counts as always sealed, although a cell of it was unseen.
    assert [cells(rows, "XX1", "STK", year, method="any_two") for year in (2017, 2018, 2019)] == pytest.approx(
        [6, 6, 6]
    )
    assert value(rows, "XX1", "STK", 2018, method="any_two", column="COVERAGE") == "0.96"

    def figures_of(method, **more):
        kept = [row for row in rows if row["method"] == method and all(row[k] == v for k, v in more.items())]
        return [{k: v for k, v in row.items() if k != "method"} for row in kept]

    assert figures_of("arrays") == figures_of("mapped_consistent")
    assert figures_of("sums") == figures_of("mapped_raw", landcover="IMP")
    notes = json.loads((out / "datapackage.json").read_text("utf-8"))["method"]
    assert "any_two counts the class that two years agree on." in notes


# Maps of histories

PREDICTED = (2017, 2018, 2019, 2020)


@pytest.fixture
def predicted(three_years):
    """The maps that r.unet.predict makes of four years, with random histories; XX5 is never seen. Yields folder, and cells by map."""
    cells = random_maps(PREDICTED, (10, 10), 3)
    for name, array in cells.items():
        null, kind = (np.nan, "FCELL") if array.dtype == "float32" else (0, "CELL")
        array[:5, :5] = null
        write(name, np.where(np.isnan(array), -1, array), null=-1 if kind == "FCELL" else 0, kind=kind)
    write("lc_2020_class", world()[2])
    return three_years, cells


def check_summary(printed, rows):
    """Compare the printed table of the whole land with the rows of the written one."""
    lines = printed.splitlines()
    first = lines.index("XX Land: impervious (artificial), km2")
    methods = lines[first + 1].split()[:-1]
    assert methods == ["mapped_raw", "mapped_consistent", "mapped_series"]
    pairs = [*itertools.pairwise(PREDICTED), (2017, 2020)]
    shown = [("STK", 2017, None), ("STK", 2020, None), *(("GAIN", b, a) for a, b in pairs)]
    shown += [("LOSS", 2020, 2017), ("NET", 2020, 2017)]
    kept = [row for row in rows if row["definition"] == "artificial"]
    for line, (flow, year, since) in zip(lines[first + 2 :], shown, strict=False):
        what, period, *numbers = line.split()
        assert (what, period) == ({"STK": "stock"}.get(flow, flow.lower()), f"{since}-{year}" if since else str(year))
        for method, number in zip([*methods, "coverage"], numbers, strict=True):
            of, digits = ({"column": "COVERAGE"}, 3) if method == "coverage" else ({"method": method}, 4)
            written = float(value(kept, "XX", flow, year, time_from=since, **of))
            assert float(number) == pytest.approx(written, abs=0.6 * 10**-digits)
    # The next line begins another region or definition.
    assert lines[first + 2 + len(shown)].startswith("XX")
    assert "mapped_raw: of the cells that were seen; the others: of the whole region" in lines


def test_series_of_probabilities(predicted):
    folder, cells_ = predicted
    out, more = folder / "table", {"method": "mapped_series"}
    words = ("input=lc", "zones=nuts", "vintage=2026-01-01", "definition=artificial_natural,artificial")
    # With two processes, the columns of both levels are written at the same time.
    done = tool(*words, f"output={out}", "prefix=ch", "nprocs=2")
    assert done.returncode == 0, done.stderr
    assert "Figures of" not in done.stderr
    rows = rows_of(out)
    check_summary(done.stdout, rows)
    assert {row["method"] for row in rows} == {"mapped_raw", "mapped_consistent", "mapped_series"}

    # Expected cells, of regions of both levels, expanded to the cells never seen; XX3 lies half outside.
    known = ~np.isnan(cells_["lc_2017_p_sealed"])
    change_ = {
        kind: [cells_[f"lc_{a}_{b}_{kind}"] for a, b in itertools.pairwise(PREDICTED)] for kind in ("p_gain", "p_loss")
    }
    regions = {"XX": np.s_[:, :], "XX1": np.s_[5:, :5], "XX2": np.s_[:, 5:9], "XX3": np.s_[:, 9:]}
    size = {"XX": 100, "XX1": 25, "XX2": 40, "XX3": 20}
    for geo, where in regions.items():
        whole = size[geo] / known[where].sum()
        key = [(row["definition"], row) for row in rows if row["geo"] == geo and row["method"] == "mapped_series"]
        kept = [row for definition, row in key if definition == "artificial"]
        for year in PREDICTED:
            expected = whole * np.nansum(cells_[f"lc_{year}_p_sealed"][where])
            assert cells(kept, geo, "STK", year, **more) == pytest.approx(expected, rel=1e-6)
            assert value(kept, geo, "STK", year, column="N_PIX", **more) == str(known[where].sum())
        for flow, kind in (("GAIN", "p_gain"), ("LOSS", "p_loss")):
            expected = whole * np.nansum(np.sum(change_[kind], axis=0)[where])
            assert cells(kept, geo, flow, 2020, time_from=2017, **more) == pytest.approx(expected, rel=1e-6)
            expected = whole * np.nansum(change_[kind][1][where])
            assert cells(kept, geo, flow, 2019, time_from=2018, **more) == pytest.approx(expected, rel=1e-6)
    flags = {year: value(kept, "XX3", "STK", year, column="OBS_FLAG", **more) for year in PREDICTED}
    assert flags == {2017: "epu", 2018: "eu", 2019: "eu", 2020: "epu"}
    kept = [row for row in rows if row["definition"] == "artificial"]
    assert value(kept, "XX5", "STK", 2018, **more) == ""

    # Maps, by their twins, and what they say of themselves.
    for kind, name, title in (("p_gain", "gain", "sealing"), ("p_loss", "loss", "unsealing")):
        steps = np.stack(change_[kind])
        assert (read(f"ch_2017_2020_{name}year") == change.change_year(steps, PREDICTED[1:])).all()
        total = read(f"ch_2017_2020_{name}p", -9)
        assert total == pytest.approx(np.where(np.isnan(steps).any(0), -9, steps.sum(0)), abs=1e-6)
        info = gs.read_command("r.info", map=f"ch_2017_2020_{name}year")
        assert f"Year of {title}, 2017 to 2020" in info and f"Semantic label: {name}year" in info
        assert "1 Jan 2017 00:00:00 / 1 Jan 2020 00:00:00" in info
        assert f"Probability of {title}, 2017 to 2020" in gs.read_command("r.info", map=f"ch_2017_2020_{name}p")
    years = read("ch_2017_2020_gainyear")
    assert set(np.unique(years)) == {0, 2018, 2019, 2020}
    titles = gs.read_command("r.category", map="ch_2017_2020_gainyear", separator="pipe").split()
    assert titles == ["2018|2018", "2019|2019", "2020|2020"]
    colours = gs.read_command("r.colors.out", map="ch_2017_2020_lossyear").splitlines()
    assert colours[:3] == ["2018 199:233:180", "2019 65:182:196", "2020 8:29:88"]
    package = json.loads((out / "datapackage.json").read_text("utf-8"))
    assert package["provenance_between_years"]["2018-2019"]["map"].startswith("lc_2018_2019_p_gain@")
    mapset = Path(gs.find_file("ch_2017_2020_lossp")["file"]).parents[1]
    record = json.loads((mapset / "cell_misc/ch_2017_2020_lossp/impervious.json").read_text("utf-8"))
    assert (record["kind"], record["years"]) == ("lossp", list(PREDICTED))
    assert list(record["sources"]) == ["2017-2018", "2018-2019", "2019-2020"]
    assert not [name for name in rasters() if "impervious" in name]

    # Two of the years alone: the same figures, and the years between them on the map.
    done = tool(*words, f"output={folder / 'two'}", "prefix=two", "-n", "years=2018,2020", "method=mapped_series")
    assert done.returncode == 0, done.stderr
    two = [row for row in rows_of(folder / "two") if row["definition"] == "artificial"]
    for geo in regions:
        for year in (2018, 2020):
            every = cells(kept, geo, "STK", year, **more)
            assert cells(two, geo, "STK", year, **more) == pytest.approx(every, rel=1e-6)
    expected = change.change_year(np.stack(change_["p_gain"][1:]), (2019, 2020))
    assert (read("two_2018_2020_gainyear") == expected).all() and 2019 in expected


def test_methods_follow_from_the_maps_that_exist(predicted):
    folder, _ = predicted
    words = ("input=lc", "zones=nuts", "-n")
    gs.run_command("g.rename", raster="lc_2018_2019_p_loss,kept", quiet=True)
    message = "Map <lc_2018_2019_p_loss> does not exist. Run r.unet.predict with all years"
    before = rasters()
    done = tool(*words, f"output={folder / 'named'}", "method=mapped_raw,mapped_series", "prefix=named")
    assert done.returncode == 1 and message in parse_refusal(done.stderr).line, done.stderr
    assert rasters() == before and not (folder / "named").exists()
    done = tool(*words, f"output={folder / 'all'}", "prefix=all")
    assert done.returncode == 0, done.stderr
    assert f"Figures of mapped_series are left out. {message}" in " ".join(done.stderr.split())
    assert {row["method"] for row in rows_of(folder / "all")} == {"mapped_raw", "mapped_consistent"}
    assert not [name for name in rasters() if "gainyear" in name]
    # Years on one side of the gap need no map of it.
    done = tool(*words, f"output={folder / 'side'}", "prefix=side", "years=2017,2018")
    assert done.returncode == 0, done.stderr
    assert "mapped_series" in {row["method"] for row in rows_of(folder / "side")}
    # Nobody needs the maps: nothing is said of them.
    done = tool(*words, f"output={folder / 'raw'}", "prefix=raw", "method=mapped_raw")
    assert done.returncode == 0 and "Figures of" not in done.stderr
    # Maps of two predictions do not belong together.
    gs.run_command("g.rename", raster="kept,lc_2018_2019_p_loss", quiet=True)
    gs.run_command("r.mapcalc", expression="lc_2019_p_sealed = 0.5 * lc_2019_p_sealed", overwrite=True, quiet=True)
    before = rasters()
    done = tool(*words, f"output={folder / 'mixed'}", "prefix=mixed")
    assert done.returncode == 1, done.stderr
    assert "Map <lc_2019_p_sealed>: found probabilities that are wrong by up to" in parse_refusal(done.stderr).line
    assert rasters() == before and not (folder / "mixed").exists()
