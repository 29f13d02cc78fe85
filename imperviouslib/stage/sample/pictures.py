"""The pictures of the labelling sheet: what composites and other maps show around each unit of the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imperviouslib.core import mapnames
from imperviouslib.core.design import Design
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.sample import WINDOW
from imperviouslib.edge import grass
from imperviouslib.edge.sheet import CONTEXT

Pictures = Mapping[str, np.ndarray]
"""Id of a unit to array (year, row, col, 3), uint8, black where there is no data."""
_DARK, _BRIGHT = 1, 99
"""Percentiles of the reflectance that become black and white; the same stretch for all years, so that years can be compared."""


def read_pictures(
    design: Design, layer: str, composites: Sequence[tuple[str, ...]], rasters: Mapping[str, Sequence[str]]
) -> dict[str, Pictures]:
    """Read the pictures of all layers. Memory holds them: 60 kB a unit and layer of seven years.

    layer : name of the layer of the composites
    composites : the maps shown as red, green and blue, for each year
    rasters : name of a further layer to its map of each year, shown in its colours
    Returns: name of a layer to its pictures
    """
    units = _read_units(design, [name for names in composites for name in names])
    found: dict[str, Pictures] = {
        layer: {unit: _stretch(cells) for unit, cells in zip(units, _scaled(list(units.values())), strict=True)}
    }
    for name, maps in rasters.items():
        if name in found:
            raise InputError(
                _("Option <rasters>: the name '{}' is that of the composites").format(name), then=_("Choose another.")
            )
        found[name] = _read_coloured(design, maps)
    return found


def _read_units(design: Design, maps: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the cells of integer maps around each unit, in one pass of strips.

    maps : three for each picture: red, green, blue
    Returns: id to array (picture, band, row, col), uint16, 0 = no data
    """
    sizes = {kind: (1 if kind == "point" else WINDOW) + 2 * around for kind, around in CONTEXT.items()}
    pictures = len(maps) // 3
    cells = {unit.id: np.zeros((pictures, 3, sizes[unit.kind], sizes[unit.kind]), np.uint16) for unit in design.units}
    grid = design.grid
    rows = max(1, 2**22 // (grid.width * len(maps)))
    strips = list(grid.parts(rows))
    for number, (strip, (codes, _values)) in enumerate(
        zip(strips, grass.read_strips(maps, [], grid, rows), strict=True)
    ):
        block = codes.reshape(pictures, 3, *strip.shape)
        for unit in design.units:
            around = CONTEXT[unit.kind]
            _copy(block, strip, unit.row - around, unit.col - around, cells[unit.id])
        grass.percent(number + 1, len(strips))
    return cells


def _read_coloured(design: Design, maps: Sequence[str]) -> Pictures:
    """Read maps of any type as their colours, one map at a time."""
    parts: list[dict[str, np.ndarray]] = []
    read: dict[str, dict[str, np.ndarray]] = {}
    for name in maps:
        if name not in read:
            bands = {grass.temporary_name(f"{mapnames.TEMPORARY}{letter}"): letter for letter in "rgb"}
            try:
                # Colours of NULL are white in r.mapcalc. 1 is added, because 0 is no data.
                expressions = {
                    out: f'{out} = if(isnull("{name}"), null(), int({letter}#"{name}") + 1)'
                    for out, letter in bands.items()
                }
                grass.mapcalc(expressions, design.grid)
                read[name] = _read_units(design, list(bands))
            finally:
                grass.remove(bands)
        parts.append(read[name])
    return {
        unit.id: np.concatenate([np.moveaxis(part[unit.id], 1, -1).clip(0, 255).astype(np.uint8) for part in parts])
        for unit in design.units
    }


def _copy(block: np.ndarray, strip: Grid, row: int, col: int, out: np.ndarray) -> None:
    """Copy what a strip holds of a picture whose first cell has an absolute row and column."""
    size = out.shape[-1]
    top, left = row - strip.first_row, col - strip.first_col
    r0, r1 = max(0, top), min(strip.height, top + size)
    c0, c1 = max(0, left), min(strip.width, left + size)
    if r0 < r1 and c0 < c1:
        out[..., r0 - top : r1 - top, c0 - left : c1 - left] = block[..., r0:r1, c0:c1]


def _scaled(cells: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the pictures with each band between its percentiles as 0 to 1, NaN where there is no data."""
    sample = np.concatenate([values[:, :, ::3, ::3].reshape(len(values), 3, -1) for values in cells], axis=2)
    bands = [sample[:, band][sample[:, band] > 0] for band in range(3)]
    if any(not len(band) for band in bands):
        raise InputError(
            _("Option <composites>: the maps have no cell near any unit of the sample"),
            then=_("Check the prefix and the years."),
        )
    low, high = (
        np.array([np.percentile(band, q) for band in bands])[:, np.newaxis, np.newaxis] for q in (_DARK, _BRIGHT)
    )
    for values in cells:
        yield np.where(values > 0, (values - low) / np.maximum(high - low, 1), np.nan)


def _stretch(values: np.ndarray) -> np.ndarray:
    """Turn values 0-1 into bytes, brightened as screens need it; array (year, band, row, col) to (year, row, col, band)."""
    bright = np.sqrt(np.clip(np.nan_to_num(values), 0, 1)) * 254 + 1
    return np.moveaxis(np.where(np.isnan(values), 0, bright).astype(np.uint8), 1, -1)
