"""The regions of a world: outlines of four levels, in the form of NUTS."""

from __future__ import annotations

import sqlite3
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.features import rasterize, shapes
from rasterio.transform import from_origin
from scipy import ndimage

from testsuite.world.fields import fractal_noise
from testsuite.world.files import write_csv, write_tif
from testsuite.world.spec import RES_M, Spec


@dataclass(frozen=True)
class Region:
    """A region of any level."""

    code: str
    level: int
    name: str
    parts: tuple[int, ...]
    """Numbers of the level 3 regions that it consists of."""


NAMES = (
    "Elbaue", "Havelmark", "Rhinluch", "Dosseland", "Prignitzer Heide", "L'Isle-d'Aland", "Jäglitz", "Stüdenitz und Umland",
    "Klötze", "Milow-Nord", "Arneburg", "Sandau", "Kamern", "Schollene", "Rathenow", "Spaatz",
)  # fmt: skip


@dataclass
class Regions:
    """The regions and where they are."""

    all: list[Region]
    polygons: dict[str, list[dict]]
    """Region code to polygons (as in GeoJSON, EPSG:3035)."""
    cells: np.ndarray
    """(row, col) of 20 m cells of the place, int16: number of the level 3 region at the centre of the cell."""


def make_regions(spec: Spec) -> Regions:
    """Draw regions of four levels. One has an enclave, one an island, some lie partly outside of the place, and one is never observed."""
    rng = spec.rng("regions")
    west, south, east, north = spec.bounds
    side = east - west
    lattice = max(20, round(side / 100 / 20) * 20)
    # The regions reach far beyond the place in the west and the east.
    x0, x1, y0, y1 = west - 0.30 * side, east + 0.25 * side, south - 0.10 * side, north + 0.10 * side
    cols, rows = int((x1 - x0) / lattice), int((y1 - y0) / lattice)
    gx, gy = np.meshgrid(x0 + (np.arange(cols) + 0.5) * lattice, y1 - (np.arange(rows) + 0.5) * lattice)
    n_home = int(np.clip(round((side / 1000) ** 2 / 45), 4, 12))
    seeds: list[tuple[float, float]] = []
    while len(seeds) < n_home:
        p = (rng.uniform(west, east - 0.12 * side), rng.uniform(south, north))
        if (
            all(np.hypot(p[0] - q[0], p[1] - q[1]) > 0.55 * side / np.sqrt(n_home) for q in seeds)
            or rng.random() < 0.01
        ):
            seeds.append(p)
    seeds += [(east + 0.04 * side, south + 0.25 * side), (east + 0.04 * side, south + 0.80 * side)]
    points = np.array(seeds)
    # Smooth, so that the borders bend without breaking into pieces.
    bend_x, bend_y = (0.03 * side * fractal_noise(rng, gx.shape, lattice, 0.3 * side, 4.5) for _ in range(2))
    away = np.hypot(gx[None] + bend_x - points[:, 0, None, None], gy[None] + bend_y - points[:, 1, None, None])
    near = _largest_pieces(away.argmin(axis=0) + 1)
    number = np.where((gx > west - 0.05 * side) & (gx < east + 0.20 * side), near, 0).astype(np.int16)
    # Two regions of the neighbouring country, an enclave of it, an island, and a region that no scene covers.
    sizes = np.bincount(near[(gx > west) & (gx < east) & (gy > south) & (gy < north)], minlength=len(seeds) + 1)[
        1 : n_home + 1
    ]
    host = int(sizes.argmax()) + 1
    # The enclave lies where its host is widest.
    depth = ndimage.distance_transform_edt((near == host) & (gx > west) & (gx < east) & (gy > south) & (gy < north))
    middle = np.unravel_index(depth.argmax(), depth.shape)
    radius = min(0.035 * side, 0.5 * depth.max() * lattice)
    number[np.hypot(gx - gx[middle], gy - gy[middle]) < radius] = n_home + 1
    number[np.hypot((gx - (west - 0.10 * side)) / 1.2, gy - (south + 0.6 * side)) < 0.025 * side] = 1
    unseen = len(seeds) + 1
    number[np.hypot((gx - (west - 0.21 * side)) / 0.6, gy - (south + 0.4 * side)) < 0.09 * side] = unseen
    # Codes from west to east; up to three regions of level 3 in each region of level 2.
    order = sorted(range(n_home), key=lambda i: seeds[i][0])
    home = [i + 1 for i in order]
    leaves: dict[str, tuple[int, ...]] = {}
    half = -(-len(home) // 2)
    for one, group in enumerate((home[:half], home[half:]), start=1):
        for two, start in enumerate(range(0, len(group), 3), start=1):
            for three, leaf in enumerate(group[start : start + 3], start=1):
                leaves[f"XA{one}{two}{three}"] = (leaf,)
    leaves["XA121" if "XA121" not in leaves else "XA131"] = (unseen,)
    leaves["XB001"], leaves["XB002"] = (n_home + 1,), (n_home + 2,)
    regions: list[Region] = []
    for level in range(4):
        codes = sorted({c[: level + 2] for c in leaves})
        for place, code in enumerate(codes):
            parts = tuple(sorted(p for c, ps in leaves.items() if c.startswith(code) for p in ps))
            # As in reality, the same name may occur in two levels, but not twice in one.
            name = {"XA": "Aurania", "XB": "Belmark"}.get(code) or NAMES[place % len(NAMES)]
            regions.append(Region(code, level, name, parts))
    transform = from_origin(x0, y1, lattice, lattice)
    polygons = {r.code: _draw_outlines(np.isin(number, r.parts), transform, spec.seed, 0.30 * lattice) for r in regions}
    shape = (north - south) // RES_M, (east - west) // RES_M
    place = from_origin(west, north, RES_M, RES_M)
    burn = [(g, r.parts[0]) for r in regions if r.level == 3 for g in polygons[r.code]]
    cells = rasterize(burn, shape, 0, transform=place, dtype="int16")
    return Regions(regions, polygons, cells)


def _largest_pieces(number: np.ndarray) -> np.ndarray:
    """Keep the largest piece of each number, and replace the other pieces by the nearest number that is kept. number : array (row, col), int."""
    stays = np.zeros(number.shape, bool)
    for n in np.unique(number):
        pieces, _ = ndimage.label(number == n)
        stays |= pieces == np.bincount(pieces[pieces > 0]).argmax()
    nearest = ndimage.distance_transform_edt(~stays, return_distances=False, return_indices=True)
    return number[tuple(nearest)]


def _draw_outlines(mask: np.ndarray, transform, seed: int, sway: float) -> list[dict]:
    """Outline the true cells, and shift each corner by a hash of its coordinates, so that neighbours keep a common border."""
    out = []
    for shape, value in shapes(mask.astype(np.uint8), transform=transform):
        if value != 1:
            continue
        rings = []
        for ring in shape["coordinates"]:
            # Straight edges get a vertex at each cell of the lattice, so that they bend too.
            points = np.array(_split_edges(np.array(ring), abs(transform.a)))
            wave = np.sin(points[:, 0] * 12.9898 + points[:, 1] * 78.233 + seed) * 43758.5453
            wave2 = np.sin(points[:, 0] * 39.346 + points[:, 1] * 11.135 + seed) * 24634.6345
            shifted = points + sway * (2 * np.column_stack([wave % 1, wave2 % 1]) - 1)
            rings.append([(round(float(x), 2), round(float(y), 2)) for x, y in shifted])
        out.append({"type": "Polygon", "coordinates": rings})
    return out


def _split_edges(ring: np.ndarray, step: float) -> list[np.ndarray]:
    """Add a vertex to a closed ring at every corner of the lattice."""
    points: list[np.ndarray] = []
    for a, b in pairwise(ring):
        n = max(1, round(float(np.abs(b - a).max()) / step))
        points += [a + (b - a) * k / n for k in range(n)]
    return [*points, points[0]]


def write_regions(path: Path, regions: Regions) -> None:
    """Write the regions as a GeoPackage. By the standard library, because the file must be the same byte by byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    wkt = CRS.from_epsg(3035).to_wkt(version="WKT1_GDAL")
    db = sqlite3.connect(path)
    db.executescript(
        """
        PRAGMA application_id = 1196444487; PRAGMA user_version = 10300;
        CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
          organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
        CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
          last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER);
        CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
          srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name));
        CREATE TABLE nuts (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom MULTIPOLYGON, NUTS_ID TEXT, LEVL_CODE INTEGER,
          CNTR_CODE TEXT, NAME_LATN TEXT);
        """
    )
    undefined = "undefined"
    db.executemany(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?,?,?,?,?,NULL)",
        [
            ("Undefined cartesian", -1, "NONE", -1, undefined),
            ("Undefined geographic", 0, "NONE", 0, undefined),
            ("WGS 84", 4326, "EPSG", 4326, CRS.from_epsg(4326).to_wkt(version="WKT1_GDAL")),
            ("ETRS89-extended / LAEA Europe", 3035, "EPSG", 3035, wkt),
        ],
    )
    points = np.array([p for gs in regions.polygons.values() for g in gs for ring in g["coordinates"] for p in ring])
    box = [*map(float, points.min(axis=0)), *map(float, points.max(axis=0))]
    db.execute(
        "INSERT INTO gpkg_contents VALUES ('nuts','features','nuts','','2024-01-01T00:00:00.000Z',?,?,?,?,3035)", box
    )
    db.execute("INSERT INTO gpkg_geometry_columns VALUES ('nuts','geom','MULTIPOLYGON',3035,0,0)")
    for region in regions.all:
        polygons = regions.polygons[region.code]
        wkb = struct.pack("<BII", 1, 6, len(polygons))
        for polygon in polygons:
            wkb += struct.pack("<BII", 1, 3, len(polygon["coordinates"]))
            for ring in polygon["coordinates"]:
                wkb += struct.pack("<I", len(ring)) + np.array(ring, "<f8").tobytes()
        blob = b"GP\0\x01" + struct.pack("<i", 3035) + wkb
        db.execute(
            "INSERT INTO nuts (geom, NUTS_ID, LEVL_CODE, CNTR_CODE, NAME_LATN) VALUES (?,?,?,?,?)",
            (blob, region.code, region.level, region.code[:2], region.name),
        )
    db.commit()
    db.close()


def write_zones(folder: Path, spec: Spec, regions: Regions) -> None:
    """Write zones.tif (number of the level 3 region at the centre of each 20 m cell) and zones.csv (numbers that each region consists of)."""
    west, _, _, north = spec.bounds
    write_tif(folder / "zones.tif", regions.cells, west, north, RES_M, 0)
    rows = [[r.code, r.level, r.name, " ".join(map(str, r.parts))] for r in regions.all]
    write_csv(folder / "zones.csv", ["geo", "level", "name", "zones"], rows)
