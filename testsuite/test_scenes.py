"""Rules on scenes: what items mean, which offset pixels need, which scenes are taken.

Items of real catalogues lie in $IMPERVIOUS_REAL (folders stac/ and safe_metadata/); without it their tests are skipped.
"""

import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core.errors import CatalogueError, InputError, OffsetError
from imperviouslib.core.options import parse_years
from imperviouslib.core.scenes import (
    Asset,
    Scene,
    covers,
    parse_baseline,
    parse_item,
    parse_metadata_offset,
    parse_window,
    resolve_best,
    resolve_claim,
    resolve_largest,
    resolve_newest,
    resolve_offset,
)

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0))


def scene(name="a", **changes):
    facts = {
        "id": name, "tile": "33UUU", "sensed_utc": "2018-06-01T10:10:31Z", "platform": "sentinel-2a", "datatake": "GS2A_1",
        "datastrip": "20180601T101133", "baseline": (2, 6), "cloud_pct": 10.0, "nodata_pct": 0.0, "footprint": SQUARE, "assets": {},
    }  # fmt: skip
    return Scene(**{**facts, **changes})


# --- the offset


@pytest.mark.parametrize(
    ("baseline", "applied", "expected"),
    [
        ("02.04", None, 0), ("02.12", None, 0), ("02.14", None, 0), ("03.01", None, 0), ("N0301", None, 0), ("3.99", None, 0),
        ("04.00", None, -1000), ("4.0", None, -1000), ("N0400", None, -1000), ("0509", None, -1000), ("05.00", None, -1000),
        ("05.12", None, -1000), ("06.00", None, -1000), ("99.99", None, 0), ("N9999", None, 0),
        ("02.12", True, 0), ("02.12", False, 0), ("05.09", True, 0), ("05.09", False, -1000), ("99.99", False, 0),
    ],
)  # fmt: skip
def test_the_offset_follows_the_baseline_alone_unless_it_was_applied(baseline, applied, expected):
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
        # Silent catalogues: the baseline decides, and pixels that cannot be raw are an error.
        ((2, 6), None, 150, 0), ((2, 6), None, 1400, 0), ((5, 0), None, 1050, -1000), ((5, 0), None, 900, -1000), ((5, 0), None, 150, None),
        # A correction that is claimed must show.
        ((5, 0), True, 150, 0), ((5, 0), True, 950, 0), ((5, 0), True, 1100, None), ((2, 6), True, 1100, 0),
        # One that is denied and shows is the known mistake of a catalogue.
        ((5, 0), False, 1100, -1000), ((5, 0), False, 150, 0), ((2, 6), False, 150, 0),
    ],
)  # fmt: skip
def test_a_claim_about_the_offset_is_tested_against_the_pixels(baseline, applied, low_dn, expected):
    one = scene(baseline=baseline, offset_applied=applied)
    if expected is None:
        with pytest.raises(OffsetError, match=f"pixels from {low_dn}"):
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
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_understood_are_refused(text):
    with pytest.raises(OffsetError, match=r"MTD_MSIL2A\.xml"):
        parse_metadata_offset(text)


# --- which scenes


def test_the_newest_baseline_of_an_acquisition_wins():
    old, new = scene("N0206", baseline=(2, 6)), scene("N0500", baseline=(5, 0))
    assert resolve_newest([old, new]) == resolve_newest([new, old]) == [new]


def test_the_trial_baseline_is_the_oldest():
    trial, old = scene("N9999", baseline=(99, 99)), scene("N0206", baseline=(2, 6))
    assert resolve_newest([trial, old]) == [old]


def test_both_halves_of_a_split_tile_stay():
    first, second = scene("a", datastrip="20180601T101133"), scene("b", datastrip="20180601T101145")
    again = scene("c", datastrip="20180601T101145", baseline=(5, 0))
    assert resolve_newest([first, second, again]) == [first, again]


def test_tiles_and_datatakes_are_acquisitions_of_their_own():
    scenes = [scene("a"), scene("b", tile="32UPD"), scene("c", datatake="GS2B_2")]
    assert len(resolve_newest(scenes)) == 3


def test_identifiers_that_carry_baseline_and_processing_time_still_meet():
    """The same datatake as ESA names it in 2018 and in the reprocessing of 2023."""
    items = [
        item("old", "02.06", "GS2A_20180601T101031_015402_N02.06", "S2A_OPER_MSI_L2A_DS_EPAE_20180601T152000_S20180601T101133_N02.06"),
        item("new", "05.00", "GS2A_20180601T101031_015402_N05.00", "S2A_OPER_MSI_L2A_DS_S2RP_20230612T214223_S20180601T101133_N05.00"),
    ]  # fmt: skip
    assert [s.id for s in resolve_newest(parse_item(i) for i in items)] == ["new"]


def test_a_window_may_pass_the_turn_of_the_year():
    window = parse_window("11-15/02-10")
    assert window.days(2018) == (date(2018, 11, 15), date(2019, 2, 10))
    assert window.holds(date(2019, 2, 10), 2018)
    assert not window.holds(date(2018, 2, 1), 2018)
    assert not window.holds(date(2019, 2, 11), 2018)


@pytest.mark.parametrize("text", ["", "04-15", "4-15/10-15", "02-29/10-01", "13-01/12-01", "04-15/10-15 "[:-2]])
def test_a_window_of_another_form_is_refused(text):
    with pytest.raises(InputError, match="mm-dd/mm-dd"):
        parse_window(text)


@pytest.mark.parametrize("text", ["", "2018,2017", "2017,2017", "2019-2017", "17", "2017-2019,2018", "2017;2018"])
def test_years_out_of_order_or_doubled_are_refused(text):
    with pytest.raises(InputError, match="Option <years>"):
        parse_years(text)


def test_points_on_paper_lie_in_a_ring_or_not():
    points = np.array([(5, 5), (-1, 5), (11, 5), (5, -1), (5, 11), (9.9, 0.1)])
    assert covers(SQUARE, points).tolist() == [True, False, False, False, False, True]
    # The ring need not be closed, and none covers nothing.
    assert covers(SQUARE[:-1], points).tolist() == covers(SQUARE, points).tolist()
    assert not covers((), points).any()


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=20))
def test_a_triangle_covers_what_its_three_edges_keep_inside(points):
    (ax, ay), (bx, by), (cx, cy) = ring = ((-20.0, -10.0), (30.0, -5.0), (5.0, 40.0))
    p = np.array(points)
    sides = [
        (x1 - x0) * (p[:, 1] - y0) - (y1 - y0) * (p[:, 0] - x0)
        for (x0, y0), (x1, y1) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
    ]
    clear = np.min(np.abs(sides), axis=0) > 1e-6
    assert (covers(ring, p) == np.all(np.array(sides) > 0, axis=0))[clear].all()


LEFT, RIGHT, ALL = [True, True, False, False], [False, False, True, True], [True] * 4


def test_a_second_orbit_that_covers_the_rest_comes_before_another_look_at_the_same_half():
    scenes = [scene("a", cloud_pct=0.0), scene("b", cloud_pct=1.0), scene("c", cloud_pct=30.0)]
    assert [s.id for s in resolve_best(scenes, np.array([LEFT, LEFT, RIGHT]), 2)] == ["a", "c"]


def test_scenes_are_spread_over_the_season():
    days = ["05-01", "05-03", "05-05", "07-10", "09-20"]
    scenes = [scene(day, sensed_utc=f"2018-{day}T10:10:31Z", cloud_pct=float(i)) for i, day in enumerate(days)]
    assert [s.id for s in resolve_best(scenes, np.array([ALL] * 5), 3)] == ["05-01", "07-10", "09-20"]


def test_no_more_than_asked_for_and_none_that_covers_nothing():
    scenes = [scene("a"), scene("b"), scene("c")]
    covered = np.array([ALL, [False] * 4, ALL])
    assert [s.id for s in resolve_best(scenes, covered, 9)] == ["a", "c"]
    assert len(resolve_best(scenes, covered, 1)) == 1
    assert resolve_best([], np.zeros((0, 4), bool), 3) == []


def test_the_choice_does_not_depend_on_the_order_of_the_items():
    rng = np.random.default_rng(3)
    scenes = [
        scene(f"s{i:02d}", cloud_pct=float(c), sensed_utc=f"2018-0{5 + i % 4}-10T10:10:31Z")
        for i, c in enumerate(rng.integers(0, 60, 20))
    ]
    covered = rng.random((20, 30)) < 0.6
    first = resolve_best(scenes, covered, 6)
    for _ in range(5):
        order = rng.permutation(20)
        assert resolve_best([scenes[i] for i in order], covered[order], 6) == first


def test_the_prototypes_choice_is_by_bytes():
    scenes = [
        scene("a", assets={"B12": Asset("x", 5)}),
        scene("b", assets={"B12": Asset("x", 9)}),
        scene("c", assets={"B11": Asset("x", 99)}),
    ]
    assert [s.id for s in resolve_largest(scenes, ("B12",), 2)] == ["b", "a"]


# --- items


def item(
    name="S2A_MSIL2A_20180601T101031_N0206_R022_T33UUU_20180601T152000",
    version="02.06",
    datatake="",
    datastrip="",
    **properties,
):
    band = {"proj:transform": [20, 0, 300000, 0, -20, 5900040]}
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name, "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[[12, 52], [13, 52], [13, 53], [12, 52]]]},
        "properties": {
            "datetime": "2018-06-01T10:10:31.024Z", "grid:code": "MGRS-33UUU", "processing:version": version, "eo:cloud_cover": 3.5,
            "eopf:datatake_id": datatake, "eopf:datastrip_id": datastrip, **properties,
        },
        "assets": {k: {"href": f"s3://eodata/{k}.jp2", **band} for k in ("B12_20m", "B11_20m", "B04_20m", "SCL_20m")},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda i: i.update(type="Collection"), "no STAC item"),
        (lambda i: i.pop("stac_version"), "no stac_version"),
        (lambda i: (i.pop("stac_version"), i["properties"].update(productIdentifier="/eodata/x")), "old OpenSearch catalogue"),
        (lambda i: i["properties"].pop("datetime"), "no date"),
        (lambda i: i["properties"].update(datetime="yesterday"), "a field that cannot be understood"),
        (lambda i: i["properties"].pop("grid:code") and i.update(id="x"), "no MGRS tile"),
        (lambda i: i["properties"].pop("processing:version") and i.update(id="x_T33UUU"), "no processing baseline"),
        (lambda i: i["assets"].pop("SCL_20m"), "no scene classification SCL"),
        (lambda i: i.update(id=i["id"].replace("MSIL2A", "MSIL1C")), "a product of Level-1C"),
        (lambda i: i.update(geometry={"type": "Polygon", "coordinates": [[["a", 1]]]}), "a field that cannot be understood"),
        (lambda i: i["properties"].update({"eo:cloud_cover": "many"}), "a field that cannot be understood"),
        (lambda i: i["properties"].pop("eo:cloud_cover"), "no eo:cloud_cover"),
        (lambda i: i["properties"].update({"grid:code": "MGRS-../../x"}), r"tile \.\./\.\./x, expected a tile such as"),
        (lambda i: i.update(id="../../../../" + i["id"]), "an id that is no name of a folder"),
        (lambda i: i.update(id=".."), "an id that is no name of a folder"),
        (lambda i: i.update(properties=None), "no STAC item"),
    ],
)  # fmt: skip
def test_an_item_that_lacks_something_is_refused_in_one_line(change, found):
    broken = item()
    change(broken)
    with pytest.raises(CatalogueError, match=found) as caught:
        parse_item(broken)
    assert "\n" not in str(caught.value)


def test_the_20_m_object_comes_before_the_10_m_one_and_60_m_never():
    i = item()
    i["assets"] |= {
        "B04_10m": {"href": "x10", "gsd": 10},
        "B12_60m": {"href": "x60", "gsd": 60},
        "B08_10m": {"href": "x8", "gsd": 10},
    }
    parsed = parse_item(i)
    assert (parsed.assets["B04"].href, parsed.assets["B04"].res_m) == ("s3://eodata/B04_20m.jp2", 20)
    assert parsed.assets["B12"].href == "s3://eodata/B12_20m.jp2"
    assert (parsed.assets["B08"].href, parsed.assets["B08"].res_m) == ("x8", 10)


def test_relative_links_count_from_the_items_folder():
    i = item()
    i["assets"]["B12_20m"]["href"] = "./R20m/B12.jp2"
    assert parse_item(i, "/data/x").assets["B12"].href == "/data/x/R20m/B12.jp2"


def test_of_several_outlines_the_largest_is_taken():
    i = item()
    small = [[[179, 1], [179.1, 1], [179.1, 1.1], [179.05, 1.2], [179, 1.1], [179, 1]]]
    large = [[[-180, 0], [-178, 0], [-178, 2], [-180, 0]]]
    i["geometry"] = {"type": "MultiPolygon", "coordinates": [small, large]}
    assert parse_item(i).footprint[1] == (-178.0, 0.0)


# --- items of real catalogues. Columns: file, number in the file, tile, baseline, sensed, cloud, no data, claim, bytes and checksum of B12,
# pixel of B04. Written from the files' own text; v0 of Earth Search has no baseline but in the product's name, and coverage for no data.

REAL = [
    "",
    "cdse/item_S2A_20220217_N0510_T13VEK.json 0 13VEK 05.10 2022-02-17T18:34:31Z 41.21 0.0 - 30130747 1620dffc 20",
    "cdse/search_S2B_20200322_N0500_T36NYH.json 0 36NYH 05.00 2020-03-22T07:46:09Z 87.94 0.0 - 33737182 16208ba2 20",
    "cdse/search_S2C_20260527_N0512_T55WFR.json 0 55WFR 05.12 2026-05-27T01:46:51Z 36.08 0 - 32314853 16200b9f 20",
    "earthsearch/33TWL_33TWM_aug2023/S2A_33TWL_20230815_0_L2A.json 0 33TWL 05.09 2023-08-15T09:58:11Z 0.20399 0.015926 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2A_33TWL_20230818_0_L2A.json 0 33TWL 05.09 2023-08-18T10:08:08Z 45.745239 12.784934 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2A_33TWM_20230815_0_L2A.json 0 33TWM 05.09 2023-08-15T09:57:57Z 0.207328 10.863982 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2A_33TWM_20230818_0_L2A.json 0 33TWM 05.09 2023-08-18T10:07:54Z 43.856794 0.03639 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWL_20230810_0_L2A.json 0 33TWL 05.09 2023-08-10T09:58:11Z 69.286209 0.033085 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWL_20230813_0_L2A.json 0 33TWL 05.09 2023-08-13T10:08:07Z 1.702489 12.708969 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWL_20230820_0_L2A.json 0 33TWL 05.09 2023-08-20T09:58:11Z 8.066346 0.032233 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWM_20230810_0_L2A.json 0 33TWM 05.09 2023-08-10T09:57:57Z 70.626998 11.211108 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWM_20230813_0_L2A.json 0 33TWM 05.09 2023-08-13T10:07:53Z 1.112399 0.031649 True - - 10",
    "earthsearch/33TWL_33TWM_aug2023/S2B_33TWM_20230820_0_L2A.json 0 33TWM 05.09 2023-08-20T09:57:56Z 1.33675 11.169004 True - - 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 0 13TDE 05.10 2024-04-22T17:53:02Z 81.344962 73.465753 - 14110370 1220f9b1 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 1 13TDE 05.10 2024-04-20T18:02:56Z 95.406204 0 - 54303704 1220281a 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 2 13TDE 05.10 2024-04-17T17:53:00Z 79.612255 73.774505 - 15991146 1220acf5 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 3 13TDE 05.10 2024-04-15T18:02:58Z 22.001417 3e-06 - 59039752 1220ce00 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 4 13TDE 05.10 2024-04-12T17:53:00Z 0.044906 73.963046 - 15942833 12206934 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 5 13TDE 05.10 2024-04-10T18:02:55Z 77.654099 0 - 59245368 12204c52 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 6 13TDE 05.10 2024-04-07T17:52:58Z 0.881778 74.705076 - 15622638 122041f1 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 7 13TDE 05.10 2024-04-05T18:02:53Z 11.954951 7e-06 - 55984827 1220feae 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 8 13TDE 05.10 2024-04-02T17:52:57Z 0.118322 75.1279 - 15059788 1220a875 10",
    "earthsearch/c1-l2a_item-collection_13TDE.json 9 13TDE 05.10 2024-03-31T18:02:54Z 46.011618 0 - 58684340 1220d783 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 0 35MNM 02.12 2020-07-31T08:06:11Z 0.004742 0.013444 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 1 35MNM 02.12 2020-07-26T08:06:09Z 0.003642 0.07495 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 2 35MNM 02.12 2020-07-21T08:06:11Z 0.016489 0.034164 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 3 35MNM 02.12 2020-07-16T08:06:09Z 0.00724 0.100773 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 4 35MNM 02.12 2020-07-11T08:06:11Z 26.800215 0.0449 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 5 35MNM 02.12 2020-07-06T08:06:09Z 0.701501 0.059638 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 6 35MNM 02.12 2020-07-01T08:06:11Z 29.220387 0.016092 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 7 35MNM 02.12 2020-06-26T08:06:09Z 5.859933 0.03282 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 8 35MNM 02.12 2020-06-21T08:06:11Z 1.042966 0.000962 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 9 35MNM 02.12 2020-06-16T08:06:09Z 0.020833 0.017843 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 10 35MNM 02.12 2020-06-11T08:06:11Z 1.206609 0.0 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 11 35MNM 02.12 2020-06-06T08:06:09Z 0.973945 0.011951 - - - 10",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson 12 35MNM 02.12 2020-06-01T08:06:11Z 6.477739 0.0 - - - 10",
    "earthsearch/v0_sentinel-s2-l2a-cogs_S2A_28QCH_20200714.json 0 28QCH 02.14 2020-07-14T11:55:52Z 2.36 93.15 - - - 10",
    "earthsearch/v1_sentinel-2-l2a_S2A_32TPS_20230602.json 0 32TPS 05.09 2023-06-02T10:18:03Z 31.735489 0 True - - 10",
    "more/cdse_S2A_MSIL2A_20220217T183431_N0510_R027_T13VEK_20240516T022440.json 0 13VEK 05.10 2022-02-17T18:34:31Z 41.21 0.0 - 30130747 1620dffc 20",
    "more/earth-search_sentinel-2-c1-l2a_S2B_T20EPT_20250731T131905_L2A.json 0 20EPT 05.11 2025-07-31T13:19:22Z 26.02542 98.002911 - 1283205 12205802 10",
    "more/earth-search_sentinel-2-l2a_S2B_20EPT_20250731_0_L2A.json 0 20EPT 05.11 2025-07-31T13:19:22Z 26.02542 98.002911 True - - 10",
    "more/pc_S2B_T06VVN_20190629.json 0 06VVN 02.12 2019-06-29T21:25:29Z 0.314306 0.0 - - - 10",
    "more/planetarycomputer_sentinel-2-l2a_S2A_MSIL2A_20190101T000001_R116_T60VUK_20201007T214652.json 0 60VUK 02.12 2019-01-01T00:00:01Z 56.297088 87.684971 - - - 10",
    "more/stactools_S2A_OPER_MSI_L2A_TL_2APS_20240108T121951_A044635_T34VEL.json 0 34VEL 05.10 2024-01-08T10:14:07Z 74.49823 99.997187 - - - 20",
    "more/stactools_S2A_OPER_MSI_L2A_TL_VGS1_20220401T110010_A035382_T34LBP.json 0 34LBP 04.00 2022-04-01T09:03:19Z 92.696983 97.087371 - - - 20",
    "more/stactools_S2A_T60CWS_20240109T203651_L2A.json 0 60CWS 05.10 2024-01-09T18:47:54Z 24.603783 47.850874 - - - 20",
    "more/stactools_S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658.json 0 01VCG 05.00 2020-09-14T23:19:31Z 0.832636 76.038551 - - - 20",
    "planetarycomputer/S2B_20190629_N0212_T06VVN.json 0 06VVN 02.12 2019-06-29T21:25:29Z 0.314306 0.0 - - - 10",
    "planetarycomputer/items-page-1.json 0 52CEB 04.00 2023-02-16T23:57:51Z 0.613371 92.599148 - - - 10",
    "planetarycomputer/items-page-2.json 0 52CDV 04.00 2023-02-16T23:57:51Z 3.713901 93.810731 - - - 10",
    "planetarycomputer/search-page-1.json 0 19PHS 04.00 2023-02-16T15:07:21Z 70.125186 79.447073 - - - 10",
    "planetarycomputer/search-page-2.json 0 21UYT 04.00 2023-02-16T14:57:31Z 99.923795 83.799416 - - - 10",
    "planetarycomputer/two-sentinel-2-items_N0511.json 0 13TDE 05.11 2024-08-25T17:39:09Z 48.747352 74.752849 - - - 10",
    "planetarycomputer/two-sentinel-2-items_N0511.json 1 13TDE 05.11 2024-08-23T17:49:01Z 66.843867 0.0 - - - 10",
    "",
][1:-1]

# File, number, band, end of the link, and what the datatake and the datastrip come down to.
LINKS = [
    "",
    "cdse/item_S2A_20220217_N0510_T13VEK.json B12 /GRANULE/L2A_T13VEK_A034773_20220217T183428/IMG_DATA/R20m/T13VEK_20220217T183431_B12_20m.jp2 GS2A_20220217T183431_034773 20220217T183428",
    "cdse/search_S2C_20260527_N0512_T55WFR.json SCL _SCL_20m.jp2 GS2C_20260527T014651_008996 20260527T014647",
    "cdse/search_S2B_20200322_N0500_T36NYH.json B04 _B04_20m.jp2 GS2B_20200322T074609_015891 20200322T075811",
    "earthsearch/c1-l2a_item-collection_13TDE.json B12 /sentinel-2-c1-l2a/13/T/DE/2024/4/S2A_T13TDE_20240422T174753_L2A/B12.tif GS2A_20240422T173911_046141 20240422T174753",
    "earthsearch/v1_sentinel-2-l2a_S2A_32TPS_20230602.json B04 https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/32/T/PS/2023/6/S2A_32TPS_20230602_0_L2A/B04.tif GS2A_20230602T100601_041489 20230602T100832",
    "earthsearch/v0_sentinel-s2-l2a-cogs_S2A_28QCH_20200714.json SCL /sentinel-s2-l2a-cogs/2020/S2A_28QCH_20200714_0_L2A/SCL.tif 2020-07-14T11:55:52Z -",
    "earthsearch/v0_search_35MNM_2020_jun_jul.geojson B11 _B11_20m.tif GS2A_20200731T080611_026673 20200731T081835",
    "planetarycomputer/items-page-1.json B12 _B12_20m.tif GS2A_20230216T235751_039981 20230216T235752",
    "more/stactools_S2A_OPER_MSI_L2A_TL_2APS_20240108T121951_A044635_T34VEL.json B04 ./R20m/B04.jp2 2024-01-08T10:14:07Z -",
    "",
][1:-1]


@pytest.fixture(scope="session")
def real():
    folder = os.environ.get("IMPERVIOUS_REAL")
    if not folder:
        pytest.skip("IMPERVIOUS_REAL names no folder of real items")
    return Path(folder)


def load(path, number=0):
    content = json.loads(path.read_text(encoding="utf-8"))
    return content.get("features", [content])[number]


@pytest.mark.parametrize("row", REAL, ids=lambda row: row.split()[0].rsplit("/", 1)[-1] + row.split()[1])
def test_real_items_are_understood(real, row):
    file, number, tile, baseline, sensed, cloud, nodata, claim, size, checksum, red_m = row.split()
    raw = load(real / "stac" / file, int(number))
    found = parse_item(raw)
    assert {"B12", "B11", "B04", "SCL"} <= set(found.assets)
    assert (found.tile, found.baseline_text, found.sensed_utc) == (tile, baseline, sensed)
    assert (found.cloud_pct, found.nodata_pct) == (float(cloud), pytest.approx(float(nodata)))
    assert found.offset_applied is (True if claim == "True" else None)
    b12 = found.assets["B12"]
    assert (str(b12.size or "-"), (b12.checksum or "-")[:8]) == (size, checksum)
    assert (found.assets["B04"].res_m, b12.res_m, found.assets["SCL"].res_m) == (float(red_m), 20, 20)
    # The offset by rule 1: before 04.00 none, later -1000 unless it is gone from the pixels already.
    old = baseline < "04"
    assert resolve_offset(found.baseline, found.offset_applied)[0] == (0 if old or claim == "True" else -1000)
    assert len(found.footprint) >= 4


@pytest.mark.parametrize("row", LINKS, ids=lambda row: " ".join(row.split()[:2]))
def test_real_links_and_acquisitions(real, row):
    file, band, end, datatake, datastrip = row.split()
    found = parse_item(load(real / "stac" / file))
    assert found.assets[band].href.split("?")[0].endswith(end)
    assert (found.datatake, found.datastrip or "-") == (datatake, datastrip)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("cdse_resto_legacy/testMissingS2.json", "an answer of the old OpenSearch catalogue"),
        ("cdse_resto_legacy/testPixelValueOffsetNeededCorner.json", "an answer of the old OpenSearch catalogue"),
        ("cdse_resto_legacy/testPixelValueOffsetNeededDark.json", "an answer of the old OpenSearch catalogue"),
        ("cdse_resto_legacy/eodag_cop_dataspace_search.json", "no STAC item"),
        ("cdse/collection_cdse-sentinel-2-l2a.json", "no STAC item"),
        ("more/cdse_l1c_S2A_T51CVP.json", "a product of Level-1C"),
        ("more/earth-search_sentinel-2-l1c_S2B_20EPT_20250731_0_L1C.json", "a product of Level-1C"),
        ("more/cdse_live_2026-09-01_29UNU_29UNT.json", "no STAC item"),
    ],
)  # fmt: skip
def test_what_is_no_item_of_level_2a_is_refused_with_a_word(real, file, found):
    with pytest.raises(CatalogueError, match=found):
        parse_item(load(real / "stac" / file))


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


def test_real_footprints_cover_what_the_catalogue_says_they_do(real):
    """Of tile 29UNU an orbit sees 60.06 % (39.94 % no data), by the shares of the footprint in the tile's square in UTM."""
    from pyproj import Transformer

    raw = load(real / "stac" / "more" / "cdse_live_2026-09-01_29UNU_29UNT.json")
    ring = Transformer.from_crs(4326, 32629, always_xy=True).itransform(raw["geometry"]["coordinates"][0])
    steps = 499980 + 109800 * (np.arange(400) + 0.5) / 400, 5900040 - 109800 * (np.arange(400) + 0.5) / 400
    points = np.column_stack([a.ravel() for a in np.meshgrid(*steps)])
    assert covers(tuple(ring), points).mean() * 100 == pytest.approx(
        100 - raw["properties"]["statistics"]["nodata"], abs=0.3
    )


def test_an_item_of_an_early_stac_version_is_understood_and_metadata_of_a_tile_are_not_taken_for_the_products(real):
    folder = real / "safe_metadata" / "N0211_T33SVB_20181229"
    found = parse_item(load(folder / "stac_item.json"), str(folder))
    assert (found.tile, found.baseline, found.cloud_pct, found.sensed_utc) == (
        "33SVB",
        (2, 11),
        4.202743,
        "2018-12-29T09:54:11Z",
    )
    assert (
        found.assets["B12"].href
        == f"{folder}/{found.id}.SAFE/GRANULE/L2A_T33SVB_A018380_20181229T095413/IMG_DATA/R20m/T33SVB_20181229T095411_B12_20m.jp2"
    )
    with pytest.raises(OffsetError, match="0 processing baselines"):
        parse_metadata_offset((folder / "MTD_MSIL2A.xml").read_bytes())
