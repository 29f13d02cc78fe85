"""The maps of one period in the mapset: made once, complete before they get their names, with their provenance."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence

from imperviouslib import __version__
from imperviouslib.core import mapnames
from imperviouslib.core.bands import SCL
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.mapnames import COUNT, PeriodMap
from imperviouslib.core.provenance import CompositeProvenance, MaskScenes, SceneRecord
from imperviouslib.core.recipe import Layer
from imperviouslib.edge import grass
from imperviouslib.edge.schedule import Crew
from imperviouslib.stage.yearly.planes import write_planes
from imperviouslib.work.compose import PeriodTask, SceneFiles

Names = Mapping[str, str]
"""Layer to the name of its map."""


def compose(task: PeriodTask, prefix: str, crew: Callable[[], Crew], *, link: bool) -> Names:
    """Make the composite of a period block by block and bring its maps into the mapset.

    crew : returns those who compute the blocks; called only where there is something to do
    Returns: the names of the maps
    """
    names, provenance = _names(task, prefix), _provenance(task, task.scenes)
    if _exist(names, provenance):
        grass.message(_("Composite of {} already exists.").format(task.period.name))
        _finish(task, prefix, names)
        return names
    grass.message(_("Making the composite of {} (scenes: {})...").format(task.period.name, len(task.scenes)))
    folder = grass.linked_folder() if link else grass.temporary_folder()
    # A new file name for each run, because the file of an existing linked map must not change.
    mark = uuid.uuid4().hex[:8]
    paths = {layer: folder / f"{name}.{mark}.tif" for layer, name in names.items()}
    settings = " ".join(f"{key}={value}" for key, value in task.recipe.settings.items())
    history = f"r.s2.yearly {settings}, {len(task.scenes)} scenes: {_ids(task.scenes)}"
    try:
        write_planes(paths, task, crew())
        # Maps get their names at the end: a map with its name is complete, and a killed run leaves nothing that looks finished.
        for layer in task.recipe.layers:
            part = _part(names[layer.name])
            grass.import_tiff(paths[layer.name], part, link=link, replace=True)
            if not link:
                paths[layer.name].unlink()
            _describe(part, layer, history, provenance[layer.name])
            grass.run("r.colors", map=part, color=layer.color)
        grass.give_names({_part(name): name for name in names.values()})
    except BaseException:
        # These may be what fills the disk.
        grass.remove(_part(name) for name in names.values())
        if link:
            grass.remove_superseded(names.values())
        else:
            for path in paths.values():
                path.unlink(missing_ok=True)
        raise
    _finish(task, prefix, names)
    return names


def join_scenes(task: PeriodTask, prefix: str) -> Names:
    """Join the scene with the most bytes of each tile into virtual mosaics. Returns: the names of the period's maps."""
    recipe, period = task.recipe, task.period.name
    best: dict[str, SceneFiles] = {}
    for scene in sorted(task.scenes, key=lambda scene: (scene.size(recipe.bands), scene.scl.scene)):
        best[scene.scl.tile] = scene
    chosen = [best[tile] for tile in sorted(best)]
    names, provenance = _names(task, prefix), _provenance(task, chosen)
    history = f"r.s2.yearly method={recipe.method}: {_ids(chosen)}"
    if _exist(names, provenance):
        grass.message(_("Mosaic of {} already exists.").format(period))
        _finish(task, prefix, names)
        return names
    features = [layer for layer in recipe.layers if layer.name != COUNT]
    for layer, band in zip(features, recipe.bands, strict=True):
        scenes = [mapnames.joined(prefix, period, scene.scl.tile, band) for scene in chosen]
        for name, scene in zip(scenes, chosen, strict=True):
            grass.link_file(scene.bands[band].path, name)
        part = _part(names[layer.name])
        grass.mosaic(scenes, part, replace=True)
        _describe(part, layer, history, provenance[layer.name])
        # Stretched by the range: a histogram would read the virtual map, which is slow where tiles overlap.
        grass.run("r.colors", map=part, color="grey")
        grass.give_names({part: names[layer.name]})
    part = _part(names[COUNT])
    missing = " || ".join(f"isnull({names[layer.name]})" for layer in features)
    grass.run("r.mapcalc", grid=task.area, expression=f"{part} = if({missing}, null(), 1)", overwrite=True)
    grass.describe(
        part, title=f"Observations, {period}", history=history, provenance=provenance[COUNT], semantic_label=COUNT
    )
    grass.give_names({part: names[COUNT]})
    _finish(task, prefix, names)
    return names


def chosen_scenes(task: PeriodTask) -> int:
    """Return how many scenes the maps of a period are made of."""
    return len({scene.scl.tile for scene in task.scenes}) if task.recipe.how.joins_scenes else len(task.scenes)


def _names(task: PeriodTask, prefix: str) -> Names:
    return {layer.name: PeriodMap(prefix, task.period.name, layer.name).name for layer in task.recipe.layers}


def _part(name: str) -> str:
    """Return the name of a map that is not complete yet."""
    return f"{name}_part"


def _describe(part: str, layer: Layer, history: str, provenance: CompositeProvenance) -> None:
    """Write what is known of a layer's map into its metadata."""
    grass.describe(
        part,
        title=f"{layer.title}, {provenance.period}",
        history=history,
        provenance=provenance,
        units=layer.units,
        semantic_label=layer.semantic_label,
    )


def _ids(scenes: Sequence[SceneFiles]) -> str:
    return " ".join(scene.scl.scene for scene in scenes)


def _provenance(task: PeriodTask, used: Sequence[SceneFiles]) -> dict[str, CompositeProvenance]:
    """Return the provenance of each layer."""
    recipe = task.recipe
    scenes = tuple(
        SceneRecord(
            scene.scl.scene, scene.scl.tile, scene.scl.sensed_utc, scene.scl.baseline,
            scene.reflectance.offset_dn, scene.reflectance.offset_rule,
            {band: scene.bands[band].output_sha256 for band in sorted((*recipe.bands, SCL))},
        )
        for scene in used
    )  # fmt: skip
    masked_by = None
    if not recipe.how.joins_scenes and recipe.mask == "dates" and len(task.mask_scenes) > len(used):
        text = " ".join(sorted(scene.scl.output_sha256 for scene in task.mask_scenes))
        masked_by = MaskScenes(len(task.mask_scenes), hashlib.sha256(text.encode()).hexdigest())
    return {
        layer.name: CompositeProvenance(
            task.period.name, layer.name, recipe.method, recipe.settings, scenes, task.area, __version__, masked_by
        )
        for layer in recipe.layers
    }


def _exist(names: Names, provenance: Mapping[str, CompositeProvenance]) -> bool:
    """Tell whether all maps of a period exist, made in the same way; raise InputError if one was made differently.

    A map with its name is complete. If only some exist, they are from a killed run, and the period is made again.
    """
    if grass.overwrite():
        return False
    existing = [layer for layer, name in names.items() if grass.exists(name)]
    for layer in existing:
        if grass.read_provenance(names[layer]) != provenance[layer]:
            raise InputError(
                _("Map <{}> already exists, made from other scenes, for another region or with other options").format(
                    names[layer]
                ),
                then=_("Use --overwrite to replace it, or choose another output=."),
            )
    return len(existing) == len(names)


def _finish(task: PeriodTask, prefix: str, names: Names) -> None:
    """Remove files that no map is linked to any more and group the features; also where an earlier run was stopped before this."""
    grass.remove_superseded(names.values())
    features = ",".join(names[feature.name] for feature in task.recipe.features)
    grass.run("i.group", group=mapnames.joined(prefix, task.period.name), input=features)
