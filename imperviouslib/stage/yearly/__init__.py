"""r.s2.yearly: from an archive of scenes to one composite per period."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.periods import resolve_periods
from imperviouslib.core.settings.yearly import YearlySettings
from imperviouslib.core.tiles import find_holes, resolve_tiles
from imperviouslib.edge import grass
from imperviouslib.edge.files import check_place
from imperviouslib.edge.schedule import Crew, open_crew
from imperviouslib.stage.yearly import check, maps, report
from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks, resolve_years, tiles_by_year
from imperviouslib.work.compose import PeriodTask


def main(options: Options, flags: Flags) -> int:
    """Parse the options and run."""
    return run(YearlySettings.parse(options, flags))


def run(settings: YearlySettings) -> int:
    """Read the archive, choose tiles, make a composite of each period, report. Returns: exit status."""
    archive = settings.archive.expanduser().absolute()
    if settings.report:
        check_place(settings.report, "report", file=True)
    if settings.check_only:
        return check.run(archive, settings.report, settings.format)
    recipe, area = settings.recipe, grass.region_grid()
    scenes = read_scenes(archive, recipe.bands, area)
    years = resolve_years(settings.years, scenes, archive)
    found = tiles_by_year(scenes, years)
    holes = find_holes(found)
    for year, tile in holes:
        warning = _("Tile {} is missing in {}.").format(tile, year)
        grass.warning(f"{warning} {_('It is left out of all years.')}" if recipe.tiles == "common" else warning)
    tiles = resolve_tiles(recipe.tiles, found)
    used = [scene for scene in scenes if scene.scl.tile in tiles]
    tasks = resolve_tasks(resolve_periods(years, settings.periods), used, recipe, area)
    if not any(task.scenes for task in tasks):
        raise InputError(
            _("Option <period>: no scene of '{}' lies in {}").format(archive, _span(tasks)),
            then=_("Choose other periods or years, or fetch these with window= of r.s2.fetch."),
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(grass.lock_maps(settings.output))
        crew = functools.cache(
            lambda: stack.enter_context(
                open_crew(settings.nprocs, settings.scheduler, shared=(archive,), packages=("rasterio",))
            )
        )
        summaries = _make_maps(tasks, settings, crew)
        # At the end, because a run that was stopped and started again would be refused if this map existed.
        if settings.tilemap:
            report.write_tilemap(settings.tilemap, scenes, years, tiles)
    content = report.describe(tiles, holes, scenes, years, summaries)
    report.write(content, settings.report, settings.format)
    return 0


def _span(tasks: Sequence[PeriodTask]) -> str:
    """Name the periods, or the first and the last of them."""
    names = [task.period.name for task in tasks]
    return ", ".join(names) if len(names) <= 3 else _("{} to {}").format(names[0], names[-1])


def _make_maps(tasks: Sequence[PeriodTask], settings: YearlySettings, crew: Callable[[], Crew]) -> dict[str, Any]:
    """Make and register the maps of each period that has scenes. Returns: period to its summary."""
    summaries, members = {}, []
    for task in tasks:
        period = task.period
        if not task.scenes:
            grass.warning(_("No scene in {}: no composite.").format(period.name))
            continue
        if settings.recipe.how.joins_scenes:
            names = maps.join_scenes(task, settings.output)
        else:
            names = maps.compose(task, settings.output, crew, link=settings.link)
        summaries[period.name] = report.summarize(task, names)
        members += [f"{name}|{period.times}" for name in names.values()]
    grass.register(settings.output, _("Composites ({})").format(settings.recipe.method), members)
    return summaries
