"""r.s2.ard: from composites and labels to one analysis-ready HDF5 file, and the check of such a file."""

from __future__ import annotations

import contextlib
import functools

from imperviouslib.core.errors import _
from imperviouslib.core.options import Flags, Options
from imperviouslib.core.settings.ard import ArdSettings
from imperviouslib.edge import grass
from imperviouslib.edge.files import check_place
from imperviouslib.edge.schedule import open_crew
from imperviouslib.stage.ard import check, images, report
from imperviouslib.stage.ard.labels import LabelSource
from imperviouslib.stage.ard.sources import resolve_sources
from imperviouslib.stage.ard.write import write_file


def main(options: Options, flags: Flags) -> int:
    """Parse the options and run."""
    return run(ArdSettings.parse(options, flags))


def run(settings: ArdSettings) -> int:
    """Check a file, or write the composites and labels of the region to one. Returns: exit status."""
    if settings.output is None:
        return check.run(settings)
    area = grass.region_grid()
    output = settings.output.expanduser().resolve()
    check_place(output, "output", file=True)
    if settings.labels and settings.labels.rules:
        check_place(settings.labels.rules, "rules", file=True)
    if settings.plot:
        check_place(settings.plot / "image", "plot")
    sources = resolve_sources(settings)
    with contextlib.ExitStack() as stack:
        labels = stack.enter_context(LabelSource.open(settings.labels, area))
        crew = functools.cache(lambda: stack.enter_context(open_crew(1, settings.scheduler, packages=("h5py",))))
        if labels and not any(period[:4] == str(labels.year) for period in sources.periods):
            grass.warning(
                _(
                    "The labels show {}, but there is no composite of that year. Check <label_year> and <years>. To use the labels for other years, give years= to r.unet.train."
                ).format(labels.year)
            )
        tally = write_file(output, area, sources, labels, crew, as_float=settings.as_float)
    if settings.plot:
        images.draw(output, settings.plot.expanduser())
    report.show(output, area, sources, labels, tally, settings.format)
    return 0
