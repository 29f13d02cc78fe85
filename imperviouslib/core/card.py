"""The card of a model: what it was made from, and whether it fits the data at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from imperviouslib.core.errors import ModelError, _
from imperviouslib.core.legend import CLASSES
from imperviouslib.core.patches import net_anchor, net_halo

CONTRACT = 1
_AGAIN = "Train it again with r.unet.train."


@dataclass(frozen=True)
class Card:
    """card.json; see doc/design.md, section 2."""

    version: str
    """Version of the suite."""
    features: tuple[str, ...]
    """Input features in order."""
    scaling: dict[str, Any]
    """`mean` and `deviation` of each feature in stored units, `nodata`; all applied inside the net."""
    res_m: int
    patch: int
    """Cells a side of a training patch."""
    depth: int
    filters: int
    halo: int
    """Cells around a window that may touch its result."""
    anchor: int
    """Windows begin at absolute multiples of this many cells."""
    split: dict[str, Any]
    """Block side, gap, and the blocks and cells of each use."""
    seed: int
    years: tuple[int, ...]
    """Years whose features were trained on."""
    label_year: int
    legend: str
    ard_digest: str
    metrics: dict[str, Any]
    """Accuracy on validation and test ground, a period each."""
    prior: dict[str, float]
    """Share of each class on the training ground, which the probabilities assume."""
    calibration: dict[str, Any]
    """`temperature`, applied inside the net, and the calibration error before and after."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Epochs, batch, threads and versions."""
    model_sha256: str = ""
    classes: dict[str, int] = field(default_factory=lambda: {c.key: c.code for c in CLASSES})
    contract: int = CONTRACT


def card_json(card: Card) -> dict[str, Any]:
    """Return a card as plain values."""
    return json.loads(json.dumps(asdict(card)))


def parse_card(text: str, name: str) -> Card:
    """Read a card; raise ModelError where it is none, of another contract, or contradicts itself."""
    thing = f"Model card '{name}'"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as err:
        raise ModelError(
            thing, found=_("text that is no JSON"), expected=_("a card of r.unet.train"), then=_AGAIN
        ) from err
    if not isinstance(values, dict) or values.get("contract") != CONTRACT:
        found = f"contract {values.get('contract')}" if isinstance(values, dict) else "no contract"
        raise ModelError(
            thing,
            found=found,
            expected=_("contract {}").format(CONTRACT),
            then=_("Use the version of the suite that wrote it, or train again."),
        )
    known = set(Card.__dataclass_fields__)
    try:
        # Fields that a later version adds are no reason to refuse.
        card = Card(**{key: value for key, value in values.items() if key in known})
        card = Card(**{**asdict(card), "features": tuple(card.features), "years": tuple(card.years)})
        fits = card.halo >= net_halo(card.depth) and card.anchor == net_anchor(card.depth)
    except TypeError as err:
        raise ModelError(
            thing, found=_("a damaged card ({})").format(err), expected=_("all fields of the contract"), then=_AGAIN
        ) from err
    if not fits:
        raise ModelError(
            thing,
            found=_("halo {} and anchor {} for depth {}").format(card.halo, card.anchor, card.depth),
            expected=_("{} and {}").format(net_halo(card.depth), net_anchor(card.depth)),
            then=_AGAIN,
        )
    return card


def check_fit(card: Card, *, name: str, features: Sequence[str], res_m: int, data: str) -> None:
    """Raise ModelError where a model is not for these data.

    name, data : what messages call the model and the data
    """
    classes = {c.key: c.code for c in CLASSES}
    for found, expected, what in (
        (",".join(card.features), ",".join(features), "features"),
        (f"{card.res_m} m", f"{res_m} m", "cells"),
        (_listed(card.classes), _listed(classes), "classes"),
    ):
        if found != expected:
            raise ModelError(
                _("Model '{}'").format(name),
                found=f"{what} {found}",
                expected=_("{} as in '{}'").format(expected, data),
                then=_("Choose the model trained on such data."),
            )


def _listed(classes: dict[str, int]) -> str:
    return ",".join(f"{code} {key}" for key, code in sorted(classes.items(), key=lambda item: item[1]))
