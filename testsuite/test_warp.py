"""The exact warp: against pyproj cell by cell, against a float64 reference, and the same whatever window is asked for."""

import hashlib
from dataclasses import replace

import numpy as np
import pyproj
import pytest

from imperviouslib.core.grid import Grid
from imperviouslib.core.resample import METHODS, Resampler, Source, halve
from imperviouslib.edge import warp
from testsuite.raster_ground import cell_positions

TILE = Source("EPSG:32633", (20.0, 0.0, 300000.0, 0.0, -20.0, 5900040.0), 5490, 5490, "uint16")
"""Tile 33UUU."""


def exact(source, x, y):
    """Return (row, col) of points in pixels, by pyproj directly."""
    east, north = pyproj.Transformer.from_crs(3035, source.crs, always_xy=True).transform(x, y)
    a, _, c, _, e, f = source.transform
    return (north - f) / e, (east - c) / a


def warped(pixels, source, origin, part, method):
    """Return the cells of `part`."""
    return warp.Warper(pixels, source, origin, method).take(part)


@pytest.fixture(scope="module")
def window():
    """A source of 700 x 600 pixels in the middle of the tile, smooth ground with sharp edges, and the cells that it covers."""
    rng = np.random.default_rng(7)
    source = replace(TILE, transform=(20.0, 0.0, 350000.0, 0.0, -20.0, 5850000.0), height=700, width=600)
    rows, cols = np.mgrid[:700, :600]
    ground = (
        2500
        + 900 * np.sin(rows / 9) * np.cos(cols / 7)
        + 1500 * ((rows // 40 + cols // 40) % 2)
        + rng.normal(0, 60, rows.shape)
    )
    return source, np.clip(ground, 1, 12000).astype(np.uint16), warp.extent(source)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:32632", "EPSG:32629"])
def test_nearest_takes_the_right_pixel_in_all_of_400_000_cells(crs):
    source = replace(TILE, crs=crs)
    grid, rng = warp.extent(source), np.random.default_rng(1)
    wrong = seen = 0
    # Random windows, so that the cells lie all over the tile.
    while seen < 400_000:
        row, col = rng.integers(0, grid.height - 128), rng.integers(0, grid.width - 128)
        part = Grid(
            grid.west + col * 20, grid.north - (row + 128) * 20, grid.west + (col + 128) * 20, grid.north - row * 20
        )
        rows, cols = cell_positions(source, part)
        x, y = np.meshgrid(part.west + 20 * (np.arange(128) + 0.5), part.north - 20 * (np.arange(128) + 0.5))
        true_rows, true_cols = exact(source, x, y)
        inside = (true_rows >= 0) & (true_rows < 5490) & (true_cols >= 0) & (true_cols < 5490)
        wrong += int(((np.floor(rows) != np.floor(true_rows)) | (np.floor(cols) != np.floor(true_cols)))[inside].sum())
        seen += int(inside.sum())
        assert max(np.abs(rows - true_rows).max(), np.abs(cols - true_cols).max()) < 1e-6
    assert wrong == 0


def reference(pixels, rows, cols, method):
    """Resample in float64, a cell at a time, by the plain definition; 0 where the nearest pixel or any tap has no data."""
    height, width = pixels.shape
    out = np.zeros(rows.shape)

    def keys(d):
        d = abs(d)
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    def hat(d):
        return max(0.0, 1 - abs(d))

    weight, reach = (keys, 2) if method == "cubic" else (hat, 1)
    for index in np.ndindex(rows.shape):
        r, c = rows[index] - 0.5, cols[index] - 0.5
        for i in range(int(np.floor(r)) - reach + 1, int(np.floor(r)) + reach + 1):
            for j in range(int(np.floor(c)) - reach + 1, int(np.floor(c)) + reach + 1):
                if 0 <= i < height and 0 <= j < width:
                    out[index] += weight(r - i) * weight(c - j) * float(pixels[i, j])
    return out


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_values_are_within_one_of_a_float64_reference(window, method):
    source, pixels, grid = window
    centre = Grid(grid.west + 6000, grid.south + 6000, grid.west + 6000 + 1600, grid.south + 6000 + 1600)
    rows, cols = cell_positions(source, centre)
    found = warped(pixels, source, (0, 0), centre, method)
    expected = reference(pixels, rows, cols, method)
    assert found.std() > 300
    assert np.abs(found - expected).max() < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_256_and_1024_and_the_whole_have_the_same_checksum(window, method):
    source, pixels, grid = window
    warper = warp.Warper(pixels, source, (0, 0), method)
    sums = set()
    for cells in (256, 1024, 10**6):
        out = np.empty(grid.shape, np.float32)
        for part in grid.blocks(cells):
            out[part.slices_in(grid)] = warper.take(part)
        sums.add(hashlib.sha256(out.tobytes()).hexdigest())
    # A window of its own, cut where no block ends, has the same cells again.
    odd = Grid(grid.west + 20 * 111, grid.south + 20 * 57, grid.west + 20 * 388, grid.south + 20 * 401)
    assert (warper.take(odd) == out[odd.slices_in(grid)]).all()
    assert len(sums) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_part_of_the_source_gives_the_same_cells_as_the_whole(window, method):
    source, pixels, grid = window
    part = Grid(grid.west + 20 * 200, grid.south + 20 * 200, grid.west + 20 * 320, grid.south + 20 * 300)
    (row, row_end), (col, col_end) = warp.source_window(source, part, margin=6)
    assert (row_end - row) * (col_end - col) < pixels.size / 10
    cut = warped(pixels[row:row_end, col:col_end], source, (row, col), part, method)
    assert (cut == warped(pixels, source, (0, 0), part, method)).all()


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_have_data_in_the_same_cells(window, method):
    """A cell has data if and only if its nearest pixel has, at holes and at the rim."""
    source, pixels, grid = window
    holes = pixels.copy()
    holes[100:180, 200:260] = 0
    holes[np.random.default_rng(2).random(holes.shape) < 0.01] = 0
    wide = grid.grown(30)
    nearest = warped(holes, source, (0, 0), wide, "nearest")
    found = warped(holes, source, (0, 0), wide, method)
    assert ((found > 0) == (nearest > 0)).all()
    assert 0.1 < (nearest > 0).mean() < 0.99
    # Beside holes bilinear is a mean of what is there, never lowered by the 0 of no data.
    if method == "bilinear":
        flat = warped(np.where(holes > 0, 1234, 0).astype(np.uint16), source, (0, 0), wide, method)
        assert set(np.unique(np.rint(flat))) == {0, 1234}


def test_cubic_never_turns_dark_ground_beside_bright_into_no_data():
    pixels = np.full((40, 40), 1, np.uint16)
    pixels[:, 20:] = 10000
    rows, cols = np.mgrid[5:35:0.37, 5:35:0.37]
    assert Resampler(pixels, "cubic").take(rows, cols).min() > 0


def test_between_pixels_on_paper():
    pixels = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint16)
    at = (np.array([[1.5, 1.25, 2.0]]), np.array([[1.5, 1.5, 2.0]]))
    # The centre of 50; a quarter of the way up to 20; the corner of 50, 60, 80 and 90.
    assert Resampler(pixels, "bilinear").take(*at).tolist() == [[50, 0.75 * 50 + 0.25 * 20, (50 + 60 + 80 + 90) / 4]]
    assert Resampler(pixels, "nearest").take(*at).tolist() == [[50, 50, 90]]


def test_pixels_of_10_m_are_averaged_without_those_that_have_no_data():
    pixels = np.array([[10, 20, 0, 0], [30, 41, 0, 7]], np.uint16)
    # (10 + 20 + 30 + 41) / 4 = 25.25
    assert halve(pixels).tolist() == [[25, 7]]


def test_two_utm_zones_over_the_same_ground_agree_far_better_than_by_nearest():
    """Ground with waves from 100 m to 3 km, sampled at the pixels of both zones: RMSE between zones, and from the ground itself."""

    def ground(x, y):
        rng = np.random.default_rng(5)
        total = np.full(x.shape, 3000.0)
        for length in np.geomspace(100, 3000, 12):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            total += 150 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + phase)
        return total

    grid = Grid(4460000, 3290000, 4464000, 3294000)
    values = {}
    for crs in ("EPSG:32632", "EPSG:32633"):
        to_zone = pyproj.Transformer.from_crs(3035, crs, always_xy=True)
        west, south, east, north = (round(v / 20) * 20 for v in to_zone.transform_bounds(*grid.grown(40).bounds))
        height, width = (north - south) // 20, (east - west) // 20
        source = Source(crs, (20.0, 0.0, float(west), 0.0, -20.0, float(north)), height, width, "uint16")
        x, y = np.meshgrid(west + 20 * (np.arange(width) + 0.5), north - 20 * (np.arange(height) + 0.5))
        back = pyproj.Transformer.from_crs(crs, 3035, always_xy=True)
        pixels = np.rint(ground(*back.transform(x, y))).astype(np.uint16)
        for method in METHODS:
            values[crs, method] = warped(pixels, source, (0, 0), grid, method).astype(float)
    x, y = np.meshgrid(grid.west + 20 * (np.arange(grid.width) + 0.5), grid.north - 20 * (np.arange(grid.height) + 0.5))
    truth = ground(x, y)
    rmse = {m: np.sqrt(np.mean((values["EPSG:32632", m] - values["EPSG:32633", m]) ** 2)) for m in METHODS}
    assert rmse["nearest"] > 50
    assert rmse["bilinear"] < rmse["nearest"] / 4
    assert rmse["cubic"] < rmse["bilinear"]
    # Against the ground at the cells' centres: why cubic is the default.
    off = {m: np.sqrt(np.mean((values["EPSG:32632", m] - truth) ** 2)) for m in METHODS}
    assert off["cubic"] < off["bilinear"] / 2 < off["nearest"] / 4
