"""The maps of one period: classes, and the probability of each class.

A period is computed window by window into files; these are imported under temporary names, and the maps are renamed at the end, the class
map last. So a period whose class map exists is complete, and a run that was stopped continues with the next period.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import mapnames
from imperviouslib.core.card import Card
from imperviouslib.core.errors import ArdError, InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.provenance import PredictionProvenance, SceneRecord, parse_scenes
from imperviouslib.core.settings.predict import PredictSettings
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.overlap import Behind, do_each
from imperviouslib.work.predict import Results

_LAYERS = (*(mapnames.probability_layer(c.key) for c in CLASSES), mapnames.CLASS)
"""Layers of a period in the order in which their maps get their names; the class map comes last."""


@dataclass(frozen=True)
class Prediction:
    """The maps of one period."""

    period: str
    names: Mapping[str, str]
    """Layer to map name, in the order of _LAYERS."""
    provenance: PredictionProvenance
    halo: int
    """Cells read around a window."""


def plan(ard: ArdFile, period: str, card: Card, part: Grid, settings: PredictSettings, engine: str) -> Prediction:
    """Name the maps of a period, and say what they will be made from."""
    names = {layer: PeriodMap(settings.output, period, layer).name for layer in _LAYERS}
    provenance = PredictionProvenance(
        period=period,
        model=card.model_sha256,
        model_labels={"year": card.label_year, "legend": card.legend},
        data=ard.digests[ard.periods.index(period)],
        ard=ard.digest,
        bounds=part.bounds,
        prior=card.prior,
        temperature=card.calibration.temperature,
        scenes=_scenes(ard, period),
        version=__version__,
        engine=engine,
        precision=settings.precision,
    )
    return Prediction(period, names, provenance, card.halo)


def _scenes(ard: ArdFile, period: str) -> tuple[SceneRecord, ...]:
    """Return the scenes of a period; none for composites of other systems."""
    source = ard.provenance.get(period)
    try:
        return parse_scenes(source.get("scenes", [])) if isinstance(source, dict) else ()
    except TypeError as err:
        raise ArdError(
            _("File '{}' has an incomplete record of the scenes of {} ({})").format(ard.path, period, err),
            then=_("Write it again with this version of r.s2.ard."),
        ) from err


def unfinished(predictions: list[Prediction]) -> list[Prediction]:
    """Return the predictions that must be computed, and tell the user about those that exist."""
    todo = []
    for prediction in predictions:
        if _is_finished(prediction):
            grass.message(_("Period {} exists already, from this model and these data.").format(prediction.period))
            grass.remove_superseded(prediction.names.values())
        else:
            todo.append(prediction)
    return todo


def _is_finished(prediction: Prediction) -> bool:
    """Return whether a period needs no work; raise InputError if maps of its names come from something else."""
    present = [name for name in prediction.names.values() if grass.exists(name)]
    if not present or grass.overwrite():
        return False
    for name in present:
        found = grass.read_provenance(name)
        known = isinstance(found, PredictionProvenance)
        difference = prediction.provenance.difference(found) if known else "origin"
        if difference:
            raise InputError(
                _("Map <{}> already exists, but was not made by this command (different: {})").format(name, difference),
                then=_("Use --overwrite to replace it, or choose another output=."),
            )
    # Without its class map the period was not finished.
    return len(present) == len(prediction.names)


def predict(
    ard: ArdFile, prediction: Prediction, part: Grid, planes: Results, *, link: bool, threads: int, step: Callable[[], None],
    keep: Callable[[np.ndarray, Grid], None] | None = None,
) -> None:  # fmt: skip
    """Put the maps of one period into the mapset, or none of them.

    planes, keep : as `write_period` takes them
    threads : maps at a time
    """
    names = prediction.names
    dtypes = {name: "uint8" if layer == mapnames.CLASS else "uint16" for layer, name in names.items()}
    with grass.new_maps(dtypes, part, link=link, threads=threads) as maps:
        write_period(planes, lambda layer, cells, core: maps.write(names[layer], cells, core), step, keep)
        maps.bring()
        do_each(lambda layer: _describe(maps.temporary[names[layer]], layer, prediction, ard), names, threads)


def write_period(
    planes: Results, write: Callable[[str, np.ndarray, Grid], None], step: Callable[[], None] = lambda: None,
    keep: Callable[[np.ndarray, Grid], None] | None = None,
) -> None:  # fmt: skip
    """Write classes and probabilities of a period, window by window, while the next ones are computed.

    The halo is read from the file also where it lies outside of the region, so the result of a cell does not depend on the region. Memory is
    that of one window: about 200 MB for a network of 16 filters, 700 MB in large files.

    planes : cells of each window, with their planes, or None where no cell is known: these are not written
    write : takes layer, array (row, col), uint8 of the classes and uint16 of the probabilities, and its cells
    step : called after each window
    keep : takes the probabilities of a window too, array (class, row, col), and its cells
    """

    def write_window(core: Grid, classes: np.ndarray, scaled: np.ndarray) -> None:
        write(mapnames.CLASS, classes, core)
        for land, plane in zip(CLASSES, scaled, strict=True):
            write(mapnames.probability_layer(land.key), plane, core)
        if keep:
            keep(scaled, core)

    with Behind() as writer, contextlib.closing(planes) as computed:
        for core, found in computed:
            if found:
                writer.do(write_window, core, *found)
            step()


def _describe(name: str, layer: str, prediction: Prediction, ard: ArdFile) -> None:
    """Write colours, categories, title, history and provenance of a map."""
    period, provenance = prediction.period, prediction.provenance
    if layer == mapnames.CLASS:
        grass.style_classes([name])
        title, units = f"Land cover class, {period}", None
    else:
        land = next(c for c in CLASSES if mapnames.probability_layer(c.key) == layer)
        red, green, blue = land.colour
        grass.run("r.colors", map=name, rules="-", stdin=f"0 255:255:255\n10000 {red}:{green}:{blue}\n")
        title, units = f"Probability of {land.title}, {period}", "probability x 10000"
    grass.describe(
        name,
        title=title,
        units=units,
        semantic_label=layer,
        history=f"r.unet.predict: net {provenance.model[:12]} on {ard.path.name}, period {period}",
        provenance=provenance,
        sources=(str(ard.path),),
    )
