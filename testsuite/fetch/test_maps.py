"""Scenes as maps of the mapset: linked or imported, kept up to date with their files."""

import json

import rasterio

from imperviouslib.core.grid import Grid
from testsuite.fetch_ground import area, maps, parts_of


def test_the_tool_fetches_for_a_vector_map_or_a_box_and_imports(tool, keys, world, tmp_path):
    import grass.script as gs

    grid = area(world, 1)
    gs.run_command("v.in.region", output="place", quiet=True)
    gs.run_command("g.region", n=40, s=0, w=0, e=40, res=20, quiet=True)
    options = {"stac": keys.stac_url, "years": "2021", "clouds": 100, "scenes": 1, "tiles": "33UUU", "bands": "B04"}
    status, _, err = tool("-i", area="place", output=tmp_path / "a", **options)
    assert status == 0, err
    sidecar = json.loads(next((tmp_path / "a").rglob("B04.json")).read_text())
    assert sidecar["grid"]["bounds"] == list(area(world, 2).bounds)
    assert len(maps()) == 2 and gs.raster_info(maps()[0])["maptype"] == "raster"
    from imperviouslib.edge.warp import lonlat_bounds

    box = ",".join(f"{degrees:.6f}" for degrees in lonlat_bounds(grid))
    status, _, err = tool("-n", bbox=box, output=tmp_path / "b", **options)
    assert status == 0, err
    sidecar = json.loads(next((tmp_path / "b").rglob("B04.json")).read_text())
    assert Grid(*sidecar["grid"]["bounds"]).contains(grid)
    assert len(maps()) == 2


def extents():
    """Return the extents of the mapset's maps, which are those of the maps and of the dataset's list of them."""
    import grass.script as gs

    edges = ("west", "south", "east", "north")
    of_maps = {name: tuple(int(gs.raster_info(name)[edge]) for edge in edges) for name in maps()}
    rows = gs.read_command("t.rast.list", input="scenes", columns=",".join(("name", *edges)), flags="u").split()
    assert {row.split("|")[0]: tuple(int(float(x)) for x in row.split("|")[1:]) for row in rows} == of_maps
    return set(of_maps.values())


def test_maps_are_updated_with_their_files_and_imported_on_request(tool, keys, world, tmp_path):
    import grass.script as gs

    west, east, whole = parts_of(world)
    options = {"stac": keys.stac_url, "years": "2021", "clouds": 100, "scenes": 1, "tiles": "33UUU", "bands": "B04"}

    def go(grid, *words, **more):
        gs.run_command("g.region", w=grid.west, s=grid.south, e=grid.east, n=grid.north, quiet=True)
        status, _, err = tool(*words, **{"output": tmp_path / "a", **options, **more})
        assert status == 0, err
        assert all(gs.read_command("r.timestamp", map=name).strip() for name in maps())
        return err

    def cells():
        from imperviouslib.edge.grass import read_cells

        return read_cells(next(name for name in maps() if name.endswith("B04")), whole)

    go(west)
    assert extents() == {west.bounds}
    assert "Linking 2 maps" in go(east)
    assert extents() == {whole.bounds}
    with rasterio.open(next((tmp_path / "a").rglob("B04.tif"))) as file:
        assert (cells() == file.read(1)).all() and cells().any()
    assert "Linking" not in go(west)
    # Copies replace the links, and are then kept.
    linked = cells()
    assert "Importing 2 maps" in go(west, "-i")
    (tmp_path / "a").rename(tmp_path / "b")
    assert (cells() == linked).all() and extents() == {whole.bounds}
    (tmp_path / "b").rename(tmp_path / "a")
    for words in (("-i",), ()):
        assert "maps..." not in go(west, *words)
    assert gs.raster_info(maps()[0])["maptype"] == "raster"
    # A copy of a file that was made again.
    go(west, "-i", resampling="nearest")
    assert not (cells() == linked).all()
    # The same scenes in another archive: the links lead there.
    assert "Linking 2 maps" in go(west, output=tmp_path / "c")
    assert extents() == {west.bounds}
    assert "Linking" not in go(west, output=tmp_path / "c")
