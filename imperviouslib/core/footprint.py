"""Footprints of items: where the valid data of a scene lie, in longitude and latitude.

Catalogues write them as polygons, as several polygons, as collections, or not at all. A ring that crosses the date line is brought to continuous
longitudes, which may then lie beyond 180.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Ring = tuple[tuple[float, float], ...]
"""Corners (longitude, latitude) in degrees."""
_DEEPEST = 4
"""Collections within collections that are looked into."""
_MARGIN_DEG = 2.0
"""Margin in degrees around the zone and the latitude band of a tile: tiles overlap both."""
_TILE_DEG = 1.5
"""Width of a tile at the equator in degrees, rounded up."""
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Latitude bands of MGRS, 8 degrees each, from 80 degrees south."""


def parse_rings(geometry: Any, bbox: Any = None) -> tuple[Ring, ...]:
    """Return the outer rings of all polygons of a GeoJSON geometry; where it has none, the box.

    geometry : Polygon, MultiPolygon or GeometryCollection; all others have no ring
    bbox : west, south, east, north, with heights between them or without
    Returns: () where there is no ring; raises TypeError or ValueError where the numbers are no longitudes and latitudes

    >>> parse_rings(None, [12, 50, 13, 51])
    (((12.0, 50.0), (13.0, 50.0), (13.0, 51.0), (12.0, 51.0), (12.0, 50.0)),)
    """
    rings = tuple(ring for raw in _outer_rings(geometry, _DEEPEST) if _area(ring := _parse_ring(raw)))
    if rings or not bbox:
        return rings
    ring = _parse_box(bbox)
    return (ring,) if _area(ring) else ()


def _outer_rings(geometry: Any, depth: int) -> Iterator[Sequence[Any]]:
    if not isinstance(geometry, Mapping) or not depth:
        return
    kind, coordinates = geometry.get("type"), geometry.get("coordinates") or ()
    if kind == "GeometryCollection":
        for member in geometry.get("geometries") or ():
            yield from _outer_rings(member, depth - 1)
    elif kind == "Polygon":
        yield from coordinates[:1]
    elif kind == "MultiPolygon":
        yield from (polygon[0] for polygon in coordinates if polygon)


def _parse_ring(corners: Sequence[Any]) -> Ring:
    """Parse corners; longitudes become continuous, so that a ring across the date line does not reach around the Earth."""
    ring: list[tuple[float, float]] = []
    for corner in corners:
        lon, lat = _degrees(corner[0], 360), _degrees(corner[1], 90)
        if ring:
            lon -= 360 * round((lon - ring[-1][0]) / 360)
        ring.append((lon, lat))
    return tuple(ring)


def _parse_box(bbox: Sequence[Any]) -> Ring:
    if len(bbox) not in (4, 6):
        raise ValueError(bbox)
    half = len(bbox) // 2
    west, east = (_degrees(bbox[i], 360) for i in (0, half))
    south, north = (_degrees(bbox[i], 90) for i in (1, half + 1))
    east += 360 if east < west else 0
    return (west, south), (east, south), (east, north), (west, north), (west, south)


def _degrees(value: Any, limit: float) -> float:
    number = float(value)
    # NaN fails this too.
    if not abs(number) <= limit:
        raise ValueError(value)
    return number


def _area(ring: Ring) -> float:
    """Return the area of a ring in square degrees; 0 where it has fewer than three corners."""
    return abs(math.fsum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise((*ring, *ring[:1])))) / 2


def is_near_tile(ring: Ring, tile: str) -> bool:
    """Tell whether the middle of a ring lies in the zone and the latitude band of a tile, or beside them.

    >>> ring = parse_rings(None, [12, 50, 13, 51])[0]
    >>> is_near_tile(ring, "33UUR"), is_near_tile(tuple((lat, lon) for lon, lat in ring), "33UUR")
    (True, False)
    """
    (west, east), (south, north) = ((min(axis), max(axis)) for axis in zip(*ring, strict=True))
    lon, lat = (west + east) / 2, (south + north) / 2
    from_zone = abs((lon - (6 * int(tile[:2]) - 183) + 180) % 360 - 180)
    first_lat = 8 * _BANDS.index(tile[2]) - 80
    # The northernmost band is 12 degrees high.
    is_in_band = first_lat - _MARGIN_DEG <= lat <= first_lat + (12 if tile[2] == "X" else 8) + _MARGIN_DEG
    return is_in_band and from_zone <= 3 + _MARGIN_DEG + _TILE_DEG / max(math.cos(math.radians(lat)), 0.05)
