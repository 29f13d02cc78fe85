"""Choose test and validation blocks (scikit-learn): whole blocks whose classes are distributed as in all of the ground."""

from __future__ import annotations

import numpy as np

from imperviouslib.core.errors import TrainingError, _
from imperviouslib.core.ground import TEST, TRAIN, VALIDATION


def split_blocks(
    strata: np.ndarray, blocks: np.ndarray, counts: np.ndarray, *, test: float, seed: int
) -> dict[int, int]:
    """Give each block of ground a role.

    strata : array (unit,), stratum of each unit of ground
    blocks : array (unit,), number of the block in which it lies
    counts : array (unit, class), cells of each class
    test : float, share of the ground to test on; validation takes half as much
    Returns: dict, block number -> TRAIN, VALIDATION or TEST
    Raises TrainingError if nothing is left to train on.
    """
    roles = {int(block): TRAIN for block in np.unique(blocks)}
    for role, share in ((TEST, test), (VALIDATION, test / 2 / (1 - test))):
        left = np.array([roles[int(block)] == TRAIN for block in blocks])
        for block in _best_fold(strata[left], blocks[left], counts[left], share=share, seed=seed):
            roles[block] = role
    if TRAIN not in roles.values():
        raise TrainingError(
            _("Option <test>: a share of {:g} leaves no ground to train on").format(test),
            then=_("Choose a smaller one, e.g. 0.2."),
        )
    return roles


def _best_fold(strata: np.ndarray, blocks: np.ndarray, counts: np.ndarray, *, share: float, seed: int) -> list[int]:
    """Return the blocks of the fold whose class shares differ least from those of all ground."""
    # Imported here: it takes a second, in which most wrong input is refused.
    from sklearn.model_selection import StratifiedGroupKFold

    folds = int(np.clip(round(1 / share), 2, len(np.unique(blocks))))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    whole = counts.sum(axis=0) / max(counts.sum(), 1)
    best: tuple[float, list[int]] | None = None
    for _rest, fold in splitter.split(np.zeros(len(strata)), _merge_rare(strata, folds), blocks):
        cells = counts[fold].sum()
        if not cells:
            continue
        gap = float(np.abs(counts[fold].sum(axis=0) / cells - whole).max())
        # A fold much smaller or larger than requested is not a good sample either.
        gap += abs(cells / counts.sum() - 1 / folds)
        if best is None or gap < best[0]:
            best = gap, sorted({int(block) for block in blocks[fold]})
    if best is None:
        raise TrainingError(
            _("No block of ground has labels"),
            then=_("Use a larger region, or a smaller patch=."),
        )
    return best[1]


def _merge_rare(strata: np.ndarray, fewest: int) -> np.ndarray:
    """Merge strata with fewer units than folds into the largest one of the same dominant class, else into the largest of all."""
    names, sizes = np.unique(strata, return_counts=True)
    largest = names[sizes.argmax()]
    merged = strata.copy()
    for name in names[sizes < fewest]:
        alike = [
            (size, other)
            for other, size in zip(names, sizes, strict=True)
            if other // 10 == name // 10 and size >= fewest
        ]
        merged[strata == name] = max(alike)[1] if alike else largest
    return merged
