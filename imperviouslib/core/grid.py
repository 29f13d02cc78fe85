"""The one grid: cells of `res_m` metres in EPSG:3035, edges at whole multiples of `res_m`.

All numbers are integers, so two grids are either equal or not; nothing is compared with a tolerance. A cell has an absolute
row and column, counted from the projection's origin, so that no rule depends on how an area was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from imperviouslib.core.errors import GridError, _

EPSG = 3035
RES_M = 20
_ELLIPSOIDS = ("grs80", "wgs84")
"""That of ETRS89, and one that differs from it by a tenth of a millimetre."""
BLOCK = 1024
"""Cells a side of an absolute block: the unit of work, of resume and of memory. A multiple of 2^depth of any net here."""


@dataclass(frozen=True, order=True)
class Grid:
    """A rectangle of whole cells of the grid.

    west, south, east, north : int, outer edges in metres, multiples of res_m
    res_m : int, cell size in metres
    """

    west: int
    south: int
    east: int
    north: int
    res_m: int = RES_M

    def __post_init__(self) -> None:
        edges = (self.west, self.south, self.east, self.north)
        if any(int(edge) != edge or int(edge) % self.res_m for edge in edges):
            raise GridError(
                _("Grid {}").format(edges),
                found=_("an edge that is not a multiple of the cell size"),
                expected=_("multiples of {} m").format(self.res_m),
                then=_("Align the region with g.region -a res=20."),
            )
        if self.east <= self.west or self.north <= self.south:
            raise GridError(
                _("Grid {}").format(edges),
                found=_("no area"),
                expected=_("west < east and south < north"),
                then=_("Check the region."),
            )

    @classmethod
    def from_bounds(cls, bounds: Sequence[int], res_m: int = RES_M) -> Grid:
        """Return the grid of (west, south, east, north) in metres."""
        west, south, east, north = bounds
        return cls(west, south, east, north, res_m)

    @property
    def height(self) -> int:
        """Rows."""
        return (self.north - self.south) // self.res_m

    @property
    def width(self) -> int:
        """Columns."""
        return (self.east - self.west) // self.res_m

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def first_row(self) -> int:
        """Absolute row of the northernmost cells; rows grow southwards from y = 0."""
        return -self.north // self.res_m

    @property
    def first_col(self) -> int:
        """Absolute column of the westernmost cells; columns grow eastwards from x = 0."""
        return self.west // self.res_m

    @property
    def cell_area_m2(self) -> int:
        """Area of a cell in square metres; exact, since EPSG:3035 is equal-area."""
        return self.res_m * self.res_m

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """GDAL's affine coefficients in rasterio's order (a, b, c, d, e, f)."""
        return float(self.res_m), 0.0, float(self.west), 0.0, float(-self.res_m), float(self.north)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """(west, south, east, north) in metres."""
        return self.west, self.south, self.east, self.north

    def contains(self, other: Grid) -> bool:
        """Tell whether `other` has the same cells and lies within."""
        return (
            self.res_m == other.res_m
            and self.west <= other.west
            and self.south <= other.south
            and self.east >= other.east
            and self.north >= other.north
        )

    def intersection(self, other: Grid) -> Grid | None:
        """Return the cells common to both, or None."""
        if self.res_m != other.res_m:
            raise _mismatch(self, other)
        west, south = max(self.west, other.west), max(self.south, other.south)
        east, north = min(self.east, other.east), min(self.north, other.north)
        return Grid(west, south, east, north, self.res_m) if west < east and south < north else None

    def union(self, other: Grid) -> Grid:
        """Return the smallest grid that contains both.

        >>> Grid(0, 0, 20, 20).union(Grid(60, 40, 80, 60)).bounds
        (0, 0, 80, 60)
        """
        if self.res_m != other.res_m:
            raise _mismatch(self, other)
        return Grid(
            min(self.west, other.west),
            min(self.south, other.south),
            max(self.east, other.east),
            max(self.north, other.north),
            self.res_m,
        )

    def offset_in(self, outer: Grid) -> tuple[int, int]:
        """Return (row, column) of this grid's first cell in `outer`; may be negative."""
        return (outer.north - self.north) // self.res_m, (self.west - outer.west) // self.res_m

    def slices_in(self, outer: Grid) -> tuple[slice, slice]:
        """Return the (row, column) slices that cut this grid out of an array on `outer`, which must contain it."""
        if not outer.contains(self):
            raise GridError(
                _("Grid {}").format(self.bounds),
                found=_("cells outside {}").format(outer.bounds),
                expected=_("only cells inside it"),
                then=_("Check the region."),
            )
        row, col = self.offset_in(outer)
        return slice(row, row + self.height), slice(col, col + self.width)

    def grown(self, cells: int) -> Grid:
        """Return the grid with `cells` more cells on every side."""
        d = cells * self.res_m
        return Grid(self.west - d, self.south - d, self.east + d, self.north + d, self.res_m)

    def snapped_out(self, cells: int) -> Grid:
        """Return the smallest grid around this one whose edges are absolute multiples of `cells` cells.

        >>> Grid(20, 20, 60, 60).snapped_out(8).bounds
        (0, 0, 160, 160)
        """
        step = cells * self.res_m
        return Grid(
            self.west // step * step,
            self.south // step * step,
            -(-self.east // step) * step,
            -(-self.north // step) * step,
            self.res_m,
        )

    def parts(self, rows: int, cols: int | None = None) -> Iterator[Grid]:
        """Cut the grid from its own north-western corner into parts of at most rows x cols cells, row by row.

        cols : None = strips as wide as the grid

        >>> [part.shape for part in Grid(0, 0, 60, 60).parts(2)], [part.shape for part in Grid(0, 0, 60, 40).parts(2, 2)]
        ([(2, 3), (1, 3)], [(2, 2), (2, 1)])
        """
        high, wide = rows * self.res_m, (self.width if cols is None else cols) * self.res_m
        for north in range(self.north, self.south, -high):
            for west in range(self.west, self.east, wide):
                yield Grid(west, max(self.south, north - high), min(self.east, west + wide), north, self.res_m)

    def blocks(self, cells: int = BLOCK) -> Iterator[Grid]:
        """Cut the grid at absolute multiples of `cells` cells, row by row from the north-west.

        >>> [b.shape for b in Grid(0, 0, 60, 40).blocks(2)]
        [(2, 2), (2, 1)]
        """
        step = cells * self.res_m
        outer = self.snapped_out(cells)
        for north in range(outer.north, outer.south, -step):
            for west in range(outer.west, outer.east, step):
                part = self.intersection(Grid(west, north - step, west + step, north, self.res_m))
                if part is not None:
                    yield part


def _mismatch(one: Grid, other: Grid) -> GridError:
    return GridError(
        _("Grids with different cell sizes"),
        found=_("cells of {} and {} m").format(one.res_m, other.res_m),
        expected=_("one cell size"),
        then=_("Set one resolution with g.region -a res=20."),
    )


def is_grid_projection(parameters: Mapping[str, str]) -> bool:
    """Tell whether parameters as g.proj -g prints them are those of EPSG:3035.

    The projection may be defined without its code; then its parameters decide, the ellipsoid and the unit among them: on a sphere the same
    coordinates are places kilometres away.

    >>> laea = {"proj": "laea", "lat_0": "52", "lon_0": "10", "x_0": "4321000", "y_0": "3210000", "meters": "1"}
    >>> is_grid_projection({**laea, "ellps": "grs80"}), is_grid_projection({**laea, "a": "6371000", "es": "0"})
    (True, False)
    """
    if parameters.get("srid", "").upper() == f"EPSG:{EPSG}" or parameters.get("epsg") == str(EPSG):
        return True
    wanted = {"lat_0": 52, "lon_0": 10, "x_0": 4321000, "y_0": 3210000, "meters": 1}
    return (
        parameters.get("proj") == "laea"
        and parameters.get("ellps", "").lower() in _ELLIPSOIDS
        and all(abs(float(parameters.get(key, "nan")) - value) < 1e-6 for key, value in wanted.items())
    )


def snap_out(west: float, south: float, east: float, north: float, res_m: int = RES_M) -> Grid:
    """Return the smallest grid that covers the given bounds (metres, EPSG:3035).

    >>> snap_out(1.0, 1.0, 39.0, 20.0).bounds
    (0, 0, 40, 20)
    """
    return Grid(
        floor(west / res_m) * res_m,
        floor(south / res_m) * res_m,
        ceil(east / res_m) * res_m,
        ceil(north / res_m) * res_m,
        res_m,
    )
