"""Real run: two growing suburbs in the United States, 2017 and 2023, with new land sealed on a large part of the ground.

Data, in DATA: `s2_l2a_us_suburbs_2017_2023/PLACE_before.tif, PLACE_after.tif, PLACE_urban_change_mask.tif` (UMD-MSML640-Fall2025/msml640-urban-growth-detection, no
licence file: for trials only): medians of a year as reflectance in floating point, with the offset of baseline 04.00 still in, in EPSG:4326, NaN outside a polygon. There is no scene
classification: an artificial one has not vegetated everywhere. The masks were made by thresholds on indices and are no truth. So the agreement with them is printed and drawn
(`PLACE.png`), not judged. Judged are values, the offset, no data, that stocks, gain and loss of the histories agree, and that the gain lies where NDVI fell.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from testsuite.real._chain import Session, demo_model
from testsuite.real._items import (
    PLAIN,
    Band,
    bilinear,
    halved,
    made_classes,
    read_band,
    set_region,
    share_in_cells,
    write_collection,
    write_item,
)

PACK = "s2_l2a_us_suburbs_2017_2023"
PLACES = ("Apex_HaddonHall", "Houston_Spring")
DATES = {2017: "before", 2023: "after"}
BANDS = {"B12": (12, 20), "B11": (11, 20), "B04": (4, 10)}
"""Band to its number in the file and its resolution in the product."""
RED, NEAR_INFRARED = 4, 8


def main(data_dir: Path, work_dir: Path) -> int:
    """Run both places. Returns: 0 if all is as expected."""
    model = demo_model()
    good = [run_place(data_dir / PACK, place, work_dir / place, model) for place in PLACES]
    return 0 if all(good) else 1


def run_place(pack: Path, place: str, work: Path, model: Path) -> bool:
    """Run the chain up to the histories, print, draw."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    every: dict[int, dict[str, Band]] = {}
    items = []
    for year, name in DATES.items():
        path = pack / f"{place}_{name}.tif"
        bands = {band: read_band(path, res_m, number) for band, (number, res_m) in BANDS.items()}
        bands["SCL"] = made_classes(bands["B12"])
        every[year] = bands
        # Baseline 05.09 has the offset.
        items.append(write_item(work / "items", bands, sensed=f"{year}-07-01T10:00:00", baseline="05.09"))
    years = ",".join(map(str, DATES))
    session = Session(work)
    set_region(session, [every[year]["B12"] for year in DATES])
    catalogue = write_collection(work / "items.json", items)
    session.run("r.s2.fetch", f"stac={catalogue}", "output=archive", f"years={years}", *PLAIN)
    good = check_values(work / "archive", every, place)
    session.run("r.s2.yearly", "input=archive", "output=s2", f"years={years}")
    session.run("r.s2.ard", "input=s2", "output=place.nc", f"years={years}")
    session.run("r.unet.predict", "input=place.nc", f"model={model}", "output=lc")
    first, last = DATES
    maps = {
        "before": f"lc_{first}_p_sealed", "after": f"lc_{last}_p_sealed", "gain": f"lc_{first}_{last}_p_gain", "loss": f"lc_{first}_{last}_p_loss",
    }  # fmt: skip
    cells = {}
    for key, name in maps.items():
        session.run("r.out.gdal", "-c", f"input={name}", f"output={key}.tif", "type=Float32", "nodata=nan", "--q")
        with rasterio.open(work / f"{key}.tif") as dataset:
            cells[key], bounds = dataset.read(1), dataset.bounds
    return look(pack, place, work, cells, bounds) and good


def check_values(archive: Path, every: dict[int, dict[str, Band]], place: str) -> bool:
    """Compare the fetched values of 20 m bands with the bilinear formula, less the offset, and no data with NaN."""
    worst, cells, good = 0.0, 0, True
    for year, bands in every.items():
        for name in ("B12", "B11"):
            path = next(archive.glob(f"*/{year}/*/{name}.tif"))
            good &= json.loads(path.with_suffix(".json").read_text())["offset"]["dn"] == -1000
            with rasterio.open(path) as dataset:
                mine, bounds = dataset.read(1), dataset.bounds
            # The offset is taken off each pixel, of which the darkest become 1. The pixels have 10 m, whatever the band: r.s2.fetch averages
            # them to 20 m first.
            whole = replace(bands[name], cells=np.maximum(np.rint(bands[name].cells.astype(float) * 10000) - 1000, 1))
            twin = bilinear(halved(whole), bounds, mine.shape)
            both = (mine > 0) & ~np.isnan(twin)
            worst = max(worst, float(np.abs(mine[both] - twin[both]).max()))
            cells += int(both.sum())
    print(f"{place}: {cells} cells of B12 and B11 against the bilinear formula: largest difference {worst:.3f} DN")
    return good and worst <= 1.0 and cells > 0


def look(pack: Path, place: str, work: Path, cells: dict[str, np.ndarray], bounds: tuple[float, ...]) -> bool:
    """Print sums and the agreement with the mask and with the fall of NDVI, and draw all. Returns: whether what must agree does."""
    shape, red = cells["gain"].shape, read_band(pack / f"{place}_before.tif", 10, RED)
    greenness = []
    for name in DATES.values():
        with rasterio.open(pack / f"{place}_{name}.tif") as dataset:
            low, high = dataset.read(RED) - 0.1, dataset.read(NEAR_INFRARED) - 0.1
        greenness.append(share_in_cells((high - low) / np.maximum(high + low, 0.01), red, bounds, shape))
    fall = greenness[0] - greenness[1]
    with rasterio.open(pack / f"{place}_urban_change_mask.tif") as dataset:
        mask = share_in_cells(dataset.read(1) == 1, red, bounds, shape) >= 0.5
    gain, loss = cells["gain"], cells["loss"]
    known = ~np.isnan(gain) & ~np.isnan(fall)
    km2 = {key: float(np.nansum(value)) * 0.0004 for key, value in cells.items()}
    marked = known & (gain > 0.5)
    hit = int((marked & mask).sum())
    print(
        f"{place}: {known.sum() * 0.0004:.2f} km2 seen; sealed {km2['before']:.2f} and {km2['after']:.2f} km2, gain {km2['gain']:.2f}, loss {km2['loss']:.2f}; "
        f"the mask {(mask & known).sum() * 0.0004:.2f} km2, gain more likely than not {marked.sum() * 0.0004:.2f} km2, both {hit * 0.0004:.2f}"
    )
    order = np.argsort(gain[known])[::-1]
    tenth = order[: len(order) // 10]
    print(
        f"{place}: mean fall of NDVI {fall[known].mean():.3f}, in the tenth of the land with the most probable gain {fall[known][tenth].mean():.3f}; "
        f"{mask[known][tenth].mean():.2f} of that tenth is in the mask, {mask[known].mean():.2f} of all land"
    )
    draw(work.parent / f"{place}.png", pack, place, {**cells, "fall": fall, "mask": mask})
    balance = float(np.nanmax(np.abs(cells["after"] - cells["before"] - gain + loss)))
    # The maps of sealed land have steps of 1e-4 and no value below that.
    return balance < 5e-4 and bool(fall[known][tenth].mean() > fall[known].mean())


def draw(path: Path, pack: Path, place: str, cells: dict[str, np.ndarray]) -> None:
    """Draw both images, the fall of NDVI, the mask, and what the tools mapped."""
    figure = Figure(figsize=(18, 9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = iter(figure.subplots(2, 4).flat)
    for year, name in DATES.items():
        with rasterio.open(pack / f"{place}_{name}.tif") as dataset:
            image = np.moveaxis(np.clip((dataset.read([12, 8, 4]) - 0.1) / 0.35, 0, 1), 0, 2)
        show = next(axes)
        show.imshow(np.nan_to_num(image, nan=1))
        show.set_title(f"{year}: B12, B08, B04")
    for key, title, colours, low, high in (
        ("fall", "fall of NDVI", "RdBu_r", -0.5, 0.5), ("mask", "mask of thresholds", "Greys", 0, 1), ("before", "P(sealed) 2017", "viridis", 0, 1),
        ("after", "P(sealed) 2023", "viridis", 0, 1), ("gain", "P(gain)", "magma", 0, 1), ("loss", "P(loss)", "magma", 0, 1),
    ):  # fmt: skip
        show = next(axes)
        drawn = show.imshow(cells[key], cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        show.set_title(title)
        figure.colorbar(drawn, ax=show, shrink=0.6)
    figure.suptitle(f"{place}: the images in degrees, the maps in EPSG:3035, whose north is not theirs")
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
