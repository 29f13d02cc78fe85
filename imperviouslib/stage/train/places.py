"""The ground to train on: the parts of one or more files within the region, split into blocks of different use.

Places are far apart or side by side. Blocks are those of the absolute grid, so ground that two files share has one use. Depth and patch
of the net, blocks and gap are chosen together: the largest net for which validation and test ground are not thin after the gaps are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from imperviouslib.core import ground as grounds
from imperviouslib.core import patches
from imperviouslib.core.card import Split
from imperviouslib.core.errors import TrainingError, _
from imperviouslib.core.ground import GOOD_SPLIT, ROLES, Ground
from imperviouslib.core.network import net_halo
from imperviouslib.core.settings.train import TrainSettings
from imperviouslib.core.windows import resolve_part, window_corners
from imperviouslib.edge import grass
from imperviouslib.edge.ardfile import ArdFile
from imperviouslib.edge.split import split_blocks

_TRIES, _TRIED_CELLS = 8, 40_000_000
"""Splits that are compared, and cells of all of them together: cutting the gaps of large ground takes seconds, and it needs no search."""


@dataclass(frozen=True)
class Data:
    """Training data: the cells of the files within the region, and their metadata."""

    ground: Ground
    periods: tuple[str, ...]
    """Names, in the order of the ground's features."""
    features: tuple[str, ...]
    res_m: int
    label_year: int
    legend: str
    digest: str
    """Of the whole file; of several files, of their digests."""


@dataclass(frozen=True)
class Places:
    """What is read of the files before it is split."""

    grounds: tuple[Ground, ...]
    """One a file; no cell has a role yet."""
    data: Data
    """The rest, with the first of the grounds."""


def read_places(settings: TrainSettings) -> Places:
    """Read the parts of the files within the current region into memory."""
    with ExitStack() as stack:
        files = [stack.enter_context(ArdFile.open(path)) for path in settings.files]
        # The order in which files are named makes no difference.
        files.sort(key=lambda ard: ard.digest)
        first = files[0]
        for ard in files:
            _check_alike(ard, first)
        label_year = first.label_year
        if label_year is None:
            raise TrainingError(
                _("File '{}' has no labels").format(first.path), then=_("Write it again with labels= of r.s2.ard.")
            )
        periods = resolve_periods(files, label_year, settings.years)
        # Windows of validation and test ground reach beyond the region; there the ground has no data.
        margin = max(net_halo(depth) for depth, _patch in settings.shapes)
        read = tuple(_read_ground(ard, periods, margin=margin, unit=settings.window) for ard in files)
        digests = " ".join(ard.digest for ard in files)
        digest = first.digest if len(files) == 1 else hashlib.sha256(digests.encode()).hexdigest()
        legend = ",".join(dict.fromkeys(ard.legend for ard in files))
        return Places(read, Data(read[0], periods, first.features, first.grid.res_m, label_year, legend, digest))


def _check_alike(ard: ArdFile, first: ArdFile) -> None:
    """Raise TrainingError where a file cannot be trained on together with the first one."""
    if ard is not first and ard.digest == first.digest:
        raise TrainingError(
            _("Files '{}' and '{}' hold the same data").format(first.path, ard.path), then=_("Name one of them.")
        )
    for what, found, expected in (
        (_("the features"), ", ".join(ard.features), ", ".join(first.features)),
        (_("cells of"), f"{ard.grid.res_m} m", f"{first.grid.res_m} m"),
        (_("labels of"), str(ard.label_year), str(first.label_year)),
    ):
        if found != expected:
            raise TrainingError(
                _("File '{}'").format(ard.path),
                found=f"{what} {found}",
                expected=_("{} {} as in '{}'").format(what, expected, first.path),
                then=_("Write the files with the same options of r.s2.ard."),
            )


def resolve_periods(files: Sequence[ArdFile], label_year: int, years: Sequence[int]) -> tuple[str, ...]:
    """Return the periods whose features are trained on: those of the given years, or all that all files have.

    The labels are those of one year, but land cover changes by a fraction of a per cent per year, while weather and phenology change the
    reflectance of all land: a network trained on one year alone classifies dry fields of another year as sealed.
    """
    for ard in files:
        known = sorted(set(ard.years))
        missing = sorted(set(years or [label_year]) - set(known))
        if missing:
            if years:
                thing = _("File '{}' has no features of {}")
            else:
                thing = _("File '{}' has no features of {}, the year of the labels")
            raise TrainingError(
                thing.format(ard.path, missing[0]),
                then=_("Choose years= among {}, or write it again with r.s2.ard.").format(", ".join(map(str, known))),
            )
    first = files[0]
    common = [period for period in first.periods if all(period in ard.periods for ard in files)]
    left_out = sorted({period for ard in files for period in ard.periods} - set(common))
    wanted = [period for period in common if not years or int(period[:4]) in years]
    if not wanted:
        raise TrainingError(
            _("No period occurs in all files; '{}' has {}").format(first.path, ", ".join(first.periods)),
            then=_("Choose files with common periods, or write them again with r.s2.ard."),
        )
    if left_out and not years:
        grass.message(_("Periods that some files lack are left out: {}.").format(", ".join(left_out)))
    return tuple(wanted)


def _read_ground(ard: ArdFile, periods: Sequence[str], *, margin: int, unit: int) -> Ground:
    """Read features and labels within the current region, around it a margin without data; no cell has a role yet."""
    part = resolve_part(ard.grid, grass.region_grid(ard.grid.res_m), name=str(ard.path))
    outer = part.snapped_out(unit).grown(margin)
    inside = part.slices_in(outer)
    features = []
    for period in periods:
        # The network's batches have the feature last, and cutting patches from such an array is more than twice as fast.
        plane = np.zeros((*outer.shape, len(ard.features)), dtype=np.uint16)
        plane[inside] = np.moveaxis(ard.read(period, part), 0, -1)
        features.append(plane)
    label = np.zeros(outer.shape, dtype=np.uint8)
    label[inside] = ard.read_label(part)
    return Ground(outer, tuple(features), label, np.zeros(outer.shape, dtype=np.uint8))


@dataclass(frozen=True)
class _Choice:
    """A net and a split that fit it."""

    settings: TrainSettings
    block: int
    seed: int
    blocks: dict[int, int]
    """Number of a block to its role."""
    roles: tuple[np.ndarray, ...]
    """Roles of the cells of each place."""
    counts: np.ndarray
    """Array (role, class), cells after the gaps are cut."""
    shortage: float


def split_ground(places: Places, settings: TrainSettings) -> tuple[TrainSettings, Data, Split]:
    """Choose the net that the ground allows, and split the ground into blocks of training, validation and test with gaps as wide as its halo.

    Returns: the settings with depth and patch; the data with the roles of their cells; the split for the card
    Raises TrainingError if the ground is not sufficient for any net that was allowed
    """
    labels = [ground.usable_label() for ground in places.grounds]
    thing = _("File '{}' within the current region").format(settings.input)
    grounds.check_classes(np.concatenate([label.ravel() for label in labels]), thing=thing)
    best, refused = None, None
    for depth, patch in settings.shapes:
        shape = replace(settings, depth=depth, patch=patch)
        try:
            choice = _best_split(places.grounds, labels, shape)
        except TrainingError as err:
            # That of the smallest net says what the ground lacks.
            refused = err
            continue
        if best is None or choice.shortage < best.shortage - GOOD_SPLIT:
            best = choice
        if best.shortage < GOOD_SPLIT:
            break
    if best is None:
        raise refused or TrainingError(thing, found=_("no ground"), expected=_("cells with labels"))
    chosen = tuple(replace(g, roles=roles) for g, roles in zip(places.grounds, best.roles, strict=True))
    ground = grounds.pack(chosen, unit=settings.window)
    grounds.check_cells(ground, places.data.periods)
    for sentence in grounds.check_thin(best.counts):
        grass.warning(sentence)
    settings = best.settings
    split = Split(
        block=best.block, gap=settings.halo, test=settings.test, seed=best.seed,
        blocks={
            name: sorted(grounds.block_of(key) for key, r in best.blocks.items() if r == role)
            for name, role in ROLES.items()
        },
        cells={name: int(best.counts[role].sum()) for name, role in ROLES.items()},
    )  # fmt: skip
    return settings, replace(places.data, ground=ground), split


def _best_split(places: Sequence[Ground], labels: Sequence[np.ndarray], settings: TrainSettings) -> _Choice:
    """Compare some splits after their gaps are cut, and return the best."""
    patch, gap = settings.patch, settings.halo
    pairs = [(label, place.outer) for label, place in zip(labels, places, strict=True)]
    block = grounds.resolve_blocks(pairs, patch=patch, halo=gap)
    keys, counts = [], []
    for label, outer in pairs:
        rows, cols = window_corners(outer, size=patch, stride=patch)
        found = patches.count_classes(label, rows, cols, patch)
        used = found.sum(axis=1) > 0
        keys.append(grounds.block_key((outer.first_row + rows[used]) // block, (outer.first_col + cols[used]) // block))
        counts.append(found[used])
    strata, numbers, cells = (
        patches.resolve_strata(np.concatenate(counts)),
        np.concatenate(keys),
        np.concatenate(counts),
    )
    tries = int(np.clip(_TRIED_CELLS // sum(label.size for label in labels), 1, _TRIES))
    best: _Choice | None = None
    for seed in range(settings.seed, settings.seed + tries):
        roles_of = split_blocks(strata, numbers, cells, test=settings.test, seed=seed)
        roles = tuple(grounds.cell_roles(place.outer, block, roles_of, gap=gap) for place in places)
        found = sum(grounds.count_roles(label, role) for label, role in zip(labels, roles, strict=True))
        shortage = grounds.split_shortage(found, settings.test)
        if best is None or shortage < best.shortage:
            best = _Choice(settings, block, seed, roles_of, roles, found, shortage)
        if best.shortage < GOOD_SPLIT:
            break
    return best
