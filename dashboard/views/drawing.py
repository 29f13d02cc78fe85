"""The drawing of the chart: axis, lines, bands, markers and labels as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor, log10

from htmltools import Tag

from dashboard import texts
from dashboard.table import Cell, Measure, Period
from dashboard.views.elements import svg
from dashboard.views.lines import Line


def axis_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose round values that span low to high.

    >>> axis_ticks(0.3, 9.1)
    [0, 2, 4, 6, 8, 10]
    """
    if high <= low:
        high = low + (abs(low) or 1) * 0.1
    rough = (high - low) / count
    size = 10 ** floor(log10(rough))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _values(lines: Iterable[Line]) -> list[float]:
    return [v for line in lines for c in line.cells.values() for v in (c.value, c.low, c.high) if v is not None]


def axis_start(lines: Sequence[Line], measure: Measure) -> float:
    """Return the value at which the axis starts.

    It is 0, or the least value of flows below 0. An axis of stocks starts near the least value where the stocks vary little.
    """
    values = _values(lines)
    low, high = min(values), max(values)
    if not measure.is_stock:
        return min(low, 0.0)
    return 0.0 if low < (high - low) * 2 else axis_ticks(low, high)[0]


def draw_chart(
    lines: Sequence[Line],
    periods: Sequence[Period],
    measure: Measure,
    shown: Period | None,
    *,
    name_regions: bool,
    width: int,
    height: int,
) -> Tag:
    """Draw the chart: axes, bands, lines, markers and labels.

    periods : all periods of the lines, ascending
    shown : the period of the map; a vertical line marks it
    name_regions : label the lines with their regions, not with their methods
    width, height : size of the drawing in its own units
    """
    ticks = axis_ticks(axis_start(lines, measure), max(*_values(lines), 0.0))
    decimals = max((len(f"{tick:.10g}".partition(".")[2]) for tick in ticks), default=0)
    labels = [texts.number(tick, decimals) for tick in ticks]
    left, right, top, bottom = 14 + 8 * max(map(len, labels)), 86, 14, 30

    def x(period: Period) -> float:
        inner = width - left - right
        if len(periods) == 1:
            return left + inner / 2
        return left + (8 + (inner - 16) * periods.index(period) / (len(periods) - 1))

    def y(value: float) -> float:
        return top + (height - top - bottom) * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    parts: list[Tag] = []
    for tick, label in zip(ticks, labels, strict=True):
        kind = "zero" if tick == 0 else "grid"
        parts.append(svg("line", x1=left, x2=width - right, y1=f"{y(tick):.1f}", y2=f"{y(tick):.1f}", class_=kind))
        parts.append(svg("text", label, x=left - 6, y=f"{y(tick) + 4:.1f}", text_anchor="end"))
    # A label needs about 58 units. Counted from the end, so that the last period always has one.
    every = max(1, ceil(58 * len(periods) / (width - left - right)))
    for i, period in enumerate(reversed(periods)):
        if i % every == 0:
            parts.append(svg("text", period.label, x=f"{x(period):.1f}", y=height - 8, text_anchor="middle"))
    marked = next((period for period in periods if shown and period.year == shown.year), None)
    if marked:
        at = f"{x(marked):.1f}"
        parts.append(svg("line", x1=at, x2=at, y1=top, y2=height - bottom, class_="now"))
    for line in lines:
        if not line.beside:
            parts += [svg("path", d=d, class_=f"ribbon s{line.slot}") for d in _bands(line, x, y)]
    for line in sorted(lines, key=lambda line: not line.beside):
        style = f"s{line.slot}" + (" beside" if line.beside else "")
        parts += [svg("path", d=d, class_=f"line {style}") for d in _strokes(line, x, y)]
        if not line.beside:
            for period, cell in line.cells.items():
                if cell.value is not None:
                    hollow = " hollow" if texts.PROVISIONAL in cell.flags else ""
                    parts.append(marker(line.slot, x(period), y(cell.value), f"mark {style}{hollow}"))
    ends = []
    for line in lines:
        if name_regions and line.beside:
            continue
        value = [cell.value for cell in line.cells.values() if cell.value is not None][-1]
        ends.append((y(value), line.geo if name_regions else line.method.short, line))
    for at, text, line in _spread(ends, 15, top + 6, height - bottom):
        style = f"end s{line.slot}" + (" beside" if line.beside else "")
        parts.append(svg("text", text[:10], x=width - right + 6, y=f"{at + 4:.1f}", class_=style))
    return svg("svg", *parts, class_="chart", viewBox=f"0 0 {width} {height}")


def _spread(
    ends: list[tuple[float, str, Line]], gap: float, top: float, bottom: float
) -> list[tuple[float, str, Line]]:
    """Move labels apart vertically so that none covers another."""
    ends = sorted(ends, key=lambda end: end[0])
    heights: list[float] = []
    for at, _, _ in ends:
        heights.append(max(at, heights[-1] + gap) if heights else max(at, top))
    over = heights[-1] - bottom if heights else 0
    if over > 0:
        heights = [height - over for height in heights]
    return [(height, text, line) for height, (_, text, line) in zip(heights, ends, strict=True)]


def _runs(line: Line, wanted: str) -> list[list[tuple[Period, Cell]]]:
    """Split a line at each period without a figure.

    wanted : field of Cell, "value" or "low"
    """
    runs: list[list[tuple[Period, Cell]]] = [[]]
    for period, cell in line.cells.items():
        if getattr(cell, wanted) is None:
            runs.append([])
        else:
            runs[-1].append((period, cell))
    return [run for run in runs if run]


def _strokes(line: Line, x: Callable[[Period], float], y: Callable[[float], float]) -> list[str]:
    return [
        "M" + "L".join(f"{x(period):.1f} {y(cell.value):.1f}" for period, cell in run)
        for run in _runs(line, "value")
        if len(run) > 1 or line.beside
    ]


def _bands(line: Line, x: Callable[[Period], float], y: Callable[[float], float]) -> list[str]:
    shapes = []
    for run in _runs(line, "low"):
        there = [f"{x(p):.1f} {y(c.high):.1f}" for p, c in run]
        back = [f"{x(p):.1f} {y(c.low):.1f}" for p, c in reversed(run)]
        if len(run) == 1:
            period, cell = run[0]
            there = [f"{x(period) + d:.1f} {y(cell.high):.1f}" for d in (-4, 4)]
            back = [f"{x(period) + d:.1f} {y(cell.low):.1f}" for d in (4, -4)]
        shapes.append("M" + "L".join([*there, *back]) + "z")
    return shapes


def marker(slot: int, x: float, y: float, class_: str) -> Tag:
    """Draw a marker. Each slot has its own shape, so that lines can be told apart without colour."""
    if slot == 0:
        return svg("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.6, class_=class_)
    shape = {
        1: "M-3.4-3.4h6.8v6.8h-6.8z",
        2: "M0-4.4l4.2 7.4h-8.4z",
        3: "M0-4.8l4.2 4.8-4.2 4.8-4.2-4.8z",
        4: "M0 4.4l4.2-7.4h-8.4z",
    }[slot]
    return svg("path", d=shape, transform=f"translate({x:.1f} {y:.1f})", class_=class_)
