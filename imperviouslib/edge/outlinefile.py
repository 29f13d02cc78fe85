"""Outlines of regions as GeoJSON: in EPSG:3035, as figures need them, and in degrees, as RFC 7946 asks and most web maps expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imperviouslib.core.grid import EPSG
from imperviouslib.edge.warp import transformer

_DIGITS = 7
"""Decimals of a degree: a centimetre, as precise as the metres are."""


def to_lonlat(outlines: Mapping[str, Any]) -> dict[str, Any]:
    """Return a FeatureCollection of MultiPolygons in EPSG:3035 in longitude and latitude, with rings in the order of RFC 7946.

    Each corner is transformed; the edges between them become straight in degrees.
    """
    features = []
    for feature in outlines["features"]:
        polygons = [
            [_ring(ring, outer=number == 0) for number, ring in enumerate(rings)]
            for rings in feature["geometry"]["coordinates"]
        ]
        features.append({**feature, "geometry": {"type": "MultiPolygon", "coordinates": polygons}})
    return {"type": "FeatureCollection", "features": features}


def _ring(corners: list[list[float]], *, outer: bool) -> list[list[float]]:
    """Return a ring in degrees: outer rings run counterclockwise, holes clockwise."""
    x, y = np.asarray(corners, float)[:, :2].T
    lon, lat = transformer(f"EPSG:{EPSG}", "EPSG:4326").transform(x, y)
    ring = np.round(np.column_stack([lon, lat]), _DIGITS)
    doubled_area = float(np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]))
    return (ring if (doubled_area > 0) == outer else ring[::-1]).tolist()
