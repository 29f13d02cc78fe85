"""The card of a model, card.json: what the model was made from, how accurate it is, and which data it fits.

This module owns the contract: every key of the file is a field of `Card` or of a record in it, and `to_json` and `parse_card` are the only
places that write and read them. edge/modelfile.py stores the text. See doc/design.md, section 2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from imperviouslib.core.accuracy import Accuracy, ClassAccuracy
from imperviouslib.core.errors import ModelError, _
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.network import net_anchor, net_halo

CONTRACT = 2
_DEPTHS = range(1, 6)
"""Depths that a net can have; work grows with them, so a card of others is not computed with."""
_OUTPUTS = 4
"""Outputs of the series net."""
_TRAIN_AGAIN = "Train it again with r.unet.train."
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Scaling:
    """How features are scaled; the network does it itself."""

    mean: tuple[float, ...]
    """Mean of each feature in stored units."""
    deviation: tuple[float, ...]
    """Standard deviation of each feature in stored units."""
    nodata: int = 0
    where: str = "inside the net"


@dataclass(frozen=True)
class Split:
    """Which ground was used for training, validation and test; these are the keys of each mapping."""

    block: int
    """Side of a block in cells."""
    gap: int
    """Cells between blocks of different use."""
    test: float
    """Share of the ground for testing that was asked for."""
    seed: int
    blocks: Mapping[str, Sequence[tuple[int, int]]]
    """Absolute row and column of the blocks, counted in blocks."""
    cells: Mapping[str, int]
    """Cells with label and features."""


@dataclass(frozen=True)
class Metrics:
    """Accuracy by ground; each mapping is period to accuracy."""

    validation: Mapping[str, Accuracy]
    test: Mapping[str, Accuracy]


@dataclass(frozen=True)
class Calibration:
    """How probabilities were calibrated; the network does it itself."""

    temperature: float
    """Divisor of the logits."""
    error_before: float
    """Expected calibration error without it, 0-1."""
    error_after: float | None
    """The same with temperature and shift applied, in the first period."""
    level: float
    """Share of the training ground that the maps call sealed: that of a brief fit, as nearly as the shift comes to it."""
    shift: float
    """Added to the log-odds of sealed land, so that the maps of the training ground have that share; at most 1 in either direction."""
    ground: str = "validation"
    """The ground that the temperature was fitted on."""


@dataclass(frozen=True)
class TrainingRecord:
    """How the network was fitted, and with what."""

    periods: tuple[str, ...]
    """Periods whose features were trained on."""
    epochs: int
    """Maximum number of epochs."""
    epochs_run: int
    epoch_kept: int
    """The epoch whose weights were kept."""
    batch: int
    """Patches per batch."""
    steps: int
    """Batches per epoch."""
    learning_rate: float
    """Learning rate at the start."""
    absent_classes: tuple[str, ...]
    """Titles of the classes without a training cell."""
    keras: str
    """Version."""
    tensorflow: str
    """Version."""
    threads: str
    """Number of threads; with seed and versions it determines the weights."""
    device: str = "CPU"
    """Where the nets were fitted: CPU, or the model of the GPU."""
    precision: str = "float32"
    """In which the U-Net and the pixel net were fitted: float32 or mixed_bfloat16."""


@dataclass(frozen=True)
class SeriesRecord:
    """The series model: how it was fitted. It maps the histories of cells from all years of a file together."""

    sha256: str
    """SHA-256 of the series net's file."""
    years: tuple[int, ...]
    """Years of the series that were spliced."""
    shares: tuple[float, ...]
    """Shares of the net's outputs in its training data, in their order; they are taken out of the evidence."""
    kept: float
    """Share of the labels that were used: of cells that have not probably changed, those that the mean probability of all years does not contradict."""
    steps: int
    """Batches."""


@dataclass(frozen=True)
class Card:
    """The content of card.json."""

    version: str
    """Version of the suite."""
    features: tuple[str, ...]
    """Input features in order."""
    scaling: Scaling
    res_m: int
    """Cell size in metres."""
    patch: int
    """Side of a training patch in cells."""
    depth: int
    """Poolings of the network."""
    filters: int
    """Filters of its first level."""
    halo: int
    """Width in cells of the margin around a window that can change its result."""
    anchor: int
    """Windows begin at absolute multiples of this many cells."""
    split: Split
    seed: int
    years: tuple[int, ...]
    """Years whose features were trained on."""
    label_year: int
    legend: str
    """Legend of the labels."""
    ard_digest: str
    """Digest of the HDF5 file."""
    metrics: Metrics
    prior: Mapping[str, float]
    """Class key to its share of the labels of the training ground."""
    calibration: Calibration
    settings: TrainingRecord
    model_sha256: str = ""
    """SHA-256 of the network's file."""
    series: SeriesRecord | None = None
    """The series model; None where the file had one year only."""
    exports: Mapping[str, str] = field(default_factory=dict)
    """Files of the nets for other engines than TensorFlow, and what those are held against, to their SHA-256."""
    classes: Mapping[str, int] = field(default_factory=lambda: {c.key: c.code for c in CLASSES})
    """Class key to code."""
    contract: int = CONTRACT

    def to_json(self) -> dict[str, Any]:
        """Return the stored form: numbers, texts, lists and dicts only."""
        return json.loads(json.dumps(asdict(self)))


def parse_card(text: str, name: str) -> Card:
    """Read the text of a card; raise ModelError if it is damaged, of another contract, or contradicts itself.

    Keys that a later version added are ignored.

    name : the file, for messages
    """
    thing = _("Model card '{}'").format(name)
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as err:
        raise ModelError(
            thing, found=_("text that is not JSON"), expected=_("a card of r.unet.train"), then=_TRAIN_AGAIN
        ) from err
    contract = values.get("contract") if isinstance(values, dict) else None
    if contract != CONTRACT:
        raise ModelError(
            thing,
            found=_("no contract number") if contract is None else _("contract {}").format(repr(contract)[:40]),
            expected=_("contract {}").format(CONTRACT),
            then=_("Use the version of the suite that wrote it, or train again."),
        )
    try:
        card = _card(values)
        if card.depth not in _DEPTHS:
            raise ValueError(_("depth {}").format(str(card.depth)[:20]))
        _check_numbers(card)
        fits = card.halo >= net_halo(card.depth) and card.anchor == net_anchor(card.depth)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, IndexError) as err:
        raise ModelError(
            thing,
            found=_("a damaged card ({})").format(" ".join(str(err).split())),
            expected=_("all fields of the contract"),
            then=_TRAIN_AGAIN,
        ) from err
    if not fits:
        raise ModelError(
            thing,
            found=_("halo {} and anchor {} for depth {}").format(card.halo, card.anchor, card.depth),
            expected=_("{} and {}").format(net_halo(card.depth), net_anchor(card.depth)),
            then=_TRAIN_AGAIN,
        )
    return card


def _check_numbers(card: Card) -> None:
    """Raise ValueError where a number that maps are computed with is none, or out of its range."""
    numbers: list[tuple[str, Any, float, float]] = [("level", card.calibration.level, 0, 1)]
    numbers += [("mean", one, -math.inf, math.inf) for one in card.scaling.mean]
    numbers += [("deviation", one, 0, math.inf) for one in card.scaling.deviation]
    numbers += [("shares", one, 0, 1) for one in (card.series.shares if card.series else ())]
    for name, value, least, most in numbers:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not least <= value <= most:
            raise ValueError(f"{name} {str(value)[:20]}")
    if card.series and len(card.series.shares) != _OUTPUTS:
        raise ValueError(_("{} shares").format(len(card.series.shares)))
    if not len(card.scaling.mean) == len(card.scaling.deviation) == len(card.features):
        raise ValueError(_("scaling of {} features").format(len(card.scaling.mean)))


def _card(values: Mapping[str, Any]) -> Card:
    """Build a card from its stored form; raise AttributeError, KeyError or TypeError if something is missing or of another type."""
    split, metrics, series = values["split"], values["metrics"], values.get("series")
    return _record(
        Card,
        {
            **values,
            "features": tuple(values["features"]),
            "years": tuple(values["years"]),
            "classes": dict(values["classes"]),
            "exports": {str(name): str(digest) for name, digest in values.get("exports", {}).items()},
            "prior": dict(values["prior"]),
            "scaling": _record(Scaling, _tuples(values["scaling"], "mean", "deviation")),
            "split": _record(
                Split,
                {**split, "blocks": {key: [(r, c) for r, c in blocks] for key, blocks in split["blocks"].items()}},
            ),
            "metrics": Metrics(_accuracies(metrics["validation"]), _accuracies(metrics["test"])),
            "calibration": _record(Calibration, values["calibration"]),
            "settings": _record(TrainingRecord, _tuples(values["settings"], "periods", "absent_classes")),
            "series": _record(SeriesRecord, _tuples(series, "years", "shares")) if series else None,
        },
    )


def _accuracies(values: Mapping[str, Any]) -> dict[str, Accuracy]:
    return {
        period: _record(
            Accuracy,
            {**figures, "classes": {key: _record(ClassAccuracy, row) for key, row in figures["classes"].items()}},
        )
        for period, figures in values.items()
    }


def _tuples(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the values with these lists as tuples, as they were before JSON."""
    return {**values, **{key: tuple(values[key]) for key in keys}}


def _record(kind: type[_Record], values: Mapping[str, Any]) -> _Record:
    """Build a dataclass from the keys that are its fields."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in values.items() if key in known})


def check_fit(card: Card, *, name: str, features: Sequence[str], res_m: int, data: str) -> None:
    """Raise ModelError if a model was trained on data of another kind.

    features : input features of the data, in order
    res_m : cell size of the data in metres
    name, data : the model and the data, for the message
    """
    classes = {c.key: c.code for c in CLASSES}
    for what, found, expected in (
        (_("features {}"), ",".join(card.features), ",".join(features)),
        (_("cells of {}"), f"{card.res_m} m", f"{res_m} m"),
        (_("classes {}"), _listed(card.classes), _listed(classes)),
    ):
        if found != expected:
            raise ModelError(
                _("Model '{}'").format(name),
                found=what.format(found),
                expected=_("{} as in '{}'").format(expected, data),
                then=_("Choose a model that was trained on data of this kind."),
            )


def _listed(classes: Mapping[str, int]) -> str:
    return ",".join(f"{code} {key}" for key, code in sorted(classes.items(), key=lambda item: item[1]))
