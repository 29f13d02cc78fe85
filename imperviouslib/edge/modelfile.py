"""The model folder: written completely or not at all, and read only if the checksum of its network agrees with its card."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from imperviouslib.core.card import Card, parse_card
from imperviouslib.core.errors import InputError, ModelError, _
from imperviouslib.core.training import Epoch
from imperviouslib.edge.files import atomic_folder, sha256_file, write_json

NET, SERIES, CARD, HISTORY, CONFUSION, CURVES = (
    "unet.keras", "series.keras", "card.json", "history.csv", "confusion.csv", "curves.png"
)  # fmt: skip


def check_model_free(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError if the output exists and is not a model, or is a model that must not be replaced; an empty folder is free."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD).is_file():
        raise InputError(
            _("Output '{}' exists and is not a model folder").format(folder), then=_("Choose another output=.")
        )
    if not overwrite:
        raise InputError(
            _("Model '{}' already exists").format(folder),
            then=_("Use --overwrite to replace it, or choose another output=."),
        )


def write_model(
    folder: Path,
    card: Card,
    *,
    save_net: Callable[[Path], None],
    save_curves: Callable[[Path], None],
    history: Sequence[Epoch],
    confusion: Sequence[Sequence[str]],
    save_series: Callable[[Path], None] | None = None,
    export: Callable[[Path], Sequence[str]] = lambda folder: (),
) -> Card:
    """Write a model folder; an older one of that name is replaced at the very end.

    save_series : writes the series net, if the card describes one
    export : writes files for other engines into the folder, and returns their names
    Returns: the card with the checksums of the networks
    """
    with atomic_folder(folder) as part:
        save_net(part / NET)
        if card.series and save_series:
            save_series(part / SERIES)
            card = replace(card, series=replace(card.series, sha256=sha256_file(part / SERIES)))
        card = replace(card, exports={name: sha256_file(part / name) for name in export(part)})
        save_curves(part / CURVES)
        with (part / HISTORY).open("w", newline="", encoding="utf-8") as handle:
            table = csv.DictWriter(handle, list(asdict(history[0])), lineterminator="\n")
            table.writeheader()
            table.writerows(asdict(epoch) for epoch in history)
        with (part / CONFUSION).open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(confusion)
        card = replace(card, model_sha256=sha256_file(part / NET))
        write_json(part / CARD, card.to_json())
    return card


def read_model(folder: Path) -> Card:
    """Read the card of a model folder; raise ModelError if the folder is incomplete or its network is not the one of the card."""
    copy = _("Copy the whole folder that r.unet.train wrote, or train again.")
    if not folder.is_dir():
        raise ModelError(
            _("There is no model folder '{}'").format(folder),
            then=_("Check the name."),
        )
    if not (folder / CARD).is_file():
        raise ModelError(_("Model '{}' has no {}").format(folder, CARD), then=copy)
    card = parse_card((folder / CARD).read_text(encoding="utf-8", errors="replace"), str(folder / CARD))
    for name, digest in model_files(card).items():
        if Path(name).name != name:
            raise ModelError(_("Model card '{}' names a file '{}'").format(folder / CARD, name), then=copy)
        if not (folder / name).is_file():
            raise ModelError(_("Model '{}' has no {}").format(folder, name), then=copy)
        if sha256_file(folder / name) != digest:
            raise ModelError(
                _("Model '{}': the checksum of {} differs from the one in {}").format(folder, name, CARD), then=copy
            )
    return card


def model_files(card: Card) -> dict[str, str]:
    """Return the files of a model's nets, and their SHA-256."""
    return {NET: card.model_sha256, **({SERIES: card.series.sha256} if card.series else {}), **card.exports}
