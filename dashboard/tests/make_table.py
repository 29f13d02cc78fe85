"""Make a table folder of a country that does not exist, in the contract's form; seeded, so the same every time.

Country XA is a warped chequerboard of 4 x 6 small regions (NUTS 3, XA111...), 12 of NUTS 2, 4 of NUTS 1. Years 2017-2023, both
definitions, methods `mapped_raw` and `mapped_consistent`, and on request `estimated` with intervals. It has the cases that a
dashboard must handle: a region of which too little was seen, one without figures, flags, names that look like HTML or a formula.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = json.loads((Path(__file__).parents[2] / "imperviouslib" / "core" / "table_schema.json").read_text("utf-8"))
YEARS = tuple(range(2017, 2024))
HOSTILE = "<img src=x onerror=\"document.title='owned'\">&amp;"
FORMULA = '=HYPERLINK("http://example.invalid")'
CELL_M = 24_000
VINTAGE = "2024-03-01"
NAMES = (
    "Aldermoor", "Brackwater", "Calderhithe", "Dunmarsh", "Easterby", "Fennholt", "Glanrock", "Harrowmere", "Inchstead",
    "Jarlsey", "Kelvenor", "Lowick", "Marram", "Nethervale", "Ostwick", "Pendry", "Quarrington", "Ravensey", "Saltby", "Thorncastle",
    "Upperholm", "Vennacombe and the Outer Isles of Saint Waldeburg", "Wexley", "Yarrowdale",
)  # fmt: skip


def codes() -> dict[tuple[int, int], str]:
    """Give each square (row, col) of the 4 x 6 board its NUTS 3 code."""
    return {
        (r, c): f"XA{1 + (r // 2) * 2 + c // 3}{1 + (r % 2) * 2 // 2 + (c % 3 == 2) * 2}{1 + (c % 3 == 1)}"
        for r in range(4)
        for c in range(6)
    }


def warp(x: float, y: float) -> list[float]:
    """Move a corner of the board so that the borders are curved; the same corner always gets the same place."""
    return [
        round(4_000_000 + x * CELL_M + 5000 * np.sin(1.7 * y + 0.4 * x), 1),
        round(3_000_000 + y * CELL_M + 4500 * np.sin(1.3 * x - 0.7 * y), 1),
    ]


def square(row: int, col: int, side: int = 8) -> list[list[float]]:
    """Return the closed ring of one square, each edge in `side` steps."""
    steps = [i / side for i in range(side)]
    edge = [(t, 0) for t in steps] + [(1, t) for t in steps] + [(1 - t, 1) for t in steps] + [(0, 1 - t) for t in steps]
    ring = [warp(col + x, 4 - row - y) for x, y in edge]
    return [*ring, ring[0]]


def dissolve(rings: list[list[list[float]]]) -> list[list[list[list[float]]]]:
    """Return the outer rings of touching rings: an edge that occurs both ways lies inside and goes."""
    edges = {(tuple(a), tuple(b)) for ring in rings for a, b in itertools.pairwise(ring)}
    follow = {a: b for a, b in edges if (b, a) not in edges}
    whole = []
    while follow:
        start, point = follow.popitem()
        ring = [start, point]
        while point != start:
            point = follow.pop(point)
            ring.append(point)
        whole.append([[list(p) for p in ring]])
    return whole


def make_regions() -> list[dict[str, Any]]:
    """Return the rows of nuts_regions, finest level last."""
    fine = sorted(codes().values())
    named = dict(zip(fine, NAMES, strict=True))
    named[fine[4]], named[fine[7]] = HOSTILE, FORMULA
    geos = sorted({geo[:n] for geo in fine for n in (2, 3, 4, 5)}, key=lambda g: (len(g), g))
    names = {
        "XA": "Avaria",
        "XA1": "North-West Avaria",
        "XA2": "North-East Avaria",
        "XA3": "South-West Avaria",
        "XA4": "South-East Avaria",
    }
    return [
        {
            "geo": geo, "nuts_version": "2024", "level": len(geo) - 2, "parent": geo[:-1] if len(geo) > 2 else "", "cntr": "XA",
            "name": named.get(geo) or names.get(geo) or f"Province {geo[2:]}",
            "area_km2": 576.0 * sum(one.startswith(geo) for one in fine),
        }
        for geo in geos
    ]  # fmt: skip


def make_outlines(regions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the outlines; a larger region is the multipolygon of its squares."""
    at = {geo: square(r, c) for (r, c), geo in codes().items()}
    features = [
        {
            "type": "Feature",
            "properties": {key: region[key] for key in ("geo", "level", "name")},
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": dissolve([ring for geo, ring in sorted(at.items()) if geo.startswith(region["geo"])]),
            },
        }
        for region in regions
    ]
    return {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
        "features": features,
    }


def make_rows(regions: list[dict[str, Any]], *, intervals: bool, years: tuple[int, ...] = YEARS) -> tuple[list, list]:
    """Return the rows of the two tables of figures.

    Areas of the finest level are drawn, those above are their sums, so children sum to parents.
    """
    rng = np.random.default_rng(2017)
    fine = [region["geo"] for region in regions if region["level"] == 3]
    share = np.clip(rng.gamma(2.2, 0.035, len(fine)), 0.01, 0.4)
    growth = rng.gamma(2, 0.0045, (len(fine), len(years))) * 576 * share[:, None]
    undone = growth * rng.uniform(0.02, 0.5, growth.shape)
    undone[3] = growth[3] * 1.8  # a region where sealed land shrinks
    stock0 = share * 576
    seen = rng.uniform(0.86, 1, growth.shape)
    seen[9, 3:5] = 0.31  # too little was seen in two years
    absent = fine[14]  # in the regions table, never in the figures
    methods = ["mapped_raw", "mapped_consistent"] + (["estimated"] if intervals else [])
    rows: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    for region in regions:
        geo = region["geo"]
        if geo == absent:
            continue
        members = [i for i, one in enumerate(fine) if one.startswith(geo)]
        for definition, part in (("artificial", 0.82), ("artificial_natural", 1.0)):
            for method in methods:
                noise = 3.4 if method == "mapped_raw" else 1.0
                gain = {
                    "IMP": growth[members].sum(axis=0) * part * noise,
                    "GRN": undone[members].sum(axis=0) * part * noise * 0.9,
                }
                loss = {
                    "IMP": undone[members].sum(axis=0) * part * noise,
                    "GRN": growth[members].sum(axis=0) * part * noise * 0.93,
                }
                start = {"IMP": stock0[members].sum() * part, "GRN": region["area_km2"] * 0.92 - stock0[members].sum()}
                gain["OTH"], loss["OTH"] = loss["IMP"] + loss["GRN"] - gain["GRN"] - gain["IMP"], np.zeros(len(years))
                start["OTH"] = region["area_km2"] - start["IMP"] - start["GRN"]
                cover_seen = seen[members].mean(axis=0)
                for landcover in ("IMP", "GRN", "OTH"):
                    net = gain[landcover] - loss[landcover]
                    stock = start[landcover] + np.concatenate([[0], np.cumsum(net[1:])])
                    for y, year in enumerate(years):
                        figures = {"STK": (stock[y], region["area_km2"], year)}
                        if y:
                            before = years[y - 1]
                            for flow, value in (
                                ("GAIN", gain[landcover][y]),
                                ("LOSS", loss[landcover][y]),
                                ("NET", net[y]),
                            ):
                                figures[flow] = (value, stock[y - 1], before)
                        for flow, (value, whole, year_from) in figures.items():
                            coverage = float(cover_seen[y] if flow == "STK" else min(cover_seen[y], cover_seen[y - 1]))
                            flags = "p" if year in (years[0], years[-1]) else ""
                            flags += "u" if method != "estimated" or coverage < SCHEMA["coverage_min"] else ""
                            for unit, factor in (("KM2", 1.0), ("PC", 100 / whole if whole else float("nan"))):
                                shown = float(value * factor)
                                if coverage < SCHEMA["coverage_min"] and method != "mapped_raw":
                                    shown = float("nan")
                                spread = abs(shown) * (0.03 if flow == "STK" else 0.3) + 0.01 * abs(factor)
                                with_interval = method == "estimated" and np.isfinite(shown) and region["level"] < 3
                                rows.append({
                                    "freq": "A", "lc_flow": flow, "landcover": landcover, "definition": definition,
                                    "method": method, "unit": unit, "geo": geo, "nuts_version": "2024", "time_from": year_from,
                                    "TIME_PERIOD": year, "vintage": VINTAGE, "OBS_VALUE": shown if np.isfinite(shown) else None,
                                    "OBS_FLAG": flags,
                                    "MISSING_REASON": "" if np.isfinite(shown) else "ZERO_BASE" if unit == "PC" and not whole
                                    else "LOW_COVERAGE",
                                    "CONF_STATUS": "",
                                    "OBS_LCI95": shown - spread if with_interval else None,
                                    "OBS_UCI95": shown + spread if with_interval else None,
                                    "COVERAGE": coverage, "N_PIX": int(region["area_km2"] / 0.0004 * coverage),
                                })  # fmt: skip
                for y, year in enumerate(years[1:], start=1):
                    coverage = float(min(cover_seen[y], cover_seen[y - 1]))
                    pairs = {
                        ("GRN", "IMP"): gain["IMP"][y] * 0.93,
                        ("OTH", "IMP"): gain["IMP"][y] * 0.07,
                        ("IMP", "GRN"): loss["IMP"][y],
                    }
                    for (a, b), value in pairs.items():
                        moves.append({
                            "freq": "A", "landcover_from": a, "landcover_to": b, "definition": definition, "method": method,
                            "unit": "KM2", "geo": geo, "nuts_version": "2024", "time_from": years[y - 1], "TIME_PERIOD": year,
                            "vintage": VINTAGE, "OBS_VALUE": float(value), "OBS_FLAG": "u", "MISSING_REASON": "",
                            "COVERAGE": coverage,
                        })  # fmt: skip
    return rows, moves


def arrow(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Type rows as the schema says."""
    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}
    fields = [pa.field(f["name"], types[f["type"]]) for f in SCHEMA["tables"][name]["fields"]]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def make_table(
    folder: Path, *, intervals: bool = True, years: tuple[int, ...] = YEARS, without: tuple[str, str] = ("", "")
) -> Path:
    """Write the folder and return it.

    without : flow and cover that the table does not have
    """
    folder.mkdir(parents=True, exist_ok=True)
    regions = make_regions()
    rows, moves = make_rows(regions, intervals=intervals, years=years)
    rows = [row for row in rows if (row["lc_flow"], row["landcover"]) != without]
    for name, one in (("impervious_nuts", rows), ("impervious_nuts_transitions", moves), ("nuts_regions", regions)):
        pq.write_table(arrow(name, one), folder / f"{name}.parquet")
    (folder / "outlines.geojson").write_text(json.dumps(make_outlines(regions)), encoding="utf-8")
    package = {
        "name": "impervious-nuts", "title": "Impervious land in Avaria", "status": "experimental", "version": "0.1.0",
        "created": VINTAGE, "description": "Made-up figures of a country that does not exist.",
        "method": ["mapped_raw counts the cells seen.", "mapped_consistent counts after a persistence rule."],
        "grid": {"crs": "EPSG:3035", "res_m": 20},
        "regions": {"nuts_version": "2024", "outlines": "Made-up outlines of Avaria", "scale": "1:1,000,000", "note": ""},
        "provenance": {
            str(year): {
                "map": f"lc_{year}_class", "scene_count": 6 + year % 3, "model": "0123456789abcdef" * 4,
                "model_labels": {"legend": "s2glc", "year": 2017}, "scenes": [{"id": "S2A_MSIL2A_MADE_UP"}],
            }
            for year in years
        },
        "software": {"r.impervious": "0.1.0", "GRASS": "8.4.1"}, "licenses": [{"name": "CC-BY-4.0"}],
        "contributors": [{"title": "Statistics Avaria"}],
    }  # fmt: skip
    (folder / "datapackage.json").write_text(json.dumps(package, indent=1), encoding="utf-8")
    return folder


if __name__ == "__main__":
    print(make_table(Path(sys.argv[1]), intervals="--plain" not in sys.argv))
