"""Make a table folder of countries that do not exist, in the contract's form; seeded, so the same every time.

A country is a warped chequerboard of 4 x 6 small regions (NUTS 3, XA111...), 16 of NUTS 2, 4 of NUTS 1. Years 2017-2023, flows of one
year, of three years and of the whole time, both definitions, methods `mapped_raw` and `mapped_consistent`, and on request `estimated`
with intervals. It has the cases that a dashboard must handle: regions of which too little was seen, without figures, without a sample,
with a net change that may be 0, flags, names that look like HTML or a formula.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Sequence
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


COUNTRIES = {"XA": "Avaria", "XB": "Bresland", "XC": "Corvany", "XD": "Dornmark", "XE": "Elmaria"}
"""Code -> name; each is a board of 4 x 6, and the boards lie three in a row, or as many as make a square."""


def many_countries(count: int) -> tuple[str, ...]:
    """Return the codes of as many countries, XA, XB ... ZZ; those that are not in COUNTRIES are named by their code."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple(first + second for first in "XYZ" for second in letters)[:count]


def codes(country: str = "XA") -> dict[tuple[int, int], str]:
    """Give each square (row, col) of a country's 4 x 6 board its NUTS 3 code."""
    return {
        (r, c): f"{country}{1 + (r // 2) * 2 + c // 3}{1 + (r % 2) * 2 // 2 + (c % 3 == 2) * 2}{1 + (c % 3 == 1)}"
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


def make_regions(countries: Sequence[str] = ("XA",)) -> list[dict[str, Any]]:
    """Return the rows of nuts_regions, finest level last."""
    rows = []
    for number, country in enumerate(countries):
        fine = sorted(codes(country).values())
        shift = 7 * number % len(NAMES)
        named = dict(zip(fine, [*NAMES[shift:], *NAMES[:shift]], strict=True))
        if number == 0:
            named[fine[4]], named[fine[7]] = HOSTILE, FORMULA
        named[country] = COUNTRIES.get(country, f"Country {country}")
        for part, side in enumerate(("North-West", "North-East", "South-West", "South-East")):
            named[f"{country}{part + 1}"] = f"{side} {named[country]}"
        geos = {geo[:n] for geo in fine for n in (2, 3, 4, 5)}
        rows += [
            {
                "geo": geo, "nuts_version": "2024", "level": len(geo) - 2, "parent": geo[:-1] if len(geo) > 2 else "",
                "cntr": country, "name": named.get(geo) or f"Province {geo[2:]}",
                "area_km2": 576.0 * sum(one.startswith(geo) for one in fine),
            }
            for geo in geos
        ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["level"], row["geo"]))


def make_outlines(regions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the outlines; a larger region is the multipolygon of its squares."""
    countries = [region["geo"] for region in regions if region["level"] == 0]
    across = max(3, round((len(countries) * 4 / 6) ** 0.5))
    at = {
        geo: square(r - 4 * (number // across), c + 6 * (number % across))
        for number, country in enumerate(countries)
        for (r, c), geo in codes(country).items()
    }
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


MOVES = (("GRN", "IMP"), ("OTH", "IMP"), ("IMP", "GRN"), ("GRN", "OTH"))
COVERS = ("IMP", "GRN", "OTH")


def spans(years: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the flows of a table: neighbouring years, three years, the whole time."""
    pairs = {(a, b) for a, b in itertools.combinations(years, 2) if b - a in (1, 3)}
    return sorted(pairs | ({(years[0], years[-1])} if len(years) > 1 else set()))


def make_rows(
    regions: list[dict[str, Any]], *, intervals: bool, years: tuple[int, ...] = YEARS, seed: int = 2017
) -> tuple[list, list, list]:
    """Return the rows of the two tables of figures and of the indicators.

    The transitions of the finest level are drawn; gains, losses, net changes, stocks and the regions above are sums of them.
    """
    rng = np.random.default_rng(seed)
    fine = [region["geo"] for region in regions if region["level"] == 3]
    share = np.clip(rng.gamma(2.2, 0.035, len(fine)), 0.01, 0.4)
    size = 576.0
    growth = rng.gamma(2, 0.006, (len(fine), len(years))) * size * share[:, None]
    undone = growth * rng.uniform(0.02, 0.9, growth.shape)
    undone[3:4] = growth[3:4] * 1.8  # a region where sealed land shrinks
    moved = np.stack([growth * 0.93, growth * 0.07, undone, growth * 0.2], axis=-1)  # region, year, MOVES
    seen = rng.uniform(0.86, 1, growth.shape)
    seen[9::24, 3:5] = 0.31  # too little was seen in two years
    absent = set(fine[14:15])  # in the regions table, never in the figures
    unsampled = set(fine[5::8])
    accuracy = dict(zip(fine, rng.uniform(0.15, 0.9, len(fine)), strict=True))
    figures: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    heads: list[dict[str, Any]] = []
    methods = ["mapped_raw", "mapped_consistent"] + (["estimated"] if intervals else [])
    for region, (definition, part), method in itertools.product(
        regions, (("artificial", 0.82), ("artificial_natural", 1.0)), methods
    ):
        geo = region["geo"]
        if geo in absent:
            continue
        members = [i for i, one in enumerate(fine) if one.startswith(geo)]
        area = region["area_km2"]
        yearly = moved[members].sum(axis=0) * part * (3.4 if method == "mapped_raw" else 1.0)
        sealed = float(share[members].sum() * size * part)
        green = area * 0.8 - sealed
        start = {"IMP": sealed, "GRN": green, "OTH": area - sealed - green}
        covered = seen[members].mean(axis=0)
        sampled = method == "estimated" and geo not in unsampled
        common = {"freq": "A", "definition": definition, "method": method, "geo": geo, "nuts_version": "2024"}

        total = np.cumsum(yearly, axis=0)
        ends = {
            (cover, end): total[:, [i for i, pair in enumerate(MOVES) if pair[end] == cover]].sum(axis=1).tolist()
            for cover in COVERS
            for end in (0, 1)
        }

        def flow(cover: str, a: int, b: int, end: int, ends: dict[tuple[str, int], list[float]] = ends) -> float:
            """Add up the transitions from (end 0) or into (end 1) a cover between two years."""
            return ends[cover, end][years.index(b)] - ends[cover, end][years.index(a)]

        def stock(cover: str, year: int, start: dict[str, float] = start) -> float:
            return start[cover] + (
                flow(cover, years[0], year, 1) - flow(cover, years[0], year, 0) if year > years[0] else 0
            )

        for a, b in [*((year, year) for year in years), *spans(years)]:
            coverage = float(min(covered[years.index(a)], covered[years.index(b)]))
            blank = coverage < SCHEMA["coverage_min"] and method != "mapped_raw"
            for cover in COVERS:
                gain, loss = (flow(cover, a, b, end) for end in (1, 0))
                found = {"STK": stock(cover, a)} if a == b else {"GAIN": gain, "LOSS": loss, "NET": gain - loss}
                for name, value in found.items():
                    whole = area if name == "STK" else stock(cover, a)
                    doubt = accuracy.get(geo, 0.12) * (0.05 if name == "STK" else 1.0 if b - a == 1 else 0.5)
                    wide = doubt * (value if name == "STK" else max(gain, loss)) + 0.002
                    unreliable = not sampled or coverage < SCHEMA["coverage_min"] or (a != b and doubt > 0.6)
                    for unit, factor in (("KM2", 1.0), ("PC", 100 / whole)):
                        low = value - wide * 0.9 if name == "NET" else max(value - wide * 0.9, 0.0)
                        figures.append({
                            **common, "lc_flow": name, "landcover": cover, "unit": unit, "time_from": a, "TIME_PERIOD": b,
                            "vintage": VINTAGE, "OBS_VALUE": None if blank else value * factor,
                            "OBS_FLAG": ("p" if b in (years[0], years[-1]) else "") + ("u" if unreliable else ""),
                            "MISSING_REASON": "LOW_COVERAGE" if blank else "", "CONF_STATUS": "",
                            "OBS_LCI95": low * factor if sampled and not blank else None,
                            "OBS_UCI95": (value + wide) * factor if sampled and not blank else None,
                            "COVERAGE": coverage, "N_PIX": int(area / 0.0004 * coverage),
                        })  # fmt: skip
            if a < b:
                for pair in MOVES:
                    at = MOVES.index(pair)
                    moves.append({
                        **common, "landcover_from": pair[0], "landcover_to": pair[1], "unit": "KM2", "time_from": a,
                        "TIME_PERIOD": b, "vintage": VINTAGE,
                        "OBS_VALUE": None if blank else float(yearly[years.index(a) + 1 : years.index(b) + 1, at].sum()),
                        "OBS_FLAG": "u", "MISSING_REASON": "LOW_COVERAGE" if blank else "", "COVERAGE": coverage,
                    })  # fmt: skip
            elif method != "mapped_raw":
                people = 110 * area
                heads.append({
                    **common, "indicator": "IMP_HAB", "unit": "M2_HAB", "time_from": a, "TIME_PERIOD": b, "vintage": VINTAGE,
                    "OBS_VALUE": None if blank else stock("IMP", a) * 1e6 / people, "OBS_FLAG": "u",
                    "MISSING_REASON": "LOW_COVERAGE" if blank else "", "OBS_LCI95": None, "OBS_UCI95": None,
                    "COVERAGE": coverage,
                })  # fmt: skip
    return figures, moves, heads


def arrow(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Type rows as the schema says."""
    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}
    fields = [pa.field(f["name"], types[f["type"]]) for f in SCHEMA["tables"][name]["fields"]]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def make_table(
    folder: Path,
    *,
    intervals: bool = True,
    years: tuple[int, ...] = YEARS,
    without: tuple[str, str] = ("", ""),
    countries: Sequence[str] = ("XA",),
) -> Path:
    """Write the folder and return it.

    intervals : with the method `estimated`, and inhabitants
    without : flow and cover that the table does not have
    """
    regions = make_regions(countries)
    write_folder(folder, regions, make_outlines(regions), intervals=intervals, years=years, without=without)
    return folder


def write_folder(
    folder: Path,
    regions: list[dict[str, Any]],
    outlines: dict[str, Any],
    *,
    intervals: bool = True,
    years: tuple[int, ...] = YEARS,
    without: tuple[str, str] = ("", ""),
) -> None:
    """Write figures for the regions, country by country, so that a table of thousands of regions fits into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["impervious_nuts", "impervious_nuts_transitions", *(["impervious_indicators"] if intervals else [])]
    with contextlib.ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for number, country in enumerate(dict.fromkeys(region["cntr"] for region in regions)):
            own = [region for region in regions if region["cntr"] == country]
            rows, moves, heads = make_rows(own, intervals=intervals, years=years, seed=2017 + number)
            rows = [row for row in rows if (row["lc_flow"], row["landcover"]) != without]
            for name, part in zip(names, (rows, moves, heads), strict=False):
                made = arrow(name, part)
                if name not in writers:
                    writers[name] = stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", made.schema))
                writers[name].write_table(made)
    pq.write_table(arrow("nuts_regions", regions), folder / "nuts_regions.parquet")
    (folder / "outlines.geojson").write_text(json.dumps(outlines), encoding="utf-8")
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


if __name__ == "__main__":
    print(
        make_table(
            Path(sys.argv[1]),
            intervals="--plain" not in sys.argv,
            countries=many_countries(40)
            if "--huge" in sys.argv
            else tuple(COUNTRIES)
            if "--large" in sys.argv
            else ("XA",),
        )
    )
