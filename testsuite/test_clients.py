"""What programs of others need of the suite's files, held without these programs; `make clients` asks them."""

from itertools import pairwise

import h5py
import numpy as np
import pyproj
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.errors import command_without_secrets
from imperviouslib.core.periods import parse_periods, period_named, resolve_periods, times_between
from imperviouslib.edge.ardcheck import check_ard
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.outlinefile import to_lonlat
from testsuite.test_ardfile import GRID, write

# The HDF5 file and the CF conventions


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ard") / "made.nc"
    write(path, periods=("2017", "2017-frost", "2017-leaf", "2018-04", "2018-spring", "2018", "2018-summer"))
    return path


def test_every_variable_says_what_it_is(file):
    with h5py.File(file) as handle:
        assert handle.attrs["Conventions"] == "CF-1.11"
        assert all(handle.attrs[name] for name in ("title", "history"))
        for name, variable in handle.items():
            if name in ("bnds", "time_bnds"):
                continue
            assert {"long_name", "standard_name"} & set(variable.attrs), name
            assert not variable.fletcher32, name
            if variable.ndim >= 2:
                assert variable.attrs["grid_mapping"] == "crs" and variable.attrs["_FillValue"].dtype == variable.dtype
                assert "units" in variable.attrs or "flag_values" in variable.attrs
                assert ("coordinates" in variable.attrs) == (variable.ndim == 3)


def test_the_axis_of_time_has_units_and_increases_within_its_bounds(file):
    with h5py.File(file) as handle:
        time, bounds = handle["time"], handle["time_bnds"][:]
        assert (time.attrs["units"], time.attrs["calendar"]) == ("days since 1970-01-01", "standard")
        assert (time.attrs["standard_name"], time.attrs["axis"], time.attrs["bounds"]) == ("time", "T", "time_bnds")
        assert (np.diff(time[:]) > 0).all(), "equal middles (a year and a window of it, spring and April) are set apart"
        assert ((bounds[:, 0] <= time[:]) & (time[:] < bounds[:, 1])).all()
    with xr.open_dataset(file, engine="h5netcdf", decode_coords="all") as data:
        assert [str(day)[:10] for day in data.time_bnds.values[5]] == ["2018-01-01", "2019-01-01"]
        assert data.time.dt.year.values.tolist() == [2017] * 3 + [2018] * 4
        assert data["B12_p50"].coords["period"].values[4] == "2018-spring"


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "old.h5"
    write(path, periods=("2017", "2018"))
    with h5py.File(path, "r+") as handle:
        del handle["time"].attrs["units"]
        handle["time"][:] = [2017, 2018]
    with ArdFile.open(path) as ard:
        assert (ard.years, ard.periods, ard.grid) == ((2017, 2018), ("2017", "2018"), GRID)
        assert not ard.has_checksums


@pytest.mark.parametrize(("name", "row"), [("time", 0), ("time_bnds", 1)])
def test_a_time_that_was_changed_is_found(tmp_path, name, row):
    path = tmp_path / "a.nc"
    write(path, periods=("2017", "2018"))
    assert check_ard(path)["findings"] == []
    with h5py.File(path, "r+") as handle:
        handle[name][row] = handle[name][row] + 1
    assert check_ard(path)["findings"]


@given(st.integers(1985, 2100), st.sampled_from(["year", "season", "month"]))
def test_the_span_of_a_period_follows_from_its_name(year, kind):
    for period in resolve_periods([year], parse_periods(kind)):
        assert period_named(period.name) == period


@given(st.lists(st.integers(2000, 2050), min_size=2, max_size=6, unique=True).map(sorted))
def test_changes_of_neighbouring_years_do_not_overlap(years):
    spans = [times_between(a, b).split("|") for a, b in pairwise(years)]
    assert all(first[1] == second[0] for first, second in pairwise(spans))
    assert times_between(years[0], years[-1]).split("|") == [spans[0][0], spans[-1][1]]


# Outlines

BACK = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3035", always_xy=True)


def area(ring):
    x, y = np.asarray(ring, float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


corners = st.tuples(st.integers(2_500_000, 6_000_000), st.integers(1_500_000, 5_000_000), st.integers(20, 300_000))


@settings(deadline=None, max_examples=25)
@given(corners, st.booleans(), st.booleans())
def test_outlines_in_degrees_keep_the_rules_of_rfc_7946(corner, clockwise, hole_clockwise):
    x, y, size = corner
    outer = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    hole = [[x + (a - x) / 2 + 1, y + (b - y) / 2 + 1] for a, b in outer]
    rings = [outer[::-1] if clockwise else outer, hole[::-1] if hole_clockwise else hole]
    feature = {
        "type": "Feature",
        "properties": {"geo": "X1"},
        "geometry": {"type": "MultiPolygon", "coordinates": [rings]},
    }
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}}
    found = to_lonlat({"type": "FeatureCollection", "crs": crs, "features": [feature]})
    assert set(found) == {"type", "features"}, "RFC 7946 knows no member crs"
    assert found["features"][0]["properties"] == {"geo": "X1"}
    first, second = found["features"][0]["geometry"]["coordinates"][0]
    assert area(first) > 0 > area(second)
    assert all(ring[0] == ring[-1] and len(ring) == 5 for ring in (first, second))
    again = {tuple(round(v, 1) for v in BACK.transform(*point)) for point in first}
    assert again == {(float(a), float(b)) for a, b in outer}


# The history of maps


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("r.s2.fetch stac=https://me:pw@host/v1 output=a", "r.s2.fetch stac=https://host/v1 output=a"),
        ('r.s2.fetch "stac=https://host/v1?token=abc#x"', 'r.s2.fetch "stac=https://host/v1"'),
        ("r.x wms=aerial=https://u:p@h/wms?key=1,b=http://k@h2/", "r.x wms=aerial=https://h/wms"),
        ("r.x a=s3://key:secret@bucket/x b=ftp://u:p@h/y", "r.x a=s3://bucket/x b=ftp://h/y"),
        ("r.s2.yearly input=/data/a@b output=s2", "r.s2.yearly input=/data/a@b output=s2"),
        ("r.x a='https://u:p@h/'", "r.x a='https://h/'"),
    ],
)
def test_a_command_line_in_a_history_has_no_secrets(given_, expected):
    found = command_without_secrets(given_)
    assert found == expected
    assert not {"pw", "abc", "secret", "u:p", "key=1"} & set(found.replace("@", " ").split())


@given(st.text(alphabet="abcXYZ019:@/?&=# '\"", max_size=30), st.sampled_from(["https", "s3", "http"]))
def test_no_password_survives(rest, scheme):
    assert "hunter2" not in command_without_secrets(f"r.x stac={scheme}://me:hunter2@host/{rest} output=a")
