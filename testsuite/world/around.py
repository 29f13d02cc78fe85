"""What lies around the scenes: truth, labels, regions, reference points, population."""

from __future__ import annotations

import csv
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.features import rasterize, shapes
from rasterio.transform import from_origin
from scipy import ndimage

from testsuite.world.fields import fractal, ranks
from testsuite.world.land import Land
from testsuite.world.materials import CLASS, CODE, MATERIALS, S2GLC
from testsuite.world.spec import FINE_M, MARGIN_M, RES_M, Spec

PER_CELL = (RES_M // FINE_M) ** 2
NO_SHARE = 65535


def place_surface(spec: Spec, land: Land) -> np.ndarray:
    """Cut the margin off. Returns: array (row, col) of 5 m cells, surfaces."""
    cut = MARGIN_M // FINE_M
    return land.surface[cut:-cut, cut:-cut]


@dataclass
class Truth:
    """The truth of one year on 20 m cells of the place."""

    counts: np.ndarray
    """(4, row, col) uint8, how many of the sixteen 5 m cells are of class 1-4."""
    majority: np.ndarray
    """(row, col) uint8, class 1-4."""
    gained: dict[str, np.ndarray]
    """Per definition (row, col) uint8: 5 m cells newly sealed since the year before."""
    lost: dict[str, np.ndarray]
    """The same for cells no longer sealed."""


DEFINITIONS = {"artificial": (1,), "artificial_natural": (1, 2)}


def _per_cell(fine: np.ndarray) -> np.ndarray:
    """Count true 5 m cells in 20 m cells. Returns: array (row, col), uint8."""
    n = RES_M // FINE_M
    rows = fine.reshape(fine.shape[0] // n, n, fine.shape[1]).sum(axis=1, dtype=np.uint8)
    return rows.reshape(rows.shape[0], -1, n).sum(axis=2, dtype=np.uint8)


def make_truth(spec: Spec, land: Land) -> dict[int, Truth]:
    """Count the land of each year."""
    surface = place_surface(spec, land)
    west, _, _, north = spec.bounds
    out: dict[int, Truth] = {}
    last: np.ndarray | None = None
    for year in spec.years:
        now = CLASS[land.material(year)]
        fine = now[surface]
        counts = np.stack([_per_cell(fine == c) for c in (1, 2, 3, 4)])
        row = -north // RES_M + np.arange(counts.shape[1])[:, None]
        col = west // RES_M + np.arange(counts.shape[2])[None, :]
        # Ties are settled by the cell's place on the absolute grid, so that no class is favoured.
        turn = (row * 7919 + col * 104729) % 4
        weight = counts.astype(np.int16) * 4
        for c in range(4):
            weight[c] += ((c + turn) % 4).astype(np.int16)
        gained, lost = {}, {}
        for name, classes in DEFINITIONS.items():
            sealed = np.isin(now, classes)
            before = sealed if last is None else np.isin(last, classes)
            gained[name] = (
                _per_cell((sealed & ~before)[surface]) if last is not None else np.zeros(counts.shape[1:], np.uint8)
            )
            lost[name] = (
                _per_cell((~sealed & before)[surface]) if last is not None else np.zeros(counts.shape[1:], np.uint8)
            )
        out[year] = Truth(counts, (weight.argmax(axis=0) + 1).astype(np.uint8), gained, lost)
        last = now
    return out


def write_tif(path: Path, data: np.ndarray, west: float, north: float, res_m: float, nodata: float | None) -> None:
    """Write a GeoTIFF in EPSG:3035. data : array (row, col)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype.name, "crs": "EPSG:3035",
        "transform": from_origin(west, north, res_m, res_m), "tiled": True, "blockxsize": 256, "blockysize": 256,
        "compress": "deflate", "nodata": nodata,
    }  # fmt: skip
    with rasterio.Env(GDAL_NUM_THREADS=1, GDAL_PAM_ENABLED=False), rasterio.open(path, "w", **profile) as file:
        file.write(data, 1)


def write_truth(folder: Path, spec: Spec, truth: dict[int, Truth]) -> None:
    """Write class_<year>.tif and sealed_share_<year>.tif (share of class 1, x 10000; 65535 no data)."""
    west, _, _, north = spec.bounds
    for year, t in truth.items():
        write_tif(folder / f"class_{year}.tif", t.majority, west, north, RES_M, 0)
        share = np.rint(t.counts[0].astype(float) * 10000 / PER_CELL).astype(np.uint16)
        write_tif(folder / f"sealed_share_{year}.tif", share, west, north, RES_M, NO_SHARE)


WRONG_RATE = {
    62: 0.16,
    73: 0.07,
    75: 0.40,
    82: 0.16,
    83: 0.12,
    102: 0.27,
    103: 0.50,
    104: 0.45,
    105: 0.40,
    106: 0.35,
    121: 0.45,
    162: 0.06,
}
TAKEN_FOR = {
    62: ((102, 0.45), (73, 0.35), (121, 0.20)), 73: ((102, 0.62), (62, 0.14), (121, 0.08), (75, 0.16)), 75: ((73, 0.7), (102, 0.3)),
    82: ((83, 0.45), (102, 0.30), (104, 0.15), (103, 0.10)), 83: ((82, 0.75), (103, 0.15), (106, 0.10)),
    102: ((73, 0.50), (62, 0.22), (103, 0.16), (82, 0.12)), 103: ((102, 0.6), (83, 0.2), (106, 0.2)), 104: ((82, 0.6), (102, 0.4)),
    105: ((102, 0.6), (162, 0.15), (106, 0.25)), 106: ((105, 0.5), (103, 0.5)), 121: ((62, 0.60), (73, 0.25), (123, 0.15)),
    162: ((105, 0.6), (83, 0.4)),
}  # fmt: skip
"""What the real product mixes up: cover of like phenology, bare land with sealed land, gardens with houses."""


def make_labels(spec: Spec, land: Land, overall: float = 0.86) -> np.ndarray:
    """Make a land-cover map of the first year with S2GLC's codes and its errors.

    overall : share of the valid cells that are right, 0-1
    Returns: array (row, col) of 10 m cells, uint8, codes; 0 cloud, 255 no data
    """
    surface = place_surface(spec, land)
    material = land.material(spec.years[0])[surface]
    n = 2
    parts = np.stack([material[i::n, j::n] for i in range(n) for j in range(n)])
    codes = S2GLC[parts]
    votes = np.stack([(codes == c).sum(axis=0) for c in codes])
    pick = votes.argmax(axis=0)[None]
    code = np.take_along_axis(codes, pick, 0)[0]
    kind = np.take_along_axis(parts, pick, 0)[0]
    pure = votes.max(axis=0) == n * n
    rng = spec.rng("labels")
    rate = np.zeros(256)
    for c, r in WRONG_RATE.items():
        rate[c] = r
    odds = np.log(rate[code] / (1 - rate[code]))
    odds += 1.9 * (kind == CODE["garden"]) + 0.9 * (kind == CODE["fallow"]) + 0.6 * (kind == CODE["lawn"])
    code_edge = ndimage.maximum_filter(code, 3) != ndimage.minimum_filter(code, 3)
    odds += (
        0.8 * ~pure + 0.7 * code_edge + 1.25 * fractal(rng, code.shape, 10, 600, 2.6) + rng.normal(0, 0.55, code.shape)
    )
    wrong = odds > np.quantile(odds, overall)
    chance = ranks(fractal(rng, code.shape, 10, 300, 2.4))
    out = code.copy()
    for c, choices in TAKEN_FOR.items():
        at = wrong & (code == c)
        names = np.array([name for name, _ in choices], np.uint8)
        out[at] = names[np.minimum(np.searchsorted(np.cumsum([s for _, s in choices]), chance[at]), len(names) - 1)]
    garden = wrong & (kind == CODE["garden"])
    out[garden & (chance < 0.8)] = 62
    clouds = fractal(rng, code.shape, 10, 3000, 3.2)
    out[clouds > np.quantile(clouds, 0.997)] = 0
    # A strip along the eastern edge was never mapped.
    out[: max(4, code.shape[0] // 40), -max(4, code.shape[1] // 40) :] = 255
    return out


def write_labels(path: Path, spec: Spec, labels: np.ndarray) -> None:
    """Write the label map."""
    west, _, _, north = spec.bounds
    write_tif(path, labels, west, north, 10, 255)


@dataclass(frozen=True)
class Region:
    """One region of any level."""

    code: str
    level: int
    name: str
    parts: tuple[int, ...]
    """Numbers of the level 3 regions that make it up."""


NAMES = (
    "Elbaue", "Havelmark", "Rhinluch", "Dosseland", "Prignitzer Heide", "L'Isle-d'Aland", "Jäglitz", "Stüdenitz und Umland",
    "Klötze", "Milow-Nord", "Arneburg", "Sandau", "Kamern", "Schollene", "Rathenow", "Spaatz",
)  # fmt: skip


@dataclass
class Regions:
    """The regions and how they lie."""

    all: list[Region]
    polygons: dict[str, list[dict]]
    """Per code the polygons (GeoJSON-like, EPSG:3035)."""
    cells: np.ndarray
    """(row, col) of 20 m cells of the place, int16: number of the level 3 region at the cell's centre."""


def make_regions(spec: Spec) -> Regions:
    """Draw regions of four levels: with an enclave, an island, regions partly outside the place, and one never observed."""
    rng = spec.rng("regions")
    west, south, east, north = spec.bounds
    side = east - west
    lattice = max(20, round(side / 100 / 20) * 20)
    # The drawing board reaches far beyond the place, west and east.
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
    # Smooth enough that a border bends and does not crumble.
    bend_x, bend_y = (0.03 * side * fractal(rng, gx.shape, lattice, 0.3 * side, 4.5) for _ in range(2))
    away = np.hypot(gx[None] + bend_x - points[:, 0, None, None], gy[None] + bend_y - points[:, 1, None, None])
    near = _in_one_piece(away.argmin(axis=0) + 1)
    number = np.where((gx > west - 0.05 * side) & (gx < east + 0.20 * side), near, 0).astype(np.int16)
    # Two far regions of the neighbour, an enclave of it, an island, and a region that no scene ever sees.
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
    # Codes: west to east, three levels of threes.
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
            # Names repeat between levels, as real ones do, but not within one.
            name = {"XA": "Aurania", "XB": "Belmark"}.get(code) or NAMES[place % len(NAMES)]
            regions.append(Region(code, level, name, parts))
    transform = from_origin(x0, y1, lattice, lattice)
    polygons = {r.code: _outlines(np.isin(number, r.parts), transform, spec.seed, 0.30 * lattice) for r in regions}
    shape = (north - south) // RES_M, (east - west) // RES_M
    place = from_origin(west, north, RES_M, RES_M)
    burn = [(g, r.parts[0]) for r in regions if r.level == 3 for g in polygons[r.code]]
    cells = rasterize(burn, shape, 0, transform=place, dtype="int16")
    return Regions(regions, polygons, cells)


def _in_one_piece(number: np.ndarray) -> np.ndarray:
    """Leave each number its largest piece and give the others to the nearest that stays. number : array (row, col), int."""
    stays = np.zeros(number.shape, bool)
    for n in np.unique(number):
        pieces, _ = ndimage.label(number == n)
        stays |= pieces == np.bincount(pieces[pieces > 0]).argmax()
    nearest = ndimage.distance_transform_edt(~stays, return_distances=False, return_indices=True)
    return number[tuple(nearest)]


def _outlines(mask: np.ndarray, transform, seed: int, sway: float) -> list[dict]:
    """Outline true cells and move each corner by a rule of its place, so that neighbours keep a common border."""
    out = []
    for shape, value in shapes(mask.astype(np.uint8), transform=transform):
        if value != 1:
            continue
        rings = []
        for ring in shape["coordinates"]:
            # Corners on a straight run are kept apart by the lattice, so that a long edge bends too.
            points = np.array(_walked(np.array(ring), abs(transform.a)))
            wave = np.sin(points[:, 0] * 12.9898 + points[:, 1] * 78.233 + seed) * 43758.5453
            wave2 = np.sin(points[:, 0] * 39.346 + points[:, 1] * 11.135 + seed) * 24634.6345
            moved = points + sway * (2 * np.column_stack([wave % 1, wave2 % 1]) - 1)
            rings.append([(round(float(x), 2), round(float(y), 2)) for x, y in moved])
        out.append({"type": "Polygon", "coordinates": rings})
    return out


def _walked(ring: np.ndarray, step: float) -> list[np.ndarray]:
    """Set a vertex at every lattice corner of a closed ring."""
    points: list[np.ndarray] = []
    for a, b in pairwise(ring):
        n = max(1, round(float(np.abs(b - a).max()) / step))
        points += [a + (b - a) * k / n for k in range(n)]
    return [*points, points[0]]


def write_regions(path: Path, regions: Regions) -> None:
    """Write regions as a GeoPackage, by the standard library: the file is the same byte for byte, and no second GDAL is loaded."""
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


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_region_truth(path: Path, spec: Spec, regions: Regions, truth: dict[int, Truth]) -> None:
    """Write the truth per region and year, in square metres.

    basis `share` sums the 5 m cells, `majority` the 20 m cells of each class. area_m2 is the part of the region within the place.
    """
    n = int(max(p for r in regions.all for p in r.parts)) + 1
    at = regions.cells.ravel()
    cell, fine = RES_M**2, FINE_M**2

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(at, weights=values.ravel().astype(float), minlength=n)

    area = np.bincount(at, minlength=n) * cell
    rows: list[list[object]] = []
    last: Truth | None = None
    for year, t in truth.items():
        per: dict[str, dict[str, np.ndarray]] = {"share": {}, "majority": {}}
        for name, classes in DEFINITIONS.items():
            per["share"][f"sealed_{name}_m2"] = total(sum(t.counts[c - 1].astype(int) for c in classes)) * fine
            per["share"][f"gain_{name}_m2"] = total(t.gained[name]) * fine
            per["share"][f"loss_{name}_m2"] = total(t.lost[name]) * fine
            now = np.isin(t.majority, classes)
            before = now if last is None else np.isin(last.majority, classes)
            per["majority"][f"sealed_{name}_m2"] = total(now) * cell
            per["majority"][f"gain_{name}_m2"] = total(now & ~before) * cell
            per["majority"][f"loss_{name}_m2"] = total(~now & before) * cell
        per["share"]["green_m2"], per["share"]["other_m2"] = total(t.counts[2]) * fine, total(t.counts[3]) * fine
        per["majority"]["green_m2"], per["majority"]["other_m2"] = (
            total(t.majority == 3) * cell,
            total(t.majority == 4) * cell,
        )
        for region in regions.all:
            parts = list(region.parts)
            for basis in ("share", "majority"):
                values = [round(float(per[basis][c][parts].sum())) for c in REGION_COLUMNS]
                rows.append([region.code, region.level, year, basis, int(area[parts].sum()), *values])
        last = t
    write_csv(path, ["geo", "level", "year", "basis", "area_m2", *REGION_COLUMNS], rows)


REGION_COLUMNS = (
    "sealed_artificial_m2", "sealed_artificial_natural_m2", "green_m2", "other_m2", "gain_artificial_m2", "loss_artificial_m2",
    "gain_artificial_natural_m2", "loss_artificial_natural_m2",
)  # fmt: skip
STRATA = ("artificial", "natural", "green", "other", "near_sealed", "gain", "loss")


def strata(truth: dict[int, Truth]) -> np.ndarray:
    """Part the place into strata of the reference sample by the truth. Returns: array (row, col), uint8, index into STRATA."""
    years = list(truth)
    first, last = truth[years[0]].majority, truth[years[-1]].majority
    out = (last - 1).astype(np.uint8)
    sealed = last == 1
    out[ndimage.binary_dilation(sealed, iterations=3) & ~sealed & (last == 3)] = 4
    out[(first != 1) & (last == 1)] = 5
    out[(first == 1) & (last != 1)] = 6
    return out


def draw_points(spec: Spec, truth: dict[int, Truth], each: int, draw: int, error_rate: float) -> list[list[object]]:
    """Draw a stratified reference sample with a label per year.

    each : points a stratum (all cells, where a stratum is smaller); draw : number of the draw, other points for each
    error_rate : share of labels that the interpreter gets wrong, 0-1
    Returns: rows of points.csv
    """
    rng = spec.rng("reference", draw)
    kind = strata(truth)
    west, _, _, north = spec.bounds
    rows: list[list[object]] = []
    for number, name in enumerate(STRATA):
        cells = np.flatnonzero(kind == number)
        picked = np.sort(rng.choice(cells, min(each, len(cells)), replace=False)) if len(cells) else cells
        for cell in picked:
            row, col = divmod(int(cell), kind.shape[1])
            labels = [_read(int(t.majority[row, col]), rng, error_rate) for t in truth.values()]
            at = (west + col * RES_M + RES_M // 2, north - row * RES_M - RES_M // 2)
            rows.append([len(rows) + 1, *at, name, len(cells), len(picked), *labels])
    return rows


def _read(truth: int, rng: np.random.Generator, error_rate: float) -> int:
    """Return what the interpreter writes down for a class."""
    if error_rate and rng.random() < error_rate:
        return int(rng.choice([c for c in (1, 2, 3, 4) if c != truth]))
    return truth


def write_reference(folder: Path, spec: Spec, truth: dict[int, Truth], each: int, error_rate: float) -> None:
    """Write points.csv (stratified) and grid.csv (a regular grid, as LUCAS draws)."""
    labels = [f"label_{year}" for year in truth]
    header = ["id", "x", "y", "stratum", "stratum_cells", "stratum_points", *labels]
    write_csv(folder / "points.csv", header, draw_points(spec, truth, each, 0, error_rate))
    west, south, east, north = spec.bounds
    rng = spec.rng("grid")
    step = max(RES_M, round((east - west) / 40 / RES_M) * RES_M)
    rows = []
    half = RES_M // 2
    # At cells' centres, so that every tool finds the same cell there.
    for y in range(-(-south // step) * step + half, north, step):
        for x in range(-(-west // step) * step + half, east, step):
            row, col = (north - y) // RES_M, (x - west) // RES_M
            rows.append(
                [len(rows) + 1, x, y, *(_read(int(t.majority[row, col]), rng, error_rate) for t in truth.values())]
            )
    write_csv(folder / "grid.csv", ["id", "x", "y", *labels], rows)


def write_zones(folder: Path, spec: Spec, regions: Regions) -> None:
    """Write zones.tif (number of the level 3 region at each 20 m cell's centre) and zones.csv (which numbers make up a region)."""
    west, _, _, north = spec.bounds
    write_tif(folder / "zones.tif", regions.cells, west, north, RES_M, 0)
    rows = [[r.code, r.level, r.name, " ".join(map(str, r.parts))] for r in regions.all]
    write_csv(folder / "zones.csv", ["geo", "level", "name", "zones"], rows)


def write_population(path: Path, spec: Spec, regions: Regions, truth: dict[int, Truth]) -> None:
    """Write people per region and year: they live where ground is sealed, and their number moves by less than a per cent a year."""
    rng = spec.rng("population")
    n = int(max(p for r in regions.all for p in r.parts)) + 1
    first = next(iter(truth.values()))
    sealed = np.bincount(regions.cells.ravel(), weights=first.counts[0].ravel().astype(float), minlength=n) * FINE_M**2
    people = sealed / 1e6 * 2300 * rng.lognormal(0, 0.25, n) + rng.integers(200, 900, n)
    trend = rng.normal(0.002, 0.006, n)
    rows = []
    for k, year in enumerate(truth):
        now = np.rint(people * (1 + trend) ** k).astype(int)
        rows += [[r.code, r.level, year, int(now[list(r.parts)].sum())] for r in regions.all]
    write_csv(path, ["geo", "level", "year", "people"], rows)


def material_shares(spec: Spec, land: Land, year: int) -> dict[str, float]:
    """Return the share of each material in the place, 0-1."""
    count = np.bincount(land.material(year)[place_surface(spec, land)].ravel(), minlength=len(MATERIALS))
    return {m.name: round(float(c) / count.sum(), 6) for m, c in zip(MATERIALS, count, strict=True)}
