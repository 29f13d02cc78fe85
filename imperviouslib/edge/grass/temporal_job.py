"""Register maps in a space-time raster dataset, as a program of its own: temporal.py runs it, and ends it where GRASS does not end.

One process does what t.list, t.create, t.rast.list and t.register would do, each of which takes two seconds to start. It reads JSON:
`dataset`, `mapset`, `title`, and `lines`, each "map|start" or "map|start|end" with whether the map has a timestamp.
"""

import ctypes.util
import json
import os
import sys
import tempfile
from typing import Any


def time_key(line: str) -> tuple[str, ...]:
    """Return map and times of a line in one form: midnight is written out, and an instant has no end."""
    name, *times = line.split("|")
    return name, *(t if len(t) > 10 else f"{t} 00:00:00" for t in times if t not in ("", "None"))


def main() -> None:
    """Do the work; say in one line why it could not be done."""
    # GRASS asks this for each of its 27 libraries before it looks into LD_LIBRARY_PATH, where they are. Each answer takes two compilers' calls.
    ctypes.util.find_library = lambda _name: None
    from grass.exceptions import FatalError

    try:
        register(json.load(sys.stdin))
    except FatalError as err:
        sys.exit(f"ERROR: {err}")


def register(job: dict[str, Any]) -> None:
    """Create the dataset if there is none, and register the maps that are not registered at their time."""
    import grass.temporal as tgis

    tgis.init(raise_fatal_error=True)
    # A mapset on the search path may hold a dataset of the same name.
    name = f"{job['dataset']}@{job['mapset']}"
    known = set()
    if tgis.dataset_factory("strds", name).is_in_db():
        dataset = tgis.open_old_stds(name, "strds")
        rows = dataset.get_registered_maps("name,start_time,end_time", None, "start_time") or ()
        known = {time_key(f"{row['name']}|{row['start_time']}|{row['end_time']}") for row in rows}
    else:
        tgis.open_new_stds(job["dataset"], "strds", "absolute", job["title"], job["title"], "mean")
    # A map that replaced another one of its name is known, and has no timestamp yet.
    lines = [line for line, stamped in job["lines"] if time_key(line) not in known or not stamped]
    if not lines:
        return
    os.environ["GRASS_OVERWRITE"] = "1"
    at = f"@{job['mapset']}|"
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        # With its mapset, GRASS starts no process to find each map.
        file.write("".join(f"{line.replace('|', at, 1)}\n" for line in lines))
        file.flush()
        tgis.register_maps_in_space_time_dataset(type="raster", name=name, file=file.name)


if __name__ == "__main__":
    main()
