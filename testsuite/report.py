"""The page that the demo ends with: figures, pictures and the commands, as build/demo/pictures/index.html."""

from __future__ import annotations

import html
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imperviouslib.core.table import COVERAGE_MIN
from imperviouslib.edge.ardfile import ArdFile
from testsuite import report_figures as figures
from testsuite import report_pictures as pictures
from testsuite.world import sealing
from testsuite.world.judge import read_sealing

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #222; background: #fafaf8; margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.6rem 0 .5rem; }
p { color: #555; margin: 0 0 1.5rem; max-width: 54rem; }
figure { margin: 0; background: #fff; border: 1px solid #e3e1dc; border-radius: 6px; padding: .8rem; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { color: #555; font-size: .92rem; margin-top: .6rem; max-width: 56rem; }
pre { background: #fff; border: 1px solid #e3e1dc; border-radius: 6px; padding: .9rem 1.1rem; overflow-x: auto; font-size: .8rem; line-height: 1.45; }
"""
LEAD = """The seven tools, run one after another on a small artificial world whose true land cover is known. The scenes come from a STAC
catalogue and an S3 server on this machine. The tools make a composite for each year, train a U-Net, map every year, draw a reference sample, and count
and estimate change for each region. The tools never read the truth. A script that knows it reads the sample in the place of people, and this page compares the
results with it."""
COMMANDS = """Typed inside a GRASS session, in the folder of the demo; testsuite/demo.sh has the same commands with comments."""


@dataclass(frozen=True)
class Picture:
    """A picture of the page and the sentences below it."""

    file: str
    title: str
    caption: str


def write_page(summary: Sequence[str], shown: Sequence[Picture], commands: str, folder: Path) -> Path:
    """Write index.html beside the pictures; it needs no other file."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>r.impervious: the demo</title><style>{STYLE}</style></head><body><main>",
        f"<h1>r.impervious: the demo</h1><p>{html.escape(LEAD)}</p>",
        f"<h2>Summary</h2><pre>{html.escape(chr(10).join(summary))}</pre>",
    ]
    for picture in shown:
        title = html.escape(picture.title)
        parts.append(
            f"<h2>{title}</h2><figure><img src='{picture.file}' alt='{title}'>"
            f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
        )
    parts.append(
        f"<h2>The commands</h2><p>{html.escape(COMMANDS)}</p><pre>{html.escape(commands)}</pre></main></body></html>\n"
    )
    page = folder / "index.html"
    page.write_text("".join(parts), encoding="utf-8")
    return page


SEALING_TITLES = {"raw": "Raw difference", "persistence": "After the persistence rule", "series": "Series model"}


def draw_sealing(demo: Path, run: sealing.Sealing, extent: pictures.Extent, out: Path) -> list[Picture]:
    """Draw the year of sealing beside the truth, and the largest new site. Returns: the pictures in the order of the page."""
    true = np.where(run.known, sealing.year_of_gain(run.truth), 0)
    mapped = np.where(run.known, sealing.marked_year(run.gain[run.best]), 0)
    panels = [(SEALING_TITLES[run.best], mapped), ("Truth", true)]
    pictures.draw_years(panels, run.years, extent, out / "sealing.png")
    shown = [Picture("sealing.png", f"Year of sealing, {run.years[0]}-{run.years[-1]}", "Land that became artificial, by year. Left: the most likely year, where sealing within the whole span has a probability of 0.5 or more. Right: the truth. Cells are drawn larger than they are, so that single ones can be seen.")]  # fmt: skip
    window = figures.largest_site(true > 0)
    if window:
        pictures.draw_site(demo / "maps", panels, run.years, window, out / "site.png")
        shown.append(Picture("site.png", "The largest new site", "Composites of the first and the last year (B12, B11 and B04 as red, green and blue; white: outline of the new land, by the truth), and the year of sealing, mapped and true."))  # fmt: skip
    return shown


def draw_all(demo: Path, years: Sequence[int], run: sealing.Sealing, out: Path) -> list[Picture]:
    """Draw all pictures into a folder; run : its sealed land. Returns: the pictures in the order of the page."""
    maps, first, last = demo / "maps", years[0], years[-1]
    extent = pictures.read_extent(maps / f"{figures.predicted_map(first)}.tif")
    predicted = {year: figures.read_classes(maps / f"{figures.predicted_map(year)}.tif") for year in years}
    consistent = {year: figures.read_classes(maps / f"{figures.consistent_map(year)}.tif") for year in (first, last)}
    truth = {year: figures.read_truth(demo, year) for year in (first, last)}

    pictures.draw_composites(maps, years, out / "composites.png")
    pictures.draw_counts(maps, years, out / "counts.png")
    with ArdFile.open(demo / "demo.nc") as ard:
        labels = ard.read_label(ard.grid)
    compared = [(f"Labels {first}", labels), (f"Truth {first}", truth[first])]
    pictures.draw_classes(compared, extent, out / "labels.png")
    pictures.draw_classes([(str(year), classes) for year, classes in predicted.items()], extent, out / "classes.png")
    changes = (("Predicted classes", predicted), ("After the persistence rule", consistent), ("Truth", truth))
    changed = [(title, figures.newly_impervious(of[first], of[last])) for title, of in changes]
    pictures.draw_change(changed, extent, out / "change.png")
    of_sealing = draw_sealing(demo, run, extent, out)
    shutil.copyfile(demo / "model" / "curves.png", out / "curves.png")

    by_source = figures.figures_by_region(demo, years)
    regions = figures.read_regions(demo / "table")
    names = {g: r["name"] for g, r in regions.items() if int(r["level"]) == 3 and g in by_source["truth"]}
    titles = {
        "stock": f"Impervious land {last}",
        "gain": f"Newly impervious land {first}-{last}",
        "net": f"Net change of impervious land {first}-{last}",
    }
    panels = [
        (title, {source: {g: one.get(indicator) for g, one in of.items()} for source, of in by_source.items()})
        for indicator, title in titles.items()
    ]
    pictures.draw_bars(panels, names, out / "bars.png")
    rows = figures.read_table(demo / "table")
    method = [m for m in figures.methods_in(rows) if figures.METHODS[m]["ground"] == "region"][-1]
    shares = figures.select(rows, lc_flow="STK", method=method, unit="PC", TIME_PERIOD=last)
    pictures.draw_regions(
        demo / "table" / "outlines.geojson",
        {geo: row["OBS_VALUE"] for geo, row in shares.items()},
        3,
        extent,
        f"Impervious land {last}",
        out / "regions.png",
    )

    estimated = figures.estimated_periods(demo)
    pictures.draw_estimates(estimated, out / "estimates.png")
    least = f"{100 * COVERAGE_MIN:.0f} %"
    of_method = figures.METHODS[method]["title"]
    return [
        Picture("composites.png", "Composites", "Median of the clear observations of each year. B12, B11 and B04 are shown as red, green and blue, with the same contrast in all years."),
        Picture("counts.png", "Clear observations", "Number of clear observations of each cell. The fewer there are, the noisier is the composite. The slanting strip lies outside the swath on some dates."),
        Picture("labels.png", "Labels and truth", "Left: the labels that the U-Net learns from, with errors like those of a real land-cover map. Right: the truth, which the tools never read."),
        Picture("classes.png", "Predicted classes", "Each year is predicted by itself. A difference between two years is real change or an error of one of the maps."),
        Picture("change.png", f"Newly impervious land, {first}-{last}", "Left: the difference of the two maps of predicted classes. Middle: the same after the persistence rule. Right: the truth. Cells are drawn larger than they are, so that single ones can be seen."),
        *of_sealing,
        Picture("estimates.png", "Estimates from the reference sample", "New artificial land a year, for single years, three years and the whole time, in each country that has a sample of its own. Dots with lines: estimates with their 95 % intervals. Squares: sums of the series model. Crosses: the truth."),
        Picture("curves.png", "Training", "Loss and accuracy, on the cells used for training and on separate cells used for validation."),
        Picture("bars.png", "Regions", f"Regions of level 3: the figures of each method beside the truth. Differences of maps count far too much new impervious land. A dash: no value, because less than {least} of the region was seen."),
        Picture("regions.png", "Map of the regions", f"Share of impervious land in {last} (method: {of_method.lower()}). Dashed: the edge of the world. Grey: no value, because less than {least} of the region was seen."),
    ]  # fmt: skip


def report(demo: Path, years: Sequence[int], seconds: Mapping[str, float]) -> list[str]:
    """Draw all pictures and write the page into demo/pictures. Returns: the lines of the summary."""
    out = demo / "pictures"
    out.mkdir(exist_ok=True)
    run = read_sealing(demo / "world", demo / "maps")
    if run is None:
        raise SystemExit("The demo has class maps of fewer than two years. Run make demo AGAIN=1.")
    lines = figures.summary(demo, years, run, seconds)
    write_page(lines, draw_all(demo, years, run, out), (demo / "commands.txt").read_text(encoding="utf-8"), out)
    return lines
