"""What a run reports: the printed summary, the JSON file and the map of tiles."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imperviouslib import __version__
from imperviouslib.core.errors import counted
from imperviouslib.core.grid import BLOCK
from imperviouslib.core.mapnames import COUNT
from imperviouslib.core.tiles import Hole
from imperviouslib.edge import grass
from imperviouslib.edge.files import write_json
from imperviouslib.stage.yearly.maps import Names, chosen_scenes
from imperviouslib.work.compose import PeriodTask, SceneFiles


def summarize(task: PeriodTask, names: Names) -> dict[str, Any]:
    """Count how much of the area has clear observations. Returns: scenes, coverage (0-1) and mean_count of the period."""
    clear = observations = cells = 0
    for part in task.area.blocks(BLOCK):
        values = grass.read_cells(names[COUNT], part, nodata=0)
        clear += int(np.count_nonzero(values))
        observations += int(values.sum(dtype=np.int64))
        cells += values.size
    return {
        "scenes": chosen_scenes(task),
        "coverage": round(clear / cells, 6),
        "mean_count": round(observations / cells, 3),
    }


def describe(
    tiles: Collection[str],
    holes: Sequence[Hole],
    scenes: Sequence[SceneFiles],
    years: Sequence[int],
    periods: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the report's content; periods : name to its summary."""
    per_year = {year: Counter(s.scl.tile for s in scenes if s.scl.year == year) for year in years}
    return {
        "tiles": sorted(tiles),
        "holes": [{"year": year, "tile": tile} for year, tile in holes],
        "scenes": {str(year): dict(sorted(counts.items())) for year, counts in per_year.items()},
        "version": __version__,
        "periods": periods,
    }


def write(report: Mapping[str, Any], path: Path | None, form: str) -> None:
    """Write the report to a file if one is given, and print it."""
    if path:
        write_json(path.expanduser(), report)
    if form == "json":
        print(json.dumps(report, indent=1))
        return
    print("tiles: " + ", ".join(report["tiles"]))
    for hole in report["holes"]:
        print(f"tile {hole['tile']} is missing in {hole['year']}")
    for name, summary in report["periods"].items():
        scenes = counted(summary["scenes"], "{} scene", "{} scenes")
        print(
            f"{name}: {scenes}, {100 * summary['coverage']:.1f} % of the region seen, "
            f"{summary['mean_count']:.1f} clear observations a cell"
        )


def write_tilemap(name: str, scenes: Sequence[SceneFiles], years: Sequence[int], tiles: Collection[str]) -> None:
    """Draw the extent that the archive has of each tile as a vector map, with the years it has and lacks."""
    features = []
    for tile in sorted({scene.scl.tile for scene in scenes}):
        of_tile = [scene.scl for scene in scenes if scene.scl.tile == tile]
        west, south = min(s.grid.west for s in of_tile), min(s.grid.south for s in of_tile)
        east, north = max(s.grid.east for s in of_tile), max(s.grid.north for s in of_tile)
        available = {s.year for s in of_tile}
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "tile": tile,
                    "used": int(tile in tiles),
                    "scenes": sum(s.year in years for s in of_tile),
                    "years": ",".join(str(year) for year in years if year in available),
                    "lacks": ",".join(str(year) for year in years if year not in available),
                },
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    grass.import_polygons(features, name)
