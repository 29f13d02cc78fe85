"""Reflectance: the same before and after baseline 04.00, and from every catalogue."""

import json

import numpy as np
import pytest
import rasterio

from imperviouslib.core.items import parse_item
from imperviouslib.edge.archivefile import fetch_scene
from testsuite.fetch_ground import earth_search, items, local_items, reprocessed, task_of


@pytest.fixture(scope="module")
def reflectance(world, tmp_path_factory):
    """Fetch a scene from local links and return its B12 and B04, and what the sidecar says of the offset."""

    def fetch(item):
        folder = tmp_path_factory.mktemp("offset")
        task = task_of(world, folder, scene=parse_item(item))
        assert [o.error for o in fetch_scene(task)] == [None] * 4
        planes = []
        for band in ("B12", "B04"):
            path = next(folder.rglob(f"{band}.tif"))
            with rasterio.open(path) as file:
                planes.append(file.read(1))
        return np.array(planes), json.loads(path.with_suffix(".json").read_text())["offset"]

    return fetch


def test_reprocessed_with_an_offset_is_the_same_reflectance(world, reflectance):
    both = reprocessed(world)
    first = min(both)
    assert float(first) < 4 < float(max(both))
    (old, old_offset), (new, new_offset) = (reflectance(local_items(world, [both[v]])[0]) for v in (first, "05.00"))
    assert (old_offset["dn"], new_offset["dn"]) == (0, -1000)
    assert old_offset["metadata_read"] and new_offset["metadata_read"]
    assert (old == new).all() and old.max() > 0


def test_no_false_step_at_the_change_of_baseline(world, tmp_path):
    """From 04.00 on the objects' numbers are 1000 higher than reflectance; the files' are not. Pixels are looked up by pyproj."""
    from pyproj import Transformer

    for version, step in (("N0301", 0), ("N0400", 1000)):
        item = local_items(world, [i for i in items(world) if f"{version}_R022_T32UPD_20" in i["id"]])[-1]
        task = task_of(world, tmp_path, scene=parse_item(item), resampling="nearest")
        assert [o.error for o in fetch_scene(task)] == [None] * 4
        folder = next(tmp_path.rglob(f"{item['id']}"))
        for band in ("B12", "B11", "B04"):
            with rasterio.open(folder / f"{band}.tif") as file:
                found, transform = file.read(1), file.transform
            with rasterio.open(item["assets"][f"{band}_20m"]["href"]) as file:
                raw, to_pixel, crs = file.read(1), ~file.transform, file.crs
            rows, cols = np.mgrid[: found.shape[0], : found.shape[1]]
            x, y = transform.c + 20 * (cols + 0.5), transform.f - 20 * (rows + 0.5)
            east, north = Transformer.from_crs(3035, crs, always_xy=True).transform(x, y)
            pixel_cols, pixel_rows = to_pixel.a * east + to_pixel.c, to_pixel.e * north + to_pixel.f
            inside = (pixel_rows > 0) & (pixel_rows < raw.shape[0]) & (pixel_cols > 0) & (pixel_cols < raw.shape[1])
            expected = raw[pixel_rows[inside].astype(int), pixel_cols[inside].astype(int)].astype(int)
            expected = np.where(expected > 0, np.maximum(expected - step, 1), 0)
            assert inside.mean() > 0.9
            assert (found[inside] == expected).all()


@pytest.mark.parametrize(
    ("collection", "applied", "claims"),
    [("sentinel-2-c1-l2a", False, None), ("sentinel-2-l2a", True, True), ("sentinel-2-l2a", True, False), ("sentinel-2-l2a", False, False)],
)  # fmt: skip
@pytest.mark.parametrize("again", [False, True])
def test_earth_search_with_its_wrong_offsets_gives_the_same_reflectance(
    world, reflectance, tmp_path, collection, applied, claims, again
):
    both = reprocessed(world)
    chosen = [both[max(both) if again else min(both)]]
    cdse, _ = reflectance(local_items(world, chosen)[0])
    path = earth_search(world, tmp_path, chosen, collection=collection, applied=applied, claims=claims)
    found, offset = reflectance(json.loads(path.read_text())["features"][0])
    assert offset["dn"] == (-1000 if again and not applied else 0)
    assert (found == cdse).all()


def test_a_claim_that_the_pixels_refute_and_metadata_that_contradict_are_errors(world, tmp_path):
    chosen = [i for i in items(world) if "N0500_R022_T33UUU" in i["id"]]
    path = earth_search(world, tmp_path / "es", chosen, collection="sentinel-2-l2a", applied=False, claims=True)
    scene = parse_item(json.loads(path.read_text())["features"][0])
    outcomes = fetch_scene(task_of(world, tmp_path / "a", scene=scene))
    assert all("says that it has already applied the offset" in str(o.error) for o in outcomes if o.band != "SCL")
    # An item that names another baseline than the product's own metadata.
    item = local_items(world, chosen)[0]
    item["properties"]["processing:version"] = "03.00"
    outcomes = fetch_scene(task_of(world, tmp_path / "b", scene=parse_item(item)))
    assert all("baseline 05.00 in its metadata" in str(o.error) for o in outcomes if o.band != "SCL")
    assert {p.name for p in tmp_path.rglob("B*.tif") if "es" not in p.parts} == set()
