"""The outlines of the regions: GeoJSON polygons in EPSG:3035."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dashboard.errors import TableFolderError
from dashboard.files import read_json


def polygons(geometry: Mapping[str, Any]) -> list[list[np.ndarray]]:
    """Return the polygons of a GeoJSON geometry.

    Returns: for each polygon a list of rings, the outer ring first; a ring is an array (point, 2), x and y in metres

    Raises ValueError where the geometry is no polygon or has no ring.
    """
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise ValueError(geometry["type"])
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    rings = [[np.asarray(ring, dtype=np.float64)[:, :2] for ring in part] for part in parts]
    if not rings or any(len(part) == 0 for part in rings):
        raise ValueError("no ring")
    return rings


def read_neighbours(path: Path) -> list[Mapping[str, Any]]:
    """Return the GeoJSON geometries of the land around the regions; none where the file does not exist.

    Raises TableFolderError where the file is not GeoJSON of polygons in metres.
    """
    if not path.exists():
        return []
    features = [feature if isinstance(feature, dict) else {} for feature in _read_features(path)]
    return [_checked(one.get("geometry"), f"File '{path}', feature {i}") for i, one in enumerate(features, start=1)]


def _read_features(path: Path) -> Sequence[Any]:
    root = read_json(path)
    features = root.get("features", []) if isinstance(root, dict) else []
    if not isinstance(features, list) or not features:
        raise TableFolderError(f"File '{path}' is not a GeoJSON feature collection, or has no features.")
    return features


def _checked(geometry: Any, where: str) -> Mapping[str, Any]:
    """Return a geometry whose rings are in metres; raise TableFolderError for any other."""
    geometry = geometry if isinstance(geometry, dict) else {}
    try:
        points = np.concatenate([ring for part in polygons(geometry) for ring in part])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as err:
        raise TableFolderError(
            f"{where}: the outline must be a polygon with rings; its type is {geometry.get('type')}."
        ) from err
    if not np.isfinite(points).all() or np.abs(points).max() <= 360:
        raise TableFolderError(f"{where}: the coordinates must be metres of EPSG:3035, not degrees.")
    return geometry


def read_outlines(path: Path, geos: Container[str]) -> dict[str, Mapping[str, Any]]:
    """Return the GeoJSON geometry of each region of `geos` that has an outline.

    Raises TableFolderError where the file is not GeoJSON of polygons in metres, or has no outline of these regions.
    """
    outlines = {}
    for feature in _read_features(path):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict) or "geo" not in properties:
            raise TableFolderError(f"File '{path}' has a feature without the property geo.")
        geo = properties["geo"]
        if geo not in geos:
            continue
        outlines[geo] = _checked(feature.get("geometry"), f"File '{path}', region {geo}")
    if not outlines:
        raise TableFolderError(f"File '{path}' has no outline of a region of the table.")
    return outlines
