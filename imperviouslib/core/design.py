"""The design file of a reference sample: what was drawn, from what, and how. This module alone writes and reads its keys.

r.impervious.sample writes it, r.impervious.change estimates with it. Interpreters never see it: it holds the strata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from imperviouslib.core.errors import InputError, _
from imperviouslib.core.grid import Grid
from imperviouslib.core.sample import (
    HOT_GAIN,
    HOT_LOSS,
    STRATA,
    WINDOW,
    Frame,
    Purpose,
    Sizes,
    Stratum,
    Unit,
)  # fmt: skip

CONTRACT = 1
FILE = "design.json"
STOCK_BASE = 10
"""The map of stock strata holds STOCK_BASE * index of the area + index of the stratum + 1."""
_AGAIN = "Draw the sample again with r.impervious.sample, or restore the file from a copy."


@dataclass(frozen=True)
class DesignUnit:
    """A point or a window with its id."""

    id: str
    kind: Literal["point", "window"]
    purpose: Purpose
    """Which estimate it serves."""
    area: int
    """Index of its area in the design."""
    stratum: int
    """Index of its stratum in the area's strata of its purpose."""
    row: int
    col: int
    """Absolute row and column of the cell, of a window's north-western cell."""
    land: str = ""
    """Windows only: which of its cells are land of the area, bits row by row, as hexadecimal digits."""
    gain: str = ""
    """Windows only: which of these cells count for gain, because they lie outside the hot strata of gain."""
    loss: str = ""
    """Windows only: the same for loss."""

    @property
    def centre(self) -> tuple[float, float]:
        """Return x and y of its centre in metres, for cells of 20 m."""
        side = 1 if self.kind == "point" else WINDOW
        return (self.col + side / 2) * 20, -(self.row + side / 2) * 20

    def counted(self, mask: str) -> np.ndarray:
        """Return `land`, `gain` or `loss` as an array (cell), bool, row by row."""
        return _unpacked(mask)


@dataclass(frozen=True)
class Area:
    """An area with a sample of its own."""

    geo: str
    """Code of the region; empty for all land of the computational region."""
    cells: int
    """Cells of land with data."""
    strata: Mapping[str, Sequence[Stratum]]
    """Purpose to its strata."""

    def shares(self, purpose: str) -> np.ndarray:
        """Return the share of the area's land in each stratum of a purpose."""
        return np.array([stratum.cells for stratum in self.strata[purpose]], float) / self.cells

    @property
    def has_windows(self) -> bool:
        """Whether it was drawn with windows."""
        return "windows" in self.strata


@dataclass(frozen=True)
class Design:
    """The content of a design file."""

    years: tuple[int, ...]
    """Years to be read, ascending; change is that between the first and the last, and between any two."""
    seed: int
    grid: Grid
    sizes: Sizes
    """Units an area was asked for."""
    areas: tuple[Area, ...]
    units: tuple[DesignUnit, ...]
    """In the order of their ids, which is random."""
    made_from: Mapping[str, Any]
    """Maps that it was drawn from, with what is known of them."""
    version: str
    """Version of the suite."""

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Id to kind."""
        return {unit.id: unit.kind for unit in self.units}

    def to_json(self) -> dict[str, Any]:
        """Return the stored form, with its digest."""
        content = {
            "contract": CONTRACT, "version": self.version, "years": list(self.years), "seed": self.seed,
            "grid": {"bounds": list(self.grid.bounds), "res_m": self.grid.res_m}, "sizes": asdict(self.sizes),
            "made_from": dict(self.made_from), "areas": [asdict(area) for area in self.areas],
            "units": [_without_blanks(asdict(unit)) for unit in self.units],
        }  # fmt: skip
        return {**content, "digest": digest_of(content)}

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return str(self.to_json()["digest"])


def _without_blanks(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value != ""}


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON content without its digest."""
    bare = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_design(text: str, name: str) -> Design:
    """Parse a design file; raise InputError where it is damaged, was edited, or does not agree with itself.

    name : of the file, for messages
    """
    try:
        content = json.loads(text)
        contract = content["contract"]
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise _damaged(name, _("no design of a sample")) from err
    if contract != CONTRACT:
        raise InputError(
            _("Design file '{}'").format(name),
            found=_("contract {}").format(repr(contract)[:40]),
            expected=str(CONTRACT),
            then=_("Use the version of the suite that wrote it."),
        )
    if content.get("digest") != digest_of(content):
        raise _damaged(name, _("content that does not fit its digest"))
    try:
        design = Design(
            years=tuple(map(int, content["years"])),
            seed=int(content["seed"]),
            grid=Grid.from_bounds(content["grid"]["bounds"], content["grid"]["res_m"]),
            sizes=Sizes(**content["sizes"]),
            areas=tuple(_area(one) for one in content["areas"]),
            units=tuple(DesignUnit(**one) for one in content["units"]),
            made_from=content["made_from"],
            version=str(content["version"]),
        )
        _check(design)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError) as err:
        raise _damaged(name, " ".join(str(err).split())) from err
    return design


def _area(record: Mapping[str, Any]) -> Area:
    strata = {purpose: tuple(Stratum(**one) for one in rows) for purpose, rows in record["strata"].items()}
    return Area(str(record["geo"]), int(record["cells"]), strata)


def _check(design: Design) -> None:
    """Raise ValueError where units and strata do not agree."""
    if len(design.kinds) != len(design.units) or list(design.years) != sorted(set(design.years)):
        raise ValueError("ids or years that are not unique")
    drawn = {
        (a, purpose, s): stratum.drawn
        for a, area in enumerate(design.areas)
        for purpose, strata in area.strata.items()
        for s, stratum in enumerate(strata)
    }
    for unit in design.units:
        drawn[unit.area, unit.purpose, unit.stratum] -= 1
        if unit.kind == "window":
            for mask in (unit.land, unit.gain, unit.loss):
                _unpacked(mask)
    if any(drawn.values()):
        raise ValueError("strata whose numbers differ from the units")


def _damaged(name: str, found: str) -> InputError:
    return InputError(_("Design file '{}'").format(name), found=found, then=_(_AGAIN))


def _packed(mask: np.ndarray) -> str:
    return np.packbits(mask.ravel()).tobytes().hex()


def _unpacked(text: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=WINDOW * WINDOW).astype(bool)


def draw(
    frames: Mapping[str, Frame],
    years: Sequence[int],
    sizes: Sizes,
    seed: int,
    *,
    made_from: Mapping[str, Any],
    version: str,
    stock_cells: np.ndarray | None = None,
) -> Design:
    """Draw a sample for each area. Its units get random ids, so that an id says nothing of area, purpose or stratum.

    frames : code of an area to its land; all on one grid, and areas do not overlap
    stock_cells : flat indices of cells that are the stock points of all areas; drawn at random where it is None
    """
    rng = np.random.default_rng([seed, 20])
    areas: list[Area] = []
    loose: list[tuple[int, Unit, dict[str, str]]] = []
    for number, (geo, frame) in enumerate(frames.items()):
        sample = frame.draw(sizes, rng, stock_cells)
        areas.append(Area(geo, int(np.count_nonzero(frame.cells)), sample.strata))
        loose += [(number, unit, _masks(unit, frame)) for unit in sample.units]
    counters = {"point": 0, "window": 0}
    digits = len(str(len(loose)))
    units = []
    for place in rng.permutation(len(loose)):
        number, unit, masks = loose[place]
        counters[unit.kind] += 1
        name = f"{unit.kind[0].upper()}{counters[unit.kind]:0{digits}d}"
        units.append(DesignUnit(name, unit.kind, unit.purpose, number, unit.stratum, unit.row, unit.col, **masks))
    grid = next(iter(frames.values())).grid
    return Design(tuple(years), seed, grid, sizes, tuple(areas), tuple(units), made_from, version)


def _masks(unit: Unit, frame: Frame) -> dict[str, str]:
    """Return which cells of a window are land, and count for gain and for loss; nothing for a point."""
    if unit.kind == "point":
        return {}
    grid, part = frame.grid, np.zeros((WINDOW, WINDOW), np.uint8)
    rows, cols = (
        first + np.arange(WINDOW) - origin for first, origin in ((unit.row, grid.first_row), (unit.col, grid.first_col))
    )
    on_rows, on_cols = (rows >= 0) & (rows < grid.height), (cols >= 0) & (cols < grid.width)
    part[np.ix_(on_rows, on_cols)] = frame.cells[np.ix_(rows[on_rows], cols[on_cols])]
    hot_gain, hot_loss = (np.isin(part, [1 + STRATA.index(name) for name in names]) for names in (HOT_GAIN, HOT_LOSS))
    land = part > 0
    return {"land": _packed(land), "gain": _packed(land & ~hot_gain), "loss": _packed(land & ~hot_loss)}
