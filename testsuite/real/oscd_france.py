"""Real run: the whole chain on Rennes and Bordeaux, two dates each, compared with a published mask of urban change.

Data, in DATA: `s2_l1c_oscd_france/CITY/imgs_1|imgs_2/*_B04.tif, *_B11.tif, *_B12.tif`, `cm/CITY-cm.tif` (Onera Satellite Change Detection data set,
labels CC BY-NC-SA) and `nuts/NUTS_RG_20M_2024_3035.shp` (GISCO). The images are L1C (top of the atmosphere) in EPSG:4326 with unusual pixel sizes,
and have no scene classification: an artificial one has not vegetated everywhere, so no cloud is masked. The model of the demo was not trained on
such pixels. Its agreement with the mask is therefore printed, but not judged; judged are grids, values, alignment and sums.

The two images of Saclay have the same corners, but pixel sizes that differ by 1.3 %. The alignment check refuses the files themselves. After
r.s2.fetch they lie on the grid. If the second image gets the pixel size of the first, as in stacking by row and column, the check finds the shift.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from imperviouslib.core.shift import WINDOW, window_shift
from imperviouslib.edge.rasterfile import open_on_grid, read_part
from testsuite.real._chain import Session, demo_model, rows
from testsuite.real._items import (
    PLAIN,
    Band,
    bilinear,
    check,
    made_classes,
    read_band,
    set_region,
    share_in_cells,
    write_collection,
    write_item,
)

PACK = "s2_l1c_oscd_france"
CITIES = {"rennes": ("FRH03", "30UWU"), "bordeaux": ("FRI12", "30TXQ")}
"""City to NUTS 3 region and tile."""
NAMES = ("B12", "B11", "B04")
SHARE_OF_GROUND = 0.01
"""Largest accepted difference of a sum over the mask between native pixels and 20 m cells, as a share of the area."""


def read_dates(folder: Path) -> list[tuple[str, dict[str, Band]]]:
    """Return day and bands of the two dates of a city."""
    days = [line.split()[1] for line in (folder / "dates.txt").read_text().splitlines() if line.strip()]
    out = []
    for number, day in enumerate(days, start=1):
        images = folder / f"imgs_{number}"
        bands = {name: read_band(next(images.glob(f"*_{name}.tif")), 10 if name == "B04" else 20) for name in NAMES}
        bands["SCL"] = made_classes(bands["B12"])
        out.append((f"{day[:4]}-{day[4:6]}-{day[6:]}T10:30:00", bands))
    return out


def main(data_dir: Path, work_dir: Path) -> int:
    """Run both cities and the check of Saclay. Returns: 0 if all is as expected."""
    nuts = data_dir / "nuts" / "NUTS_RG_20M_2024_3035.shp"
    model = demo_model()
    good = [run_city(data_dir / PACK / city, work_dir / city, nuts, model) for city in CITIES]
    good.append(run_saclay(data_dir / PACK / "saclay_e", work_dir / "saclay_e"))
    return 0 if all(good) else 1


def run_city(source: Path, work: Path, nuts: Path, model: Path) -> bool:
    """Run the chain over one city."""
    city = source.name
    zone, tile = CITIES[city]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    dates = read_dates(source)
    items = [write_item(work / "items", bands, sensed=day, baseline="02.04", tile=tile) for day, bands in dates]
    catalogue = write_collection(work / "items.json", items)
    years = ",".join(day[:4] for day, _ in dates)
    session = Session(work)
    set_region(session, [bands["B12"] for _, bands in dates])
    session.run("r.s2.fetch", f"stac={catalogue}", "output=archive", f"years={years}", *PLAIN)
    good = check_values(work / "archive", dict(zip(years.split(","), dates, strict=True)), city)
    print(session.run("r.s2.yearly", "-c", "input=archive").strip())
    session.run("r.s2.yearly", "input=archive", "output=s2", f"years={years}")
    session.run("r.s2.ard", "input=s2", "output=place.h5", f"years={years}")
    # The check reports saturated roofs, whose reflectance is above 2.
    print(check(session, "r.s2.ard", "-c", "input=place.h5")[1])
    session.run("r.unet.predict", "input=place.h5", f"model={model}", "output=lc")
    session.run("v.in.ogr", f"input={nuts}", "output=nuts", "where=CNTR_CODE = 'FR'", "--q")
    session.run(
        "r.impervious.change", "input=lc", f"years={years}", "zones=nuts", "output=table", "definition=artificial",
        "prefix=ch",
    )  # fmt: skip
    found = rows(work / "table", geo=zone, unit="KM2", method="mapped_raw", landcover="IMP")
    for row in found:
        print(",".join(row.values()))
    good &= bool(found)
    first, last = years.split(",")
    session.run(
        "r.out.gdal", "-c", f"input=ch_{first}_{last}_gain", "output=gain.tif", "nodata=255", "type=Byte", "--q"
    )
    return compare(source, work, dates[0][1]["B04"], found) and good


def check_values(archive: Path, dates: dict, city: str) -> bool:
    """Compare the fetched values with the bilinear formula on the same pixels, and verify that no offset was used."""
    worst, cells, good = 0.0, 0, True
    for year, (_, bands) in dates.items():
        for name in NAMES:
            path = next((archive).glob(f"*/{year}/*/{name}.tif"))
            offset = json.loads(path.with_suffix(".json").read_text())["offset"]
            good &= offset["dn"] == 0
            with rasterio.open(path) as dataset:
                mine, bounds = dataset.read(1), dataset.bounds
            # r.s2.fetch averages 10 m bands to 20 m first, so only 20 m bands can be compared with the formula.
            if name == "B04":
                continue
            twin = bilinear(bands[name], bounds, mine.shape)
            both = (mine > 0) & ~np.isnan(twin)
            worst = max(worst, float(np.abs(mine[both] - twin[both]).max()))
            cells += int(both.sum())
    print(
        f"{city}: {cells} cells of B12 and B11 against the bilinear formula: largest difference {worst:.3f} DN; no offset"
    )
    return good and worst <= 1.0 and cells > 0


def compare(source: Path, work: Path, native: Band, found: list[dict[str, str]]) -> bool:
    """Print the agreement of the gain map with the published mask on 20 m cells. Judge only that the area of the mask is kept."""
    with rasterio.open(source / "cm" / f"{source.name}-cm.tif") as dataset:
        mask = dataset.read(1)
    with rasterio.open(work / "gain.tif") as dataset:
        gain, bounds = dataset.read(1), dataset.bounds
    share = share_in_cells(mask == 2, native, bounds, gain.shape)
    truth, known = share >= 0.5, ~np.isnan(share) & (gain != 255)
    hit = int((truth & (gain == 1) & known).sum())
    false, missed = int((~truth & (gain == 1) & known).sum()), int((truth & (gain == 0) & known).sum())
    right = int((known & (truth == (gain == 1))).sum())
    total = int(known.sum())
    print(
        f"{source.name}: urban change of the mask {hit + missed} cells, of the tool (new artificial) {hit + false}, both {hit}: "
        f"precision {hit / max(hit + false, 1):.3f}, recall {hit / max(hit + missed, 1):.3f}, equal cells {right / total:.3f} of {total}"
    )
    share_native, share_cells = float((mask == 2).mean()), float(np.nanmean(share))
    print(f"{source.name}: share of changed ground {share_native:.4f} in native pixels, {share_cells:.4f} in cells")
    gains = [float(row["OBS_VALUE"]) for row in found if row["lc_flow"] == "GAIN"]
    in_zone = gains and gains[0] <= ((gain == 1).sum() * 400 / 1e6) + 1e-9
    return abs(share_native - share_cells) < SHARE_OF_GROUND and bool(in_zone)


def run_saclay(source: Path, work: Path) -> bool:
    """Show that the check finds the mismatch of the images of Saclay, and that r.s2.fetch removes it."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    dates = read_dates(source)
    one, two = dates[0][1], dates[1][1]
    ratio = two["B04"].transform.a / one["B04"].transform.a
    session = Session(work)
    set_region(session, [one["B12"]])
    years = ",".join(day[:4] for day, _ in dates)
    words = (f"years={years}", "window=01-01/12-31", "clouds=100", "-n")

    def fetch(name: str, parts: list[tuple[str, dict[str, Band]]]) -> str:
        items = [write_item(work / name, bands, sensed=day, baseline="02.01", tile="31UDP") for day, bands in parts]
        session.run(
            "r.s2.fetch",
            f"stac={write_collection(work / f'{name}.json', items)}",
            f"output={work / name}_archive",
            *words,
        )
        return check(session, "r.s2.yearly", "-c", f"input={work / name}_archive", "format=json")[1]

    report = json.loads(fetch("right", dates))
    right = _drift(work / "right_archive")
    # As stacking by row and column assumes: the second image with the pixel size of the first.
    naive = {k: replace(b, transform=one[k].transform) for k, b in two.items()}
    fetch("naive", [dates[0], (dates[1][0], naive)])
    wrong = _drift(work / "naive_archive")
    # The files themselves in place of the fetched ones.
    raw = work / "raw_archive"
    shutil.copytree(work / "right_archive", raw)
    for day, _ in dates:
        for name in NAMES:
            target = next(raw.glob(f"*/{day[:4]}/*/{name}.tif"))
            shutil.copy(next((source / f"imgs_{1 if day == dates[0][0] else 2}").glob(f"*_{name}.tif")), target)
    status, printed = check(session, "r.s2.yearly", "-c", f"input={raw}", "format=json")
    findings = [text for text in json.loads(printed)["findings"] if "EPSG:4326" in text]
    print(
        f"saclay_e: pixels differ by {100 * (ratio - 1):.3f} %; {len(findings)} of 6 native files refused, such as: {findings[:1]}"
    )
    print(
        f"saclay_e: growth of the shift over the place, cells (southwards, eastwards): fetched {right}, stacked by row and column {wrong}"
    )
    print(f"saclay_e: findings on the fetched archive: {report['findings']}")
    good = abs(ratio - 1.01325) < 1e-4 and len(findings) == 6 and status == 1 and not report["findings"]
    return good and right is not None and wrong is not None and max(map(abs, right)) < 0.5 and max(map(abs, wrong)) > 1


def _drift(archive: Path) -> tuple[float, float] | None:
    """Return by how many cells the shift of the later year grows from one side of the place to the other: southwards, eastwards.

    The shift is measured in windows all over the known ground, and a plane is laid through the measurements.
    """
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_on_grid(path, 20)) for path in sorted(archive.glob("*/*/*/B04.tif"))]
        common = opened[0][1].intersection(opened[1][1])
        planes = [read_part(dataset, grid, common).astype(float) for dataset, grid in opened]
    height, width = common.shape
    known = (planes[0] > 0) & (planes[1] > 0)
    places, shifts = [], []
    for row in range(0, height - WINDOW + 1, WINDOW // 4):
        for col in range(0, width - WINDOW + 1, WINDOW // 4):
            window = np.s_[row : row + WINDOW, col : col + WINDOW]
            if known[window].all():
                places.append((row / height, col / width, 1))
                shifts.append(window_shift(planes[0][window], planes[1][window]))
    if len(places) < 6:
        return None
    plane = np.linalg.lstsq(np.array(places), np.array(shifts), rcond=None)[0]
    return round(float(plane[0, 0]), 2), round(float(plane[1, 1]), 2)


if __name__ == "__main__":
    import sys

    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
