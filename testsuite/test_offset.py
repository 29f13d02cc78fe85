"""The reflectance offset: which one a scene needs, by baseline, metadata, claim and pixels; and its arithmetic."""

import numpy as np
import pytest

from imperviouslib.core.baseline import parse_baseline
from imperviouslib.core.errors import OffsetError
from imperviouslib.core.offset import (
    apply_offset,
    check_not_wrapped,
    darkest_dn,
    parse_metadata_offset,
    resolve_claim,
    resolve_offset,
    shows_ground,
)
from testsuite.scene_ground import real_folder, scene


@pytest.fixture(scope="session")
def real():
    return real_folder()


@pytest.mark.parametrize(
    ("baseline", "applied", "expected"),
    [
        ("02.04", None, 0), ("02.12", None, 0), ("02.14", None, 0), ("03.01", None, 0), ("N0301", None, 0), ("3.99", None, 0),
        ("04.00", None, -1000), ("4.0", None, -1000), ("N0400", None, -1000), ("0509", None, -1000), ("05.00", None, -1000),
        ("05.12", None, -1000), ("06.00", None, -1000), ("99.99", None, 0), ("N9999", None, 0),
        ("02.12", True, 0), ("02.12", False, 0), ("05.09", True, 0), ("05.09", False, -1000), ("99.99", False, 0),
    ],
)  # fmt: skip
def test_the_offset_follows_from_the_baseline_unless_it_was_applied(baseline, applied, expected):
    assert resolve_offset(parse_baseline(baseline), applied)[0] == expected


@pytest.mark.parametrize(
    ("baseline", "metadata", "fits"),
    [((2, 12), 0, True), ((4, 0), -1000, True), ((5, 0), -1000, True), ((99, 99), 0, True), ((2, 12), -1000, False), ((5, 9), 0, False)],
)  # fmt: skip
def test_the_products_own_metadata_must_agree_with_the_baseline(baseline, metadata, fits):
    if fits:
        assert resolve_offset(baseline, None, metadata)[0] == metadata
    else:
        with pytest.raises(OffsetError, match="BOA_ADD_OFFSET"):
            resolve_offset(baseline, None, metadata)


@pytest.mark.parametrize(
    ("baseline", "applied", "low_dn", "expected"),
    [
        # Catalogues without a claim: the baseline decides, and pixels that cannot contain the offset are an error.
        ((2, 6), None, 150, 0), ((2, 6), None, 999, 0), ((99, 99), None, 400, 0), ((5, 0), None, 1050, -1000), ((5, 0), None, 900, -1000), ((5, 0), None, 150, None),
        # The pixels must show a correction that the catalogue claims.
        ((5, 0), True, 150, 0), ((5, 0), True, 950, 0), ((5, 0), True, 1100, None), ((2, 6), True, 900, 0),
        # A correction that the pixels show and the catalogue denies is a known mistake of a catalogue.
        ((5, 0), False, 1100, -1000), ((5, 0), False, 150, 0), ((2, 6), False, 150, 0),
    ],
)  # fmt: skip
def test_a_claim_about_the_offset_is_tested_against_the_pixels(baseline, applied, low_dn, expected):
    one = scene(baseline=baseline, offset_applied=applied)
    if expected is None:
        with pytest.raises(OffsetError, match=f"pixels down to {low_dn}"):
            resolve_claim(one, low_dn)
    else:
        assert resolve_claim(one, low_dn)[0] == expected


@pytest.mark.parametrize("text", ["", "five", "5", "05.1.2", "N05", "123456"])
def test_a_baseline_of_another_form_is_refused(text):
    with pytest.raises(OffsetError, match=r"form like 05\.10"):
        parse_baseline(text)


METADATA = b"""<?xml version="1.0"?><n1:P xmlns:n1="urn:x"><PROCESSING_BASELINE>%s</PROCESSING_BASELINE>%s</n1:P>"""


def test_metadata_tell_baseline_and_offset():
    offsets = b"".join(b'<BOA_ADD_OFFSET band_id="%d">-1000</BOA_ADD_OFFSET>' % i for i in range(13))
    assert parse_metadata_offset(METADATA % (b"05.00", offsets)) == ((5, 0), -1000)
    assert parse_metadata_offset(METADATA % (b"02.12", b"")) == ((2, 12), 0)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<html>", METADATA[:60], METADATA % (b"05.00", b"<BOA_ADD_OFFSET>x</BOA_ADD_OFFSET>"),
        METADATA % (b"05.00", b"<BOA_ADD_OFFSET>0</BOA_ADD_OFFSET><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET>"),
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "02.14">]><a><PROCESSING_BASELINE>&b;</PROCESSING_BASELINE></a>',
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_parsed_are_refused(text):
    with pytest.raises(OffsetError, match=r"MTD_MSIL2A\.xml"):
        parse_metadata_offset(text)


@pytest.mark.parametrize(
    ("folder", "baseline", "offset"),
    [
        ("N0212_T07HFE_20190212", (2, 12), 0), ("N0214_T22HBD_20210122", (2, 14), 0),
        ("N0400_T33XWJ_20220413", (4, 0), -1000), ("N0509_T01KAB_20230821", (5, 9), -1000),
    ],
)  # fmt: skip
def test_real_metadata_tell_baseline_and_offset(real, folder, baseline, offset):
    text = (real / "safe_metadata" / folder / "MTD_MSIL2A.xml").read_bytes()
    assert parse_metadata_offset(text) == (baseline, offset)
    assert resolve_offset(baseline, None, offset)[0] == offset


# --- the arithmetic

EVERY = np.arange(65536, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize("in_place", [False, True])
def test_the_offset_is_added_to_every_value_but_no_data(in_place):
    dn = EVERY.copy()
    found = apply_offset(dn, -1000, out=dn if in_place else None)
    whole = EVERY.astype(int)
    assert found.dtype == np.uint16
    assert (found == np.where(whole > 0, np.maximum(whole - 1000, 1), 0)).all()
    assert (found is dn) == in_place
    assert in_place or (dn == EVERY).all()


def test_without_an_offset_the_pixels_stay_as_they_are():
    assert apply_offset(EVERY, 0) is EVERY


def test_the_darkest_value_is_the_one_below_which_a_thousandth_lies():
    # 2000 valid pixels, of which 1 lies below the thousandth and no data counts as nothing.
    dn = np.concatenate((np.zeros(500), [7, 50, 50], np.full(1997, 900))).astype(np.uint16)
    assert darkest_dn(dn) == 50
    assert darkest_dn(np.full(999, 50, np.uint16)) is None
    assert darkest_dn(np.full(1000, 50, np.uint16)) == 50


@pytest.mark.parametrize(("baseline", "applied"), [((5, 0), None), ((5, 0), True), ((5, 0), False), ((2, 6), True)])
def test_too_few_pixels_refute_no_claim(baseline, applied):
    found = resolve_claim(scene(baseline=baseline, offset_applied=applied), None)
    offset, rule = resolve_offset(baseline, applied)
    assert found == (offset, f"{rule}; too few pixels, too uniform or too cloudy to test it")


@pytest.mark.parametrize(
    ("low", "high", "darkest"), [(1610, 1650, None), (1610, 4000, 1610), (20, 60, 20), (999, 1100, 999), (1000, 1299, None), (1000, 1400, 1000)]
)  # fmt: skip
def test_bright_ground_without_contrast_shows_nothing(low, high, darkest):
    assert darkest_dn(np.r_[np.full(5000, low), np.full(5000, high)].astype(np.uint16)) == darkest


@pytest.mark.parametrize(
    ("counts", "shows"),
    [
        ({9: 1000}, False), ({9: 901, 4: 99}, False), ({9: 900, 4: 100}, True), ({8: 300, 3: 600, 5: 60, 6: 40}, True),
        # No data, defects, shadows, unclassified pixels, cirrus and snow show no ground; no data do not count at all.
        ({0: 900, 9: 90, 4: 10}, True), ({1: 200, 2: 200, 3: 200, 7: 200, 10: 100, 11: 100}, False), ({0: 1000}, False), ({}, False),
    ],
)  # fmt: skip
def test_a_scene_shows_ground_where_a_tenth_of_it_is_clear(counts, shows):
    assert shows_ground(np.repeat(np.array(list(counts), np.uint8), list(counts.values()))) is shows


@pytest.mark.parametrize("low_dn", [1000, 1400, 1610, 30000])
@pytest.mark.parametrize(("baseline", "applied"), [((2, 6), None), ((2, 14), True), ((3, 1), False), ((99, 99), None)])
def test_a_baseline_without_an_offset_whose_pixels_are_all_bright_is_refused(baseline, applied, low_dn):
    with pytest.raises(
        OffsetError, match=f"no pixels below {low_dn}, expected dark pixels below 1000.* Check the baseline"
    ):
        resolve_claim(scene(baseline=baseline, offset_applied=applied), low_dn)


@pytest.mark.parametrize(
    ("wrapped", "valid", "fits"), [(0, 0, True), (0, 100, True), (1, 9999, True), (11, 9989, False), (5, 0, False)]
)
def test_many_pixels_that_wrapped_around_are_refused(wrapped, valid, fits):
    if fits:
        check_not_wrapped(scene(), wrapped, valid)
    else:
        with pytest.raises(OffsetError, match=f"found {wrapped} pixels above 64536"):
            check_not_wrapped(scene(), wrapped, valid)
