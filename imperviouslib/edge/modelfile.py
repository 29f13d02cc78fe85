"""The model folder: written whole under its name and trusted only where its checksum agrees."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from imperviouslib.core.card import Card, card_json, parse_card
from imperviouslib.core.errors import InputError, ModelError, _
from imperviouslib.edge.files import atomic_folder, sha256_file, write_json

NET, CARD, HISTORY, CONFUSION, CURVES = "unet.keras", "card.json", "history.csv", "confusion.csv", "curves.png"


def check_model_free(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError where the output exists and may not be replaced, or is something else than a model."""
    if not folder.exists():
        return
    if not (folder / CARD).is_file():
        raise InputError(
            _("Output '{}'").format(folder),
            found=_("something that is no model"),
            expected=_("a new name"),
            then=_("Choose another output folder."),
        )
    if not overwrite:
        raise InputError(
            _("Model '{}'").format(folder),
            found=_("that it exists"),
            expected=_("a new name"),
            then=_("Use --overwrite to replace it, or another output."),
        )


def write_model(
    folder: Path,
    card: Card,
    *,
    save_net: Callable[[Path], None],
    save_curves: Callable[[Path], None],
    history: Sequence[dict[str, float]],
    confusion: Sequence[Sequence[str]],
) -> Card:
    """Write a model folder; it takes the place of an older one at the very end.

    Returns: the card with the net's checksum
    """
    with atomic_folder(folder) as part:
        save_net(part / NET)
        save_curves(part / CURVES)
        with (part / HISTORY).open("w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, list(history[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(history)
        with (part / CONFUSION).open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(confusion)
        card = replace(card, model_sha256=sha256_file(part / NET))
        write_json(part / CARD, card_json(card))
    return card


def read_model(folder: Path) -> Card:
    """Read the card of a model folder and check that the net is the one it speaks of."""
    copy = "Copy the whole folder that r.unet.train wrote, or train again."
    if not folder.is_dir():
        raise ModelError(
            _("Model '{}'").format(folder),
            found=_("no such folder"),
            expected=_("a folder of r.unet.train"),
            then=_("Check the name."),
        )
    for name in (CARD, NET):
        if not (folder / name).is_file():
            raise ModelError(
                _("Model '{}'").format(folder), found=_("no {}").format(name), expected=_("a whole model"), then=copy
            )
    card = parse_card((folder / CARD).read_text(encoding="utf-8", errors="replace"), str(folder / CARD))
    if sha256_file(folder / NET) != card.model_sha256:
        raise ModelError(
            _("Model '{}'").format(folder),
            found=_("an {} that its card does not know").format(NET),
            expected=_("the net of the card"),
            then=copy,
        )
    return card
