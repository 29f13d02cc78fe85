"""The made world: form of the products, truth, faults, servers, judge."""

import csv
import hashlib
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import obstore
import pystac_client
import pytest
import rasterio
from numpy._core._multiarray_umath import __cpu_dispatch__
from obstore.exceptions import PermissionDeniedError
from obstore.store import S3Store
from scipy import ndimage

from imperviouslib.core.indicators import KINDS, parse_numbers
from testsuite import TOP
from testsuite.world import difficulty, judge, make, newland, picture, reality, reference, sensor, view
from testsuite.world.faults import Fault
from testsuite.world.fields import Warp
from testsuite.world.files import write_csv
from testsuite.world.labels import make_labels
from testsuite.world.land import NEVER, make_land
from testsuite.world.make import main as make_main
from testsuite.world.make import make_world
from testsuite.world.materials import CLASS, CODE, CROPS
from testsuite.world.passes import BASELINES, passes
from testsuite.world.plan import LandPlan
from testsuite.world.processes import is_listening
from testsuite.world.products import digital_numbers, write_jp2
from testsuite.world.regions import make_regions
from testsuite.world.serve import serve
from testsuite.world.spec import TILES, Spec, parse_years
from testsuite.world.surfaces import surface_reflectance
from testsuite.world.truth import Truth
from testsuite.world.view import View, Window, slope_towards_sun, tile_window

SMALL = Spec(seed=5, years=(2017, 2018), size_km=2, dates=4, growth=0.02)
NEWER = Spec(seed=6, years=(2021, 2022), size_km=2.0, dates=5, broken=True, earth_search=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A world of 2 x 2 km with two years of old baselines."""
    return make_world(tmp_path_factory.mktemp("small") / "world", SMALL, jobs=1)


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """A world with baselines before and after 04.00, one corrupt object, one missing scene, and the form of Earth Search."""
    return make_world(tmp_path_factory.mktemp("newer") / "world", NEWER, jobs=1)


@pytest.fixture(scope="module")
def served(small):
    """The small world, served."""
    with serve(small) as it:
        yield it


def items(world, name="items.json"):
    """Read the item collection of a world."""
    return json.loads((world / "stac" / name).read_text())["features"]


def local(world, href):
    """Path of an object by its s3 address."""
    return world / "objects" / href.removeprefix("s3://")


def read(world, item, band):
    """Read a 20 m band of an item; one thread, so that a failed read is an error."""
    with rasterio.Env(GDAL_NUM_THREADS=1), rasterio.open(local(world, item["assets"][f"{band}_20m"]["href"])) as file:
        return file.read(1)


def store(served, key=None, secret=None):
    """Open the bucket as a client would, without retries."""
    return S3Store(
        served.bucket,
        endpoint=served.s3_url,
        access_key_id=key or served.access_key,
        secret_access_key=secret or served.secret_key,
        region="default",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def one_object(served):
    """Key, size and bytes of one band."""
    asset = items(served.out)[0]["assets"]["B12_20m"]
    return asset["href"].removeprefix("s3://eodata/"), asset["file:size"], local(served.out, asset["href"]).read_bytes()


# ----- the form of the products


def test_the_same_settings_give_the_same_bytes(newer, tmp_path):
    again = tmp_path / "again"
    words = f"--seed {NEWER.seed} --years 2021-2022 --size-km 2 --dates {NEWER.dates} --earth-search --jobs 2".split()
    # Without the processor instructions that NumPy selects at run time.
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)}
    command = [sys.executable, "-m", "testsuite.world.make", str(again), *words]
    subprocess.run(command, cwd=TOP, env=env, check=True, capture_output=True)
    names = sorted(p.relative_to(newer) for p in newer.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert [n for n in names if (newer / n).read_bytes() != (again / n).read_bytes()] == []


def test_another_seed_gives_another_land():
    one, two = (make_land(Spec(seed=s, size_km=1)) for s in (1, 2))
    assert one.surface.shape == two.surface.shape
    assert (CLASS[one.before][one.surface] != CLASS[two.before][two.surface]).mean() > 0.05


def test_items_have_the_keys_that_the_real_catalogue_gives(small):
    for item in items(small):
        p = item["properties"]
        assert re.fullmatch(r"S2[AB]_MSIL2A_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d{2}[A-Z]{3}_\d{8}T\d{6}", item["id"])
        assert p["grid:code"] in ("MGRS-32UPD", "MGRS-33UUU")
        assert item["id"].split("_")[3] == "N" + p["processing:version"].replace(".", "")
        assert {"eopf:datatake_id", "eopf:datastrip_id", "statistics", "eo:cloud_cover", "sat:relative_orbit"} <= set(p)
        bands = ("B12", "B11", "B04", "B8A")
        assert {*(f"{b}_20m" for b in (*bands, "SCL")), "product_metadata", "Product"} == set(item["assets"])
        for band in bands:
            asset = item["assets"][f"{band}_20m"]
            assert (asset["raster:scale"], asset["raster:offset"], asset["nodata"]) == (0.0001, -0.1, 0)
            assert asset["bands"][0]["name"] == band


def test_size_and_checksum_hold_for_every_object(small):
    for item in items(small):
        for key, asset in item["assets"].items():
            if key == "Product":
                continue
            data = local(small, asset["href"]).read_bytes()
            assert len(data) == asset["file:size"]
            assert "1620" + hashlib.sha3_256(data).hexdigest() == asset["file:checksum"]


def test_objects_have_the_profile_of_the_real_ones(tmp_path):
    path = tmp_path / "x.jp2"
    data = np.random.default_rng(1).integers(1, 9000, (700, 1300)).astype(np.uint16)
    write_jp2(path, data, Window(TILES[0], 10, 20, 700, 1300))
    raw = path.read_bytes()
    siz = raw.index(b"\xff\x4f\xff\x51")
    cod = raw.index(b"\xff\x52", siz)
    # Tile size; then 5x3 wavelet (1), four decompositions, precincts of 256.
    assert np.frombuffer(raw, ">u4", 2, siz + 24).tolist() == [640, 640]
    assert raw[cod + 9] == 4 and raw[cod + 13] == 1 and raw[cod + 14 : cod + 19] == b"\x88" * 5
    head = raw[siz : raw.index(b"\xff\x90", siz)]
    assert b"\xff\x55" not in head, "products before 2026 have no TLM"
    with rasterio.open(path) as file:
        assert (file.crs.to_epsg(), file.transform.c, file.transform.f) == (32632, 600000 + 20 * 20, 5900040 - 10 * 20)
        assert file.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "15"
        assert (file.read(1) == data).all()


def test_an_object_lies_where_its_item_says(small):
    item = items(small)[0]
    asset = item["assets"]["B11_20m"]
    with rasterio.open(local(small, asset["href"])) as file:
        assert list(file.transform)[:6] == asset["proj:transform"]
        assert [file.height, file.width] == asset["proj:shape"]
        assert f"EPSG:{file.crs.to_epsg()}" == asset["proj:code"]
        tile = next(t for t in TILES if t.epsg == file.crs.to_epsg())
        assert (file.transform.c - tile.ulx) % 20 == 0 and (tile.uly - file.transform.f) % 20 == 0


def test_no_data_share_and_footprint_agree_with_the_pixels(small):
    from pyproj import Transformer

    for item in items(small):
        scl = read(small, item, "SCL")
        share = 100 * float((scl == 0).mean())
        assert item["properties"]["statistics"]["nodata"] == pytest.approx(share, abs=1e-5)
        bands = [read(small, item, b) for b in ("B12", "B11", "B04")]
        assert all(((b == 0) == (scl == 0)).all() for b in bands)
        asset = item["assets"]["SCL_20m"]
        to = Transformer.from_crs(4326, int(asset["proj:code"].split(":")[1]), always_xy=True)
        x, y = (np.array(v) for v in to.transform(*np.array(item["geometry"]["coordinates"][0]).T))
        area = abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2
        west, south, east, north = asset["proj:bbox"]
        # Small outlines are cut at 60 m, which is a good part of a place of 2 km.
        assert 100 - 100 * area / ((east - west) * (north - south)) == pytest.approx(share, abs=4)


def test_cloud_cover_is_a_share_of_the_valid_pixels(small):
    for item in items(small):
        n = np.bincount(read(small, item, "SCL").ravel(), minlength=12)
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(100 * n[8:11].sum() / n[1:].sum(), abs=0.006)


def test_both_tiles_have_scenes(small):
    codes = {i["assets"]["B12_20m"]["proj:code"] for i in items(small)}
    assert codes == {"EPSG:32632", "EPSG:32633"}


def test_passes_follow_the_real_repeat_cycle():
    found = passes(Spec(years=tuple(range(2017, 2024)), dates=15))
    assert len(found) == 7 * 15
    for p in found:
        shift = 2 if p.satellite == "A" else -27
        assert (p.absolute_orbit + shift) % 143 + 1 == p.relative_orbit
        assert not (p.satellite == "B" and p.sensed < datetime(2017, 7, 1, tzinfo=UTC))
    for satellite, orbit in itertools.product("AB", (22, 65, 122)):
        days = {p.sensed.toordinal() % 10 for p in found if (p.satellite, p.relative_orbit) == (satellite, orbit)}
        assert len(days) <= 1
    partial = [p.swath_edge is not None for p in found]
    assert 0.1 < np.mean(partial) < 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--years 2016-2018", "--years: found (2016, 2017, 2018), expected years in 2017-2025"),
        ("--size-km 0.1", "--size-km: found 0.1, expected 1 to 110"),
        ("--dates 0", "--dates: found 0, expected 1 to 30"),
        ("--seed -1", "--seed: found -1, expected 0 or more"),
        ("--growth nan", "--growth: found nan, expected a share of 0 to 0.1"),
        ("--growth -0.5", "--growth: found -0.5, expected a share of 0 to 0.1"),
        ("--jobs 0", "--jobs: found 0, expected 1 to 256"),
        ("--points 0", "--points: found 0, expected 1 to"),
        ("--error-rate 7", "--error-rate: found 7.0, expected 0 to 1"),
    ],
)
def test_invalid_settings_are_refused(tmp_path, capsys, words, message):
    assert make_main([str(tmp_path / "w"), *words.split()]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["x", "2019-2017", "2018-"])
def test_years_are_read_or_refused(text):
    if text == "2018-":
        assert parse_years(text) == (2018,)
    else:
        with pytest.raises(ArgumentTypeError, match=f"found '{text}', expected years"):
            parse_years(text)


def test_years_with_a_gap_are_refused():
    with pytest.raises(ValueError, match="consecutive"):
        Spec(years=(2017, 2019))


# ----- the offset


def test_old_baselines_have_no_offset_and_new_ones_have_1000():
    at = np.array([[0.0], [0.1234]])
    valid = np.array([[True], [True]])
    assert digital_numbers(at, valid, 0).ravel().tolist() == [1, 1234]
    assert digital_numbers(at, valid, 1000).ravel().tolist() == [1000, 2234]
    assert digital_numbers(at, ~valid, 1000).ravel().tolist() == [0, 0]


def test_a_scene_processed_again_shows_the_same_land_plus_1000(small):
    by_take = {}
    for item in items(small):
        by_take.setdefault((item["properties"]["grid:code"], item["properties"]["datetime"]), []).append(item)
    twice = [sorted(g, key=lambda i: i["properties"]["processing:version"]) for g in by_take.values() if len(g) == 2]
    twice = [g for g in twice if g[1]["properties"]["processing:version"] == "05.00"]
    assert len(twice) == 2, "one acquisition of the first year, both tiles"
    for old, new in twice:
        assert "/L2A/" in old["assets"]["B04_20m"]["href"] and "/L2A_N0500/" in new["assets"]["B04_20m"]["href"]
        a, b = read(small, old, "B04").astype(int), read(small, new, "B04").astype(int)
        assert set(np.unique((b - a)[(a > 1)])) == {1000}
        xml = local(small, new["assets"]["product_metadata"]["href"]).read_text()
        assert xml.count("<BOA_ADD_OFFSET ") == 13
        assert "BOA_ADD_OFFSET" not in local(small, old["assets"]["product_metadata"]["href"]).read_text()


def test_reflectance_makes_no_step_when_the_baseline_changes(newer):
    clear = {}
    for item in items(newer):
        p = item["properties"]
        path = local(newer, item["assets"]["B11_20m"]["href"])
        if not path.exists() or item["id"] == json.loads((newer / "world.json").read_text())["corrupt"]:
            continue
        scl, b11 = read(newer, item, "SCL"), read(newer, item, "B11").astype(float)
        ok = np.isin(scl, (4, 5))
        if ok.sum() > 1500:
            offset = 1000 if float(p["processing:version"]) >= 4 else 0
            clear.setdefault(p["datetime"][:4], []).append(float(np.median(b11[ok] - offset)))
    assert abs(np.mean(clear["2021"]) - np.mean(clear["2022"])) < 500


def test_baselines_are_in_order():
    assert [b for _, b in BASELINES] == sorted((b for _, b in BASELINES), key=float)
    assert [d for d, _ in BASELINES] == sorted(d for d, _ in BASELINES)


def test_the_two_halves_of_a_split_tile_share_tile_and_time_but_no_pixel(small):
    by_key = {}
    for item in items(small):
        p = item["properties"]
        by_key.setdefault((p["grid:code"], p["datetime"], p["processing:version"]), []).append(item)
    halves = [g for g in by_key.values() if len(g) == 2]
    assert len(halves) == 1
    one, two = halves[0]
    assert one["properties"]["eopf:datastrip_id"] != two["properties"]["eopf:datastrip_id"]
    a, b = read(small, one, "B12") > 0, read(small, two, "B12") > 0
    assert a.any() and b.any() and not (a & b).any()


def test_a_broken_world_has_one_corrupt_object_and_one_absent_scene(newer):
    facts = json.loads((newer / "world.json").read_text())
    by_id = {i["id"]: i for i in items(newer)}
    asset = by_id[facts["corrupt"]]["assets"]["B11_20m"]
    data = local(newer, asset["href"]).read_bytes()
    assert len(data) == asset["file:size"] and "1620" + hashlib.sha3_256(data).hexdigest() != asset["file:checksum"]
    assert not local(newer, by_id[facts["absent"]]["assets"]["B12_20m"]["href"]).exists()


def test_command_makes_a_broken_world_unless_intact_is_given(tmp_path):
    for number, (more, broken) in enumerate((([], True), (["--intact"], False))):
        out = tmp_path / str(number)
        assert make_main([str(out), "--size-km", "1", "--years", "2018", "--dates", "2", "--jobs", "1", *more]) == 0
        facts = json.loads((out / "world.json").read_text())
        assert facts["settings"]["broken"] == broken and ("corrupt" in facts) == ("absent" in facts) == broken


def test_every_year_has_clear_dates():
    for seed in range(5):
        found = passes(Spec(seed=seed, years=tuple(range(2017, 2024)), dates=8))
        for year in range(2017, 2024):
            whole = [p for p in found if p.sensed.year == year and p.swath_edge is None]
            assert len(whole) == 4 and sum(p.cloud_cover < 0.2 for p in whole) >= 2


def test_earth_search_has_its_own_errors_in_the_metadata(newer):
    found = items(newer, "earthsearch.json")
    first = [i for i in found if i["collection"] == "sentinel-2-l2a"]
    second = [i for i in found if i["collection"] == "sentinel-2-c1-l2a"]
    assert len(first) == len(second) > 0
    assert all(i["assets"]["red"]["raster:bands"][0]["offset"] == -0.1 for i in found)
    new = [i for i in first if float(i["properties"]["s2:processing_baseline"]) >= 4]
    flags = {i["properties"]["earthsearch:boa_offset_applied"] for i in new}
    assert flags == {True, False}, "the flag is wrong on some items, although the offset is removed from all"
    assert not any(i["properties"]["earthsearch:boa_offset_applied"] for i in first if i not in new)
    by_time = {(i["properties"]["datetime"], i["properties"]["grid:code"]): i for i in second}
    pair = new[0], by_time[new[0]["properties"]["datetime"], new[0]["properties"]["grid:code"]]
    values = []
    for item in pair:
        with rasterio.open(newer / "objects-http" / item["assets"]["red"]["href"].split("/", 3)[3]) as file:
            values.append(file.read(1).astype(int))
    assert set(np.unique((values[1] - values[0])[values[0] > 1])) == {1000}
    assert pair[1]["assets"]["red"]["file:checksum"].startswith("1220")


# ----- truth, labels, regions, reference


def test_truth_is_a_sum_over_the_fine_cells(small):
    land = make_land(SMALL)
    surface = land.place_surface
    for year in SMALL.years:
        fine = CLASS[land.material(year)][surface]
        with rasterio.open(small / "truth" / f"sealed_share_{year}.tif") as file:
            assert file.bounds == tuple(map(float, SMALL.bounds)) and file.res == (20, 20)
            share = file.read(1)
        r, c = 37, 61
        assert share[r, c] == round((fine[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] == 1).sum() / 16 * 10000)
        assert share.sum() / 10000 * 16 == pytest.approx((fine == 1).sum(), rel=1e-4)


def test_towns_grow_at_the_rate_asked_for():
    spec = Spec(seed=2, years=(2017, 2018, 2019, 2020), size_km=5, growth=0.01)
    land = make_land(spec)
    area = np.bincount(land.surface.ravel(), minlength=len(land.before)) * 25.0
    sealed = [area[CLASS[land.material(y)] == 1].sum() for y in spec.years]
    rates = np.diff(sealed) / sealed[0]
    assert (np.abs(rates - 0.01) < 0.0025).all()
    gone = area[(CLASS[land.before] == 1) & (CLASS[land.after] != 1)].sum()
    assert 0 < gone < 0.3 * (sealed[-1] - sealed[0])


def test_no_growth_is_no_change():
    land = make_land(Spec(seed=2, years=(2017, 2018), size_km=2, growth=0))
    assert (land.material(2017) == land.material(2018)).all()
    assert (land.site_from == NEVER).all() and (land.since == NEVER).all()


def test_towns_can_grow_ten_times_as_fast_as_by_default():
    spec = Spec(seed=3, years=tuple(range(2017, 2024)), size_km=5, growth=0.03)
    land = make_land(spec)
    area = np.bincount(land.surface.ravel(), minlength=len(land.before))
    sealed = [area[CLASS[land.material(y)] == 1].sum() for y in spec.years]
    assert np.diff(sealed) / sealed[0] == pytest.approx(0.03, rel=0.1)


@pytest.fixture(scope="module")
def growing():
    """Plan and land of 6 x 6 km that grow for four years."""
    spec = Spec(seed=4, years=(2017, 2018, 2019, 2020), size_km=6, growth=0.01)
    return LandPlan(spec), make_land(spec)


def test_building_ground_is_bare_for_half_a_year_to_two_years_and_not_sealed(growing):
    _, land = growing
    new = (CLASS[land.before] != 1) & (CLASS[land.after] == 1)
    bare = land.since - land.site_from
    assert new.any() and (land.site_until[new] == land.since[new]).all()
    assert bare[new].min() >= 0.5 - 1e-3 and bare[new].max() <= 2 and np.ptp(bare[new]) > 1
    for year in (2018, 2019, 2020):
        built = new & (land.since == year)
        assert (land.on_day(year - 1, 360)[0][built] == CODE["bare_soil"]).all()
        assert (CLASS[land.material(year - 1)][built] != 1).all()
        assert (land.on_day(year, 1)[0][built] == land.after[built]).all()


def test_site_that_is_not_yet_dug_looks_like_the_rest_of_its_field(growing):
    _, land = growing
    later = land.site_from > 2018
    assert later.any() and (land.on_day(2017, 200)[1] == land.parcel)[later].all()
    fields = np.unique(land.parcel[later & np.isin(land.before, CROPS)])
    assert np.isin(fields, land.parcel[land.since == NEVER]).mean() > 0.8


def test_ground_is_dug_in_the_last_year_as_in_others(growing):
    _, land = growing
    area = np.bincount(land.surface.ravel(), minlength=len(land.before))
    dug = [
        area[(land.on_day(y, 200)[0] == CODE["bare_soil"]) & (CLASS[land.before] != 1)].sum() for y in range(2017, 2021)
    ]
    assert min(dug) > 0.4 * max(dug)


def test_cleared_ground_is_not_sealed_from_its_year_on_and_bare_before_it_is_green(growing):
    _, land = growing
    gone = (CLASS[land.before] == 1) & (CLASS[land.after] != 1)
    for year in (2018, 2019, 2020):
        at = gone & (land.since == year)
        assert (
            at.any() and (CLASS[land.material(year)][at] == 3).all() and (CLASS[land.material(year - 1)][at] == 1).all()
        )
        assert (land.on_day(year, 100)[0][at] == CODE["bare_soil"]).all()
        assert (land.on_day(year + 1, 200)[0][at] == land.after[at]).all()


def test_rebuilt_ground_stays_sealed_on_every_day(growing):
    _, land = growing
    rebuilt = (CLASS[land.before] == 1) & (CLASS[land.after] == 1) & (land.since < NEVER)
    area = np.bincount(land.surface.ravel(), minlength=len(land.before))
    new = (CLASS[land.before] != 1) & (CLASS[land.after] == 1) & (land.since <= 2020)
    assert 0.15 < area[rebuilt].sum() / area[new].sum() < 0.6
    assert (land.before != land.after)[rebuilt].mean() > 0.8
    for year, day in itertools.product(range(2017, 2021), (10, 130, 250)):
        assert (CLASS[land.on_day(year, day)[0]][rebuilt] == 1).all()


def test_towns_grow_at_their_edges_and_beside_roads_with_materials_of_their_own(growing):
    plan, land = growing
    new = ((CLASS[land.before] != 1) & (CLASS[land.material(2020)] == 1))[land.surface]
    step = plan.shape[0] / plan.town.shape[0]
    row, col = np.nonzero(new)
    depth = plan.town[(row / step).astype(int), (col / step).astype(int)]
    # 0 is the edge of a town, 1 its centre.
    assert ((depth > -1) & (depth < 0.3)).mean() > 0.6
    road = np.zeros(plan.shape, bool)
    for line in plan.roads:
        road[line.cells(plan.shape)] = True
    to_road = ndimage.distance_transform_edt(~road) * 5
    built_up = plan.town > 0
    town_cells = ndimage.zoom(built_up, step, order=0)[: plan.shape[0], : plan.shape[1]]
    outside = new & ~town_cells
    assert np.median(to_road[outside]) < 0.3 * np.median(to_road[~town_cells])
    built = land.after[land.surface[new]]
    old = land.before[land.surface[(CLASS[land.before] == 1)[land.surface]]]
    for name in ("asphalt_new", "roof_membrane", "roof_gravel", "pavers"):
        # The towns of the first year have some of each, but little.
        among_new, among_old = ((materials == CODE[name]).mean() for materials in (built, old))
        assert 0 < 3 * among_old < among_new, name


def test_new_land_lies_together_as_in_real_maps_of_change():
    years = tuple(range(2017, 2024))
    lands = [make_land(Spec(seed=seed, years=years, size_km=14)) for seed in (8, 9)]
    worlds = [{year: newland.as_mapped(land, year) for year in years} for land in lands]
    for length in (1, 3):
        found = [newland.lying(maps[a], maps[b]) for maps in worlds for a, b in newland.periods(years, length)]
        for name, (low, high) in newland.BOUNDS.items():
            assert low <= np.mean([one[name] for one in found]) <= high, (length, name)


def test_how_new_land_lies_is_measured_on_cells_of_20_m():
    before, after = np.zeros((2, 60, 60), bool)
    after[0:2, 0:2] = True  # one whole cell
    after[10:20, 10:20] = True  # 25 whole cells
    after[41:45, 40] = True  # four pixels of 10 m: a half of one cell, and a quarter of two, which do not count
    before[50:60, 50:60] = after[50:60, 50:60] = True  # not new
    found = newland.lying(before, after)
    assert list(found.values()) == pytest.approx([2 / 27, 2 / 27, 2 / 27, 26.5 / 27, 26 / 27])
    assert newland.lying(after, after) == {}


def test_estates_fill_over_several_years(growing):
    _, land = growing
    hall = np.isin(land.after, [CODE["roof_membrane"], CODE["roof_gravel"], CODE["asphalt_new"]]) & (land.since <= 2020)
    year = np.where(hall, land.since, 0)[land.surface]
    groups, n = ndimage.label(ndimage.binary_dilation(year > 0, iterations=6))
    years = [len(set(year[groups == k]) - {0}) for k in range(1, n + 1)]
    assert max(years) >= 3


def test_a_further_year_does_not_change_what_earlier_years_show():
    short, long = (make_land(Spec(seed=4, years=tuple(range(2017, y)), size_km=3, growth=0.02)) for y in (2019, 2020))
    for year in (2017, 2018):
        a, b = ((land.on_day(year, 200), land) for land in (short, long))
        assert (a[0][0][short.surface] == b[0][0][long.surface]).all()
    spec = Spec(seed=4, years=(2017, 2018), size_km=3)
    when = passes(spec)[0]
    a, b = (surface_reflectance(spec, land, when)[land.surface] for land in (short, long))
    same = (short.since[short.surface] == NEVER) & (long.since[long.surface] == NEVER)
    assert (a[same] == b[same]).all()


def test_labels_are_86_per_cent_right_and_have_the_real_codes(small):
    with rasterio.open(small / "labels" / "s2glc_2017.tif") as file:
        assert file.res == (10, 10) and file.crs.to_epsg() == 3035
        labels = file.read(1)
    assert set(np.unique(labels)) <= {0, 62, 73, 75, 82, 83, 102, 103, 104, 105, 106, 121, 123, 162, 255}
    assert (labels == 0).any() and (labels == 255).any()
    spec, land = SMALL, make_land(SMALL)
    assert (make_labels(spec, land) == labels).all()
    perfect = make_labels(spec, land, overall=1.0)
    known = (labels > 0) & (labels < 255)
    assert (labels == perfect)[known].mean() == pytest.approx(0.86, abs=0.01)


def test_regions_have_real_codes_and_sum_to_the_whole(small):
    with (small / "truth" / "regions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(re.fullmatch(r"[A-Z]{2}[0-9A-Z]{0,3}", r["geo"]) and len(r["geo"]) == int(r["level"]) + 2 for r in rows)
    side = SMALL.bounds[2] - SMALL.bounds[0]
    for level, year in itertools.product("0123", ("2017", "2018")):
        at = [r for r in rows if r["level"] == level and r["year"] == year and r["basis"] == "majority"]
        assert sum(int(r["area_m2"]) for r in at) == side * side
    for r in rows:
        parts = sum(int(r[k]) for k in ("sealed_artificial_natural_m2", "green_m2", "other_m2"))
        assert abs(parts - int(r["area_m2"])) <= 4


def test_regions_gain_and_loss_explain_the_stock(small):
    with (small / "truth" / "regions.csv").open() as file:
        rows = {(r["geo"], r["year"], r["basis"]): r for r in csv.DictReader(file)}
    for (geo, year, basis), r in rows.items():
        if year == "2018":
            before = rows[geo, "2017", basis]
            for d in ("artificial", "artificial_natural"):
                change = int(r[f"sealed_{d}_m2"]) - int(before[f"sealed_{d}_m2"])
                assert abs(int(r[f"gain_{d}_m2"]) - int(r[f"loss_{d}_m2"]) - change) <= 2


def test_numbers_of_regions_are_read_by_the_tool_and_sum_to_the_whole(small):
    for kind in KINDS:
        text = (small / "regions" / f"{kind.option}.csv").read_text()
        numbers = parse_numbers(text, kind.option, kind)
        assert numbers.years == set(SMALL.years)
        for year in SMALL.years:
            by_level = [
                sum(n for (geo, y), n in numbers.values.items() if y == year and len(geo) == 2 + level)
                for level in range(4)
            ]
            assert by_level == [by_level[0]] * 4 and by_level[0] > 0


def test_one_region_lies_outside_of_all_scenes(small):
    with (small / "truth" / "regions.csv").open() as file:
        areas = {r["geo"]: int(r["area_m2"]) for r in csv.DictReader(file) if r["level"] == "3"}
    assert 0 in areas.values() and sum(v > 0 for v in areas.values()) >= 4
    db = sqlite3.connect(small / "regions" / "nuts.gpkg")
    geometry = dict(db.execute("SELECT NUTS_ID, geom FROM nuts WHERE LEVL_CODE = 3"))
    parts = {code: int(np.frombuffer(blob, "<u4", 1, 8 + 5)[0]) for code, blob in geometry.items()}
    # The region of the enclave and that of the island.
    assert sorted(parts.values())[-2:] == [2, 2] and sorted(parts.values())[-3] == 1
    columns = [row[1] for row in db.execute("PRAGMA table_info(nuts)")]
    assert columns == ["fid", "geom", "NUTS_ID", "LEVL_CODE", "CNTR_CODE", "NAME_LATN"]


@pytest.mark.parametrize("size_km", [2, 30])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_enclave_lies_within_one_region_and_every_other_is_of_one_piece(seed, size_km):
    regions = make_regions(Spec(seed=seed, size_km=size_km))
    leaves = {r.code: regions.polygons[r.code] for r in regions.all if r.level == 3}
    pieces = {code: len(polygons) for code, polygons in leaves.items()}
    assert pieces["XB001"] == 2 and sum(n == 1 for n in pieces.values()) >= len(pieces) - 2
    enclave = min(leaves["XB001"], key=lambda p: np.ptp(np.array(p["coordinates"][0])[:, 0]))
    holes = [ring for polygons in leaves.values() for p in polygons for ring in p["coordinates"][1:]]
    assert sum(set(map(tuple, ring)) == set(map(tuple, enclave["coordinates"][0])) for ring in holes) == 1


def test_the_grid_carries_the_truth_of_the_cell_that_any_tool_finds_there(small):
    with (small / "reference" / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    with rasterio.open(small / "truth" / "class_2018.tif") as file:
        found = [int(v[0]) for v in file.sample([(float(r["x"]), float(r["y"])) for r in rows])]
    assert found == [int(r["label_2018"]) for r in rows] and len(rows) > 1000


def test_reference_points_carry_the_truth_and_their_weights(small):
    with (small / "reference" / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["stratum"] for r in rows} <= set(reference.STRATA)
    with rasterio.open(small / "truth" / "class_2018.tif") as file:
        for r in rows[::17]:
            assert next(file.sample([(float(r["x"]), float(r["y"]))]))[0] == int(r["label_2018"])
    cells = {r["stratum"]: int(r["stratum_cells"]) for r in rows}
    assert sum(cells.values()) == 100 * 100


def test_interpreter_errors_have_the_given_rate():
    truth = {2017: Truth(np.zeros(0), np.full((60, 60), 3, np.uint8), {}, {})}
    labels = [row[-1] for row in reference.draw_points(SMALL, truth, 3000, 1, 0.1)]
    assert np.mean(np.array(labels) != 3) == pytest.approx(0.1, abs=0.02)


def test_warp_agrees_with_proj():
    from pyproj import Transformer

    box = SMALL.land_bounds
    x, y = np.linspace(box[0], box[2], 7), np.linspace(box[1], box[3], 5)
    wx, wy = Warp(3035, 32633, box).lattice(x, y)
    gx, gy = np.meshgrid(x, y)
    px, py = Transformer.from_crs(3035, 32633, always_xy=True).transform(gx, gy)
    assert np.hypot(wx - px, wy - py).max() < 0.001


def test_failed_world_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(reference, "write_reference", fail)
    with pytest.raises(OSError, match="No space"):
        make_world(tmp_path / "world", SMALL, jobs=1)
    assert list(tmp_path.iterdir()) == []


def maker(out):
    """Start to make a world in another process. Returns: the process, and the ids of its workers."""
    command = [sys.executable, "-m", "testsuite.world.make", str(out), "--size-km", "4"]
    process = subprocess.Popen(command, cwd=TOP, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 60
    while len(children.read_text().split()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    return process, children.read_text().split()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ended_process_leaves_no_workers_and_the_name_free(tmp_path, how):
    process, workers = maker(tmp_path / "world")
    process.send_signal(how)
    process.communicate()
    assert len(workers) >= 3 and process.returncode != 0
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert how == signal.SIGKILL or list(tmp_path.iterdir()) == []
    make_world(tmp_path / "world", Spec(size_km=1, years=(2018,)), jobs=1, scenes=False)
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_world_that_another_process_makes_is_not_touched(tmp_path, capsys):
    process, _ = maker(tmp_path / "world")
    assert make_main([str(tmp_path / "world"), "--size-km", "1", "--truth-only"]) == 1
    assert "is being made by another process" in capsys.readouterr().err
    assert process.poll() is None and (tmp_path / ".world.part" / ".work").is_dir()
    process.terminate()
    process.communicate()


def test_truth_alone_is_made_without_scenes_and_labels(tmp_path, capsys):
    world = make_world(tmp_path / "world", SMALL, jobs=1, scenes=False)
    assert not (world / "objects").exists() and not (world / "labels").exists() and (world / "truth").is_dir()
    for tool, words in ((judge.main, ["--difficulty"]), (picture.main, [str(tmp_path / "x.png")])):
        assert tool([str(world), *words]) == 1
        assert "has no complete scene of 2017" in capsys.readouterr().err


def test_existing_folder_is_not_touched(small, capsys):
    before = (small / "world.json").read_bytes()
    assert make_main([str(small), "--size-km", "1"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (small / "world.json").read_bytes() == before


# ----- the servers


def test_right_keys_read_an_object_whole_and_by_range(served):
    key, size, data = one_object(served)
    bucket = store(served)
    assert bytes(obstore.get(bucket, key).bytes()) == data and len(data) == size
    assert bytes(obstore.get_range(bucket, key, start=1000, end=1500)) == data[1000:1500]
    assert obstore.head(bucket, key)["size"] == size


def test_a_range_is_answered_with_206(served):
    key, _, _ = one_object(served)
    served.s3.reset_counts()
    obstore.get_range(store(served), key, start=0, end=10)
    counts = served.s3.counts()
    assert counts["by_status"] == {"206": 1} and counts["bytes"] == 10 and counts["requests"] == 1


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_wrong_keys_are_refused(served, wrong):
    key, _, _ = one_object(served)
    with pytest.raises(PermissionDeniedError):
        obstore.get(store(served, **{wrong: "wrong"}), key).bytes()


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_a_search_pages_completely(served, limit):
    search = pystac_client.Client.open(served.stac_url).search(
        collections=[served.collection], bbox=[11.5, 52.2, 12.7, 53.2], limit=limit
    )
    assert sorted(i.id for i in search.items()) == sorted(i["id"] for i in items(served.out))


def test_a_search_by_time_and_place_finds_what_lies_there(served):
    search = pystac_client.Client.open(served.stac_url).search(
        collections=[served.collection],
        datetime="2017-01-01/2017-12-31",
        intersects={"type": "Point", "coordinates": [2.0, 48.0]},
    )
    assert list(search.items()) == []
    search = pystac_client.Client.open(served.stac_url).search(
        collections=[served.collection], datetime="2017-01-01T00:00:00Z/2017-12-31T23:59:59Z"
    )
    assert {i.datetime.year for i in search.items()} == {2017}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", Exception), ("503", Exception), ("reset", Exception), ("cut", Exception), ("hang", Exception),
        ("404", FileNotFoundError), ("expired", PermissionDeniedError), ("403", PermissionDeniedError),
    ],
)  # fmt: skip
def test_fault_happens_the_given_number_of_times(served, kind, error):
    key, _, data = one_object(served)
    served.s3.rules = [Fault(kind, "B12_20m", times=1, seconds=0.2)]
    try:
        with pytest.raises(error):
            obstore.get(store(served), key).bytes()
        assert bytes(obstore.get(store(served), key).bytes()) == data
    finally:
        served.s3.rules = []


@pytest.mark.parametrize("kind", ["short", "corrupt"])
def test_damaged_bytes_come_without_an_error(served, kind):
    key, size, data = one_object(served)
    served.s3.rules = [Fault(kind)]
    try:
        got = bytes(obstore.get(store(served), key).bytes())
    finally:
        served.s3.rules = []
    assert got != data and (len(got) < size) == (kind == "short")


def test_a_slow_answer_is_slow_and_right(served):
    key, _, data = one_object(served)
    served.s3.rules = [Fault("slow", seconds=0.6)]
    try:
        began = time.monotonic()
        assert bytes(obstore.get(store(served), key).bytes()) == data
        assert time.monotonic() - began > 0.5
    finally:
        served.s3.rules = []


def test_faults_can_start_late_and_be_random(served):
    key, _, _ = one_object(served)
    served.s3.rules = [Fault("503", skip=2)]
    bucket, fine = store(served), 0
    try:
        for _ in range(4):
            try:
                obstore.get_range(bucket, key, start=0, end=5)
                fine += 1
            except Exception:  # noqa: BLE001
                break
        assert fine == 2
        served.s3.rules = [Fault("503", probability=0.5)]
        served.s3.reset_counts()
        for _ in range(60):
            try:
                obstore.get_range(bucket, key, start=0, end=5)
            except Exception:  # noqa: BLE001
                continue
        assert 12 < served.s3.counts()["faults"]["503"] < 48
    finally:
        served.s3.rules = []


def test_a_page_of_the_catalogue_can_be_cut(served):
    served.stac.rules = [Fault("cut", "search", skip=1, times=1)]
    try:
        with pytest.raises(Exception, match=r"(?i)read|broken|incomplete|json|connection"):
            search = pystac_client.Client.open(served.stac_url).search(collections=[served.collection], limit=3)
            list(search.items())
    finally:
        served.stac.rules = []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "flood"}, {"probability": 7}, {"probability": "0.5"}, {"times": -3}, {"skip": 1.5}, {"seconds": -1}, {"pattern": "("},
    ],
)  # fmt: skip
def test_invalid_rule_is_refused(served, wrong):
    rule = {"kind": "503", **wrong}
    with pytest.raises(ValueError, match=f"found {next(iter(wrong))}"):
        Fault(**rule)
    # The same from another process; the rules do not change.
    with pytest.raises(ValueError, match=f"found {next(iter(wrong))}"):
        served.s3._request("PUT", "/-/faults", json.dumps([rule]).encode())
    assert served.s3.rules == []


def test_answer_without_a_body_does_not_use_up_a_rule_for_bodies(served):
    key, size, data = one_object(served)
    served.s3.reset_counts()
    served.s3.rules = [Fault("short", times=1)]
    try:
        assert obstore.head(store(served), key)["size"] == size
        assert served.s3.counts()["faults"] == {}
        assert len(bytes(obstore.get(store(served), key).bytes())) < len(data)
        assert served.s3.counts()["faults"] == {"short": 1}
    finally:
        served.s3.rules = []


def test_port_of_another_process_is_not_taken_for_its_own():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert is_listening(os.getpid(), port) and not is_listening(os.getppid(), port)


def test_missing_items_are_reported(small):
    with (
        pytest.raises(FileNotFoundError, match=r"has no stac/earthsearch.json. Choose one of items.json"),
        serve(small, items="earthsearch.json"),
    ):
        pass


def test_earth_search_is_served_with_addresses_that_work(newer):
    with serve(newer, items="earthsearch.json") as it:
        client = pystac_client.Client.open(it.stac_url)
        found = list(client.search(collections=["sentinel-2-c1-l2a"], limit=4).items())
        assert len(found) == len(items(newer, "earthsearch.json")) / 2
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(found[0].assets["swir22"].href) as file,
        ):
            assert file.read(1).max() > 1000
        assert it.http.counts()["requests"] > 0


# ----- the judge


def perfect_run(world, folder):
    """Copy the truth as the result of a run."""
    for year in (2017, 2018):
        (folder / f"lc_{year}_class.tif").write_bytes((world / "truth" / f"class_{year}.tif").read_bytes())
    return folder


def test_a_perfect_run_is_judged_perfect(small, tmp_path):
    result = judge.judge_run(small, perfect_run(small, tmp_path))
    assert result["years"]["2018"]["right"] == 1
    assert all(c["iou"] == 1 for c in (result["years"]["2017"][n] for n in judge.CLASSES) if c["iou"] is not None)
    change = result["change"]["2017-2018"]["artificial"]["gain"]
    assert change["mapped_ha"] == change["true_ha"] > 0 and change["false_ha"] == change["missed_ha"] == 0


def test_regions_are_judged_as_the_whole_is(small, tmp_path):
    run = perfect_run(small, tmp_path)
    with rasterio.open(small / "truth" / "class_2018.tif") as file:
        profile, truth = file.profile, file.read(1)
    with rasterio.open(small / "truth" / "zones.tif") as file:
        zones = file.read(1)
    # In one region half of the artificial land is mapped as green, with a low probability of artificial.
    with (small / "truth" / "zones.csv").open() as file:
        by_code = {r["geo"]: [int(z) for z in r["zones"].split()] for r in csv.DictReader(file)}
    geo = max((c for c in by_code if len(c) == 5), key=lambda c: (truth[np.isin(zones, by_code[c])] == 1).sum())
    at = np.flatnonzero(np.isin(zones, by_code[geo]) & (truth == 1))
    wrong = truth.copy()
    wrong.ravel()[at[1::2]] = 3
    probability = np.where(wrong == 1, 9999, 1).astype(np.uint16)
    with rasterio.open(run / "lc_2018_class.tif", "w", **profile) as file:
        file.write(wrong, 1)
    with rasterio.open(run / "lc_2018_p_artificial.tif", "w", **{**profile, "dtype": "uint16"}) as file:
        file.write(probability, 1)
    result = judge.judge_run(small, run)
    region, others = result["regions"][geo], [r for g, r in result["regions"].items() if len(g) == 5 and g != geo]
    assert region["years"]["2018"]["artificial"]["producers"] == pytest.approx((len(at) + 1) // 2 / len(at))
    assert region["years"]["2018"]["artificial"]["reliability"]["bias"] < -0.01
    assert all(r["years"]["2018"]["artificial"]["iou"] in (1, None) for r in others)
    assert region["change"]["2017-2018"]["artificial"]["loss"]["false_ha"] > 0
    assert all(r["change"]["2017-2018"]["artificial"]["loss"]["false_ha"] == 0 for r in others)
    message = "\n".join(judge.summary_lines(result))
    assert re.search(rf"^{geo} +100\.0 +5\d\.\d +100\.0", message, re.MULTILINE)


@pytest.mark.parametrize("code", [6, 255])
def test_a_map_of_other_codes_is_refused(small, tmp_path, code):
    with rasterio.open(small / "truth" / "class_2018.tif") as file:
        profile, classes = file.profile, file.read(1)
    classes[classes == 1] = code
    with rasterio.open(tmp_path / "lc_2018_class.tif", "w", **{**profile, "nodata": None}) as file:
        file.write(classes, 1)
    with pytest.raises(ValueError, match=rf"lc_2018_class.tif' has code {code} in \d+ cells, expected classes 1-4"):
        judge.judge_run(small, tmp_path)


def test_two_maps_of_one_year_are_refused(small, tmp_path):
    (tmp_path / "again").mkdir()
    perfect_run(small, tmp_path)
    perfect_run(small, tmp_path / "again")
    with pytest.raises(ValueError, match="has two maps of 2017"):
        judge.judge_run(small, tmp_path)


def test_a_table_of_another_kind_is_refused(small, tmp_path):
    (tmp_path / "impervious_nuts.csv").write_text("geo,value\nXA,3\n")
    with pytest.raises(ValueError, match=r"impervious_nuts.csv' has no column lc_flow"):
        judge.judge_run(small, tmp_path)


def test_class_without_a_hit_is_drawn_at_zero():
    assert judge._nan_if_unknown(0.0) == 0 and np.isnan(judge._nan_if_unknown(None))


def test_scores_on_paper():
    truth = np.array([[1, 1, 1, 3, 3, 3, 3, 4]], np.uint8)
    mapped = np.array([[1, 1, 3, 1, 3, 3, 0, 4]], np.uint8)
    s = judge.compare_classes(mapped, truth)
    assert s["cells"] == 7 and s["right"] == pytest.approx(5 / 7)
    assert s["artificial"]["iou"] == pytest.approx(2 / 4)
    assert s["artificial"]["users"] == pytest.approx(2 / 3) and s["artificial"]["producers"] == pytest.approx(2 / 3)
    assert s["green"]["area_error"] == pytest.approx((3 - 3) / 3) and s["natural"]["iou"] is None


def test_change_on_paper():
    t0, t1 = np.array([[3, 3, 1, 1, 3]]), np.array([[1, 3, 1, 3, 3]])
    m0, m1 = np.array([[3, 3, 1, 1, 0]]), np.array([[3, 1, 1, 3, 1]])
    c = judge.judge_change(m0, m1, t0, t1, (1,))
    assert (c["gain"]["mapped_ha"], c["gain"]["true_ha"], c["gain"]["false_ha"], c["gain"]["missed_ha"]) == (
        0.04,
        0.04,
        0.04,
        0.04,
    )
    assert (c["loss"]["mapped_ha"], c["loss"]["false_ha"]) == (0.04, 0.0)


def test_reliability_of_calibrated_and_of_underconfident_probabilities():
    rng = np.random.default_rng(1)
    p = rng.random(200_000)
    truth = rng.random(200_000) < p
    assert judge.reliability(p, truth)["slope"] == pytest.approx(1, abs=0.02)
    underconfident = 0.5 + (p - 0.5) / 2
    assert judge.reliability(underconfident, truth)["slope"] == pytest.approx(2, abs=0.04)
    assert judge.reliability(p + 0.1, truth)["bias"] == pytest.approx(0.1, abs=0.01)


def test_intervals_are_counted_over_all_tables(small, tmp_path):
    truth = judge.read_region_truth(small)
    true = truth["XA", 2018, "majority"]["sealed_artificial_m2"] / 1e6
    head = ["lc_flow", "landcover", "definition", "method", "unit", "geo", "time_from", "TIME_PERIOD"]
    head += ["OBS_VALUE", "OBS_LCI95", "OBS_UCI95", "COVERAGE"]
    for k, (low, high) in enumerate([(0.5, 1.5), (0.9, 1.1), (1.2, 1.4), (0.2, 3.0)]):
        row = ["STK", "IMP", "artificial", "estimated", "KM2", "XA", 2018, 2018, true * 1.1, true * low, true * high, 1]
        write_csv(tmp_path / f"d{k}" / "impervious_nuts.csv", head, [row])
    found = judge.judge_run(small, tmp_path)["tables"]["estimated artificial STK"]
    assert found["figures"] == 4 and found["covering"] == 0.75
    assert judge.judge_run(small, tmp_path)["regions"]["XA"]["tables"]["estimated artificial STK"] == found
    assert found["mean_error_km2"] == pytest.approx(0.1 * true)


def test_draws_differ_and_are_written(small, tmp_path):
    assert judge.main([str(small), "--draws", "2", "--to", str(tmp_path), "--points", "20"]) == 0
    one, two = ((tmp_path / f"draw_00{k}" / "points.csv").read_text() for k in (1, 2))
    assert one != two and one.splitlines()[0] == two.splitlines()[0]


def test_draws_have_the_error_rate_of_the_world_unless_another_is_given(tmp_path):
    world = make_world(tmp_path / "world", SMALL, jobs=1, scenes=False, points=40, error_rate=0.3)
    assert judge.main([str(world), "--draws", "1", "--to", str(tmp_path / "own")]) == 0
    assert judge.main([str(world), "--draws", "1", "--to", str(tmp_path / "sure"), "--error-rate", "0"]) == 0
    for name, low, high in (("own", 0.2, 0.4), ("sure", 0, 0)):
        with (tmp_path / name / "draw_001" / "points.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert max(map(int, (r["stratum_points"] for r in rows))) == 40
        with rasterio.open(world / "truth" / "class_2018.tif") as file:
            truth = [v[0] for v in file.sample([(float(r["x"]), float(r["y"])) for r in rows])]
        assert low <= np.mean([int(r["label_2018"]) != t for r, t in zip(rows, truth, strict=True)]) <= high


def test_an_empty_run_is_refused(small, tmp_path, capsys):
    assert judge.main([str(small), "--run", str(tmp_path)]) == 1
    assert "expected at least one of them" in capsys.readouterr().err


def test_random_forest_measures_a_world(small):
    result = difficulty.measure(small, samples=3000)
    year = result["years"]["2018"]
    assert 0.5 < year["right"] < 1 and year["seen"] > 0.5
    assert set(result["met"]) == {"right", "repeat", "overstates"}


def test_median_of_what_is_there():
    nan = np.nan
    stack = np.array([[[1.0, nan, 5.0]], [[3.0, nan, nan]], [[2.0, 4.0, 7.0]]])
    np.testing.assert_array_equal(difficulty.median(stack), [[2.0, 4.0, 6.0]])


def test_semivariance_on_paper():
    ramp = np.tile(np.arange(6.0), (6, 1))
    # Steps of 1 along rows, of 0 along columns: half of the mean of 1 and 0.
    assert reality.semivariance(ramp, 1) == pytest.approx((0.5 * 1 + 0.5 * 0) / 2)
    assert np.isnan(reality.semivariance(ramp, 5))


def test_world_compared_with_itself_is_within_all_bounds():
    image = np.random.default_rng(1).random((3, 40, 40))
    same = {"landscape: noise": reality.image_stats(image), "noise": reality.pixel_stats(image.reshape(3, -1))}
    assert set(reality.compare(same, same)[1].values()) == {1.0}
    other = {k: reality.image_stats(image * 2) for k in same}
    shares = reality.compare(same, other)[1]
    assert shares["mean"] == 0 and shares["variogram"] == 0


def test_missing_packs_are_reported(tmp_path, capsys):
    assert reality.main([str(tmp_path)]) == 1
    assert "has no pack of real pixels" in capsys.readouterr().err


def test_a_world_can_be_drawn(small, tmp_path):
    pytest.importorskip("matplotlib")
    assert picture.main([str(small), str(tmp_path / "world.png")]) == 0
    assert (tmp_path / "world.png").stat().st_size > 10000


def test_nothing_of_a_world_lies_in_the_repository():
    top = Path(__file__).parent
    assert not list(top.rglob("*.jp2"))


# ----- what a pixel sees


@pytest.mark.parametrize(("kind", "sd_m"), [("red", np.hypot(5.38, 20 / np.sqrt(12))), ("swir", 11.08)])
def test_the_point_spread_function_has_the_width_of_the_instruments_modulation(kind, sd_m):
    table = view.psf_weights(kind)
    centre = np.linspace(-0.5, 0.5, view.STEPS + 1)[:, None] * 5
    at = (np.arange(2 * view.REACH) - view.REACH + 0.5) * 5 - centre
    assert np.allclose(table.sum(axis=1), 1) and np.allclose(table, table[::-1, ::-1])
    # Its centre is right to a hundredth of a pixel, although it is cut off.
    assert np.abs((table * at).sum(axis=1)).max() < 0.2
    # The cut at REACH makes it a little narrower, the cells of 5 m a little wider.
    assert np.sqrt((table * at**2).sum(axis=1)) == pytest.approx(sd_m, rel=0.05)


def test_each_pixel_sees_the_land_around_its_centre():
    spec = Spec(size_km=1, years=(2018,), dates=1)
    land = make_land(spec)
    shape = land.surface.shape
    # Each cell is a surface of its own, so that the weights show where it lies.
    n = shape[0] * shape[1]
    land = replace(land, surface=np.arange(n, dtype=np.int32).reshape(shape), before=np.zeros(n, np.uint8))
    seen = View.make(spec, land, tile_window(spec, TILES[1]))
    row, col = np.divmod(np.arange(n), shape[1])
    at = np.column_stack([spec.land_bounds[0] + (col + 0.5) * 5, spec.land_bounds[3] - (row + 0.5) * 5])
    # Pixels at the edge see only a part of their surroundings.
    inside = ndimage.binary_erosion(seen.valid, iterations=3).ravel()
    assert inside.sum() > 1000
    for share in (seen.red, seen.swir):
        assert np.allclose(share.sum(axis=1)[inside], 1, atol=1e-5)
        middle = share @ (at - at.mean(axis=0)) + at.mean(axis=0)
        assert np.abs(middle[inside, 0] - seen.x.ravel()[inside]).max() < 0.5
        assert np.abs(middle[inside, 1] - seen.y.ravel()[inside]).max() < 0.5


def test_slopes_towards_the_sun_are_positive():
    rows, cols = np.mgrid[:20, :20].astype(float)
    # Heights in metres of slopes of a tenth on cells of 40 m; rows run south.
    for slope, sign in ((-4 * rows, 1), (4 * rows, -1), (-4 * cols, 1), (4 * cols, -1)):
        light = slope_towards_sun(slope, 40)
        assert (np.sign(light) == sign).all()
    assert slope_towards_sun(-4 * rows, 40).mean() == pytest.approx(0.0927, abs=1e-4)


def test_image_is_shifted_by_fractions_of_a_pixel():
    image = np.zeros((21, 21), np.float32)
    image[10, 10] = 1
    out = sensor.shift_image(image, 0.3, -0.2)
    rows, cols = np.mgrid[:21, :21]
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert ((out * rows).sum(), (out * cols).sum()) == pytest.approx((10.3, 9.8), abs=1e-4)


def test_a_run_of_another_place_is_refused(small, tmp_path):
    with rasterio.open(small / "truth" / "class_2018.tif") as file:
        profile, classes = file.profile, file.read(1)
    profile["transform"] = profile["transform"] @ rasterio.Affine.translation(5000, 0)
    with rasterio.open(tmp_path / "lc_2018_class.tif", "w", **profile) as file:
        file.write(classes, 1)
    with pytest.raises(ValueError, match="has no class within the world"):
        judge.judge_run(small, tmp_path)


# ----- all worlds are equally difficult


@pytest.mark.parametrize("dates", [1, 2, 4, 8, 15, 30])
def test_partial_swaths_fall_on_both_sides_and_each_side_has_a_clear_one(dates):
    for seed in range(1, 6):
        all_passes = passes(Spec(seed=seed, years=(2017, 2018, 2019), dates=dates))
        for year in (2017, 2018, 2019):
            cover = {
                o: [p.cloud_cover for p in all_passes if p.sensed.year == year and p.relative_orbit == o]
                for o in (22, 65, 122)
            }
            assert sum(map(len, cover.values())) == dates
            assert abs(len(cover[65]) - len(cover[122])) <= 1
            for one in cover.values():
                assert len(one) < 2 or min(one) < 0.1


def test_every_town_finds_its_place_and_worlds_are_built_up_alike():
    shares = []
    for seed in (1, 2, 3):
        spec = Spec(seed=seed, years=(2018,), size_km=14)
        land = make_land(spec)
        area_km2 = 14.2**2
        assert len(land.towns) == round(area_km2 / 66) + round(area_km2 / 8)
        area = np.bincount(land.surface.ravel(), minlength=len(land.before))
        shares.append(area[CLASS[land.before] == 1].sum() / area.sum())
    assert max(shares) < 1.1 * min(shares)


def test_blocks_of_a_town_lie_on_several_lattices_and_their_streets_bend():
    plan = LandPlan(Spec(seed=3, years=(2018,), size_km=6))
    town = int(plan.towns[:, 2].argmax())
    own = np.flatnonzero(plan.district_town == town)
    turns = plan.district_turn[own]
    assert len(own) > 3 and np.ptp(turns) > 0.5 and np.ptp(plan.pitch[:, own], axis=1).min() > 5
    x, y, radius = plan.towns[town]
    row, col = (int(v / 5) for v in (plan.north - y, x - plan.west))
    reach = int(0.8 * radius / 5)
    rows, cols = (a.ravel() for a in np.mgrid[row - reach : row + reach, col - reach : col + reach])
    blocks = plan.blocks(rows, cols)
    there = blocks.number // (64 * 64)
    assert len(set(there)) > 3 and set(there) <= set(own)
    # The axes of the first district, where it is straight; streets leave them by tens of metres.
    at = there == own[0]
    u = (cols[at] + 0.5) * 5 + plan.west - plan.district_at[own[0], 0]
    v = plan.north - (rows[at] + 0.5) * 5 - plan.district_at[own[0], 1]
    along = u * np.cos(turns[0]) + v * np.sin(turns[0])
    shift = (blocks.u[at] - along) % plan.pitch[0, own[0]] / plan.pitch[0, own[0]] * 2 * np.pi
    # The resultant of the phases is 1 for straight streets.
    assert np.hypot(np.cos(shift).mean(), np.sin(shift).mean()) < 0.95
    # Between two districts there is a street.
    assert blocks.street[blocks.border < 4].all() and (blocks.border < 4).any() and blocks.border.min() > -1e-6


@pytest.mark.parametrize("number", [2, 3, 4, 9])
def test_corrupt_and_missing_scene_are_different_and_not_the_clearest(tmp_path, number):
    items = []
    for i in range(number):
        folder = tmp_path / "objects" / f"scene{i}"
        folder.mkdir(parents=True)
        (folder / "B11.jp2").write_bytes(bytes(100))
        assets = {"B11_20m": {"href": f"s3://scene{i}/B11.jp2"}, "product_metadata": {"href": f"s3://scene{i}/MTD.xml"}}
        properties = {"statistics": {"nodata": 0}, "eo:cloud_cover": 10 * i}
        items.append({"id": f"scene{i}", "properties": properties, "assets": assets})
    broken = make._break_two_scenes(tmp_path, items, Spec())
    assert broken["corrupt"] != broken["absent"]
    assert (tmp_path / "objects" / broken["corrupt"] / "B11.jp2").read_bytes() != bytes(100)
    assert not (tmp_path / "objects" / broken["absent"]).exists()
    assert number < 4 or "scene0" not in broken.values()


def test_world_with_one_whole_scene_is_broken_too(tmp_path):
    world = make_world(tmp_path / "w", Spec(size_km=2, years=(2023,), dates=1, broken=True), jobs=1)
    facts = json.loads((world / "world.json").read_text())
    assert facts["corrupt"] != facts["absent"]


def test_folder_without_a_world_is_refused(tmp_path, capsys):
    for tool, words in (
        (judge.main, ["--difficulty"]),
        (judge.main, ["--run", str(tmp_path)]),
        (picture.main, ["x.png"]),
    ):
        assert tool([str(tmp_path), *words]) == 1
        assert f"World '{tmp_path}' has no file world.json" in capsys.readouterr().err
    for tool, words in ((make_main, [str(tmp_path / "w")]), (judge.main, ["--run", str(tmp_path)])):
        with pytest.raises(SystemExit):
            tool([*words, "--years", "x"])
        assert "found 'x', expected years such as 2017-2019" in capsys.readouterr().err
