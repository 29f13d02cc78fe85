"""The reflectance offset: which one the pixels of a scene need, and how it is applied.

From processing baseline 04.00 on, ESA adds 1000 to all numbers (BOA_ADD_OFFSET -1000 takes them away again). Catalogues cannot be relied on: CDSE writes
the same raster:offset on every item. So the offset follows from the baseline, and the product's own metadata must agree. If a catalogue
says that the offset is already applied, this is tested against the pixels.
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from imperviouslib.core.baseline import TRIAL, Baseline, format_baseline, parse_baseline
from imperviouslib.core.errors import OffsetError, _
from imperviouslib.core.items import Scene

OFFSET_DN = -1000
"""BOA_ADD_OFFSET of processing baseline 04.00 and later."""
_FIRST_WITH_OFFSET: Baseline = (4, 0)
_UNTESTED_DN = 900
"""Darkest value that contradicts no claim; used if there are too few valid pixels for a test."""
_LEAST_TESTED = 1000
"""Valid pixels that are needed to judge the darkest value."""
_LEAST_SPREAD = 300
"""Difference between bright and dark pixels below which ground is too uniform to judge the darkest value."""
BRIGHT_DN = 1000
"""Darkest value from which on pixels look as if the offset were in them."""
_MOST_WRAPPED = 0.001
"""Share of the pixels that may have wrapped around below 0 before a scene is refused."""


_GROUND = (4, 5, 6)
"""Scene classes of clear ground: vegetation, not vegetated, water."""
_LEAST_GROUND = 0.1
"""Share of a scene's pixels that must be clear ground; in a real series of 118 dates over 640 m, none with more was without dark pixels."""


def apply_offset(dn: np.ndarray, offset_dn: int, *, out: np.ndarray | None = None) -> np.ndarray:
    """Add the offset to digital numbers.

    dn : array (row, col), uint16, 0 = no data
    offset_dn : int, 0 or negative
    out : array like dn to write to; may be `dn` itself, which spares a copy
    Returns: array like dn, reflectance x 10000, 0 = no data; results below 1 become 1, so valid is never 0. It is `dn` itself where the offset is 0

    This comes before any resampling, so that the same ground gives the same cells to the last digit before and after baseline 04.00.

    >>> apply_offset(np.array([0, 1, 1000, 1001, 1002, 65535], np.uint16), -1000).tolist()
    [0, 1, 1, 1, 2, 64535]
    """
    if not offset_dn:
        return dn
    no_data = dn == 0
    # Raised first, so that the difference cannot wrap around.
    result = np.maximum(dn, 1 - offset_dn, out=out, dtype=dn.dtype)
    result -= dn.dtype.type(-offset_dn)
    if no_data.any():
        result[no_data] = 0
    return result


def darkest_dn(dn: np.ndarray) -> int | None:
    """Return the value below which a thousandth of the valid pixels lies; None where fewer than 1000 pixels are valid, or all are bright alike.

    dn : array, uint16, 0 = no data
    """
    valid = dn[dn > 0]
    if valid.size < _LEAST_TESTED:
        return None
    low, high = np.percentile(valid, (0.1, 99.9))
    # Bright ground without any contrast, such as a cloud, shows nothing.
    return None if low >= BRIGHT_DN and high - low < _LEAST_SPREAD else int(low)


def shows_ground(classes: np.ndarray) -> bool:
    """Tell whether a scene shows enough ground for a test of how dark it is; clouds and snow are bright whatever the offset.

    classes : array, uint8, scene classification, 0 = no data

    >>> shows_ground(np.array([0, 9, 9, 4], np.uint8)), shows_ground(np.array([9] * 95 + [5] * 5, np.uint8))
    (True, False)
    """
    seen = int(np.count_nonzero(classes))
    return seen > 0 and int(np.isin(classes, _GROUND).sum()) >= _LEAST_GROUND * seen


def has_offset(baseline: Baseline) -> bool:
    """Tell whether a baseline adds the offset.

    >>> has_offset((4, 0)), has_offset((2, 14)), has_offset((99, 99))
    (True, False, False)
    """
    return resolve_offset(baseline)[0] != 0


def check_not_wrapped(scene: Scene, wrapped: int, valid: int) -> None:
    """Raise OffsetError where many pixels are differences below 0 that wrapped around: the offset was applied without care.

    wrapped, valid : numbers of pixels
    """
    if wrapped > _MOST_WRAPPED * (wrapped + valid):
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("{} pixels above {}, which are dark pixels whose difference wrapped around").format(
                wrapped, 65536 + OFFSET_DN
            ),
            expected=_("pixels below 0 to be clipped"),
            then=_("Report it to the catalogue, or use another one. Flag -k continues without this scene."),
        )


def resolve_offset(baseline: Baseline, applied: bool | None = None, metadata_dn: int | None = None) -> tuple[int, str]:
    """Choose the offset that the pixels of a scene still need.

    baseline : (major, minor)
    applied : True where the catalogue says that the offset was already applied to the pixels
    metadata_dn : BOA_ADD_OFFSET of the product's own metadata where it was read (0 where it has none), must agree
    Returns: (offset in DN to add, rule in words); raises OffsetError where metadata and baseline contradict each other

    >>> resolve_offset((2, 12))
    (0, 'baseline 02.12 is before 04.00')
    >>> resolve_offset((5, 0))
    (-1000, 'baseline 05.00 is 04.00 or later')
    """
    text = format_baseline(baseline)
    if baseline == TRIAL:
        offset, rule = 0, "baseline 99.99 has no offset"
    elif baseline >= _FIRST_WITH_OFFSET:
        offset, rule = OFFSET_DN, f"baseline {text} is 04.00 or later"
    else:
        offset, rule = 0, f"baseline {text} is before 04.00"
    if metadata_dn is not None and metadata_dn != offset:
        raise OffsetError(
            _("Scene of baseline {}").format(text),
            found=_("BOA_ADD_OFFSET {} in its metadata").format(metadata_dn),
            expected=_("{} by its baseline").format(offset),
            then=_("Report the product to ESA. Flag -k continues without this scene."),
        )
    if applied and offset:
        return 0, f"{rule}, and the catalogue has applied it"
    return offset, rule


def resolve_claim(scene: Scene, low_dn: int | None, metadata_dn: int | None = None) -> tuple[int, str]:
    """Choose the offset that the pixels of a scene still need, after testing the catalogue's claim against them.

    low_dn : the smallest `darkest_dn` of the bands that were read; None if there are too few valid pixels, or too few that show the ground, for a test
    metadata_dn : BOA_ADD_OFFSET of the product's own metadata, None where it was not read
    Returns: (offset in DN to add, rule in words); raises OffsetError where catalogue, metadata and pixels contradict each other

    Where a baseline has no offset, but all pixels lie above 1000, the scene is refused: it is of another baseline than its item says.
    With the offset still in them, pixels lie at about 1000 and above; without it, dark ground lies far below. A catalogue that
    denies a correction which the pixels show is a known fault and is corrected (earth-search issues 66 and 71). If it claims a
    correction that the pixels do not show, or makes no claim and the pixels show a correction, the scene is refused.
    """
    untested = low_dn is None
    low_dn = _UNTESTED_DN if low_dn is None else low_dn
    offset, rule = resolve_offset(scene.baseline, scene.offset_applied, metadata_dn)
    needed, why = resolve_offset(scene.baseline)
    if untested:
        return offset, f"{rule}; too few pixels, too uniform or too cloudy to test it"
    if not needed and low_dn >= BRIGHT_DN:
        raise OffsetError(
            _("Scene {}").format(scene.id),
            found=_("no pixels below {}").format(low_dn),
            expected=_("dark pixels below {}, because {}").format(BRIGHT_DN, why),
            then=_("Check the baseline of the item, or use another catalogue. Flag -k continues without this scene."),
        )
    if not needed:
        return offset, rule
    if scene.offset_applied is False and low_dn < 800:
        return 0, f"{why}; the catalogue denies that it is applied, pixels from {low_dn} show that it is"
    if scene.offset_applied and low_dn >= 1000:
        claim, expected = _("says that it has already applied the offset"), _("some pixels below 1000")
    elif scene.offset_applied is None and low_dn < 500:
        claim, expected = _("does not say that it has applied the offset"), _("almost no pixels below 1000")
    else:
        return offset, rule
    raise OffsetError(
        _("Scene {}").format(scene.id),
        found=_("pixels down to {}, but the catalogue {}").format(low_dn, claim),
        expected=expected,
        then=_("Report it to the catalogue, or use another one. Flag -k continues without this scene."),
    )


def parse_metadata_offset(text: bytes) -> tuple[Baseline, int]:
    """Read processing baseline and BOA_ADD_OFFSET from a product's MTD_MSIL2A.xml.

    Returns: (baseline, offset in DN), 0 where the product has none; raises OffsetError where it is not such a file, or where the
    bands do not share one offset
    """

    def fail(found: str, expected: str) -> OffsetError:
        return OffsetError(
            _("Metadata MTD_MSIL2A.xml"),
            found=found,
            expected=expected,
            then=_("Report the product to ESA. Flag -k continues without this scene."),
        )

    if b"<!ENTITY" in text:
        raise fail(_("entity declarations"), _("plain XML"))
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise fail(_("XML that is cut or not well-formed"), _("the metadata of a product")) from err

    # Namespaces differ between baselines; the names of elements do not.
    def texts(name: str) -> list[str]:
        return [(element.text or "").strip() for element in root.iter() if element.tag.rsplit("}", 1)[-1] == name]

    baselines, offsets = texts("PROCESSING_BASELINE"), texts("BOA_ADD_OFFSET")
    if len(set(baselines)) != 1:
        raise fail(_("{} processing baselines").format(len(set(baselines))), _("one"))
    try:
        values = {int(value) for value in offsets}
    except ValueError as err:
        raise fail(_("offsets {}").format(", ".join(offsets)[:60]), _("whole numbers")) from err
    if len(values) > 1:
        raise fail(_("offsets {}").format(sorted(values)), _("the same offset for all bands"))
    return parse_baseline(baselines[0]), values.pop() if values else 0
