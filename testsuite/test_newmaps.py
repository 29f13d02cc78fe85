"""New maps: written part by part, brought into the mapset together, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from imperviouslib.core.grid import Grid
from testsuite.unet_ground import grid_at

pytestmark = pytest.mark.slow

GRID = grid_at(64, 64, 300, 70)
TYPES = {"classes": "uint8", "share": "uint16", "p_a": "float32", **{f"p_{n}": "float32" for n in range(11)}}
"""Maps of three types; of one there are more than one call of r.in.bin makes."""


def planes():
    """Values of each map: array (row, col), with cells of no data."""
    rng = np.random.default_rng(3)
    found = {}
    for name, dtype in TYPES.items():
        if dtype == "float32":
            found[name] = rng.random(GRID.shape, np.float32)
            found[name][rng.random(GRID.shape) < 0.1] = np.nan
        else:
            found[name] = rng.integers(0, 200 if dtype == "uint8" else 60_000, GRID.shape).astype(dtype)
    return found


def write(maps, found, parts):
    for part in parts:
        for name, plane in found.items():
            maps.write(name, plane[part.slices_in(GRID)], part)


def read(name):
    from imperviouslib.edge import grass

    ((_strip, cells),) = grass.read_maps([(name, "f4")], GRID, GRID.height)
    return cells[name, "f4"]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("parts", ["strips", "windows"])
def test_maps_hold_what_was_written(mapset, link, parts):
    from imperviouslib.edge import grass

    cut: list[Grid] = list(GRID.parts(256) if parts == "strips" else GRID.parts(128, 32))
    found = planes()
    with grass.new_maps(TYPES, GRID, link=link, threads=2) as maps:
        write(maps, found, cut)
        maps.bring()
        assert not [name for name in TYPES if grass.exists(name)]
        grass.colour([maps.temporary["classes"]], "0 white\n200 black\n")
    for name, plane in found.items():
        expected = plane.astype(np.float32)
        expected[np.isnan(expected) if TYPES[name] == "float32" else expected == 0] = np.nan
        assert np.array_equal(read(name), expected, equal_nan=True), name
    assert grass.list_rasters("*") == set(TYPES)
    assert not [*grass.shared_folder().glob("**/*.bin")]
    assert len([*grass.linked_folder().iterdir()]) == (len(TYPES) if link else 0)


@pytest.mark.parametrize("link", [False, True])
def test_a_block_that_fails_leaves_the_older_maps(mapset, link):
    from imperviouslib.edge import grass

    names = {"share": "uint16", "classes": "uint8"}
    for name in (*names, "stale"):
        grass.mapcalc({name: f"{name} = 5"}, GRID)
    with (
        pytest.raises(ZeroDivisionError),
        grass.new_maps(names, GRID, link=link, threads=2, replaced=["stale"]) as maps,
    ):
        write(maps, {name: planes()[name] for name in names}, [GRID])
        maps.bring()
        _one = 1 / 0
    assert grass.list_rasters("*") == {*names, "stale"} and (read("share") == 5).all()
    assert not [*grass.shared_folder().glob("**/*.bin"), *grass.linked_folder().iterdir()]
    with grass.new_maps(names, GRID, link=link, threads=2, replaced=["stale"]) as maps:
        maps.bring()
    assert grass.list_rasters("*") == set(names)
    assert np.isnan(read("share")).all() and np.isnan(read("classes")).all(), "what was not written is NULL"


def test_floating_point_maps_must_be_written_whole(mapset):
    from imperviouslib.edge import grass

    with pytest.raises(AssertionError), grass.new_maps({"p": "float32"}, GRID, link=False, threads=1) as maps:
        maps.write("p", np.ones((100, 70), np.float32), next(GRID.parts(100)))
        maps.bring()
    assert not grass.list_rasters("*")


def test_bands_of_a_killed_run_are_abandoned(mapset):
    """Their names end in the number of a process that runs no more, and in that of the band."""
    from imperviouslib.edge import grass

    ours = grass.temporary_name("lc_2018_class") + "_"
    gone = ours.replace(f"_{os.getpid()}_", "_4194999_")
    for name in (ours, f"{ours}3", gone, f"{gone}3", "lc_2018_class"):
        grass.mapcalc({name: f"{name} = 1"}, GRID)
    grass.remove_abandoned("lc_")
    assert grass.list_rasters("*") == {ours, f"{ours}3", "lc_2018_class"}
    grass.remove([ours, f"{ours}3"])


def test_a_map_is_found_only_when_it_is_complete(mapset, monkeypatch):
    """Killed at each step in which a map gets its final name; what is left does not disturb the next run."""
    from imperviouslib.edge import grass

    moves, rename = 0, Path.rename

    def move(path, target):
        nonlocal moves
        if not moves:
            raise KeyboardInterrupt
        moves -= 1
        return rename(path, target)

    def make(value):
        grass.mapcalc({"part": f"part = {value}.5"}, GRID)
        grass.run("r.support", map="part", title="Whole")

    monkeypatch.setattr(Path, "rename", move)
    for stop in range(20):
        make(stop)
        moves = stop
        try:
            grass.give_names({"part": "final"})
            break
        except KeyboardInterrupt:
            assert grass.list_rasters("*") == {"part"}
            grass.remove(["part"])
    assert stop == 6, "cell, fcell, cellhd, cats, hist, cell_misc"
    assert grass.list_rasters("*") == {"final"}
    assert (read("final") == stop + 0.5).all() and grass.read_title("final") == "Whole"
    assert not [*grass.mapset_folder().glob("*/part")]
    moves = 99
    make(7)
    grass.give_names({"part": "final"})
    assert (read("final") == 7.5).all()
