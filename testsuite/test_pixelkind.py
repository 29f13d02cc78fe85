"""Pixels are what they claim: which objects are refused, and what is converted to numbers with 0 = no data."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imperviouslib.core.errors import FetchError
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Asset
from imperviouslib.core.pixelkind import MOST_DN, check_ground_size, check_header, to_classes, to_dn
from imperviouslib.core.resample import Source
from imperviouslib.edge import warp
from imperviouslib.edge.archivefile import Task, fetch_scene, read_sidecar
from imperviouslib.edge.rasterobject import describe_object
from testsuite.scene_ground import scene

GOOD = Source("EPSG:32633", (20.0, 0.0, 300000.0, 0.0, -20.0, 5900040.0), 100, 100, "uint16")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"bands": 3}, "3 bands, expected one band"), ({"bands": 0}, "0 bands"), ({"crs": ""}, "no coordinate reference system"),
        ({"transform": (19.7, 3.5, 0.0, 3.5, -19.7, 0.0)}, "a rotated grid"), ({"transform": (0.0, 20.0, 0.0, 20.0, 0.0, 0.0)}, "a rotated grid"),
        ({"transform": (20.0, 0.0, 0.0, 0.0, 20.0, 0.0)}, "rows that run from south to north, expected north up"),
        ({"transform": (-20.0, 0.0, 0.0, 0.0, -20.0, 0.0)}, "no georeference, expected north up"),
        ({"dtype": "uint8"}, "pixels of type uint8"), ({"dtype": "int8"}, "pixels of type int8"), ({"dtype": "complex64"}, "pixels of type complex64"),
        ({"scale": 0.0000275}, "numbers of scale 2.75e-05"), ({"scale": 0.0}, "numbers of scale 0"), ({"scale": float("nan")}, "numbers of scale nan"),
    ],
)  # fmt: skip
def test_an_object_of_another_form_is_refused_in_one_line(change, found):
    with pytest.raises(FetchError, match=rf"^Object 'B04\.tif': found {found}.* Use another catalogue") as caught:
        check_header(replace(GOOD, **change), "B04.tif", is_classes=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 0.0001, np.float32(0.0001)])
def test_types_that_can_be_converted_are_accepted(dtype, scale):
    check_header(replace(GOOD, dtype=dtype, scale=float(scale)), "B04.tif", is_classes=False)


@pytest.mark.parametrize(
    ("dtype", "fits"), [("uint8", True), ("uint16", True), ("int16", True), ("float32", False), ("complex64", False)]
)
def test_classes_are_whole_numbers(dtype, fits):
    if fits:
        check_header(replace(GOOD, dtype=dtype), "SCL.tif", is_classes=True)
    else:
        with pytest.raises(FetchError, match="expected whole numbers"):
            check_header(replace(GOOD, dtype=dtype), "SCL.tif", is_classes=True)


# What a pixel becomes, by its type and by what the header names as no data.


@pytest.mark.parametrize(
    ("dtype", "nodata", "values", "expected", "invalid", "wrapped"),
    [
        ("uint16", None, [0, 1, 5000, 32767], [0, 1, 5000, 32767], 0, 0),
        ("uint16", 0, [0, 1, 5000], [0, 1, 5000], 0, 0),
        ("uint16", 65535, [65535, 0, 700], [0, 0, 700], 0, 0),
        ("uint16", 1, [1, 2], [0, 2], 0, 0),
        ("uint16", None, [65535, 32768, 64535, 65236, 65534], [0, 0, 0, 0, 0], 5, 2),
        ("int16", -9999, [-9999, 0, 1, 5000, -20, -1000], [0, 0, 1, 5000, 1, 1], 0, 0),
        ("int16", None, [-9999, -1001, -32768, 5000], [0, 0, 0, 5000], 3, 0),
        ("int32", None, [70000, -9999, 32767, 32768], [0, 0, 32767, 0], 3, 0),
        ("uint32", 4294967295, [4294967295, 40000, 3], [0, 0, 3], 1, 0),
        ("float32", None, [np.nan, 0.0, 0.1234, 1.25, -0.01], [0, 0, 1234, 12500, 1], 0, 0),
        ("float32", -9999, [-9999, 0.05, 0.00001], [0, 500, 1], 0, 0),
        ("float32", None, [-9999, 0.05, np.inf], [0, 500, 0], 1, 0),
        ("float64", None, [1234.0, 9000.0, np.nan, 70000.0], [1234, 9000, 0, 0], 1, 0),
        ("float32", None, [np.nan, np.nan], [0, 0], 0, 0),
    ],
)  # fmt: skip
def test_pixels_become_unsigned_numbers_with_0_for_no_data(dtype, nodata, values, expected, invalid, wrapped):
    found, number, around = to_dn(np.array([values], dtype), replace(GOOD, dtype=dtype, nodata=nodata), "B04.tif")
    assert found.dtype == np.uint16
    assert found.tolist() == [expected]
    assert (number, around) == (invalid, wrapped)


def test_floats_that_are_neither_reflectance_nor_whole_are_refused():
    with pytest.raises(FetchError, match=r"numbers from 0\.5 to 43\.2, expected reflectance 0-1, or whole numbers"):
        to_dn(np.array([[0.5, 43.2]], np.float32), replace(GOOD, dtype="float32"), "B04.tif")


@given(st.data(), st.sampled_from(["uint16", "int16", "int32", "uint32", "float32"]))
@settings(max_examples=60, deadline=None)
def test_any_pixel_becomes_a_reflectance_or_no_data(data, dtype):
    values = data.draw(arrays(dtype, (3, 4)))
    try:
        found, invalid, wrapped = to_dn(values.copy(), replace(GOOD, dtype=dtype), "B04.tif")
    except FetchError:
        assert dtype == "float32"
        return
    assert found.dtype == np.uint16
    assert found.max() <= MOST_DN
    # Each pixel is data, no data, or counted.
    unseen = ~np.isfinite(values) | (values == 0)
    assert np.count_nonzero(found) + invalid + np.count_nonzero(unseen) == found.size
    assert wrapped <= invalid


@pytest.mark.parametrize(
    ("dtype", "nodata", "values", "expected"),
    [
        ("uint8", None, [0, 4, 11], [0, 4, 11]), ("uint8", 255, [255, 4, 0], [0, 4, 0]), ("uint16", None, [3, 11], [3, 11]),
        ("int16", -1, [-1, 5], [0, 5]), ("uint8", None, [12, 4], None), ("uint8", None, [255, 4], None), ("int16", None, [-1, 4], None),
        ("uint16", 0, [256 + 4, 4], None),
    ],
)  # fmt: skip
def test_scene_classes_are_0_to_11_or_the_object_is_refused(dtype, nodata, values, expected):
    source = replace(GOOD, dtype=dtype, nodata=nodata)
    if expected is None:
        with pytest.raises(FetchError, match=r"found scene class .*, expected 0 to 11"):
            to_classes(np.array([values], dtype), source, "SCL.tif")
    else:
        found = to_classes(np.array([values], dtype), source, "SCL.tif")
        assert found.dtype == np.uint8
        assert found.tolist() == [expected]


@pytest.mark.parametrize(
    ("crs", "transform", "halved"),
    [
        ("EPSG:32633", (10.0, 0.0, 400000.0, 0.0, -10.0, 5800000.0), True), ("EPSG:32633", (20.0, 0.0, 400000.0, 0.0, -20.0, 5800000.0), False),
        ("EPSG:3035", (10.0, 0.0, 4400000.0, 0.0, -10.0, 3200000.0), True),
        # 10 m in degrees at 52 degrees north; and of Web Mercator, whose metres are longer on the map than on the ground.
        ("EPSG:4326", (0.0001463, 0.0, 13.0, 0.0, -0.0000899, 52.0), True), ("EPSG:4326", (0.0000899, 0.0, 13.0, 0.0, -0.0000899, 52.0), True),
        ("EPSG:4326", (0.00018, 0.0, 13.0, 0.0, -0.00018, 52.0), False), ("EPSG:3857", (16.24, 0.0, 1447000.0, 0.0, -16.24, 6800000.0), True),
        ("EPSG:3857", (32.5, 0.0, 1447000.0, 0.0, -32.5, 6800000.0), False),
        # Named 10 m, and 6.5 m on the ground, as some archives have them.
        ("EPSG:3857", (10.0, 0.0, 1447000.0, 0.0, -10.0, 6340000.0), True), ("EPSG:32633", (5.1, 0.0, 400000.0, 0.0, -5.1, 5800000.0), True),
        ("EPSG:32633", (4.9, 0.0, 400000.0, 0.0, -4.9, 5800000.0), None),
        ("EPSG:32633", (60.0, 0.0, 400000.0, 0.0, -60.0, 5800000.0), False), ("EPSG:32633", (1.0, 0.0, 400000.0, 0.0, -1.0, 5800000.0), None),
        ("EPSG:4326", (10.0, 0.0, 13.0, 0.0, -10.0, 52.0), None),
    ],
)  # fmt: skip
def test_pixels_are_averaged_by_their_size_on_the_ground(crs, transform, halved):
    source = Source(crs, transform, 100, 100, "uint16")
    if halved is None:
        with pytest.raises(FetchError, match="m on the ground, expected pixels of 10 or 20 m"):
            check_ground_size(*warp.ground_size(source), "B04.tif")
    else:
        assert check_ground_size(*warp.ground_size(source), "B04.tif") is halved


# Objects through the whole fetch of a band: the same ground in several forms gives the same cells.

SHAPE = (120, 120)


def write(path, values, nodata=None, **changes):
    profile = {"crs": "EPSG:32633", "transform": rasterio.Affine(20, 0, 399960, 0, -20, 5800020), "count": 1}
    height, width = values.shape[-2:]
    profile |= {"driver": "GTiff", "height": height, "width": width, "dtype": values.dtype, "nodata": nodata, **changes}
    with rasterio.open(path, "w", **profile) as out:
        for band in range(1, profile["count"] + 1):
            out.write(values, band)


def fetched(folder, path, band="B04", classes=None, **facts):
    """Fetch one band of one object; classes : file of the scene classification, if there is one. Returns: (cells, sidecar, error)."""
    more = {"SCL": Asset(str(classes))} if classes else {}
    one = scene(assets={band: Asset(str(path)), **more}, **facts)
    west, south, east, north = warp.extent(describe_object(path.read_bytes(), "x")).bounds
    area = Grid(west + 100, south + 100, east - 100, north - 100)
    task = Task(one, (band,), folder, area, "cubic", "items.json")
    (result,) = fetch_scene(task)
    if result.error:
        return None, None, str(result.error)
    with rasterio.open(task.path(band)) as file:
        return file.read(1), read_sidecar(task.path(band).with_suffix(".json")), ""


@pytest.fixture(scope="module")
def ground():
    rng = np.random.default_rng(1)
    values = rng.integers(300, 4000, SHAPE).astype(np.uint16)
    values[50:60, 50:60] = 0
    return values


@pytest.mark.parametrize(
    ("form", "nodata"),
    [("uint16", 65535), ("int16", -9999), ("int32", None), ("float32", float("nan")), ("float64", -9999.0), ("reflectance", float("nan"))],
)  # fmt: skip
def test_one_ground_in_several_forms_gives_the_same_cells(ground, tmp_path, form, nodata):
    write(tmp_path / "plain.tif", ground)
    values = ground.astype("float64" if form == "reflectance" else form)
    if nodata is not None:
        values[ground == 0] = nodata
    if form == "reflectance":
        values = (values / 10000).astype("float32")
    write(tmp_path / "odd.tif", values, nodata)
    plain, _, error = fetched(tmp_path / "a", tmp_path / "plain.tif")
    odd, sidecar, odd_error = fetched(tmp_path / "b", tmp_path / "odd.tif")
    assert (error, odd_error) == ("", "")
    assert (plain == odd).all()
    assert sidecar.source_invalid == 0


def test_saturated_pixels_are_no_data_before_resampling_and_counted(ground, tmp_path):
    saturated = ground.copy()
    saturated[20:30, 70:80] = 65535
    removed = np.where(saturated == 65535, 0, saturated)
    write(tmp_path / "saturated.tif", saturated)
    write(tmp_path / "removed.tif", removed)
    cells, sidecar, _ = fetched(tmp_path / "a", tmp_path / "saturated.tif")
    assert (cells == fetched(tmp_path / "b", tmp_path / "removed.tif")[0]).all()
    assert sidecar.source_invalid == 100


@pytest.mark.parametrize(
    ("band", "change", "found"),
    [
        ("B04", {"transform": rasterio.Affine(20, 0, 399960, 0, -20, 5800020) @ rasterio.Affine.rotation(10)}, "a rotated grid"),
        ("B04", {"transform": rasterio.Affine(20, 0, 399960, 0, 20, 5797620)}, "rows that run from south to north"),
        ("B04", {"count": 3}, "3 bands"), ("SCL", {}, "scene class"), ("B04", {"transform": rasterio.Affine(4, 0, 399960, 0, -4, 5800020)}, "pixels of 4 m"),
    ],
)  # fmt: skip
def test_an_object_that_is_not_what_it_claims_is_refused_in_one_line(ground, tmp_path, band, change, found):
    write(tmp_path / "odd.tif", ground, **change)
    _, _, error = fetched(tmp_path / "a", tmp_path / "odd.tif", band)
    assert f"found {found}" in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("change", "facts", "found"),
    [
        (lambda px: px + 1310, {"baseline": (2, 6)}, "no pixels below 16"),
        (lambda px: (px.astype(np.int32) - 500).astype(np.uint16), {"baseline": (5, 0), "offset_applied": True}, "dark pixels whose difference wrapped around"),
        (lambda px: px + 1310, {"baseline": (5, 0), "offset_applied": True}, "says that it has already applied the offset"),
        (lambda px: px, {"baseline": (5, 0)}, "does not say that it has applied the offset"),
    ],
)  # fmt: skip
def test_claims_about_the_offset_are_tested_at_both_ends(ground, tmp_path, change, facts, found):
    write(tmp_path / "odd.tif", np.where(ground > 0, change(ground), 0).astype(np.uint16))
    assert found in fetched(tmp_path / "a", tmp_path / "odd.tif", **facts)[2]


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        ({"baseline": (2, 6)}, "no pixels below 16"),
        ({"baseline": (5, 0), "offset_applied": True}, "says that it has already applied"),
    ],
)
@pytest.mark.parametrize("is_cloud", [True, False])
def test_a_cut_of_clouds_refutes_no_claim_about_the_offset(ground, tmp_path, facts, refused, is_cloud):
    """A whole cloud is bright too. The object may be no larger than the cloud, as the cuts of data sets are."""
    write(tmp_path / "bright.tif", np.where(ground > 0, ground + 1310, 0).astype(np.uint16))
    scl = np.full(SHAPE, 9, np.uint8)
    scl[:, : 6 if is_cloud else 18] = 4
    write(tmp_path / "scl.tif", scl)
    _, sidecar, error = fetched(tmp_path / "a", tmp_path / "bright.tif", classes=tmp_path / "scl.tif", **facts)
    if is_cloud:
        assert error == "" and "too cloudy to test it" in sidecar.offset_rule
    else:
        assert refused in error
