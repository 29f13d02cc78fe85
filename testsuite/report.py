"""What the demo shows: figures against truth, pictures, one page.

Everything is read from files that a user of the suite has too: maps as GeoTIFFs, the table folder, the model folder; the truth of the
made world stands beside them and was never seen by the tools.
"""

from __future__ import annotations

import csv
import html
import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow.parquet as pq
import rasterio

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from scipy.ndimage import maximum_filter

from imperviouslib.core.legend import CLASSES, DEFAULT_DEFINITION, DEFINITIONS

CELL_KM2 = 0.0004
CHANGE_COLOURS = {0: ("#e8e6e1", "no change"), 1: ("#b2182b", "newly impervious")}
METHOD_COLOURS = {"truth": "#333333", "mapped_raw": "#d6a36c", "mapped_consistent": "#2f6f9f"}


@dataclass
class Picture:
    """A file of the page and the sentence below it."""

    file: str
    title: str
    caption: str


@dataclass
class Report:
    """What the page says."""

    lines: list[str] = field(default_factory=list)
    """The summary, as printed."""
    pictures: list[Picture] = field(default_factory=list)


def read_map(path: Path) -> np.ma.MaskedArray:
    """Read the first band of a GeoTIFF; no data is masked."""
    with rasterio.open(path) as source:
        return source.read(1, masked=True)


def read_bounds(path: Path) -> tuple[float, float, float, float]:
    """Return left, right, bottom, top in kilometres, as imshow wants them."""
    with rasterio.open(path) as source:
        b = source.bounds
    return b.left / 1000, b.right / 1000, b.bottom / 1000, b.top / 1000


@dataclass(frozen=True)
class Score:
    """How a map of a year compares with truth, on the cells that the map has."""

    cells: int
    accuracy: float
    """Share of cells with the right class of four, 0-1."""
    iou: float
    """Of impervious: cells in both / cells in either."""
    producer: float
    """Share of true impervious cells that the map has."""
    user: float
    """Share of the map's impervious cells that are true."""
    mapped_km2: float
    true_km2: float


def score(mapped: np.ma.MaskedArray, truth: np.ndarray) -> Score:
    """Compare a class map (row, col; 1-4, masked where none) with the truth on the same cells.

    >>> one = score(np.ma.masked_equal(np.array([[1, 3, 0]]), 0), np.array([[1, 1, 4]]))
    >>> one.cells, one.accuracy, one.iou
    (2, 0.5, 0.5)
    """
    known = ~np.ma.getmaskarray(mapped) & (truth > 0)
    ours, theirs = np.asarray(mapped)[known], truth[known]
    a, b = (np.isin(x, DEFINITIONS[DEFAULT_DEFINITION]) for x in (ours, theirs))
    both, either = int((a & b).sum()), int((a | b).sum())
    return Score(
        cells=int(known.sum()),
        accuracy=float((ours == theirs).mean()),
        iou=both / max(either, 1),
        producer=both / max(int(b.sum()), 1),
        user=both / max(int(a.sum()), 1),
        mapped_km2=float(a.sum()) * CELL_KM2,
        true_km2=float(b.sum()) * CELL_KM2,
    )


def read_table(folder: Path) -> list[dict]:
    """Return the rows of the table of regions."""
    return pq.read_table(folder / "impervious_nuts.parquet").to_pylist()


def pick(rows: Sequence[Mapping], **where: object) -> dict[str, Mapping]:
    """Return the rows that match, by region code."""
    return {r["geo"]: r for r in rows if all(r[k] == v for k, v in where.items())}


def stock(rows: Sequence[Mapping], method: str, year: int) -> dict[str, Mapping]:
    """Impervious stock of a year in km2, by region."""
    return pick(
        rows, lc_flow="STK", landcover="IMP", definition=DEFAULT_DEFINITION, method=method, unit="KM2", TIME_PERIOD=year
    )


def flow(rows: Sequence[Mapping], which: str, method: str, first: int, last: int) -> dict[str, Mapping]:
    """GAIN, LOSS or NET of impervious land in km2 between two years, by region."""
    return pick(
        rows, lc_flow=which, landcover="IMP", definition=DEFAULT_DEFINITION, method=method, unit="KM2",
        time_from=first, TIME_PERIOD=last,
    )  # fmt: skip


def _panels(count: int, extent: tuple[float, float, float, float], wide: float = 4.2):
    left, right, bottom, top = extent
    figure, axes = plt.subplots(
        1,
        count,
        figsize=(wide * count, wide * (top - bottom) / (right - left) + 0.8),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes[0]:
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure, axes[0]


def _scale_bar(axis, extent: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = extent
    length = max(n for n in (1, 2, 5, 10, 20, 50) if n <= max((right - left) / 3, 1))
    x, y = left + (right - left) * 0.04, bottom + (top - bottom) * 0.04
    axis.plot([x, x + length], [y, y], color="white", lw=5, solid_capstyle="butt")
    axis.plot([x, x + length], [y, y], color="black", lw=2.5, solid_capstyle="butt")
    axis.text(x + length / 2, y + (top - bottom) * 0.015, f"{length} km", ha="center", va="bottom", fontsize=8,
              bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1})  # fmt: skip


def _save(figure, path: Path) -> None:
    figure.savefig(path, dpi=130, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def _draw_classes(axis, values: np.ma.MaskedArray, extent) -> None:
    colours = ListedColormap([tuple(v / 255 for v in c.colour) for c in CLASSES])
    axis.set_facecolor("#ffffff")
    axis.imshow(values, cmap=colours, norm=BoundaryNorm(np.arange(0.5, 5), 4), extent=extent, interpolation="nearest")


def _class_legend(figure) -> None:
    handles = [Patch(color=tuple(v / 255 for v in c.colour), label=c.title) for c in CLASSES]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def draw_composites(maps: Path, years: Sequence[int], out: Path) -> None:
    """False colour B12 B11 B04 of each year, all years stretched alike, so that a change of colour is one of the land."""
    bands = [[read_map(maps / f"s2_{year}_{band}_p50.tif") for band in ("B12", "B11", "B04")] for year in years]
    limits = [np.percentile(np.concatenate([b[i].compressed()[::7] for b in bands]), (1, 99)) for i in range(3)]
    extent = read_bounds(maps / f"s2_{years[0]}_B12_p50.tif")
    figure, axes = _panels(len(years), extent)
    for axis, year, three in zip(axes, years, bands, strict=True):
        scaled = [
            np.clip((b.filled(0) - low) / max(high - low, 1), 0, 1)
            for b, (low, high) in zip(three, limits, strict=True)
        ]
        alpha = (~np.ma.getmaskarray(three[0])).astype(float)
        axis.imshow(np.dstack([*scaled, alpha]), extent=extent, interpolation="nearest")
        axis.set_title(str(year))
        _scale_bar(axis, extent)
    _save(figure, out)


def draw_counts(maps: Path, years: Sequence[int], out: Path) -> None:
    """Clear observations of each cell."""
    counts = [read_map(maps / f"s2_{year}_count.tif") for year in years]
    top = max(int(c.max()) for c in counts)
    extent = read_bounds(maps / f"s2_{years[0]}_count.tif")
    figure, axes = _panels(len(years), extent)
    colours = plt.get_cmap("viridis", top + 1)
    for axis, year, values in zip(axes, years, counts, strict=True):
        shown = axis.imshow(values, cmap=colours, vmin=-0.5, vmax=top + 0.5, extent=extent, interpolation="nearest")
        axis.set_title(str(year))
    figure.colorbar(
        shown,
        ax=list(axes),
        fraction=0.02,
        pad=0.02,
        label="clear observations",
        ticks=range(0, top + 1, max(1, top // 6)),
    )
    _save(figure, out)


def draw_classes(panels: Sequence[tuple[str, np.ndarray]], extent, out: Path) -> None:
    """Class maps side by side; 0 and masked cells stay white."""
    figure, axes = _panels(len(panels), extent)
    for axis, (title, values) in zip(axes, panels, strict=True):
        _draw_classes(axis, np.ma.masked_equal(values, 0), extent)
        axis.set_title(title)
    _class_legend(figure)
    _save(figure, out)


def draw_change(panels: Sequence[tuple[str, np.ma.MaskedArray]], extent, out: Path) -> None:
    """Maps of newly impervious cells; each cell is drawn wider than it is, so that single cells can be seen."""
    figure, axes = _panels(len(panels), extent)
    colours = ListedColormap([c for c, _ in CHANGE_COLOURS.values()])
    for axis, (title, values) in zip(axes, panels, strict=True):
        axis.set_facecolor("#ffffff")
        wide = maximum_filter(values.filled(0), size=max(1, values.shape[0] // 300))
        shown = np.ma.masked_array(wide, np.ma.getmaskarray(values) & (wide == 0))
        axis.imshow(shown, cmap=colours, vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axis.set_title(f"{title}: {float((values == 1).sum()) * CELL_KM2:.2f} km²")
    handles = [Patch(facecolor=c, edgecolor="#999999", label=t) for c, t in CHANGE_COLOURS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    _save(figure, out)


def draw_bars(
    series: Sequence[tuple[str, Mapping[str, Mapping[str, float | None]]]], names: Mapping[str, str], out: Path
) -> None:
    """Bars of several methods for each region; one panel for each indicator."""
    figure, axes = plt.subplots(len(series), 1, figsize=(11, 3.2 * len(series)), squeeze=False, sharex=True)
    regions = list(names)
    for axis, (title, methods) in zip(axes[:, 0], series, strict=True):
        for i, (method, values) in enumerate(methods.items()):
            x = np.arange(len(regions)) + (i - (len(methods) - 1) / 2) * 0.26
            heights = [values.get(g) for g in regions]
            axis.bar(
                x,
                [0 if h is None else h for h in heights],
                0.25,
                color=METHOD_COLOURS[method],
                label=method.replace("_", " "),
            )
            for at, height in zip(x, heights, strict=True):
                if height is None:
                    axis.text(at, 0, "–", ha="center", va="bottom", fontsize=8)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylabel("% of the area")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e5e5e5")
        axis.set_axisbelow(True)
    # Above the axes, where no bar can stand.
    axes[0, 0].legend(frameon=False, ncols=3, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    axes[-1, 0].set_xticks(
        range(len(regions)), [f"{code}\n{textwrap.fill(names[code], 12)}" for code in regions], fontsize=7
    )
    _save(figure, out)


def _rings(geometry: Mapping) -> list[np.ndarray]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [np.asarray(ring)[:, :2] / 1000 for polygon in polygons for ring in polygon]


def _roomiest(shape, rings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the point within an outline that lies farthest from its borders, holes too: where a label has most room."""
    widest = max(rings, key=lambda ring: np.ptp(ring, axis=0).prod())
    steps = (np.linspace(low, high, 60) for low, high in zip(widest.min(axis=0), widest.max(axis=0), strict=True))
    points = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2)
    points = points[shape.contains_points(points)]
    away = np.linalg.norm(points[:, None] - np.concatenate(rings)[None], axis=2).min(axis=1)
    return points[away.argmax()]


def draw_regions(outlines: Path, values: Mapping[str, float | None], level: int, extent, title: str, out: Path) -> None:
    """Regions of one level coloured by a value; grey where there is none."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline
    from matplotlib.patheffects import withStroke

    features = [
        f for f in json.loads(outlines.read_text(encoding="utf-8"))["features"] if f["properties"]["level"] == level
    ]
    known = [v for v in values.values() if v is not None]
    figure, axis = plt.subplots(figsize=(7, 6))
    colours, norm = plt.get_cmap("YlOrRd"), plt.Normalize(0, max(known, default=1))
    for feature in features:
        value = values.get(feature["properties"]["geo"])
        rings = _rings(feature["geometry"])
        shape = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))
        colour = "#dddddd" if value is None else colours(norm(value))
        axis.add_patch(PathPatch(shape, facecolor=colour, edgecolor="#444444", lw=0.8))
        x, y = _roomiest(shape, rings)
        label = "no value" if value is None else f"{value:.1f} %"
        axis.text(x, y, f"{feature['properties']['geo']}\n{label}", ha="center", va="center", fontsize=8,
                  path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip
    axis.autoscale_view()
    axis.set_aspect("equal")
    axis.axis("off")
    axis.add_patch(
        plt.Rectangle(
            (extent[0], extent[2]),
            extent[1] - extent[0],
            extent[3] - extent[2],
            fill=False,
            ls="--",
            lw=0.8,
            ec="#1f5fa8",
        )
    )
    axis.set_title(title, fontsize=10)
    figure.colorbar(plt.cm.ScalarMappable(norm, colours), ax=axis, fraction=0.03, label="% of the region")
    _save(figure, out)


STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #222; background: #fafaf8; margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.6rem 0 .5rem; }
p.lead { color: #555; margin: 0 0 1.5rem; max-width: 54rem; }
figure { margin: 0; background: #fff; border: 1px solid #e3e1dc; border-radius: 6px; padding: .8rem; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { color: #555; font-size: .92rem; margin-top: .6rem; max-width: 56rem; }
pre { background: #fff; border: 1px solid #e3e1dc; border-radius: 6px; padding: .9rem 1.1rem; overflow-x: auto; font-size: .86rem; line-height: 1.45; }
"""


def write_page(report: Report, commands: str, folder: Path) -> Path:
    """Write index.html beside the pictures; it needs no other file."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>r.impervious: the demo</title><style>{STYLE}</style></head><body><main>",
        "<h1>r.impervious: the demo</h1><p class='lead'>The whole chain on a small made world whose truth is known: scenes from a STAC",
        " catalogue and an S3 server on this machine, yearly composites, a U-Net, change, and a table of regions.</p>",
        f"<h2>Summary</h2><pre>{html.escape(chr(10).join(report.lines))}</pre>",
    ]
    for picture in report.pictures:
        parts.append(
            f"<h2>{html.escape(picture.title)}</h2><figure><img src='{picture.file}' alt='{html.escape(picture.title)}'>"
            f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
        )
    parts.append(f"<h2>The commands</h2><pre>{html.escape(commands)}</pre></main></body></html>\n")
    page = folder / "index.html"
    page.write_text("".join(parts), encoding="utf-8")
    return page


def read_truth_regions(path: Path) -> list[dict[str, str]]:
    """Return the rows of truth/regions.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def confusing(demo: Path, years: Sequence[int], kind: str) -> dict[int, Score]:
    """Score the maps of all years; kind is a pattern such as lc_{}_class."""
    out = {}
    for year in years:
        truth = np.asarray(read_map(demo / "world" / "truth" / f"class_{year}.tif").filled(0))
        out[year] = score(np.ma.masked_equal(read_map(demo / "maps" / f"{kind.format(year)}.tif"), 0), truth)
    return out


def gained(first: np.ma.MaskedArray, last: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """Tell which cells became impervious. Returns: array (row, col), 1 or 0, masked where either year is unknown."""
    before, after = (np.isin(np.asarray(x), DEFINITIONS[DEFAULT_DEFINITION]) for x in (first, last))
    unknown = np.ma.getmaskarray(first) | np.ma.getmaskarray(last)
    return np.ma.masked_array((~before & after).astype("uint8"), unknown)


def truth_by_region(rows: Sequence[Mapping[str, str]], years: Sequence[int]) -> dict[str, dict[str, float]]:
    """Sum up regions.csv, in per cent of the region's part within the world.

    Returns: region to level, stock (of the last year), gain, loss (both summed over the years) and net; regions without land there are left out
    """
    column = f"_{DEFAULT_DEFINITION}_m2"
    out: dict[str, dict[str, float]] = {}
    first: dict[str, float] = {}
    for row in rows:
        year, area = int(row["year"]), int(row["area_m2"])
        if row["basis"] != "majority" or year not in years or not area:
            continue
        one = out.setdefault(row["geo"], {"level": int(row["level"]), "gain": 0.0, "loss": 0.0})
        one["stock"] = 100 * int(row["sealed" + column]) / area
        if year == years[0]:
            first[row["geo"]] = one["stock"]
        else:
            one["gain"] += 100 * int(row["gain" + column]) / area
            one["loss"] += 100 * int(row["loss" + column]) / area
    for geo, one in out.items():
        one["net"] = one["stock"] - first[geo]
    return out


def mapped_by_region(
    rows: Sequence[Mapping], method: str, years: Sequence[int], area_km2: Mapping[str, float]
) -> dict[str, dict]:
    """Return stock of the last year, gain and net change over all years in per cent of the area behind each figure.

    mapped_raw speaks of the cells seen, mapped_consistent of the whole region; None where the table is blank
    """
    first, last = years[0], years[-1]
    found = {
        "stock": stock(rows, method, last),
        "gain": flow(rows, "GAIN", method, first, last),
        "net": flow(rows, "NET", method, first, last),
    }
    out: dict[str, dict] = {}
    for what, by_geo in found.items():
        for geo, row in by_geo.items():
            area = area_km2[geo] if method == "mapped_consistent" else row["N_PIX"] * CELL_KM2
            value = row["OBS_VALUE"]
            out.setdefault(geo, {})[what] = None if value is None or not area else 100 * value / area
    return out


METHODS = {"mapped_raw": "raw", "mapped_consistent": "consistent"}


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def read_regions(table: Path) -> dict[str, dict[str, str]]:
    """Return the rows of nuts_regions.csv by region code."""
    with (table / "nuts_regions.csv").open(newline="", encoding="utf-8") as file:
        return {row["geo"]: row for row in csv.DictReader(file)}


def all_by_region(demo: Path, years: Sequence[int]) -> dict[str, dict[str, dict]]:
    """Return truth and methods, each region to its figures."""
    rows = read_table(demo / "table")
    area_km2 = {geo: float(row["area_km2"]) for geo, row in read_regions(demo / "table").items()}
    truth = truth_by_region(read_truth_regions(demo / "world" / "truth" / "regions.csv"), years)
    return {"truth": truth, **{m: mapped_by_region(rows, m, years, area_km2) for m in METHODS}}


def summary(demo: Path, years: Sequence[int], seconds: Mapping[str, float]) -> list[str]:
    """Write the figures: accuracy of the maps, regions against truth, time of each stage."""
    lines = [
        "Maps against truth, on the cells that the map has (impervious = artificial and natural material surfaces)"
    ]
    lines.append(
        f"  {'map':<18}{'accuracy':>9}{'IoU':>7}{'producer':>9}{'user':>7}{'mapped km2':>12}{'true km2':>10}{'error':>8}"
    )
    for kind, name in (("lc_{}_class", "predicted"), ("change_{}_consistent", "consistent")):
        for year, one in confusing(demo, years, kind).items():
            lines.append(
                f"  {f'{name} {year}':<18}{one.accuracy:>9.3f}{one.iou:>7.3f}{one.producer:>9.3f}{one.user:>7.3f}"
                f"{one.mapped_km2:>12.3f}{one.true_km2:>10.3f}{100 * (one.mapped_km2 / one.true_km2 - 1):>+7.1f}%"
            )
    figures = all_by_region(demo, years)
    columns = ("stock", "gain", "net")
    lines += [
        "",
        f"Regions, in per cent of their area: impervious land {years[-1]}, and its gain and net change {years[0]}-{years[-1]}",
    ]
    lines.append("  " + " " * 7 + "".join(f"{what:>12}{'':>20}" for what in columns))
    lines.append(f"  {'region':<7}" + f"{'truth':>12}{'raw':>9}{'consist.':>11}" * 3)
    truth = figures["truth"]
    for geo in sorted(truth, key=lambda g: (truth[g]["level"], g)):
        if truth[geo]["level"] in (0, 3):
            line = f"  {geo:<7}"
            for what in columns:
                for source, wide in (("truth", 12), ("mapped_raw", 9), ("mapped_consistent", 11)):
                    line += f"{_number(figures[source].get(geo, {}).get(what)):>{wide}}"
            lines.append(line)
    lines.append("  A dash: blank, since less than half of the region was seen.")
    lines += ["", "Time of each stage in seconds"]
    lines.append(
        "  " + "  ".join(f"{name} {s:.0f}" for name, s in seconds.items()) + f"  sum {sum(seconds.values()):.0f}"
    )
    return lines


def report(demo: Path, years: Sequence[int], seconds: Mapping[str, float]) -> list[str]:
    """Draw all pictures and write the page into demo/pictures. Returns: the lines of the summary."""
    from imperviouslib.edge.ardfile import ArdFile

    out, maps, truth_folder = demo / "pictures", demo / "maps", demo / "world" / "truth"
    out.mkdir(exist_ok=True)
    first, last = years[0], years[-1]
    done = Report(lines=summary(demo, years, seconds))
    extent = read_bounds(maps / f"lc_{first}_class.tif")

    draw_composites(maps, years, out / "composites.png")
    done.pictures.append(
        Picture(
            "composites.png",
            "Composites",
            "Median of the clear observations of each year; B12, B11, B04 as red, green, blue, all years stretched alike.",
        )
    )
    draw_counts(maps, years, out / "counts.png")
    done.pictures.append(
        Picture(
            "counts.png",
            "Clear observations",
            "How many observations stand behind each cell. Fewer of them mean more noise.",
        )
    )

    with ArdFile.open(demo / "demo.h5") as ard:
        label = ard.read_label(ard.grid)
    draw_classes(
        [(f"labels {first}", label), *((f"truth {y}", read_map(truth_folder / f"class_{y}.tif")) for y in (first,))],
        extent,
        out / "labels.png",
    )
    done.pictures.append(
        Picture(
            "labels.png",
            "Labels and truth",
            "What the net learns from, with the errors of the real product, and the truth that it never sees.",
        )
    )
    draw_classes([(str(y), read_map(maps / f"lc_{y}_class.tif")) for y in years], extent, out / "classes.png")
    done.pictures.append(
        Picture(
            "classes.png",
            "Predicted classes",
            "Each year is predicted on its own; differences between them are change and error together.",
        )
    )

    classes = {y: np.ma.masked_equal(read_map(maps / f"lc_{y}_class.tif"), 0) for y in (first, last)}
    consistent = {y: np.ma.masked_equal(read_map(maps / f"change_{y}_consistent.tif"), 0) for y in (first, last)}
    true = {y: np.ma.masked_equal(read_map(truth_folder / f"class_{y}.tif"), 0) for y in (first, last)}
    panels = [("raw", classes), ("consistent", consistent), ("truth", true)]
    draw_change([(title, gained(x[first], x[last])) for title, x in panels], extent, out / "change.png")
    done.pictures.append(
        Picture(
            "change.png",
            f"Newly impervious, {first}-{last}",
            "The difference of two maps, the same after the persistence rule, and the truth. Each cell is drawn wider than it is.",
        )
    )

    shutil.copyfile(demo / "model" / "curves.png", out / "curves.png")
    done.pictures.append(
        Picture("curves.png", "Training", "Loss and accuracy on the training ground and on ground kept apart.")
    )

    figures = all_by_region(demo, years)
    names = {
        geo: row["name"]
        for geo, row in read_regions(demo / "table").items()
        if int(row["level"]) == 3 and geo in figures["truth"]
    }
    panels = (
        ("stock", f"Impervious land {last}"),
        ("gain", f"Newly impervious {first}-{last}"),
        ("net", f"Net change {first}-{last}"),
    )
    series = [
        (title, {m: {g: one.get(what) for g, one in figures[m].items()} for m in (*METHODS, "truth")})
        for what, title in panels
    ]
    draw_bars(series, names, out / "bars.png")
    done.pictures.append(
        Picture(
            "bars.png",
            "Regions",
            "Level 3 regions: difference of maps, after the persistence rule, and truth. Raw differencing overstates change, which is why it is never the headline.",
        )
    )

    rows = read_table(demo / "table")
    share = pick(
        rows,
        lc_flow="STK",
        landcover="IMP",
        definition=DEFAULT_DEFINITION,
        method="mapped_consistent",
        unit="PC",
        TIME_PERIOD=last,
    )
    draw_regions(
        demo / "table" / "outlines.geojson",
        {g: r["OBS_VALUE"] for g, r in share.items()},
        3,
        extent,
        f"Impervious land {last}",
        out / "regions.png",
    )
    done.pictures.append(
        Picture(
            "regions.png",
            "Map of regions",
            "Share of impervious land. The dashed line is the world's edge; a region of which less than half was seen has no value.",
        )
    )
    write_page(done, (demo / "commands.txt").read_text(encoding="utf-8"), out)
    return done.lines
