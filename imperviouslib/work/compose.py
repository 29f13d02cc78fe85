"""The composite of one block: which files are read, and what is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from imperviouslib.core.archive import Sidecar
from imperviouslib.core.bands import SCL
from imperviouslib.core.cloudmask import by_overpass, clear, cloud_distance, false_alarms, margin, score
from imperviouslib.core.composite import NO_SCENE, Observations
from imperviouslib.core.grid import BLOCK, Grid
from imperviouslib.core.mapnames import COUNT, QUALITY, SPREAD
from imperviouslib.core.periods import Period
from imperviouslib.core.recipe import Recipe
from imperviouslib.edge.rasterfile import OpenRasters

_LAYERS = 64
"""Layers of a whole block held in memory; with more layers, a block is computed in quarters or sixteenths."""


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene."""

    bands: Mapping[str, Sidecar]
    """Band to its sidecar, SCL among them."""

    @property
    def scl(self) -> Sidecar:
        """Return the sidecar of SCL; what it says of scene, time and grid holds for all bands."""
        return self.bands[SCL]

    @property
    def reflectance(self) -> Sidecar:
        """Return the sidecar of one band with reflectance, for the offset that all of them share."""
        return next(sidecar for band, sidecar in sorted(self.bands.items()) if band != SCL)

    def size(self, bands: Iterable[str]) -> int:
        """Return the bytes that the source objects of some bands had."""
        return sum(self.bands[band].source_size for band in bands)


@dataclass(frozen=True)
class PeriodTask:
    """All that the maps of one period depend on."""

    period: Period
    scenes: tuple[SceneFiles, ...]
    """Scenes to make the composite of; may be none."""
    mask_scenes: tuple[SceneFiles, ...]
    """All scenes of the year, against which cloud masks are checked."""
    recipe: Recipe
    area: Grid


@dataclass(frozen=True)
class BlockTask:
    """A block of a period."""

    block: Grid
    period: PeriodTask
    """With the scenes near the block."""


def block_task(block: Grid, period: PeriodTask) -> BlockTask:
    """Return the task of a block: without the scenes that lie elsewhere, so that it is small."""
    recipe = period.recipe
    around = block.grown(margin(recipe.dilate, recipe.mask, scored=recipe.scored))

    def near(scenes: Iterable[SceneFiles]) -> tuple[SceneFiles, ...]:
        return tuple(scene for scene in scenes if scene.scl.grid.intersection(around))

    return BlockTask(block, replace(period, scenes=near(period.scenes), mask_scenes=near(period.mask_scenes)))


def compose(task: BlockTask) -> dict[str, np.ndarray]:
    """Compose one block, as `compose_block` does."""
    with OpenRasters() as rasters:
        return compose_block(task.block, task.period, rasters)


def compose_block(block: Grid, task: PeriodTask, rasters: OpenRasters) -> dict[str, np.ndarray]:
    """Compose one block. A cell's values do not depend on the block, because enough of the surroundings is read.

    Returns: layer to array (row, col), with type and no data of core/recipe.Layer
    """
    recipe = task.recipe
    out = {layer.name: np.empty(block.shape, layer.dtype) for layer in recipe.layers}
    layers = len({scene.scl.datatake for scene in task.scenes}) * len(recipe.variables)
    step = BLOCK if layers <= _LAYERS else BLOCK // 2 if layers <= 4 * _LAYERS else BLOCK // 4
    for part in block.blocks(step):
        for name, plane in _compose_part(part, task, rasters).items():
            out[name][part.slices_in(block)] = plane
    return out


def _compose_part(part: Grid, task: PeriodTask, rasters: OpenRasters) -> dict[str, np.ndarray]:
    recipe = task.recipe
    around = part.grown(margin(recipe.dilate, recipe.mask, scored=recipe.scored))
    inner = part.slices_in(around)
    masked = _read_masked(around, task, rasters)
    # In order of time, as `latest` needs it; of an overpass the day of its first scene.
    days = {s.scl.datatake: date.fromisoformat(s.scl.sensed_utc[:10]).toordinal() for s, *_ in reversed(masked)}
    observations = Observations(
        len(recipe.variables), [s.scl.datatake for s, *_ in masked], part.shape, scored=recipe.scored
    )
    covered = np.zeros(part.shape, bool)
    for scene, classes, alarms in masked:
        covered |= classes[inner] > 0
        mask = clear(classes, recipe.dilate, alarms)[inner]
        if not mask.any():
            continue
        scores = None
        if recipe.scored:
            scores = score(cloud_distance(classes, alarms)[inner], task.period.off_centre(scene.scl.sensed_utc))
        observations.add(scene.scl.datatake, _read_variables(scene, part, task, rasters), mask, scores)
    count = observations.count()
    planes = {COUNT: np.where(covered | (count > 0), np.minimum(count, NO_SCENE - 1), NO_SCENE).astype(np.uint8)}
    if recipe.quality:
        planes[SPREAD] = observations.spread([days[name] for name in observations.overpasses])
        planes[QUALITY] = observations.quality()
    # At the end, because it destroys the observations.
    made = recipe.compose(observations)
    return planes | dict(zip((feature.name for feature in recipe.features), made, strict=True))


def _read_variables(scene: SceneFiles, part: Grid, task: PeriodTask, rasters: OpenRasters) -> list[np.ndarray]:
    """Read the bands of a scene and compute its variables: list of array (row, col), uint16, 0 = no data."""
    planes = {band: rasters.read(scene.bands[band].path, part) for band in task.recipe.bands}
    return [variable.compute([planes[band] for band in variable.bands]) for variable in task.recipe.observed]


def _read_masked(
    around: Grid, task: PeriodTask, rasters: OpenRasters
) -> list[tuple[SceneFiles, np.ndarray, np.ndarray | None]]:
    """Read SCL of the scenes near a part, in order of time.

    Returns: (scene, SCL, false alarms) of each scene of the period: arrays (row, col), uint8 and bool; no alarms with mask=scl
    """
    by_dates = task.recipe.mask == "dates"
    scenes = {scene.scl.scene: scene for scene in (*task.scenes, *(task.mask_scenes if by_dates else ()))}
    near = sorted(
        (scene for scene in scenes.values() if scene.scl.grid.intersection(around)),
        key=lambda scene: (scene.scl.sensed_utc, scene.scl.tile, scene.scl.scene),
    )
    scl = np.zeros((len(near), *around.shape), np.uint8)
    for classes, scene in zip(scl, near, strict=True):
        classes[:] = rasters.read(scene.bands[SCL].path, around)
    alarms: Sequence[np.ndarray | None] = [None] * len(near)
    if by_dates:
        # The tiles of one overpass are one date.
        dates, of_scene = by_overpass(scl, [scene.scl.datatake for scene in near])
        found = false_alarms(dates)
        alarms = [found[number] for number in of_scene]
    wanted = {scene.scl.scene for scene in task.scenes}
    return [masked for masked in zip(near, scl, alarms, strict=True) if masked[0].scl.scene in wanted]
