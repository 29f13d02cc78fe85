"""Which scenes of an archive a run uses: those that are complete, meet the region and belong to the years."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from imperviouslib.core.archive import Sidecar
from imperviouslib.core.bands import SCL
from imperviouslib.core.baseline import Processing, parse_baseline, resolve_newest
from imperviouslib.core.errors import InputError, _, counted
from imperviouslib.core.grid import Grid
from imperviouslib.core.periods import Period
from imperviouslib.core.recipe import Recipe
from imperviouslib.edge import archivefile, grass
from imperviouslib.work.compose import PeriodTask, SceneFiles


def read_scenes(archive: Path, bands: Sequence[str], area: Grid) -> list[SceneFiles]:
    """Read the scenes that have all bands and SCL and meet the area, one per acquisition; raise InputError if there are none."""
    needed = (*bands, SCL)
    groups: dict[tuple[str, str], dict[str, Sidecar]] = defaultdict(dict)
    for sidecar in archivefile.read_archive(archive):
        groups[sidecar.tile, sidecar.scene][sidecar.band] = sidecar
    if not groups:
        raise empty_archive(archive)
    complete = [SceneFiles(files) for files in groups.values() if all(band in files for band in needed)]
    incomplete = [scene for (_tile, scene), files in groups.items() if not all(band in files for band in needed)]
    if not complete:
        raise InputError(
            _("Archive '{}' has no scene with all of {}").format(archive, ", ".join(needed)),
            then=_("Fetch the missing bands with bands= of r.s2.fetch, or leave them out of <bands>."),
        )
    if incomplete:
        grass.warning(
            _(
                "Scenes that lack a band and are left out: {}, for example {}. Run r.s2.fetch again to complete them."
            ).format(len(incomplete), incomplete[0])
        )
    meeting = [scene for scene in _newest(complete) if scene.scl.grid.intersection(area)]
    if not meeting:
        raise InputError(
            _("Archive '{}' has {}, none of them in the region").format(
                archive, counted(len(complete), "{} complete scene", "{} complete scenes")
            ),
            then=_("Check the region with g.region -l, and option <bands>."),
        )
    return meeting


def empty_archive(archive: Path) -> InputError:
    """Return the error of an archive without scenes."""
    return InputError(
        _("Archive '{}' has no complete scene of r.s2.fetch").format(archive),
        then=_("Check option <input>, or run r.s2.fetch."),
    )


def _newest(scenes: Iterable[SceneFiles]) -> list[SceneFiles]:
    """Keep one scene per acquisition, because an archive that grew over time may hold an older processing too."""
    return resolve_newest(scenes, _processing)


def _processing(scene: SceneFiles) -> Processing:
    one = scene.scl
    return Processing(one.tile, one.datatake, one.datastrip, parse_baseline(one.baseline), one.scene)


def resolve_years(years: Sequence[int], scenes: Sequence[SceneFiles], archive: Path) -> tuple[int, ...]:
    """Return the years asked for, or all years of the scenes; raise InputError if a year has no scene."""
    available = tuple(sorted({scene.scl.year for scene in scenes}))
    missing = next((year for year in years if year not in available), None)
    if missing:
        raise InputError(
            _("Archive '{}' has no complete scene over the region in {}").format(archive, missing),
            then=_("Fetch {} with r.s2.fetch, or leave it out. The archive has {}.").format(
                missing, ", ".join(map(str, available))
            ),
        )
    return tuple(years) or available


def tiles_by_year(scenes: Sequence[SceneFiles], years: Sequence[int]) -> dict[int, set[str]]:
    """Return the tiles of the scenes of each year."""
    return {year: {scene.scl.tile for scene in scenes if scene.scl.year == year} for year in years}


def resolve_tasks(
    periods: Sequence[Period], scenes: Sequence[SceneFiles], recipe: Recipe, area: Grid
) -> list[PeriodTask]:
    """Return a task per period, also where a period has no scene."""
    tasks = []
    for period in periods:
        used = tuple(scene for scene in scenes if period.holds(scene.scl.sensed_utc))
        # SCL's mistakes show over many dates, so the masks of a month are checked against all scenes of its year.
        of_year = tuple(scene for scene in scenes if scene.scl.year == period.year or scene in used)
        tasks.append(PeriodTask(period, used, of_year, recipe, area))
    return tasks
