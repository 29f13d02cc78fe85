"""The pictures of the demo's report. Each function draws one PNG file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import rasterio

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.patheffects import withStroke
from scipy.ndimage import maximum_filter

from imperviouslib.core.legend import CLASSES
from testsuite.report_figures import CELL_KM2, METHODS, Period, composite_map, read_map
from testsuite.world.judge import year_colours

Extent = tuple[float, float, float, float]
"""Left, right, bottom, top in kilometres, as imshow takes them."""
CHANGE_COLOURS = (("#e8e6e1", "no change"), ("#b2182b", "newly impervious"))
NO_DATA = Patch(facecolor="#ffffff", edgecolor="#999999", label="no data")
COMPOSITE_NO_DATA = Patch(facecolor="#ff40ff", edgecolor="#999999", label="no data")
"""A colour that no composite has: bright ground is white there."""
METHOD_COLOURS = ("#d6a36c", "#2f6f9f", "#5aa469", "#8e6fb0", "#c2543f", "#4fb0ae", "#b5a642", "#7f7f7f")
"""Colours of the methods, from the least trusted to the most trusted."""
TRUTH_COLOUR = "#333333"


def read_extent(path: Path) -> Extent:
    """Return the extent of a raster."""
    with rasterio.open(path) as source:
        b = source.bounds
    return b.left / 1000, b.right / 1000, b.bottom / 1000, b.top / 1000


def _map_panels(count: int, extent: Extent, width: float = 4.2):
    """Open a figure with maps side by side, in rows of at most four, the first with a scale bar. Returns: the figure and its axes."""
    left, right, bottom, top = extent
    columns = min(count, 4)
    rows = -(-count // columns)
    size = (width * columns, width * rows * (top - bottom) / (right - left) + 0.8)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="compressed")
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    for unused in axes.flat[count:]:
        unused.set_visible(False)
    _draw_scale_bar(axes[0, 0], extent)
    return figure, axes.flat[:count]


def _draw_scale_bar(axis, extent: Extent) -> None:
    left, right, bottom, top = extent
    length = max(n for n in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if n <= max((right - left) / 3, 0.1))
    x, y = left + (right - left) * 0.04, bottom + (top - bottom) * 0.04
    axis.plot([x, x + length], [y, y], color="white", lw=5, solid_capstyle="butt")
    axis.plot([x, x + length], [y, y], color="black", lw=2.5, solid_capstyle="butt")
    label = f"{length} km" if length >= 1 else f"{1000 * length:.0f} m"
    axis.text(x + length / 2, y + (top - bottom) * 0.015, label, ha="center", va="bottom", fontsize=8,
              bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1})  # fmt: skip


def _save(figure, path: Path) -> None:
    figure.savefig(path, dpi=130, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def _draw_legend(figure, patches: Sequence[Patch]) -> None:
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9)


def _read_composites(maps: Path, years: Sequence[int]) -> list[np.ndarray]:
    """Read B12, B11, B04 of some years as red, green, blue, and opacity: arrays (row, col, 4), 0-1. All years have the same contrast."""
    bands = [
        [read_map(maps / f"{composite_map(year, f'{b}_p50')}.tif") for b in ("B12", "B11", "B04")] for year in years
    ]
    limits = [np.percentile(np.concatenate([b[i].compressed()[::7] for b in bands]), (1, 99)) for i in range(3)]
    images = []
    for three in bands:
        scaled = [
            np.clip((b.filled(0) - low) / max(high - low, 1), 0, 1)
            for b, (low, high) in zip(three, limits, strict=True)
        ]
        images.append(np.dstack([*scaled, (~np.ma.getmaskarray(three[0])).astype(float)]))
    return images


def draw_composites(maps: Path, years: Sequence[int], out: Path) -> None:
    """Draw B12, B11, B04 of each year as red, green, blue; all years have the same contrast, so that colours can be compared."""
    extent = read_extent(maps / f"{composite_map(years[0], 'B12_p50')}.tif")
    figure, axes = _map_panels(len(years), extent)
    for axis, year, image in zip(axes, years, _read_composites(maps, years), strict=True):
        axis.set_facecolor(COMPOSITE_NO_DATA.get_facecolor())
        axis.imshow(image, extent=extent, interpolation="nearest")
        axis.set_title(str(year))
    _draw_legend(figure, [COMPOSITE_NO_DATA])
    _save(figure, out)


def draw_counts(maps: Path, years: Sequence[int], out: Path) -> None:
    """Draw the number of clear observations of each cell."""
    counts = [read_map(maps / f"{composite_map(year, 'count')}.tif") for year in years]
    top = max(int(c.max()) for c in counts)
    extent = read_extent(maps / f"{composite_map(years[0], 'count')}.tif")
    figure, axes = _map_panels(len(years), extent)
    colours = plt.get_cmap("viridis", top + 1)
    for axis, year, values in zip(axes, years, counts, strict=True):
        shown = axis.imshow(values, cmap=colours, vmin=-0.5, vmax=top + 0.5, extent=extent, interpolation="nearest")
        axis.set_title(str(year))
    ticks = range(0, top + 1, max(1, top // 6))
    figure.colorbar(shown, ax=list(axes), fraction=0.02, pad=0.02, label="clear observations", ticks=ticks)
    _save(figure, out)


def draw_classes(panels: Sequence[tuple[str, np.ndarray]], extent: Extent, out: Path) -> None:
    """Draw class maps side by side, each with its title; 0 and masked cells are no data."""
    figure, axes = _map_panels(len(panels), extent)
    colours = [tuple(v / 255 for v in c.colour) for c in CLASSES]
    norm = BoundaryNorm(np.arange(0.5, 5), 4)
    for axis, (title, values) in zip(axes, panels, strict=True):
        shown = np.ma.masked_equal(values, 0)
        axis.imshow(shown, cmap=ListedColormap(colours), norm=norm, extent=extent, interpolation="nearest")
        axis.set_title(title)
    _draw_legend(figure, [*(Patch(color=c, label=k.title) for c, k in zip(colours, CLASSES, strict=True)), NO_DATA])
    _save(figure, out)


def draw_change(panels: Sequence[tuple[str, np.ma.MaskedArray]], extent: Extent, out: Path) -> None:
    """Draw maps of newly impervious cells (1, 0, masked); each such cell is drawn larger than it is, so that it can be seen."""
    figure, axes = _map_panels(len(panels), extent)
    colours = ListedColormap([colour for colour, _ in CHANGE_COLOURS])
    for axis, (title, values) in zip(axes, panels, strict=True):
        wide = maximum_filter(values.filled(0), size=max(1, values.shape[0] // 300))
        shown = np.ma.masked_array(wide, np.ma.getmaskarray(values) & (wide == 0))
        axis.imshow(shown, cmap=colours, vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axis.set_title(f"{title}: {float((values == 1).sum()) * CELL_KM2:.2f} km²")
    patches = [Patch(facecolor=colour, edgecolor="#999999", label=label) for colour, label in CHANGE_COLOURS]
    _draw_legend(figure, [*patches, NO_DATA])
    _save(figure, out)


def _year_patches(years: Sequence[int]) -> list[Patch]:
    """Return the legend of the year of change; the first year has no colour."""
    colours, _ = year_colours(len(years) - 1)
    labels = ["no change", *map(str, years[1:])]
    return [Patch(facecolor=colours(i), edgecolor="#999999", label=label) for i, label in enumerate(labels)]


def draw_years(panels: Sequence[tuple[str, np.ndarray]], years: Sequence[int], extent: Extent, out: Path) -> None:
    """Draw maps of the year of sealing, each with its title and area; each cell is drawn larger than it is.

    panels : title and array (row, col), the number of the year, 0 no change
    """
    figure, axes = _map_panels(len(panels), extent, width=6.2)
    colours, norm = year_colours(len(years) - 1)
    for axis, (title, values) in zip(axes, panels, strict=True):
        shown = maximum_filter(values, size=max(1, values.shape[0] // 300))
        axis.imshow(shown, cmap=colours, norm=norm, extent=extent, interpolation="nearest")
        axis.set_title(f"{title}: {float((values > 0).sum()) * CELL_KM2:.2f} km²")
    _draw_legend(figure, _year_patches(years))
    _save(figure, out)


def draw_site(
    maps: Path, panels: Sequence[tuple[str, np.ndarray]], years: Sequence[int], window: tuple[slice, slice], out: Path
) -> None:
    """Draw a part of the composites of the first and the last year, and of maps of the year of sealing.

    panels : as for draw_years, the truth last: its new cells are outlined in the composites; window : rows and columns
    """
    rows, cols = window
    km = 0.02
    extent = (0, (cols.stop - cols.start) * km, 0, (rows.stop - rows.start) * km)
    figure, axes = _map_panels(2 + len(panels), extent)
    ends = (years[0], years[-1])
    new = panels[-1][1][window] > 0
    height, width = (km * (np.arange(n) + 0.5) for n in new.shape)
    for axis, year, image in zip(axes, ends, _read_composites(maps, ends), strict=False):
        axis.set_facecolor(COMPOSITE_NO_DATA.get_facecolor())
        axis.imshow(image[window], extent=extent, interpolation="nearest")
        axis.contour(width, height[::-1], new, [0.5], colors="white", linewidths=1)
        axis.set_title(f"Composite {year}")
    colours, norm = year_colours(len(years) - 1)
    for axis, (title, values) in zip(axes[2:], panels, strict=True):
        axis.imshow(values[window], cmap=colours, norm=norm, extent=extent, interpolation="nearest")
        axis.set_title(title)
    _draw_legend(figure, [*_year_patches(years), COMPOSITE_NO_DATA])
    _save(figure, out)


def _source_style(source: str) -> tuple[str, str]:
    """Return colour and label of a method, or of the truth."""
    if source == "truth":
        return TRUTH_COLOUR, "Truth"
    by_trust = sorted(METHODS, key=lambda method: -METHODS[method]["rank"])
    return METHOD_COLOURS[by_trust.index(source) % len(METHOD_COLOURS)], METHODS[source]["title"]


def draw_bars(
    panels: Sequence[tuple[str, Mapping[str, Mapping[str, float | None]]]], names: Mapping[str, str], out: Path
) -> None:
    """Draw bars for each region, one for each source (a method or the truth).

    panels : title, and source to region code to value; names : region code to name
    """
    figure, axes = plt.subplots(len(panels), 1, figsize=(11, 3.2 * len(panels)), squeeze=False, sharex=True)
    regions = list(names)
    for axis, (title, sources) in zip(axes[:, 0], panels, strict=True):
        step = 0.78 / len(sources)
        for i, (source, values) in enumerate(sources.items()):
            x = np.arange(len(regions)) + (i - (len(sources) - 1) / 2) * step
            heights = [values.get(geo) for geo in regions]
            colour, label = _source_style(source)
            axis.bar(x, [0 if h is None else h for h in heights], 0.96 * step, color=colour, label=label)
            for at, height in zip(x, heights, strict=True):
                if height is None:
                    axis.text(at, 0, "–", ha="center", va="bottom", fontsize=11, color=colour)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylabel("% of the area")
        axis.spines[["top", "right"]].set_visible(False)
        axis.axhline(0, color="#444444", lw=0.8)
        axis.grid(axis="y", color="#e5e5e5")
        axis.set_axisbelow(True)
    # Above the axes, where no bar can stand.
    axes[0, 0].legend(frameon=False, ncols=8, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    labels = [f"{geo}\n{textwrap.fill(names[geo], 12)}" for geo in regions]
    axes[-1, 0].set_xticks(range(len(regions)), labels, fontsize=7.5)
    _save(figure, out)


def draw_estimates(found: Mapping[str, Sequence[Period]], out: Path) -> None:
    """Draw estimates with their intervals, the map and the truth, by period; found : region code to periods."""
    figure, axes = plt.subplots(len(found), 1, figsize=(11, 3.4 * len(found)), squeeze=False)
    for axis, (geo, periods) in zip(axes[:, 0], found.items(), strict=True):
        x = np.arange(len(periods))
        value = np.array([one.value for one in periods])
        low, high = (np.array([getattr(one, key) for one in periods]) for key in ("low", "high"))
        axis.errorbar(
            x,
            value,
            [value - low, high - value],
            fmt="o",
            color="#1f5fa8",
            capsize=4,
            lw=1.6,
            label="Estimate, 95 % interval",
        )
        axis.plot(x + 0.16, [one.mapped for one in periods], "s", color="#d98014", label="Series model")
        axis.plot(x - 0.16, [one.true for one in periods], "x", color=TRUTH_COLOUR, mew=2, label="Truth")
        axis.set_xticks(x, [f"{one.first}-{one.last}" for one in periods], rotation=30, ha="right", fontsize=8)
        axis.set_title(f"New artificial land, {geo}", loc="left", fontsize=10)
        axis.set_ylabel("km2 a year")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e5e5e5")
    axes[0, 0].legend(frameon=False, ncols=3, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1))
    _save(figure, out)


def _rings(geometry: Mapping) -> list[np.ndarray]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [np.asarray(ring)[:, :2] / 1000 for polygon in polygons for ring in polygon]


def _label_point(shape: Outline, rings: Sequence[np.ndarray], extent: Extent) -> np.ndarray:
    """Return the point of an outline within the extent that lies farthest from all borders: where a label has most room."""
    widest = max(rings, key=lambda ring: np.ptp(ring, axis=0).prod())
    steps = (np.linspace(low, high, 60) for low, high in zip(widest.min(axis=0), widest.max(axis=0), strict=True))
    points = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2)
    points = points[shape.contains_points(points)]
    left, right, bottom, top = extent
    to_frame = np.minimum.reduce([points[:, 0] - left, right - points[:, 0], points[:, 1] - bottom, top - points[:, 1]])
    away = np.linalg.norm(points[:, None] - np.concatenate(rings)[None], axis=2).min(axis=1)
    room = np.minimum(away, to_frame)
    return points[room.argmax()] if room.max() > 0 else points[away.argmax()]


def draw_regions(
    outlines: Path, values: Mapping[str, float | None], level: int, extent: Extent, title: str, out: Path
) -> None:
    """Draw the regions of one level, coloured by a value in per cent; grey where there is none. extent : of the world."""
    found = json.loads(outlines.read_text(encoding="utf-8"))["features"]
    known = [v for v in values.values() if v is not None]
    figure, axis = plt.subplots(figsize=(7, 6))
    colours, norm = plt.get_cmap("YlOrRd"), plt.Normalize(0, max(known, default=1))
    left, right, bottom, top = extent
    for feature in (f for f in found if f["properties"]["level"] == level):
        geo = feature["properties"]["geo"]
        value = values.get(geo)
        rings = _rings(feature["geometry"])
        shape = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))
        colour = "#dddddd" if value is None else colours(norm(value))
        axis.add_patch(PathPatch(shape, facecolor=colour, edgecolor="#444444", lw=0.8))
        x, y = _label_point(shape, rings, extent)
        label = "no value" if value is None else f"{value:.1f} %"
        axis.text(x, y, f"{geo}\n{label}", ha="center", va="center", fontsize=8,
                  path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip
    axis.autoscale_view()
    axis.set_aspect("equal")
    axis.axis("off")
    axis.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, ls="--", lw=0.8, ec="#1f5fa8"))
    axis.set_title(title, fontsize=10)
    figure.colorbar(plt.cm.ScalarMappable(norm, colours), ax=axis, fraction=0.03, label="% of the region")
    _save(figure, out)
