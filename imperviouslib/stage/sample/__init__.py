"""r.impervious.sample: the reference sample, and what people need to read it.

Scores are read as arrays, strata and sample follow from them (core/sample, core/design), and everything is written into one folder under a
temporary name: a folder that exists is complete. The maps of strata get their names before the folder does; r.impervious.change needs that
of the stock strata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from imperviouslib import __version__
from imperviouslib.core import mapnames
from imperviouslib.core.design import Design, draw
from imperviouslib.core.errors import InputError, _, counted
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.sample import Frame, reading_hours
from imperviouslib.core.settings.sample import SampleSettings
from imperviouslib.edge import grass
from imperviouslib.edge.files import check_place
from imperviouslib.stage.sample import folder, inputs, maps, pictures


def main(options: Options, flags: Flags) -> int:
    """Run the tool."""
    return run(SampleSettings.parse(options, flags))


def run(settings: SampleSettings) -> int:
    """Draw the sample and write it; return the exit status."""
    grid = grass.region_grid()
    names = maps.names(settings.prefix)
    if not settings.list_only:
        _check_output(settings)
        grass.check_free(names.values(), option="prefix")
        grass.remove_abandoned(mapnames.TEMPORARY)
    source = inputs.resolve_source(settings)
    composites = inputs.find_composites(settings, source.years) if settings.sheet else []
    rasters = inputs.find_rasters(settings, source) if settings.sheet else {}
    scores = inputs.read_scores(source, grid)
    areas = inputs.find_areas(settings, grid)
    frames = {geo: Frame.of(scores, area, grid) for geo, area in areas.items()}
    # The full name of the map of stock strata is kept, because r.impervious.change reads it.
    made_from = {**source.described, "stock_map": f"{names['stock']}@{grass.mapset_folder().name}"}
    given = inputs.read_stock_points(settings, source.years, grid)
    if given is not None:
        made_from["stock_points"] = settings.stock_points
    design = draw(
        frames, source.years, settings.sizes, settings.seed, made_from=made_from, version=__version__,
        stock_cells=None if given is None else given.cells,
    )  # fmt: skip
    if not settings.list_only:
        layer = _("false colour ({})").format(", ".join(settings.features))
        shown = pictures.read_pictures(design, layer, composites, rasters) if settings.sheet else {}
        with (
            folder.writing(settings, design, shown, given.states if given else {}),
            grass.lock_maps(settings.prefix),
        ):
            maps.write(frames, names, design)
    print_summary(settings, design)
    return 0


def _check_output(settings: SampleSettings) -> None:
    """Raise InputError if the folder may not be written. A folder with a sample is never replaced by chance: people may have read it."""
    output = settings.output
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not folder.is_sample(output))):
        raise InputError(
            _("Option <output>: '{}' is not the folder of a sample").format(output),
            then=_("Choose a new folder."),
        )
    if output.exists() and any(output.iterdir()) and not grass.overwrite():
        raise InputError(
            _("Folder '{}' already exists").format(output),
            then=_("Use --overwrite to replace the sample and its readings, or choose another output=."),
        )
    check_place(output, "output")


def summary(design: Design) -> list[Mapping[str, Any]]:
    """Return the strata of each area as plain values, a line a stratum."""
    return [
        {
            "area": area.geo, "purpose": purpose, "stratum": stratum.name, "land_pct": round(100 * stratum.cells / area.cells, 4),
            "units": stratum.units, "drawn": stratum.drawn,
        }
        for area in design.areas
        for purpose, strata in area.strata.items()
        for stratum in strata
    ]  # fmt: skip


def print_summary(settings: SampleSettings, design: Design) -> None:
    """Print what was drawn, as plain text or JSON."""
    lines = summary(design)
    kinds = [sum(kind == wanted for kind in design.kinds.values()) for wanted in ("point", "window")]
    hours = reading_hours(*kinds)
    if settings.format == "json":
        content = {
            "output": None if settings.list_only else str(settings.output), "digest": design.digest, "years": list(design.years),
            "points": kinds[0], "windows": kinds[1], "hours": round(hours, 1), "strata": lines,
        }  # fmt: skip
        print(json.dumps(content, ensure_ascii=False))
        return
    print(f"{'area':<8} {'for':<8} {'stratum':<9} {'% of land':>9} {'to draw from':>13} {'drawn':>6}")
    for line in lines:
        print(
            f"{line['area'] or '-':<8} {line['purpose']:<8} {line['stratum']:<9} {line['land_pct']:>9.3f} {line['units']:>13} {line['drawn']:>6}"
        )
    print(
        _("{} and {}; one reading takes about {}").format(
            counted(kinds[0], "{} point", "{} points"),
            counted(kinds[1], "{} window", "{} windows"),
            counted(round(hours), "{} hour", "{} hours"),
        )
        + ("" if settings.list_only else _("; written to '{}'").format(settings.output))
    )
