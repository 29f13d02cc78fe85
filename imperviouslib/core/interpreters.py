"""Several readings of a sample: what counts in the end, how far interpreters agree, and when nothing may be published.

Every unit is read once, or twice by two interpreters who do not see each other's readings; where they differ, a third reading settles it. The
third reading counts wherever there is one; without it, two readings must agree.

Interpreters err in two ways. *Missed* change is estimated from what one of two readings saw: if each misses a change with the same
chance, independently, that chance is D / (2 B + D), where both saw B of the true changes and one alone D. It is reported and not corrected,
because a correction is right only where no change is seen falsely. *False* change weighs more, because almost all land is stable. Errors that
interpreters share stay invisible without better images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imperviouslib.core.design import Design
from imperviouslib.core.errors import InputError, _
from imperviouslib.core.readings import Reading

MOST_FALSE = 0.01
"""Share of stable points called changed in the first reading, above which nothing is published."""
MOST_REPEATED = 0.3
"""Share of calls that the third reading rejected and both others had made, above which nothing is published."""
LEAST_REJECTED = 10
"""Fewer rejected calls say nothing of how many are repeated."""
States = tuple[int | None, ...]
"""For each year of the design 1 sealed, 0 not sealed, None cannot be told."""
Seen = Mapping[int | None, States]
"""What a reading saw of a unit: a point has the key None, a window the cells that changed."""


@dataclass(frozen=True)
class Agreement:
    """How interpreters agree, over points and cells of windows that were read twice."""

    units: int
    """Units read."""
    twice: int
    """Units read twice or more."""
    third: int
    """Units that a third reading settled."""
    both: int
    """True changes that both readings saw."""
    single: int
    """True changes that one of two readings saw."""
    stable: int
    """Stable points that were read twice or more."""
    false: int
    """Stable points called changed in the first reading."""
    rejected: int
    """Calls of change, by one or both readings, that the third rejected."""
    repeated: int
    """Of these, calls that both readings had made."""
    interpreters: tuple[str, ...]
    """Names, sorted."""
    seconds: Mapping[str, float]
    """Kind of unit to the mean time that a reading of it took, where times are known."""

    @property
    def missed(self) -> float | None:
        """Chance that one reading misses a true change; None where no change was read twice."""
        seen = 2 * self.both + self.single
        return self.single / seen if seen else None

    @property
    def false_share(self) -> float | None:
        """Share of stable points that the first reading called changed; None where no stable point was read twice."""
        return self.false / self.stable if self.stable else None

    @property
    def repeated_share(self) -> float | None:
        """Share of the rejected calls that both readings had made; None where there are too few."""
        return self.repeated / self.rejected if self.rejected >= LEAST_REJECTED else None


@dataclass(frozen=True)
class Settled:
    """What counts of all readings."""

    states: Mapping[str, Seen]
    """Id of a unit that was read to what was seen."""
    agreement: Agreement


def settle(design: Design, readings: Iterable[Reading]) -> Settled:
    """Find what counts of all readings; raise InputError where readings that differ were not settled, or are too poor to publish."""
    seen, names, seconds = _by_unit(readings)
    unsettled = [unit for unit, by in seen.items() if 3 not in by and 1 in by and 2 in by and not _equal(by[1], by[2])]
    if unsettled:
        raise InputError(
            _("Readings: the first two readings of {} units differ and no third one settles them, such as {}").format(
                len(unsettled), ", ".join(sorted(unsettled)[:5])
            ),
            then=_("Let a third interpreter read these units, as reading 3."),
        )
    final = {unit: by.get(3) or by.get(1) or by[2] for unit, by in seen.items()}
    counts = dict.fromkeys(("both", "single", "stable", "false", "rejected", "repeated"), 0)
    twice = {unit: by for unit, by in seen.items() if 1 in by and 2 in by}
    for unit, by in twice.items():
        cells: set[int | None] = {None} if design.kinds[unit] == "point" else {*by[1], *by[2], *final[unit]} - {None}
        for cell in cells:
            first, second = (_changed(by[n].get(cell)) for n in (1, 2))
            if _changed(final[unit].get(cell)):
                counts["both"] += first and second
                counts["single"] += first != second
            else:
                counts["stable"] += cell is None
                counts["false"] += first and cell is None
                counts["rejected"] += 3 in by and (first or second)
                counts["repeated"] += 3 in by and first and second
    mean_s = {
        kind: sum(values) / len(values)
        for kind in ("point", "window")
        if (values := [s for unit, s in seconds if design.kinds[unit] == kind])
    }
    third = sum(3 in by for by in seen.values())
    agreement = Agreement(len(seen), len(twice), third, **counts, interpreters=tuple(sorted(names)), seconds=mean_s)
    _check_publishable(agreement)
    return Settled(final, agreement)


def _by_unit(
    readings: Iterable[Reading],
) -> tuple[dict[str, dict[int, dict[int | None, States]]], set[str], list[tuple[str, int]]]:
    """Sort readings by unit and number of the reading. Returns: these, the interpreters' names, (unit, seconds)."""
    seen: dict[str, dict[int, dict[int | None, States]]] = defaultdict(lambda: defaultdict(dict))
    who: dict[tuple[str, int], str] = {}
    seconds = []
    for one in readings:
        other = who.setdefault((one.id, one.reading), one.interpreter)
        if other != one.interpreter:
            raise InputError(
                _("Readings of {}: reading {} is there twice").format(one.id, one.reading),
                found=_("one by {} and one by {}").format(other, one.interpreter),
                expected=_("one interpreter for each reading of a unit"),
                then=_("Number the second one 2, or leave one out."),
            )
        seen[one.id][one.reading][one.cell] = one.states
        if one.cell is None and one.seconds is not None:
            seconds.append((one.id, one.seconds))
    for unit, by in seen.items():
        if by.get(1) and by.get(2) and who[unit, 1] == who[unit, 2]:
            raise InputError(
                _("Readings of {}: both are by {}").format(unit, who[unit, 1]),
                expected=_("two interpreters"),
                then=_("Let another person read it, or leave one reading out."),
            )
    return {unit: dict(by) for unit, by in seen.items()}, set(who.values()), seconds


def _equal(a: Seen, b: Seen) -> bool:
    """Tell whether two readings saw the same; what one of them could not tell is no difference."""
    return all(
        x == y or x is None or y is None
        for cell in {*a, *b}
        for x, y in zip(a.get(cell) or b[cell], b.get(cell) or a[cell], strict=True)
        if (cell is None) or (cell in a and cell in b)
    ) and {cell for cell in a if _changed(a[cell])} == {cell for cell in b if _changed(b[cell])}


def _changed(states: States | None) -> bool:
    return states is not None and len({state for state in states if state is not None}) > 1


def _check_publishable(agreement: Agreement) -> None:
    for found, most, text in (
        (agreement.false_share, MOST_FALSE, _("{:.1%} of the stable points were called changed in the first reading")),
        (agreement.repeated_share, MOST_REPEATED, _("{:.0%} of the changes that the third reading rejected were seen by both others")),
    ):  # fmt: skip
        if found is not None and found > most:
            raise InputError(
                _("Readings: {}; above {:.0%} no area of change can be published").format(text.format(found), most),
                then=_("Train the interpreters on the units that differ, and let them read the sample again."),
            )
