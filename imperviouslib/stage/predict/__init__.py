"""r.unet.predict: from analysis-ready data and a model to maps: of each period, and of the histories of cells over all years.

First each period is mapped by itself (yearly). Then, if the model has a series model and the periods are two or more years, the years are
judged together (histories).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable

from imperviouslib.core import mapnames
from imperviouslib.core.card import Card, check_fit
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.periods import period_named, times_between
from imperviouslib.core.series import Histories
from imperviouslib.core.settings.predict import PredictSettings
from imperviouslib.core.windows import resolve_part, window_size, windows
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.engine import SERIES, UNET, Engine, resolve_engine
from imperviouslib.edge.modelfile import model_files, read_model
from imperviouslib.edge.schedule import Crew, open_crew
from imperviouslib.stage.predict import histories, yearly
from imperviouslib.work.predict import Model, Results, Source, find_agreement, open_here, predict_window, window_tasks


def main(options: Options, flags: Flags) -> int:
    """Run the tool."""
    return run(PredictSettings.parse(options, flags))


def run(settings: PredictSettings) -> int:
    """Map all periods that are not mapped yet, and then the histories; return the exit status."""
    card = read_model(settings.model)
    nets = (UNET, SERIES) if card.series else (UNET,)
    engine = resolve_engine(settings.engine, model_files(card), nets)
    with contextlib.ExitStack() as stack:
        stack.enter_context(grass.lock_maps(settings.output))
        ard = stack.enter_context(ArdFile.open(settings.input))
        check_fit(card, name=str(settings.model), features=ard.features, res_m=ard.grid.res_m, data=str(ard.path))
        part = resolve_part(ard.grid, grass.region_grid(ard.grid.res_m), name=str(ard.path))
        grass.remove_abandoned(mapnames.joined(settings.output, ""))
        periods = _resolve_periods(ard, settings.years)
        planned = [yearly.plan(ard, period, card, part, settings, engine.name) for period in periods]
        todo = yearly.unfinished(planned)
        crew = functools.cache(lambda: stack.enter_context(_open_crew(settings, engine)))
        source, model = _describe_work(ard, card, settings, engine)
        series = card.series if len(periods) > 1 and all(period.isdigit() for period in periods) else None
        kept = None
        if todo:
            each = sum(1 for _window in windows(part, file=ard.grid, halo=card.halo, size=window_size(ard.grid)))
            step = progress(len(todo) * each)
            compute = _by_workers(crew(), source, model) if settings.scheduler else _here(engine, settings, card.halo)
            if series and todo == planned:
                kept = stack.enter_context(histories.keep_yearly(len(todo), part))
            for number, prediction in enumerate(todo):
                planes = compute(ard, prediction.period, card.halo, part)
                keep = functools.partial(kept.add, number) if kept else None
                yearly.predict(
                    ard, prediction, part, planes, link=settings.link, threads=settings.threads, step=step, keep=keep
                )
            written = ", ".join(f"<{prediction.names[mapnames.CLASS]}>" for prediction in todo)
            grass.message(_("Mapped {}, and the probability of each class.").format(written))
        if series:
            task = histories.Task(ard, card, series, Histories(tuple(map(int, periods))), part, settings)
            between = histories.predict(task, source, model, crew, kept)
        else:
            between = []
        times = [f"{name}|{period_named(one.period).times}" for one in planned for name in one.names.values()]
        times += [f"{layer.name}|{times_between(layer.first, layer.last)}" for layer in between]
        # A run that finds all maps made and registered starts no temporal tool.
        if not all(grass.has_timestamp(line.split("|")[0]) for line in times):
            grass.register_finished(settings.output, _("Land cover classes and probabilities"), times)
    return 0


Compute = Callable[[ArdFile, str, int, Grid], Results]
"""From a file, a period, a halo and the cells to map, to what is computed for each window."""


def _open_crew(settings: PredictSettings, engine: Engine) -> contextlib.AbstractContextManager[Crew]:
    # On this machine the engine itself computes with several threads.
    shared = (settings.input, *(path for path in settings.model.iterdir() if path.is_file()))
    return open_crew(1, settings.scheduler, shared=shared, packages=("h5py", engine.package))


def _describe_work(ard: ArdFile, card: Card, settings: PredictSettings, engine: Engine) -> tuple[Source, Model]:
    """Return file and model as tasks name them."""
    folder = settings.model.absolute()
    model = Model(folder, card.model_sha256, engine.name, settings.threads, settings.fast, card.halo)
    return Source(ard.path.expanduser().absolute(), ard.digest), model


def _here(engine: Engine, settings: PredictSettings, halo: int) -> Compute:
    """Load the U-Net, and return what computes windows in this process."""
    compute, agreement = open_here(engine, settings.model, settings.threads, fast=settings.fast, halo=halo)
    if settings.fast:
        _tell_agreement(agreement)
    return compute


def _by_workers(crew: Crew, source: Source, model: Model) -> Compute:
    """Let a worker load the U-Net, and return what lets workers compute windows."""
    if model.fast:
        ((_model, agreement),) = crew.in_order(find_agreement, [model])
        _tell_agreement(agreement)

    def compute(ard: ArdFile, period: str, halo: int, part: Grid) -> Results:
        tasks = window_tasks(source, model, ard, period, halo, part)
        with contextlib.closing(crew.in_order(predict_window, tasks)) as results:
            for task, planes in results:
                yield task.core, planes

    return compute


def _tell_agreement(agreement: float) -> None:
    """Say how well fast numbers agree with those of the training."""
    grass.message(
        _("Computing in bf16: {:.2f} % of the cells of the model's fixed patch get the class of float32.").format(
            100 * agreement
        )
    )


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
