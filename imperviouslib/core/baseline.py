"""Processing baselines: how they are written, and which of several processings of one acquisition is the newest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from imperviouslib.core.errors import OffsetError, _

Baseline = tuple[int, int]
"""Major and minor number: (5, 10) is 05.10."""
TRIAL: Baseline = (99, 99)
"""Baseline of an old trial run of the archive: older than all others, and without an offset."""

T = TypeVar("T")


def parse_baseline(text: str | float) -> Baseline:
    """Parse a processing baseline in any of the forms in use; raise OffsetError otherwise.

    ESA writes two digits behind the point. Where a catalogue wrote a number, the last one is lost if it was 0: 5.1 was 05.10, since 05.01 is 5.01.

    >>> parse_baseline("05.10"), parse_baseline("4.0"), parse_baseline("N0212"), parse_baseline("0400")
    ((5, 10), (4, 0), (2, 12), (4, 0))
    >>> parse_baseline(5.1), parse_baseline("5.1"), parse_baseline(5.09), parse_baseline(4), parse_baseline(509)
    ((5, 10), (5, 10), (5, 9), (4, 0), (5, 9))
    """
    word = str(text).strip()
    if isinstance(text, int):
        word = word.zfill(4) if len(word) > 2 else f"{word}.0"
    match = re.fullmatch(r"N?(\d{1,2})\.(\d{1,2})|N?(\d{2})(\d{2})", word, flags=re.ASCII)
    if not match:
        raise OffsetError(
            _("Processing baseline"),
            found=f"'{word[:20]}'",
            expected=_("a form like 05.10"),
            then=_("Correct the catalogue, or use another one."),
        )
    major, minor = (match[1], match[2]) if match[1] else (match[3], match[4])
    return int(major), int(minor.ljust(2, "0"))


def format_baseline(baseline: Baseline) -> str:
    """Write a baseline as ESA does.

    >>> format_baseline((5, 0))
    '05.00'
    """
    return f"{baseline[0]:02d}.{baseline[1]:02d}"


@dataclass(frozen=True)
class Processing:
    """What identifies one processing of one acquisition."""

    tile: str
    datatake: str
    datastrip: str
    """The two halves of a split tile share tile and datatake, but not the datastrip."""
    baseline: Baseline
    scene_id: str

    @property
    def acquisition(self) -> tuple[str, str, str]:
        """Return what all processings of one acquisition share."""
        return self.tile, self.datatake, self.datastrip

    @property
    def age(self) -> tuple[Baseline, str]:
        """Return a value that is larger the newer the processing is; the scene id orders equal baselines."""
        return ((0, 0) if self.baseline == TRIAL else self.baseline), self.scene_id


def resolve_newest(candidates: Iterable[T], processing: Callable[[T], Processing]) -> list[T]:
    """Keep one candidate per acquisition: the one with the newest baseline; if baselines are equal, the one with the last id.

    processing : function that returns the processing of a candidate
    Returns: the candidates kept, in the order in which their acquisitions first came
    """
    best: dict[tuple[str, str, str], tuple[Processing, T]] = {}
    for candidate in candidates:
        this = processing(candidate)
        other = best.get(this.acquisition)
        if other is None or this.age > other[0].age:
            best[this.acquisition] = this, candidate
    return [candidate for _, candidate in best.values()]
