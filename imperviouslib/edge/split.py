"""Choosing test and validation blocks (scikit-learn): alike in classes to the whole, and never half of a block."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from imperviouslib.core.errors import TrainingError, _
from imperviouslib.core.patches import TEST, TRAIN, VALIDATION


def split_blocks(
    strata: np.ndarray, blocks: np.ndarray, counts: np.ndarray, *, test: float, seed: int
) -> dict[int, int]:
    """Part blocks of ground into training, validation and test.

    strata : array (unit,), stratum of each unit of ground
    blocks : array (unit,), number of the block in which it lies
    counts : array (unit, class), cells of each class
    test : float, share of the ground to test on; validation takes half as much
    Returns: dict, block number -> TRAIN, VALIDATION or TEST
    """
    roles = {int(block): TRAIN for block in np.unique(blocks)}
    for role, share in ((TEST, test), (VALIDATION, test / 2 / (1 - test))):
        left = np.array([roles[int(block)] == TRAIN for block in blocks])
        for block in _best_fold(strata[left], blocks[left], counts[left], share=share, seed=seed):
            roles[block] = role
    if TRAIN not in roles.values():
        raise TrainingError(
            _("Option <test>"),
            found=f"{test:g}",
            expected=_("a share that leaves ground to train on"),
            then=_("Choose a smaller one, e.g. 0.2."),
        )
    return roles


def _best_fold(strata: np.ndarray, blocks: np.ndarray, counts: np.ndarray, *, share: float, seed: int) -> list[int]:
    """Return the blocks of the fold whose class shares differ least from the whole's."""
    folds = int(np.clip(round(1 / share), 2, len(np.unique(blocks))))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    whole = counts.sum(axis=0) / max(counts.sum(), 1)
    best: tuple[float, list[int]] | None = None
    for _rest, fold in splitter.split(np.zeros(len(strata)), _merge_rare(strata, folds), blocks):
        cells = counts[fold].sum()
        if not cells:
            continue
        gap = float(np.abs(counts[fold].sum(axis=0) / cells - whole).max())
        # A fold much smaller or larger than asked for is no fair sample either.
        gap += abs(cells / counts.sum() - 1 / folds)
        if best is None or gap < best[0]:
            best = gap, sorted({int(block) for block in blocks[fold]})
    if best is None:
        raise TrainingError(
            _("Blocks of ground"),
            found=_("none with labels"),
            expected=_("at least 3"),
            then=_("Take more ground, or a smaller patch=."),
        )
    return best[1]


def _merge_rare(strata: np.ndarray, fewest: int) -> np.ndarray:
    """Join strata with fewer units than folds to a stratum of the same dominant class, else to the commonest one."""
    names, sizes = np.unique(strata, return_counts=True)
    commonest = names[sizes.argmax()]
    merged = strata.copy()
    for name in names[sizes < fewest]:
        kin = [
            (size, other)
            for other, size in zip(names, sizes, strict=True)
            if other // 10 == name // 10 and size >= fewest
        ]
        merged[strata == name] = max(kin)[1] if kin else commonest
    return merged
