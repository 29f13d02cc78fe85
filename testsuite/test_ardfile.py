"""The analysis-ready HDF5 file: contract, other readers, damage, kills."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

from imperviouslib.core import feature
from imperviouslib.core.errors import ArdError
from imperviouslib.core.feature import Variable
from imperviouslib.core.grid import Grid
from imperviouslib.edge import ardcheck
from imperviouslib.edge.ardcheck import check_ard
from imperviouslib.edge.ardfile import ArdFile, ArdWriter
from testsuite import TOP
from testsuite.ard_damage import flip, is_found, truncate

GRID = Grid(4_450_800, 3_282_000, 4_450_800 + 300 * 20, 3_282_000 + 270 * 20)
PERIODS = ("2017", "2018", "2018-summer")
FEATURES = ("B12_p50", "B11_p50", "B04_p50")
TENS = [*range(10), *(pytest.param(number, marks=pytest.mark.soak) for number in range(10, 100))]
"""Ten numbers, and a hundred in the long form."""


def make_arrays(grid=GRID, periods=PERIODS, seed=1):
    """Features (period, feature, row, col), counts (period, row, col) and labels of a place, smooth enough to compress."""
    rng = np.random.default_rng(seed)
    features = (
        (1000 + 200 * rng.normal(size=(len(periods), 3, *grid.shape)).cumsum(axis=-1) / 10)
        .clip(1, 9999)
        .astype(np.uint16)
    )
    counts = rng.integers(1, 9, (len(periods), *grid.shape)).astype(np.uint8)
    unseen = rng.random(counts.shape) < 0.1
    features[np.broadcast_to(unseen[:, np.newaxis], features.shape)] = 0
    counts[unseen] = 0
    counts[:, :3] = 255
    features[:, :, :3] = 0
    label = rng.integers(0, 5, grid.shape).astype(np.uint8)
    return features, counts, label


def write(path, grid=GRID, periods=PERIODS, *, as_float=False, labels=True, seed=1):
    """Write such a file; return its arrays."""
    features, counts, label = make_arrays(grid, periods, seed)
    with ArdWriter(Path(path), grid, periods, FEATURES, as_float=as_float) as out:
        for t, period in enumerate(periods):
            for part in out.strips():
                rows, cols = part.slices_in(grid)
                out.write_period(period, part, features[t, :, rows, cols], counts[t, rows, cols])
        if labels:
            out.start_label(year=2017, legend="s2glc")
            for part in out.strips():
                rows, cols = part.slices_in(grid)
                codes = label[rows, cols]
                shares = np.stack([np.where(codes == 0, 255, np.where(codes == c, 100, 0)) for c in (1, 2, 3, 4)])
                out.write_label(part, codes, np.where(codes == 0, 255, 100).astype(np.uint8), shares.astype(np.uint8))
        out.finish({period: {"scenes": []} for period in periods})
    return features, counts, label


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ard") / "made.h5"
    return path, *write(path)


def test_reader_gives_back_what_was_written(file):
    path, features, counts, label = file
    with ArdFile.open(path) as ard:
        assert (ard.grid, ard.periods, ard.years, ard.features) == (GRID, PERIODS, (2017, 2018, 2018), FEATURES)
        assert (ard.label_year, ard.legend, ard.has_label, ard.is_float) == (2017, "s2glc", True, False)
        for t, period in enumerate(PERIODS):
            assert np.array_equal(ard.read(period, GRID), features[t])
            assert np.array_equal(ard.read_count(period, GRID), counts[t])
        assert np.array_equal(ard.read_label(GRID), label)
        # A window that reaches beyond the file is no data there.
        around = ard.read("2018", GRID.grown(2))
        assert np.array_equal(around[:, 2:-2, 2:-2], features[1]) and not around[:, :2].any()
        assert (ard.read_count("2018", GRID.grown(1))[0] == 255).all()
        with pytest.raises(ArdError, match="no period 2020"):
            ard.read("2020", GRID)


def test_plain_h5py_reads_it(file):
    path, features, *_ = file
    with h5py.File(path) as handle:
        assert np.array_equal(handle["B11_p50"][1], features[1, 1])
        variable = handle["B11_p50"]
        assert (
            variable.chunks == (1, 256, 256)
            and variable.compression == "gzip"
            and variable.shuffle
            and not variable.fletcher32
        )
        assert variable.attrs["scale_factor"] == 1e-4 and variable.attrs["_FillValue"][0] == 0
        assert handle.attrs["contract"] == 1 and handle.attrs["complete"] == 1


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_reads_it_with_scale_and_gaps(file, engine):
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    path, features, *_ = file
    with xr.open_dataset(path, engine=engine, decode_coords="all") as data:
        expected = np.where(features[:, 0] == 0, np.nan, features[:, 0] * 1e-4)
        assert np.allclose(data["B12_p50"].values, expected, atol=1e-7, equal_nan=True)
        assert data["B12_p50"].dims == ("time", "y", "x")
        assert data.x.values[0] == GRID.west + 10 and data.y.values[0] == GRID.north - 10
        assert data["label"].attrs["flag_meanings"] == "artificial natural green other"
        assert list(data["period"].values) == list(PERIODS)
        assert np.isnan(data["count"].values[0, 0]).all()


def test_rasterio_reads_it_on_the_grid(file):
    path, features, _, label = file
    try:
        source = rasterio.open(f"netcdf:{path}:B12_p50")
    except rasterio.errors.RasterioIOError:
        pytest.skip("this rasterio has no netCDF driver")
    with source:
        assert source.crs.to_epsg() == 3035
        assert source.transform == rasterio.Affine(20, 0, GRID.west, 0, -20, GRID.north)
        assert (source.count, source.nodata, source.scales[0]) == (3, 0, 1e-4)
        assert np.array_equal(source.read(2), features[1, 0])
    with rasterio.open(f"netcdf:{path}:label") as source:
        assert np.array_equal(source.read(1), label)


def test_gdalinfo_of_the_system_sees_it_on_the_grid(file):
    said = subprocess.run(["gdalinfo", f'NETCDF:"{file[0]}":B12_p50'], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    for word in (
        'ID["EPSG",3035]',
        f"Origin = ({GRID.west}.0",
        "Pixel Size = (20.0",
        "NoData Value=0",
        "Scale:0.0001",
        "Size is 300, 270",
    ):
        assert word in said.stdout, word


def test_float_file_holds_reflectance_with_nan_and_reads_the_same(file, tmp_path):
    features, *_ = write(tmp_path / "float.h5", as_float=True)
    with h5py.File(tmp_path / "float.h5") as handle:
        values = handle["B12_p50"][0]
        assert values.dtype == np.float32 and np.isnan(values[features[0, 0] == 0]).all()
        assert np.allclose(values[features[0, 0] > 0], features[0, 0][features[0, 0] > 0] / 1e4)
    with ArdFile.open(tmp_path / "float.h5") as ard, ArdFile.open(file[0]) as other:
        assert ard.is_float and np.array_equal(ard.read("2017", GRID), features[0])
        assert ard.digests == other.digests
    assert check_ard(tmp_path / "float.h5")["findings"] == []


def test_every_value_survives_float32(tmp_path):
    grid = Grid(0, 0, 256 * 20, 256 * 20)
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    with ArdWriter(tmp_path / "all.h5", grid, ["2017"], ["B04_p50"], as_float=True) as out:
        out.write_period("2017", grid, values[np.newaxis], np.ones(grid.shape, np.uint8))
        out.finish({})
    with ArdFile.open(tmp_path / "all.h5") as ard:
        assert np.array_equal(ard.read("2017", grid)[0], values)


def test_an_index_keeps_its_offset(tmp_path, monkeypatch):
    ndvi = Variable("NDVI", ("B8A", "B04"), "vegetation index", "(NDVI + 1) x 10000", offset=-1)
    monkeypatch.setattr(feature, "INDICES", (ndvi,))
    grid = Grid(0, 0, 256 * 20, 256 * 20)
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for name, as_float in (("whole.h5", False), ("float.h5", True)):
        with ArdWriter(tmp_path / name, grid, ["2017"], ["NDVI_p50"], as_float=as_float) as out:
            out.write_period("2017", grid, values[np.newaxis], np.ones(grid.shape, np.uint8))
            out.finish({})
        with ArdFile.open(tmp_path / name) as ard:
            assert np.array_equal(ard.read("2017", grid)[0], values)
    with xr.open_dataset(tmp_path / "whole.h5", engine="h5netcdf") as data:
        assert np.isnan(data["NDVI_p50"].values[0, 0, 0])
        assert np.allclose(data["NDVI_p50"].values[0].ravel()[1:], np.arange(1, 65536) / 1e4 - 1)
        assert data["NDVI_p50"].attrs["long_name"] == "vegetation index, NDVI_p50"


def test_failed_writing_leaves_nothing(tmp_path):
    for moment in ("start", "middle", "label"):
        with pytest.raises(ZeroDivisionError), ArdWriter(tmp_path / "a.h5", GRID, PERIODS, FEATURES) as out:
            if moment != "start":
                for part in out.strips():
                    out.write_period("2017", part, np.ones((3, *part.shape), np.uint16), np.ones(part.shape, np.uint8))
            if moment == "label":
                out.start_label(year=2017, legend="s2glc")
            raise ZeroDivisionError
        assert not list(tmp_path.iterdir())


_SLOW_WRITER = """
import sys, time
sys.path.insert(0, {top!r})
from pathlib import Path
from testsuite.test_ardfile import write
from testsuite import test_ardfile
from imperviouslib.edge import ardfile
plain = ardfile.ArdWriter.write_period
def slow(self, *words):
    plain(self, *words)
    self._file.flush()
    time.sleep(0.02)
ardfile.ArdWriter.write_period = slow
print("go", flush=True)
write({path!r})
"""


@pytest.mark.parametrize("number", TENS)
def test_killed_writer_leaves_no_file_under_the_final_name(tmp_path, number):
    path = tmp_path / "killed.h5"
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_WRITER.format(top=str(TOP), path=str(path))], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(random.Random(number).uniform(0, 0.15))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # Either it was quicker, and the file is whole, or there is none.
    assert not path.exists() or check_ard(path)["findings"] == []
    for part in tmp_path.glob(".*.h5"):
        with pytest.raises(ArdError), ArdFile.open(part):
            pass


def test_other_contracts_and_other_files_are_refused(tmp_path, file):
    path = tmp_path / "a.h5"
    with pytest.raises(ArdError, match="There is no file"), ArdFile.open(path):
        pass
    path.write_bytes(b"no HDF5")
    with pytest.raises(ArdError, match="is not a complete HDF5 file"), ArdFile.open(path):
        pass
    with h5py.File(path, "w") as handle:
        handle["x"] = 1
    with pytest.raises(ArdError, match=r"was not written by r\.s2\.ard"), ArdFile.open(path):
        pass
    for contract, said in ((2, "contract 2, expected contract 1. Use the version"), ("one", "damaged metadata")):
        path.write_bytes(file[0].read_bytes())
        with h5py.File(path, "r+") as handle:
            handle.attrs["contract"] = contract
        with pytest.raises(ArdError, match=said), ArdFile.open(path):
            pass
    path.write_bytes(file[0].read_bytes())
    with h5py.File(path, "r+") as handle:
        del handle.attrs["complete"]
    with pytest.raises(ArdError, match="is not complete, because the run"), ArdFile.open(path):
        pass


def test_labels_of_other_classes_are_refused(tmp_path, file):
    path = tmp_path / "five.h5"
    path.write_bytes(file[0].read_bytes())
    with h5py.File(path, "r+") as handle:
        handle["label"].attrs["flag_meanings"] = "artificial natural green other water"
    with (
        ArdFile.open(path) as ard,
        pytest.raises(ArdError, match=r"found labels of the classes .* water, expected artificial"),
    ):
        ard.read_label(ard.grid)


def _set(name, where, value):
    def change(handle):
        handle[name][where] = value

    return change


def _attribute(name, key, value):
    def change(handle):
        (handle[name] if name else handle).attrs[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("B12_p50", (1, 100, 100), 4321), "period 2018: its cells changed since the file was written"),
        (_set("B12_p50", (2, slice(None), slice(None)), 30000), "above 20000 in 81000 cells, so its scaling is not 0.0001"),
        (_set("count", (0, 50, 50), 77), "period 2017: its cells"),
        (_set("label", (5, 5), 9), "label: code 9, expected 0-4"),
        (_set("purity", (5, slice(None)), 3), "purity"),
        (_set("share_green", (7, 7), 42), "label: its cells"),
        (_set("x", 3, 0.0), "x: not the centres"),
        (_set("time", 0, 1999), "time: not the years"),
        (_attribute("B12_p50", "scale_factor", 1e-3), "metadata (names, axes or attributes) changed"),
        (_attribute("crs", "latitude_of_projection_origin", 0.0), "metadata (names, axes or attributes) changed"),
        (_attribute("", "legend", "clcplus"), "metadata (names, axes or attributes) changed"),
        (_attribute("", "features", '["B12_p50", "B04_p50", "B11_p50"]'), "metadata (names, axes or attributes) changed"),
        (lambda handle: handle.__delitem__("share_other"), "share_other: missing"),
    ],
)  # fmt: skip
def test_check_finds_what_was_changed(file, tmp_path, change, said):
    path = tmp_path / "changed.h5"
    path.write_bytes(file[0].read_bytes())
    assert check_ard(path, GRID)["findings"] == []
    with h5py.File(path, "r+") as handle:
        change(handle)
    assert any(said in finding for finding in check_ard(path)["findings"])


def test_check_compares_with_the_region(file):
    assert any("differs from the region" in f for f in check_ard(file[0], GRID.grown(1))["findings"])


def test_check_reports_shares_and_classes(file):
    path, features, _, label = file
    report = check_ard(path)
    assert report["periods"]["2017"]["B12_p50"] == pytest.approx((features[0, 0] == 0).mean(), abs=1e-6)
    assert report["label"]["cells"]["green"] == (label == 3).sum()
    assert report["label"]["cells"]["nodata"] == (label == 0).sum()
    json.dumps(report)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ard") / "small.h5"
    write(path, Grid(4_450_800, 3_282_000, 4_450_800 + 60 * 20, 3_282_000 + 50 * 20), ("2017", "2018"))
    return path


@pytest.mark.parametrize("number", range(25))
def test_check_finds_a_flipped_bit(small_file, tmp_path, number):
    assert is_found(small_file, flip(small_file.read_bytes(), number), tmp_path / "flipped.h5")


@pytest.mark.parametrize("number", TENS)
def test_check_finds_a_truncation(small_file, tmp_path, number):
    assert is_found(small_file, truncate(small_file.read_bytes(), number), tmp_path / "cut.h5")


@pytest.mark.slow
@pytest.mark.soak
def test_soak_of_damage(small_file, tmp_path):
    content = small_file.read_bytes()
    missed = [n for n in range(1000) if not is_found(small_file, flip(content, n), tmp_path / "flipped.h5")]
    missed += [n for n in range(200) if not is_found(small_file, truncate(content, n), tmp_path / "cut.h5")]
    assert missed == []


def test_periods_are_copied_as_they_are(file, tmp_path):
    features, counts, _ = write(tmp_path / "one.h5", periods=("2018",), labels=False)
    with ArdWriter(tmp_path / "two.h5", GRID, ["2017", "2018"], FEATURES) as out:
        for part in out.strips():
            out.write_period("2017", part, np.full((3, *part.shape), 5, np.uint16), np.ones(part.shape, np.uint8))
        with ArdFile.open(tmp_path / "one.h5") as source:
            out.copy_period(source)
        out.finish({})
    assert check_ard(tmp_path / "two.h5")["findings"] == []
    with ArdFile.open(tmp_path / "two.h5") as ard:
        assert np.array_equal(ard.read("2018", GRID), features[0]) and np.array_equal(
            ard.read_count("2018", GRID), counts[0]
        )


def test_a_check_in_a_subprocess_reports_damage_of_any_kind(small_file, tmp_path):
    content, path = small_file.read_bytes(), tmp_path / "damaged.h5"
    assert ardcheck.check_in_subprocess(small_file)["findings"] == []
    # This flip crashes HDF5 1.14, which is the finding; another version may report it in another way.
    path.write_bytes(flip(content, 769))
    assert ardcheck.check_in_subprocess(path)["findings"]
    path.write_bytes(content[:100])
    with pytest.raises(ArdError, match="is not a complete HDF5 file"):
        ardcheck.check_in_subprocess(path)
