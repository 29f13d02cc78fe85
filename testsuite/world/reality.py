"""Compare the made world with real pixels: `python -m testsuite.world.reality DATA --picture FILE`.

DATA is a folder with packs of real Sentinel-2 pixels and spectra; doc/world.md names their public sources. Missing packs are reported and
skipped. Compared are, for each class, mean and standard deviation of B04, B11, B12, B8A and correlations (accepted: within 25 %), and for
each landscape the variogram of B04, B11, B12 at 20 to 320 m (accepted: within a factor of 1.5). How new sealed land lies together is printed
beside maps of real change (newland.py).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

from testsuite.world import newland
from testsuite.world.land import make_land
from testsuite.world.materials import BANDS as ALL_BANDS
from testsuite.world.materials import CLASS, CODE, CROPS, MATERIALS
from testsuite.world.passes import Pass
from testsuite.world.sensor import observe
from testsuite.world.spec import TILES, Spec
from testsuite.world.surfaces import rotate_crops, surface_reflectance, textures
from testsuite.world.view import View, tile_window

BANDS = ALL_BANDS[:3]
"""Bands of landscapes: not all packs have B8A."""
LAGS_M = (20, 40, 80, 160, 320)
CLASS_BOUND, VARIOGRAM_BOUND = 0.25, 1.5
AIR = np.array([[0.90, 0.95, 0.93, 0.94], [0.015, 0.001, 0.001, 0.005]])
"""Transmittance (down and up) and path reflectance of clear air in summer (molecules 0.045, aerosols 0.1 at 665 nm, ozone, water). Two of the
real packs are reflectance at the top of the atmosphere; the made reflectance is converted by these before it is compared with them."""


@dataclass
class Stats:
    """Statistics of a class or landscape that are compared."""

    mean: np.ndarray
    sd: np.ndarray
    correlation: np.ndarray
    """B04-B11, B04-B12, B11-B12, and B04-B8A where B8A is known."""
    variogram: np.ndarray | None = None
    """(band, lag), reflectance squared."""
    image: np.ndarray | None = field(default=None, repr=False)
    """(band, row, col), for the picture."""


def pixel_stats(values: np.ndarray) -> Stats:
    """Return statistics of pixels. values : array (band, pixel), reflectance 0-1."""
    values = values[:, np.isfinite(values).all(axis=0)]
    c = np.corrcoef(values)
    return Stats(values.mean(axis=1), values.std(axis=1), c[(0, 0, 1, 0)[: len(c)], (1, 2, 2, 3)[: len(c)]])


def image_stats(image: np.ndarray, res_m: float = 20.0) -> Stats:
    """Return statistics of an image, with its variogram. image : array (band, row, col), NaN no data."""
    s = pixel_stats(image.reshape(len(image), -1))
    s.variogram = np.array([[semivariance(band, lag / res_m) for lag in LAGS_M] for band in image])
    s.image = image
    return s


def semivariance(band: np.ndarray, lag: float) -> float:
    """Return half the mean squared difference at a lag in pixels, along rows and columns; NaN where the image is too small."""
    k = max(1, round(lag))
    if k >= 0.8 * min(band.shape):
        return float("nan")
    d = np.concatenate([(band[k:] - band[:-k]).ravel(), (band[:, k:] - band[:, :-k]).ravel()])
    return float(np.nanmean(d * d) / 2)


def average(all_stats: list[Stats]) -> Stats:
    """Average several statistics; the image is that of the largest."""
    pick = max((s for s in all_stats if s.image is not None), key=lambda s: s.image.shape[1], default=None)
    variograms = [s.variogram for s in all_stats if s.variogram is not None]
    return Stats(
        np.mean([s.mean for s in all_stats], axis=0),
        np.mean([s.sd for s in all_stats], axis=0),
        np.mean([s.correlation for s in all_stats], axis=0),
        np.nanmean(variograms, axis=0) if variograms else None,
        None if pick is None else pick.image,
    )


def _block_mean(band: np.ndarray, n: int = 2) -> np.ndarray:
    """Average n x n pixels."""
    r, c = band.shape[0] // n * n, band.shape[1] // n * n
    return np.nanmean(band[:r, :c].reshape(r // n, n, c // n, n), axis=(1, 3))


# ----- the real world


def read_fields(data: Path) -> dict[str, Stats]:
    """Read fields, grass and houses in Flanders, summer 2018 (WorldCereal)."""
    import xarray

    folder = data / "s2_l2a_worldcereal_be"
    paths = [sorted(folder.glob(f"{start}*.nc")) for start in ("S2_L2A_10m", "S2_L2A_20m", "OUTPUT")]
    if not all(paths):
        raise FileNotFoundError(f"no pack '{folder.name}'")
    ten, twenty, output = (xarray.open_dataset(found[0], mask_and_scale=False) for found in paths)
    days = [str(d)[:10] for d in twenty["timestamp"].values]
    code = {name: output[name].values.squeeze() for name in ("LC", "CT")}
    parts = {n: np.stack([c[i::2, j::2] for i in (0, 1) for j in (0, 1)]) for n, c in code.items()}
    images = []
    for number, day in enumerate(days):
        if "2018-06-20" <= day <= "2018-09-25" and np.isin(twenty["SCL"].values[number], (4, 5, 6, 7)).mean() > 0.97:
            images.append(
                np.stack([_block_mean(ten["B04"].values[number]), *(twenty[b].values[number] for b in ALL_BANDS[1:])])
                / 1e4
            )
    out = {"landscape: fields": average([image_stats(i[:3]) for i in images])}
    # Nine tenths of the crop land in this pack are maize.
    for name, kind, value in (("maize", "CT", 1200), ("grass", "LC", 13), ("built", "LC", 60)):
        at = (parts[kind] == value).all(axis=0)
        out[name] = average([pixel_stats(i[:, at]) for i in images])
    return out


def read_towns(data: Path) -> dict[str, Stats]:
    """Read Rennes, Bordeaux and Paris (OSCD; top of atmosphere)."""
    found = []
    for city in ("rennes", "bordeaux", "paris"):
        folder = data / "s2_l1c_oscd_france" / city / "imgs_2"
        bands = []
        for band in BANDS:
            with rasterio.open(next(p for p in sorted(folder.iterdir()) if band in p.name)) as file:
                bands.append(file.read(1) / 1e4)
        bands[0] = _block_mean(bands[0])
        rows, cols = min(b.shape[0] for b in bands), min(b.shape[1] for b in bands)
        found.append(image_stats(np.stack([b[:rows, :cols] for b in bands])))
    return {"landscape: town": average(found)}


def read_forest(data: Path) -> dict[str, Stats]:
    """Read forests of September 2019 (Czech chips)."""
    paths = sorted((data / "s2_l2a_czech_2019_2020" / "2019-09").glob("*.tif"))
    if not paths:
        raise FileNotFoundError("no pack 's2_l2a_czech_2019_2020'")
    chips = []
    for path in paths:
        with rasterio.open(path) as file:
            bands = file.read([4, 11, 12]).astype(float) / 1e4
        bands[:, bands[0] == 0] = np.nan
        with np.errstate(all="ignore"):
            # At this latitude, pixels of 10 m in Web Mercator are about 6.5 m on the ground.
            chips.append(image_stats(np.stack([_block_mean(b, 3) for b in bands])))
    return {"landscape: forest": average(chips)}


def read_trees(data: Path) -> dict[str, Stats]:
    """Read the forest pixels of August and September 2015 (Slovenia; top of atmosphere)."""
    folder = data / "s2_l1c_slovenia_eopatch"
    cover = np.load(folder / "LULC.npy")[..., 0]
    scenes = np.load(folder / "REFERENCE_SCENES_2015.npy")[2:4][..., [3, 11, 12, 8]]
    return {"forest": average([pixel_stats(s[cover == 2].T) for s in scenes])}


def read_spectra(data: Path) -> dict[str, Stats]:
    """Read the spectra of the Berlin-Urban-Gradient library by class."""
    library = json.loads((data / "spectra" / "berlin_s2_b4_b11_b12.json").read_text())
    near = _read_near_infrared(data / "spectra")
    groups = {
        "spectra: roof": lambda n, s: s["level_3"] == "roof", "spectra: pavement": lambda n, s: s["level_3"] == "pavement",
        "spectra: low vegetation": lambda n, s: s["level_3"] == "low vegetation",
        "spectra: tree": lambda n, s: "tree" in s["level_2"] + s["level_3"], "spectra: soil": lambda n, s: "soil" in s["level_2"] + s["level_3"] + n,
    }  # fmt: skip
    out = {}
    for name, rule in groups.items():
        values = np.array([[s["B4"], s["B11"], s["B12"], near[n]] for n, s in library.items() if rule(n, s)]).T
        if values.size and values.shape[1] > 2:
            out[name] = pixel_stats(values)
    return out


def _read_near_infrared(folder: Path) -> dict[str, float]:
    """Return B8A of each spectrum of the library, an ENVI file of doubles: the mean within the band's limits, 854-875 nm."""
    header = (folder / "library_berlin.hdr").read_text()

    def listed(key: str) -> list[str]:
        return [part.strip() for part in re.search(rf"{key}\s*=\s*{{([^}}]*)}}", header)[1].split(",")]

    names, wavelength = listed("spectra names"), np.array([float(v) for v in listed("wavelength")])
    spectra = np.fromfile(folder / "library_berlin.sli", "<f8").reshape(len(names), -1)
    values = spectra[:, (wavelength > 0.854) & (wavelength < 0.8755)].mean(axis=1)
    return dict(zip(names, values / (1 if values.max() < 2 else 10000), strict=True))


def read_new_land(data: Path) -> dict[str, dict[str, float]]:
    """Measure how new land lies in real maps of change: Parma 2012-2015 (ISPRA), and French cities (OSCD, one or two years)."""
    parma = sorted((data / "labels_impervious_parma_2012_2015").glob("parma_consumo_suolo_20*.tif"))
    out = {}
    if len(parma) == 2:
        maps = [_read_band(path) == 1 for path in parma]
        out["Parma, 3 years"] = newland.lying(*maps)
    for city in ("rennes", "bordeaux", "bercy", "saclay_e", "paris"):
        for path in sorted((data / "s2_l1c_oscd_france" / city / "cm").glob("*cm.tif")):
            # 2 is change; nearly all of it is new building.
            changed = _read_band(path) == 2
            out[f"{city.capitalize()}, OSCD"] = newland.lying(np.zeros_like(changed), changed)
    return out


def _read_band(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


# ----- the made world


def made_new_land(seed: int, size_km: float) -> dict[str, dict[str, float]]:
    """Measure how new land lies in a made world of seven years: means of its periods of one year and of three years."""
    spec = Spec(seed=seed, size_km=size_km, years=tuple(range(2017, 2024)))
    land = make_land(spec)
    maps = {year: newland.as_mapped(land, year) for year in spec.years}
    out = {}
    for length in (1, 3):
        found = [newland.lying(maps[a], maps[b]) for a, b in newland.periods(spec.years, length)]
        out[f"made, {length} year{'s' * (length > 1)}"] = {k: float(np.mean([f[k] for f in found])) for k in found[0]}
    return out


def new_land_lines(measured: dict[str, dict[str, float]]) -> list[str]:
    """Write how new land lies, a line a map."""
    head = "".join(f"{key:>20}" for key in newland.BOUNDS)
    lines = [f"{name:<20}" + "".join(f"{one[key]:>20.2f}" for key in newland.BOUNDS) for name, one in measured.items()]
    return [f"{'new sealed cells':<20}{head}", *lines]


class MadeWorld:
    """A made world without clouds."""

    def __init__(self, seed: int = 3, size_km: float = 14) -> None:
        self.spec = Spec(seed=seed, size_km=size_km, years=(2017, 2018), clouds=False)
        self.land = make_land(self.spec)
        self.view = View.make(self.spec, self.land, tile_window(self.spec, TILES[1]))
        self.view.load_land(self.land, textures(self.spec))
        # The building sites of the summer count as what they are.
        material = rotate_crops(self.spec, *self.land.on_day(2018, 270), 2018)
        groups = {
            "fields": np.isin(material, CROPS), "maize": material == CODE["maize"], "grass": material == CODE["meadow"], "built": CLASS[material] == 1,
            "forest": np.isin(material, [CODE["broadleaf"], CODE["conifer"]]),
        }  # fmt: skip
        part = self.view.swir @ np.stack([g.astype(np.float32) for g in groups.values()], 1)
        self.part = {n: part[:, i].reshape(self.view.valid.shape) for i, n in enumerate(groups)}

    def scene(self, day: str) -> np.ndarray:
        """Simulate a scene. Returns: array (band, row, col)."""
        when = Pass(datetime.fromisoformat(day + "T10:10:31").replace(tzinfo=UTC), "A", 22, 1, 0.0, None)
        return observe(self.view, self.land, when).bands

    def windows(self, group: str, size: int, share: float, number: int = 6) -> list[tuple[slice, slice]]:
        """Find windows, without overlap, whose share of a group is nearest to the given one."""
        away = np.abs(ndimage.uniform_filter(self.part[group] * self.view.valid, size) - share)
        half = size // 2
        inside = ndimage.uniform_filter(self.view.valid.astype(np.float32), size) > 0.999
        inside[:half] = inside[-half:] = inside[:, :half] = inside[:, -half:] = False
        away[~inside] = 1
        out = []
        while len(out) < number and away.min() < 0.1:
            r, c = np.unravel_index(away.argmin(), away.shape)
            out.append((slice(r - half, r + half), slice(c - half, c + half)))
            away[max(0, r - size) : r + size, max(0, c - size) : c + size] = 1
        return out

    def all(self) -> dict[str, Stats]:
        """Return statistics of the same classes and landscapes as in the real packs."""
        summer = [self.scene(d) for d in ("2018-06-28", "2018-07-15", "2018-08-05", "2018-09-21")]
        autumn = [self.scene("2018-09-10")]
        above, autumn_above = ([AIR[0][:, None, None] * i + AIR[1][:, None, None] for i in g] for g in (summer, autumn))
        out: dict[str, Stats] = {}
        for name, least, images in (
            ("maize", 0.9, summer),
            ("grass", 0.9, summer),
            ("built", 0.6, summer),
            ("forest", 0.95, autumn_above),
        ):
            at = (self.part[name] > least) & self.view.valid
            out[name] = average([pixel_stats(i[:, at]) for i in images])
        for name, group, size, share, images in (
            ("landscape: fields", "fields", 32, 0.90, summer), ("landscape: town", "built", 60, 0.45, above),
            ("landscape: forest", "forest", 50, 0.85, autumn),
        ):  # fmt: skip
            found = [image_stats(i[:3, r, c]) for i in images for r, c in self.windows(group, size, share)]
            if found:
                out[name] = average(found)
        # The spectra of the library are from a whole summer, so it has green and dry grass.
        spectra, names = [], []
        for year, month in ((2017, 6), (2018, 7)):
            when = Pass(datetime(year, month, 20, 10, 10, 31, tzinfo=UTC), "A", 22, 1, 0.0, None)
            spectra.append(surface_reflectance(self.spec, self.land, when)[:, (0, 1, 2, 8)].T)
            material = rotate_crops(self.spec, *self.land.on_day(year, when.day), year)
            names.append(np.array([m.name for m in MATERIALS])[material])
        surface, names = np.concatenate(spectra, axis=1), np.concatenate(names)
        area = np.tile(np.bincount(self.land.surface.ravel()), 2)
        for name, kinds in (
            ("spectra: roof", ("roof_tile", "roof_cement", "roof_dark", "roof_bright", "roof_white", "roof_metal", "hall")),
            ("spectra: pavement", ("asphalt", "concrete", "paving", "court")),
            ("spectra: low vegetation", ("meadow", "lawn", "natural_grass", "maize", "beet")), ("spectra: tree", ("broadleaf", "conifer")),
            ("spectra: soil", ("rock", "gravel_bank")),
        ):  # fmt: skip
            # All materials of a group have the same weight, as in the library.
            chosen = [surface[:, (names == k) & (area > 8)] for k in kinds]
            n = min(400, *(c.shape[1] for c in chosen if c.shape[1]))
            out[name] = pixel_stats(
                np.concatenate([c[:, :: max(1, c.shape[1] // n)][:, :n] for c in chosen if c.shape[1]], axis=1)
            )
        return out


def compare(real: dict[str, Stats], made: dict[str, Stats]) -> tuple[list[str], dict[str, float]]:
    """Compare real and made statistics. Returns: lines of text, and the share of the figures within their bounds, by kind."""
    lines, met = [], {"mean": [], "sd": [], "correlation": [], "variogram": []}
    for name in sorted(set(real) & set(made)):
        r, m = real[name], made[name]
        lines.append(name)
        for kind in ("mean", "sd", "correlation"):
            a, b = getattr(r, kind), getattr(m, kind)
            fine = np.abs(b - a) <= CLASS_BOUND * np.abs(a)
            if not name.startswith("landscape"):
                met[kind] += fine.tolist()
            cells = "  ".join(f"{x:.3f} {y:.3f}{' ' if ok else '!'}" for x, y, ok in zip(a, b, fine, strict=True))
            lines.append(
                f"  {kind:12s} {'4-11 4-12 11-12 4-8A' if kind == 'correlation' else ' '.join(ALL_BANDS):20s} real made  {cells}"
            )
        if r.variogram is not None and m.variogram is not None:
            for number, band in enumerate(BANDS):
                ratio = m.variogram[number] / r.variogram[number]
                known = np.isfinite(ratio)
                fine = (ratio < VARIOGRAM_BOUND) & (ratio > 1 / VARIOGRAM_BOUND)
                met["variogram"] += fine[known].tolist()
                cells = "  ".join(
                    f"{1e4 * a:.1f} {1e4 * b:.1f}{' ' if ok else '!'}"
                    for a, b, ok, k in zip(r.variogram[number], m.variogram[number], fine, known, strict=True)
                    if k
                )
                lines.append(f"  variogram    {band} x 1e4 at 20-320 m: real made  {cells}")
    shares = {k: float(np.mean(v)) for k, v in met.items() if v}
    lines += [f"within bounds, {k}: {100 * v:.0f} % of {len(met[k])} figures" for k, v in shares.items()]
    return lines, shares


def draw(real: dict[str, Stats], made: dict[str, Stats], path: Path) -> None:
    """Draw real and made landscapes side by side, with their variograms. Without a landscape nothing is drawn."""
    names = [n for n in sorted(set(real) & set(made)) if n.startswith("landscape")]
    if not names:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(len(names), 3, figsize=(12, 4 * len(names)), squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for ax, stats, title in ((row[0], real[name], "real"), (row[1], made[name], "made")):
            size = min(60, *stats.image.shape[1:])
            image = np.nan_to_num(stats.image[::-1, :size, :size]).transpose(1, 2, 0)
            ax.imshow(np.clip(image / [0.30, 0.40, 0.20], 0, 1), interpolation="nearest")
            ax.set(title=f"{name.split(': ')[1]}, {title} (B12 B11 B04, {size * 20} m)", xticks=[], yticks=[])
        for number, band in enumerate(BANDS):
            row[2].loglog(LAGS_M, 1e4 * real[name].variogram[number], "o-", color=f"C{number}", label=f"{band} real")
            row[2].loglog(LAGS_M, 1e4 * made[name].variogram[number], "s--", color=f"C{number}", label=f"{band} made")
        row[2].set(title="semivariance x 10000", xlabel="lag, m")
        row[2].set_xticks(LAGS_M, [str(lag) for lag in LAGS_M])
        row[2].tick_params(axis="x", which="minor", labelbottom=False)
        row[2].legend(fontsize=7)
    fig.tight_layout()
    fig.savefig(path, dpi=80)
    plt.close(fig)


def main(arguments: list[str] | None = None) -> int:
    """Compare by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m testsuite.world.reality", description="Compare the made world with real pixels."
    )
    parser.add_argument("data", type=Path, help="folder with the packs of real pixels")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[3, 4, 5, 6, 7], help="seeds of the worlds to average (default: 3 to 7)"
    )
    parser.add_argument("--size-km", type=float, default=14)
    parser.add_argument("--picture", type=Path)
    a = parser.parse_args(arguments)
    real: dict[str, Stats] = {}
    for read in (read_fields, read_towns, read_forest, read_trees, read_spectra):
        try:
            real |= read(a.data)
        except (OSError, ImportError) as error:
            print(f"Skipped {read.__name__}: {error}", file=sys.stderr)
    if not real:
        print(
            f"ERROR: Folder '{a.data}' has no pack of real pixels. See doc/world.md for their sources.",
            file=sys.stderr,
        )
        return 1
    worlds = [MadeWorld(seed, a.size_km).all() for seed in a.seeds]
    made = {name: average([w[name] for w in worlds if name in w]) for name in set().union(*worlds)}
    print("\n".join(compare(real, made)[0]))
    new = [made_new_land(seed, a.size_km) for seed in a.seeds]
    means = {name: {k: float(np.mean([n[name][k] for n in new])) for k in newland.BOUNDS} for name in new[0]}
    print("\n".join(new_land_lines({**read_new_land(a.data), **means})))
    if a.picture:
        draw(real, made, a.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
