"""The maps of the histories of cells, made from all years together: when each cell was sealed or unsealed, and how probable that is.

Evidence from the yearly maps (step test) and from the features (series net) is computed strip by strip and kept in a file. Then the region's
rates are estimated from it, and the probabilities of all maps are computed in a second pass. Maps get their names at the end, so a run that
was stopped leaves none, and the next run begins with the histories again.
"""

from __future__ import annotations

import contextlib
import functools
import math
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from imperviouslib import __version__
from imperviouslib.core import mapnames, series
from imperviouslib.core.card import Card, SeriesRecord
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import ARTIFICIAL, CLASSES
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.provenance import SeriesProvenance
from imperviouslib.core.series import Histories, Rates
from imperviouslib.core.settings.predict import PredictSettings
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.files import reserve
from imperviouslib.edge.overlap import do_each, read_ahead
from imperviouslib.edge.rasterfile import TILE
from imperviouslib.edge.schedule import Crew
from imperviouslib.work.predict import EvidenceTask, Model, Source, evidence_here, find_evidence

_WIDTH, _VALUES = 16 * TILE, 2**25
"""Columns of a strip, and features of all years that are in memory at once (2 bytes each), at most."""
_SAMPLE = 2_000_000
"""About how many cells the rates are estimated from."""
_SEALED = next(c for c in CLASSES if c.code == ARTIFICIAL)
_OTHERS = tuple(c for c in CLASSES if c is not _SEALED)


@dataclass(frozen=True)
class Layer:
    """A map of the histories."""

    name: str
    """Name in the GRASS database."""
    kind: str
    """SEALED, SERIES, SEALING or UNSEALING of core/mapnames.py."""
    first: int
    last: int
    """Years; equal for a map of one year."""

    @property
    def dtype(self) -> str:
        """Type of the cells."""
        return "uint8" if self.kind == mapnames.SERIES else "float32"

    @property
    def title(self) -> str:
        """Title for people."""
        words = {
            mapnames.SEALED: _("Probability of sealed land"), mapnames.SERIES: _("Land cover class by the series"),
            mapnames.SEALING: _("Probability of sealing"), mapnames.UNSEALING: _("Probability of unsealing"),
        }  # fmt: skip
        span = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        return f"{words[self.kind]}, {span}"


@dataclass(frozen=True)
class Task:
    """The histories of one region."""

    ard: ArdFile
    card: Card
    record: SeriesRecord
    histories: Histories
    part: Grid
    settings: PredictSettings

    @property
    def prefix(self) -> str:
        """Prefix of the maps."""
        return self.settings.output

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The maps to write."""
        years, pairs = self.histories.years, list(self.histories.pairs)
        if len(years) > 2:
            pairs.append((years[0], years[-1]))
        kinds = (mapnames.SEALED, mapnames.SERIES), (mapnames.SEALING, mapnames.UNSEALING)
        return (
            *(Layer(PeriodMap(self.prefix, str(y), kind).name, kind, y, y) for y in years for kind in kinds[0]),
            *(Layer(mapnames.change_map(self.prefix, p, kind), kind, *p) for p in pairs for kind in kinds[1]),
        )

    @property
    def strips(self) -> list[Grid]:
        """The region in strips as high as the tiles of the GeoTIFFs, one band of columns after the other."""
        return [strip for band in self._bands for strip in band.parts(TILE)]

    @property
    def _bands(self) -> Iterator[Grid]:
        return self.part.parts(self.part.height, _WIDTH)

    def read_strips(self, maps: Sequence[str]) -> Generator[np.ndarray, None, None]:
        """Yield integer maps of this mapset on each strip, whatever mask is set: array (map, row, col), int32, 0 = NULL."""
        wanted = [(f"{name}@{grass.mapset_folder().name}", "i4") for name in maps]
        for band in self._bands:
            for _strip, found in grass.read_maps(wanted, band, TILE, masked=False):
                yield np.stack(list(found.values()))

    @property
    def columns(self) -> int:
        """Columns of a window in which evidence is computed."""
        return max(TILE, _VALUES // (TILE * len(self.histories.years) * len(self.ard.features)))

    @property
    def provenance(self) -> SeriesProvenance:
        """What the maps are made from; without rates, which are estimated later."""
        digests = {year: self.ard.digests[self.ard.periods.index(str(year))] for year in self.histories.years}
        return SeriesProvenance(
            years=self.histories.years, series=self.record.sha256, model=self.card.model_sha256,
            data={str(year): digest for year, digest in digests.items()}, bounds=self.part.bounds, version=__version__,
            precision=self.settings.precision, constants=series.CONSTANTS,
        )  # fmt: skip

    def yearly(self, class_key: str) -> list[str]:
        """Return the names of the yearly probability maps of a class."""
        layer = mapnames.probability_layer(class_key)
        return [PeriodMap(self.prefix, str(year), layer).name for year in self.histories.years]


@dataclass(frozen=True)
class Kept:
    """What the histories need of yearly maps, kept while these are made: reading it again would start a GRASS tool for each of 28 maps."""

    sealed: np.ndarray
    """Array (year, row, col), uint16, probability of sealed land x 10000, 0 = NULL."""
    others: np.ndarray
    """Array (class, row, col), uint32, sums over the years of the probabilities of the other classes."""
    part: Grid
    """The cells of both."""

    def add(self, year: int, scaled: np.ndarray, core: Grid) -> None:
        """Add a window. year : number of the year; scaled : array (class, row, col), as it is written into the maps; core : its cells"""
        where = core.slices_in(self.part)
        self.sealed[(year, *where)] = scaled[CLASSES.index(_SEALED)]
        for total, land in zip(self.others, _OTHERS, strict=True):
            total[where] += scaled[CLASSES.index(land)]


@contextlib.contextmanager
def keep_yearly(years: int, part: Grid) -> Iterator[Kept]:
    """Give room on the disk for what is kept of yearly maps. Raises OSError on a full disk."""
    with (
        _scratch("sealed", (years, *part.shape), np.uint16) as sealed,
        _scratch("others", (len(_OTHERS), *part.shape), np.uint32) as others,
    ):
        yield Kept(sealed, others, part)


def predict(
    task: Task, source: Source, model: Model, crew: Callable[[], Crew], kept: Kept | None = None
) -> Sequence[Layer]:
    """Map the histories, unless these maps exist. Returns: the maps; none where no cell was seen.

    source, model : what the workers read
    crew : returns those who compute the evidence; called only where there is something to do
    kept : of the yearly maps of all years, where they were all made just now; else the maps are read
    """
    years, settings = task.histories.years, task.settings
    names = [layer.name for layer in task.layers]
    outdated = _check_existing(task)
    if outdated is None:
        grass.message(
            _("Histories of {}-{} exist already, from this model and these data.").format(years[0], years[-1])
        )
        grass.remove_superseded(names)
        return task.layers
    grass.message(_("Computing the histories of cells from {} years...").format(len(years)))
    with contextlib.ExitStack() as stack:
        evidence = stack.enter_context(_scratch("evidence", (len(task.histories), *task.part.shape), np.float16))
        # Read from the begin: the tools that read the maps start while the evidence is computed.
        others = stack.enter_context(contextlib.closing(read_ahead(_others(task, kept))))
        _gather(task, evidence, _sealed(task, kept), source, model, crew())
        rates = resolve_rates(evidence, task.histories)
        if rates is None:
            grass.warning(_("No cell of the region was seen in any of the years: there are no maps of histories."))
            return ()
        dtypes = {layer.name: layer.dtype for layer in task.layers}
        threads = settings.threads
        with grass.new_maps(dtypes, task.part, link=settings.link, threads=threads, replaced=outdated) as maps:
            _write(task, evidence, others, rates, maps)
            maps.bring()
            _describe(task, replace(task.provenance, rates=asdict(rates)), maps.temporary)
    grass.message(
        _("Histories of {}-{}: {:.2f} % of the land is sealed in all years; {:.4f} % is sealed and {:.4f} % unsealed in a year.").format(
            years[0], years[-1], 100 * rates.always, 100 * rates.gain, 100 * rates.loss,
        )
    )  # fmt: skip
    return task.layers


def _check_existing(task: Task) -> list[str] | None:
    """Return the maps of an earlier series under this prefix, to be removed; None if all maps exist and nothing is to be done.

    A new year revises the histories of the earlier ones, so maps of fewer years of the same series are replaced. Raises InputError if maps
    of these names come from something else.
    """
    names = [layer.name for layer in task.layers]
    series_of = {name: grass.read_provenance(name) for name in names if grass.exists(name)}
    for name, found in series_of.items():
        difference = task.provenance.difference(found) if isinstance(found, SeriesProvenance) else "origin"
        revised = isinstance(found, SeriesProvenance) and task.provenance.extends(found)
        if difference and not revised and not grass.overwrite():
            raise InputError(
                _("Map <{}> already exists, but was not made by this command (different: {})").format(name, difference),
                then=_("Use --overwrite to replace it, or choose another output=."),
            )
    earlier = [found for found in series_of.values() if isinstance(found, SeriesProvenance)]
    other = {found.years for found in earlier if task.provenance.difference(found)}
    if len(series_of) == len(names) and not other and not grass.overwrite():
        return None
    if other:
        grass.message(_("The histories of an earlier run are revised."))
    stale = {layer.name for years in other for layer in replace(task, histories=Histories(years)).layers}
    return [name for name in sorted(stale - set(names)) if grass.exists(name)]


@contextlib.contextmanager
def _scratch(what: str, shape: tuple[int, ...], dtype: type) -> Iterator[np.ndarray]:
    """Give room on the disk for an array of zeros. Raises OSError on a full disk."""
    path = grass.temporary_folder() / f"{what}.{uuid.uuid4().hex[:8]}.bin"
    try:
        # Where a page cannot be written later, the system ends the process at once.
        reserve(path, math.prod(shape) * np.dtype(dtype).itemsize)
        yield np.memmap(path, dtype, "r+", shape=shape)
    finally:
        path.unlink(missing_ok=True)


def _gather(
    task: Task, evidence: np.ndarray, sealed: Iterable[np.ndarray], source: Source, model: Model, crew: Crew
) -> None:
    """Compute the evidence of all cells: array (history, row, col), NaN = never seen. sealed : what `_sealed` yields"""
    prior, strips = task.card.calibration.level, task.strips
    tasks = (
        EvidenceTask(source, model, task.histories.years, task.card.scaling, task.record.shares, window)
        for strip in strips
        for window in strip.parts(TILE, task.columns)
    )
    computed = crew.in_order(find_evidence, tasks) if crew.is_remote else evidence_here(tasks)
    with contextlib.closing(computed) as results:
        for number, (strip, scaled) in enumerate(zip(strips, sealed, strict=True)):
            with np.errstate(divide="ignore", invalid="ignore"):
                logit = np.where(scaled > 0, np.log(scaled / (10_000 - scaled)), np.nan)
            for window in strip.parts(TILE, task.columns):
                rows, cols = window.slices_in(strip)
                _task, (near, seen) = next(results)
                both = series.combine(near, series.step_evidence(logit[:, rows, cols], prior), seen)
                # A cell is seen in a year if it has a yearly map there; features and maps agree in this.
                both[:, ~seen.any(axis=0)] = np.nan
                evidence[(slice(None), *window.slices_in(task.part))] = both
            grass.percent(number + 1, 2 * len(strips))


def resolve_rates(evidence: np.ndarray, histories: Histories) -> Rates | None:
    """Estimate the rates from cells at regular distances, and tell the user where they are not believed; None if no cell was seen."""
    seen = sum(np.count_nonzero(~np.isnan(row)) for row in evidence[0])
    if not seen:
        return None
    stride = max(1, round((seen / _SAMPLE) ** 0.5))
    sample = np.asarray(evidence[:, ::stride, ::stride], np.float32).reshape(len(evidence), -1)
    known = ~np.isnan(sample[0])
    cells = np.count_nonzero(known)
    # In one piece of memory, which takes longer to get than to compute in.
    for row in sample:
        row[:cells] = row[known]
    rates = series.fit_rates(sample[:, :cells], histories, in_place=True)
    defaults = {"gain": (_("sealed"), series.DEFAULT_GAIN), "loss": (_("unsealed"), series.DEFAULT_LOSS)}
    for key in rates.defaults:
        word, share = defaults[key]
        grass.warning(
            _("The region does not show how much land is {} in a year. A default rate is used: {:g} % of the sealed land.").format(word, 100 * share)
        )  # fmt: skip
    return rates


def _sealed(task: Task, kept: Kept | None) -> Iterator[np.ndarray]:
    """Yield for each strip the yearly probabilities of sealed land: array (year, row, col), x 10000, 0 = NULL."""
    if kept:
        return (kept.sealed[(slice(None), *strip.slices_in(task.part))] for strip in task.strips)
    return task.read_strips(task.yearly(_SEALED.key))


def _others(task: Task, kept: Kept | None) -> Iterator[np.ndarray]:
    """Yield for each strip the class that land has where it is not sealed: array (row, col), uint8."""
    codes = np.array([land.code for land in _OTHERS], np.uint8)
    sums: Iterator[np.ndarray]
    if kept:
        sums = (kept.others[(slice(None), *strip.slices_in(task.part))] for strip in task.strips)
    else:
        maps = task.read_strips([name for land in _OTHERS for name in task.yearly(land.key)])
        sums = (scaled.reshape(len(_OTHERS), -1, *scaled.shape[1:]).sum(axis=1) for scaled in maps)
    return (codes[total.argmax(axis=0)] for total in sums)


def _write(task: Task, evidence: np.ndarray, others: Iterable[np.ndarray], rates: Rates, maps: grass.NewMaps) -> None:
    """Compute all maps strip by strip, and write them. others : what `_others` yields"""
    histories, strips = task.histories, task.strips

    def compute() -> Iterator[tuple[Grid, np.ndarray, np.ndarray, np.ndarray]]:
        for strip, other in zip(strips, others, strict=True):
            known = np.asarray(evidence[(slice(None), *strip.slices_in(task.part))], np.float32)
            found = series.posterior(known, rates, histories)
            # The sum of probabilities may exceed 1 by the floating-point error.
            yield strip, found, np.minimum(histories.stocks(found), np.float32(1)), other

    with contextlib.closing(read_ahead(compute())) as computed:
        for number, planes in enumerate(computed):
            do_each(functools.partial(_write_layer, histories, maps, *planes), task.layers, task.settings.threads)
            grass.percent(len(strips) + number + 1, 2 * len(strips))


def _write_layer(
    histories: Histories, maps: grass.NewMaps, strip: Grid, found: np.ndarray, stocks: np.ndarray,
    other: np.ndarray, layer: Layer,
) -> None:  # fmt: skip
    """Write a strip of a map. found : array (history, row, col); stocks : array (year, row, col); other : array (row, col), class of unsealed land"""
    first, last = histories.years.index(layer.first), histories.years.index(layer.last)
    if layer.kind == mapnames.SEALED:
        plane = stocks[first]
    elif layer.kind == mapnames.SERIES:
        classes = np.where(stocks[first] >= 0.5, np.uint8(ARTIFICIAL), other)
        plane = np.where(np.isnan(stocks[first]), np.uint8(0), classes)
    else:
        change = found[histories.gains if layer.kind == mapnames.SEALING else histories.losses]
        plane = np.minimum(change[first:last].sum(axis=0), np.float32(1))
    maps.write(layer.name, plane, strip)


_COLOURS = {mapnames.SEALED: "178:24:43", mapnames.SEALING: "178:24:43", mapnames.UNSEALING: "33:102:172"}


def _describe(task: Task, provenance: SeriesProvenance, names: Mapping[str, str]) -> None:
    """Write colours, categories, title, history and provenance of the maps. names : of each map to its present name"""
    years, threads = provenance.years, task.settings.threads
    named = {
        kind: [names[one.name] for one in task.layers if one.kind == kind] for kind in (*_COLOURS, mapnames.SERIES)
    }
    rules = {kind: f"0 255:255:255\n1 {colour}\n" for kind, colour in _COLOURS.items()}
    do_each(
        lambda kind: grass.colour(named[kind], rules[kind]) if kind in rules else grass.style_classes(named[kind], threads), named, threads,
    )  # fmt: skip

    def describe(layer: Layer) -> None:
        grass.describe(
            names[layer.name],
            title=layer.title,
            units=None if layer.kind == mapnames.SERIES else "probability",
            semantic_label=layer.kind,
            history=f"r.unet.predict: series net {provenance.series[:12]} on {task.ard.path.name}, {years[0]}-{years[-1]}",
            provenance=provenance,
            sources=(str(task.ard.path),),
        )

    do_each(describe, task.layers, threads)
