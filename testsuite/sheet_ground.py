"""A made sample for the labelling sheet: units of known history with pictures, and an interpreter that answers from the truth.

The pictures are false colours of fields, woods, roads and houses; sealed cells are grey-blue, green ones red, and building ground is pale.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from imperviouslib.core.readings import POINT, SIDE, WINDOW, Reading, SheetUnit
from imperviouslib.edge.sheet import CONTEXT

YEARS = tuple(range(2017, 2024))


@dataclass
class SheetGround:
    """Units and the year in which each of their cells is sealed and cleared."""

    units: list[SheetUnit]
    since: dict[str, np.ndarray]
    """Unit to an array (row, col) of its picture: index of the first year in which a cell is sealed; len(YEARS) = never."""
    until: dict[str, np.ndarray]
    """The same: index of the first year in which a cell is no longer sealed; len(YEARS) = never."""
    noise: dict[str, int] = field(default_factory=dict)

    @property
    def kinds(self):
        return {unit.id: unit.kind for unit in self.units}

    def states(self, unit):
        """Sealed or not, array (year, row, col) of the picture."""
        years = np.arange(len(YEARS))[:, None, None]
        return ((years >= self.since[unit.id]) & (years < self.until[unit.id])).astype(np.uint8)

    def chips(self, unit):
        """Pictures of all years, arrays (row, col, 3)."""
        rng = np.random.default_rng(self.noise[unit.id])
        states = self.states(unit)
        shape = states.shape[1:]
        fields = gaussian_filter(rng.random(shape), 3)
        green = np.stack([150 + 900 * (fields - 0.5), np.full(shape, 70.0), np.full(shape, 60.0)], axis=-1)
        texture = rng.normal(0, 1, (*shape, 1))
        pictures = []
        for k, sealed in enumerate(states):
            season = rng.normal(0, 6)
            grey = np.array([105, 140, 150]) + 14 * texture
            site = (self.since[unit.id] - k == 1)[..., None] & (self.since[unit.id] < len(YEARS))[..., None]
            picture = np.where(
                sealed[..., None] == 1, grey, np.where(site, [205, 195, 180], green + 8 * texture + season)
            )
            pictures.append(np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255).astype(np.uint8))
        return pictures

    def reading(self, unit, *, certainty="sure", interpreter="Ann", number=1, seconds=None, wrong=None):
        """What an interpreter who makes no error reads in a unit: the rows of the file.

        wrong : states of a point that are read in place of the true ones
        """
        states = self.states(unit)
        end = (certainty, interpreter, number, seconds)
        if unit.kind == POINT:
            middle = CONTEXT[POINT]
            return [Reading(unit.id, None, tuple(wrong or map(int, states[:, middle, middle])), *end)]
        margin = CONTEXT[WINDOW]
        inner = states[:, margin : margin + SIDE, margin : margin + SIDE].reshape(len(YEARS), -1)
        changed = np.flatnonzero((inner != inner[0]).any(axis=0))
        cells = [Reading(unit.id, int(cell), tuple(map(int, inner[:, cell])), *end) for cell in changed]
        return [Reading(unit.id, None, (None,) * len(YEARS), *end), *cells]


def _draw(rng, kind, size):
    """Make the histories of a picture: a road, houses, and now and then a new site or a cleared one."""
    never = len(YEARS)
    since, until = np.full((size, size), never), np.full((size, size), never)
    road = rng.integers(2, size - 2)
    since[road : road + 1 + rng.integers(2)] = 0
    for _ in range(rng.integers(2, 6)):
        row, col = rng.integers(0, size - 3, 2)
        since[row : row + rng.integers(1, 4), col : col + rng.integers(1, 4)] = 0
    changes = rng.choice([0, 1, 2, 3], p=[0.35, 0.3, 0.2, 0.15]) if kind == WINDOW else rng.integers(0, 2)
    for _ in range(changes):
        row, col = rng.integers(size // 4, 3 * size // 4, 2)
        box = np.s_[row : row + rng.integers(2, 6), col : col + rng.integers(2, 7)]
        if rng.random() < 0.75:
            since[box] = np.where(since[box] == 0, 0, rng.integers(1, never))
        else:
            since[box], until[box] = 0, rng.integers(1, never)
    return since, until


def make_sheet_ground(points, windows, seed=1):
    """Make a sample of points and windows in random order of kinds."""
    rng = np.random.default_rng(seed)
    kinds = [*[POINT] * points, *[WINDOW] * windows]
    numbers, units, since, until = {POINT: 0, WINDOW: 0}, [], {}, {}
    for kind in kinds:
        numbers[kind] += 1
        name = f"{'P' if kind == POINT else 'W'}{numbers[kind]:04d}"
        units.append(SheetUnit(name, kind, float(rng.uniform(12, 16)), float(rng.uniform(48, 51))))
        since[name], until[name] = _draw(rng, kind, (1 if kind == POINT else SIDE) + 2 * CONTEXT[kind])
    return SheetGround(units, since, until, {unit.id: n for n, unit in enumerate(units)})
