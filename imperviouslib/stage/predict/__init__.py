"""r.unet.predict: from analysis-ready data and a model to maps: of each period, and of the histories of cells over all years.

First each period is mapped by itself (yearly). Then, if the model has a series model and the periods are two or more years, the years are
judged together (histories).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from imperviouslib.core import mapnames
from imperviouslib.core.card import check_fit
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.periods import period_named, times_between
from imperviouslib.core.settings.predict import PredictSettings
from imperviouslib.core.windows import resolve_part, window_size, windows
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.engine import SERIES, UNET, Engine, Infer, open_unet, resolve_engine
from imperviouslib.edge.modelfile import model_files, read_model
from imperviouslib.stage.predict import histories, yearly


def main(options: Options, flags: Flags) -> int:
    """Run the tool."""
    return run(PredictSettings.parse(options, flags))


def run(settings: PredictSettings) -> int:
    """Map all periods that are not mapped yet, and then the histories; return the exit status."""
    card = read_model(settings.model)
    nets = (UNET, SERIES) if card.series else (UNET,)
    engine = resolve_engine(settings.engine, model_files(card), nets)
    with grass.lock_maps(settings.output), ArdFile.open(settings.input) as ard:
        check_fit(card, name=str(settings.model), features=ard.features, res_m=ard.grid.res_m, data=str(ard.path))
        part = resolve_part(ard.grid, grass.region_grid(ard.grid.res_m), name=str(ard.path))
        grass.remove_abandoned(mapnames.joined(settings.output, ""))
        periods = _resolve_periods(ard, settings.years)
        planned = [yearly.plan(ard, period, card, part, settings, engine.name) for period in periods]
        todo = yearly.unfinished(planned)
        if todo:
            infer = _open(engine, settings)
            each = sum(1 for _window in windows(part, halo=card.halo, size=window_size(ard.grid)))
            step = progress(len(todo) * each)
            for prediction in todo:
                yearly.predict(ard, prediction, part, infer, link=settings.link, step=step)
            written = ", ".join(f"<{prediction.names[mapnames.CLASS]}>" for prediction in todo)
            grass.message(_("Mapped {}, and the probability of each class.").format(written))
        if card.series and len(periods) > 1 and all(period.isdigit() for period in periods):
            between = histories.predict(ard, card, card.series, tuple(map(int, periods)), part, settings, engine)
        else:
            between = []
        times = [f"{name}|{period_named(one.period).times}" for one in planned for name in one.names.values()]
        times += [f"{layer.name}|{times_between(layer.first, layer.last)}" for layer in between]
        # A run that finds all maps made and registered starts no temporal tool.
        if not all(grass.has_timestamp(line.split("|")[0]) for line in times):
            grass.register_finished(settings.output, _("Land cover classes and probabilities"), times)
    return 0


def _open(engine: Engine, settings: PredictSettings) -> Infer:
    """Load the U-Net, and say how well fast numbers agree with those of the training."""
    infer, agreement = open_unet(engine, settings.model, settings.threads, fast=settings.fast)
    if settings.fast:
        grass.message(
            _("Computing in bf16: {:.2f} % of the cells of the model's fixed patch get the class of float32.").format(
                100 * agreement
            )
        )
    return infer


def _resolve_periods(ard: ArdFile, years: tuple[int, ...]) -> tuple[str, ...]:
    """Return the periods of these years, or all of the file."""
    if not years:
        return ard.periods
    missing = sorted(set(years) - set(ard.years))
    if missing:
        raise InputError(
            _("Option <years>"),
            found=str(missing[0]),
            expected=_("years of the file, {}").format(", ".join(map(str, sorted(set(ard.years))))),
            then=_("Choose some of these, or write the file again with r.s2.ard."),
        )
    return tuple(period for period, year in zip(ard.periods, ard.years, strict=True) if year in years)


def progress(total: int) -> Callable[[], None]:
    """Return a function that counts one window each time it is called, and shows the progress."""
    done = itertools.count(1)
    return lambda: grass.percent(next(done), total)
