"""r.impervious.change: change maps, and the table of stocks and flows per region.

Yearly maps and regions are read and checked (inputs, regions), change maps are written with r.mapcalc (maps), all maps are added
up by region in one pass (figures, tally), and figures become the checked rows of the table (report). v.rast.stats writes sums into a copy of the zones
map, which must equal the counts. Maps, columns and folder get their final names last, when everything is made and checked: a run that
fails before changes nothing.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from imperviouslib.core import change, mapnames, tablecheck
from imperviouslib.core.borders import is_shared
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.mapkinds import OutputMap
from imperviouslib.core.methods import methods_for
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.periods import times_between
from imperviouslib.core.settings.change import ChangeSettings
from imperviouslib.core.surveyreport import describe_estimates
from imperviouslib.core.table import Run
from imperviouslib.edge import grass, tablefile, zones
from imperviouslib.edge.files import check_place
from imperviouslib.edge.schedule import open_crew
from imperviouslib.stage.change import additions, inputs, maps, regions, report
from imperviouslib.stage.change.figures import Computation


def main(options: Options, flags: Flags) -> int:
    """Run the tool."""
    return run(ChangeSettings.parse(options, flags))


def run(settings: ChangeSettings) -> int:
    """Write the change maps, the columns of the zones map and the table; return the exit status."""
    grid = grass.region_grid()
    _check_output(settings)
    added = additions.read_additions(settings, grid.cell_area_m2)
    scratch = maps.Scratch()
    with contextlib.ExitStack() as stack:
        stack.enter_context(grass.lock_maps(settings.prefix))
        grass.remove_abandoned(mapnames.TEMPORARY)
        stack.callback(scratch.remove)
        series = inputs.resolve_series(settings, grid, scratch)
        survey = inputs.read_survey(settings, series.years, grid)
        settings = replace(settings, methods=settings.methods or methods_for(series.kind, sample=survey is not None))
        pairs = change.resolve_pairs(series.years)
        if not pairs:
            grass.message(_("There is one year only, {}: the table has stocks and no change.").format(series.years[0]))
        source = zones.read_zones(settings.zones, settings.column, settings.parent)
        regions.warn_of_scale(source)

        outputs = output_maps(settings, series.years)
        names = {one: one.name(settings.prefix) for one in outputs}
        grass.check_free(names.values(), option="prefix")
        if settings.write_columns:
            if zones.is_own(source):
                stack.enter_context(grass.lock_vector(source.name.partition("@")[0]))
            regions.check_free_columns(source, settings.prefix, regions.column_names(series.years, pairs))

        crew = stack.enter_context(open_crew(settings.nprocs, settings.scheduler))
        rasters = {level: scratch.raster("zones", level) for level in sorted({zone.level for zone in source.zones})}
        shared = None
        if settings.share_borders:
            folder = tempfile.TemporaryDirectory(prefix="borders", dir=grass.temporary_folder())
            shared = Path(stack.enter_context(folder))
        found = regions.measure_zones(source, rasters, grid, crew, shared)
        chosen = found.zones

        grass.message(_("Writing the change maps..."))
        parts = {one: scratch.raster("out", one.layer.name, one.first, one.last) for one in outputs}
        definition = settings.definitions[0]
        last = max(zone.cat for zone in source.zones)
        work = Computation(series, definition, parts, rasters, grid, scratch, survey, last, crew, found.borders)
        work.write_changes()
        # All that the methods ask for is added up in one pass, when the first of it is used.
        observed, asked = work.observed(), {method.code: method.figures(work) for method in settings.methods}
        grass.message(_("Adding up the maps by region..."))
        figures = {code: found() for code, found in asked.items()}
        maps.describe(parts, series, definition, settings.nprocs)
        if settings.write_columns:
            columns = work.columns()
            copy = scratch.vector("zones")
            values = regions.sum_columns(source, copy, found, columns, settings.nprocs)

        this_run = Run(series.years, settings.nuts_version, settings.vintage.isoformat(), grid.cell_area_m2)
        made = report.make_table(chosen, observed(), figures, this_run, settings.definitions, work.pairs)
        rows = added.add_to(made)
        package = {**report.describe_package(settings, series, this_run, source, chosen, grid), **added.describe()}
        tablecheck.check_table(rows, grid.cell_area_m2, shared=is_shared(package))
        outlines = added.add_outlines(regions.outline_collection(chosen, found.shapes))
        documents = {}
        if survey is not None:
            survey, land = work.survey()()
            documents["estimates.json"] = describe_estimates(survey, land, work.pairs, grid.cell_area_m2)
            report.warn_of_sample(chosen, observed(), land, series.years)
        with (
            tablefile.writing_folder(settings.output, rows, outlines, package, documents),
            maps.publishing({part: names[one] for one, part in parts.items()}, scratch),
        ):
            if settings.write_columns:
                regions.publish_columns(source, copy, settings.prefix, [column.name for column in columns], values)
        times = [f"{name}|{times_between(one.first, one.last)}" for one, name in names.items()]
        grass.register_finished(settings.prefix, _("Change of impervious land"), times)
    report.print_summary(settings, rows, made, chosen, list(names.values()))
    return 0


def output_maps(settings: ChangeSettings, years: tuple[int, ...]) -> list[OutputMap]:
    """Return the maps that a run writes: those of change, and those of its methods."""
    made = settings.kind.outputs(change.resolve_pairs(years))
    return [*made, *(one for method in settings.methods for one in method.outputs(years))]


def _check_output(settings: ChangeSettings) -> None:
    """Raise InputError if the folder may not be written, before any work is done."""
    output = settings.output
    if output.exists() and not output.is_dir():
        raise InputError(
            _("Option <output>: '{}' is a file").format(output),
            then=_("Choose the name of a folder."),
        )
    if output.exists():
        tablefile.check_replaceable(output)
        if any(output.iterdir()) and not grass.overwrite():
            raise InputError(
                _("Folder '{}' already exists").format(output),
                then=_("Use --overwrite to replace it, or choose another output=."),
            )
    check_place(output, "output")
