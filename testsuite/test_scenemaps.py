"""Scenes as maps: what is linked again."""

from __future__ import annotations

import numpy as np
import pytest

from testsuite.unet_ground import grid_at

pytestmark = pytest.mark.slow

GRID = grid_at(64, 64, 40, 30)


@pytest.mark.parametrize("link", [True, False])
def test_a_map_that_a_killed_run_did_not_describe_is_made_again(mapset, tmp_path, link):
    """Colours come last. All maps of the scenes count, and not those alone whose file has changed."""
    from imperviouslib.edge import grass
    from imperviouslib.edge.rasterfile import TiffWriter

    scenes = []
    for band in ("B12", "SCL"):
        path = tmp_path / f"{band}.tif"
        with TiffWriter(path, GRID, "uint16" if band == "B12" else "uint8") as out:
            out.write(np.full(GRID.shape, 5), GRID)
        scenes.append(grass.SceneMap(path, f"s2_{band}", band, "a scene", f"S2_{band}", GRID.bounds))
    assert grass.outdated(scenes, link=link) == scenes
    grass.import_scenes(scenes, 2, link=link)
    assert grass.outdated(scenes, link=link) == []
    grass.run("r.colors", map="s2_SCL", flags="r")
    assert grass.outdated(scenes, link=link) == scenes[1:]
    grass.import_scenes(scenes[1:], 2, link=link)
    assert grass.outdated(scenes, link=link) == [] and grass.read_title("s2_SCL") == "SCL"
