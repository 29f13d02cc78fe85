"""r.unet.predict: map classes and their probabilities, a period at a time.

The recipe: check the model against the data, then for each period infer window by window into GeoTIFFs, bring them into the mapset
under temporary names, and give them their names at the end, the class map last. So a period whose class map is there is whole, and
a run that was killed goes on with the next period.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imperviouslib import __version__
from imperviouslib.core import mapnames
from imperviouslib.core.card import Card, check_fit
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.mapnames import PeriodMap
from imperviouslib.core.options import parse_years
from imperviouslib.core.patches import WINDOW, encode_prediction, resolve_part, windows
from imperviouslib.core.provenance import PredictionProvenance, parse_scenes
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.engine import Infer, open_engine
from imperviouslib.edge.modelfile import read_model
from imperviouslib.edge.rasterfile import TiffWriter


@dataclass(frozen=True)
class Output:
    """The maps of one period."""

    period: str
    names: dict[str, str]
    """`class` and `p_<class key>` to map name; the class map comes last."""
    provenance: PredictionProvenance


def main(options: dict[str, str], flags: dict[str, bool]) -> int:
    """Run the tool."""
    mapnames.check_prefix(options["output"], "output")
    folder = Path(options["model"]).expanduser()
    card = read_model(folder)
    with grass.lock_maps(options["output"]), ArdFile.open(options["input"]) as ard:
        check_fit(card, name=str(folder), features=ard.features, res_m=ard.grid.res_m, data=str(ard.path))
        part = resolve_part(ard.grid, grass.region_grid(ard.grid.res_m), name=str(ard.path))
        grass.remove_abandoned(f"{options['output']}_")
        outputs = [
            _output(ard, period, card, part, options["output"]) for period in _resolve_periods(ard, options["years"])
        ]
        todo = [output for output in outputs if not _done(output)]
        for output in outputs:
            if output not in todo:
                grass.message(f"Period {output.period} is there, by this model and from these data.")
                grass.remove_superseded(output.names.values())
        if not todo:
            return 0
        infer = open_engine(folder, engine=options["engine"], threads=max(0, int(options["nprocs"])))
        total = len(todo) * sum(1 for _ in windows(part, halo=card.halo))
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            grass.percent(done, total)

        for output in todo:
            _predict(ard, output, card, part, infer, link=flags["l"], step=step)
        written = ", ".join(f"<{output.names['class']}>" for output in todo)
        grass.message(f"Mapped {written}, and the probability of each class beside it.")
    return 0


def _resolve_periods(ard: ArdFile, text: str) -> tuple[str, ...]:
    if not text:
        return ard.periods
    years = parse_years(text)
    missing = sorted(set(years) - set(ard.years))
    if missing:
        raise InputError(
            _("Option <years>"),
            found=str(missing[0]),
            expected=_("years of the file, ") + ", ".join(map(str, sorted(set(ard.years)))),
            then=_("Choose of these, or write the file again with r.s2.ard."),
        )
    return tuple(period for period, year in zip(ard.periods, ard.years, strict=True) if year in years)


def _output(ard: ArdFile, period: str, card: Card, part: Grid, prefix: str) -> Output:
    layers = (*(mapnames.probability_layer(c.key) for c in CLASSES), mapnames.CLASS)
    names = {layer: PeriodMap(prefix, period, layer).name for layer in layers}
    source = ard.provenance.get(period) or {}
    provenance = PredictionProvenance(
        period=period,
        model=card.model_sha256,
        model_labels={"year": card.label_year, "legend": card.legend},
        data=ard.digests[ard.periods.index(period)],
        ard=ard.digest,
        bounds=part.bounds,
        prior=card.prior,
        temperature=card.calibration.get("temperature"),
        scenes=parse_scenes(source.get("scenes", [])) if isinstance(source, dict) else (),
        version=__version__,
    )
    return Output(period, names, provenance)


def _done(output: Output) -> bool:
    """Tell whether a period needs no work; raise InputError where its maps are others than this run would make."""
    present = [name for name in output.names.values() if grass.exists(name)]
    if not present or grass.overwrite():
        return False
    for name in present:
        found = grass.read_provenance(name)
        known = isinstance(found, PredictionProvenance)
        difference = output.provenance.difference(found) if known else "origin"
        if difference:
            raise InputError(
                _("Map <{}>").format(name),
                found=_("a map of another {}").format(difference),
                expected=_("a new name, or a map of this model and these data"),
                then=_("Use --overwrite to replace it, or another output."),
            )
    # Without its class map the period was not finished.
    return len(present) == len(output.names)


def _predict(
    ard: ArdFile, output: Output, card: Card, part: Grid, infer: Infer, *, link: bool, step: Callable[[], None]
) -> None:
    """Infer one period, and let its maps appear."""
    mark = uuid.uuid4().hex[:8]
    folder = grass.linked_folder() if link else grass.temporary_folder()
    files = {key: folder / f"{name}.{mark}.tif" for key, name in output.names.items()}
    temporary = {key: grass.temporary_name(name) for key, name in output.names.items()}
    appeared = False
    try:
        infer_period(ard, output.period, card.halo, part, infer, files, step)
        for key, name in temporary.items():
            grass.import_tiff(files[key], name, link=link)
            _dress(name, key, output, card, ard)
        grass.remove(output.names.values())
        for key, name in output.names.items():
            grass.run("g.rename", raster=(temporary[key], name))
        appeared = True
    finally:
        grass.remove(temporary.values())
        if not (link and appeared):
            for path in files.values():
                path.unlink(missing_ok=True)
        grass.remove_superseded(output.names.values())


def infer_period(
    ard: ArdFile,
    period: str,
    halo: int,
    part: Grid,
    infer: Infer,
    files: dict[str, Path],
    step: Callable[[], None] = lambda: None,
    *,
    size: int = WINDOW,
) -> None:
    """Write classes and probabilities of a period to GeoTIFFs on `part`, window by window.

    The halo is read from the file also where it lies outside `part`, so a cell does not depend on the region. Memory is that
    of one window: about 200 MB for a net of 16 filters.

    files : dict, `class` and `p_<class key>` to path; 0 = no data
    """
    with contextlib.ExitStack() as stack:
        out = {
            key: stack.enter_context(TiffWriter(path, part, "uint8" if key == mapnames.CLASS else "uint16", nodata=0))
            for key, path in files.items()
        }
        for core, window in windows(part, halo=halo, size=size):
            stored = ard.read(period, window)
            rows, cols = core.slices_in(window)
            known = (stored[:, rows, cols] > 0).all(axis=0)
            # Where nothing is known the file keeps its no data.
            if known.any():
                classes, scaled = encode_prediction(infer(stored)[:, rows, cols], known)
                out[mapnames.CLASS].write(classes, core)
                for land, plane in zip(CLASSES, scaled, strict=True):
                    out[mapnames.probability_layer(land.key)].write(plane, core)
            step()


def _dress(name: str, key: str, output: Output, card: Card, ard: ArdFile) -> None:
    """Give a map its colours, categories, title, history and provenance."""
    history = f"r.unet.predict: net {card.model_sha256[:12]} on {ard.path.name}, period {output.period}"
    described = {"history": history, "provenance": output.provenance, "sources": (str(ard.path),)}
    if key == mapnames.CLASS:
        grass.style_classes(name)
        grass.describe(name, title=f"Land cover class, {output.period}", **described)
        return
    land = next(c for c in CLASSES if mapnames.probability_layer(c.key) == key)
    red, green, blue = land.colour
    grass.run("r.colors", map=name, rules="-", stdin=f"0 255:255:255\n10000 {red}:{green}:{blue}\n")
    title = f"Probability of {land.title}, {output.period}"
    grass.describe(name, title=title, units="probability x 10000", **described)
