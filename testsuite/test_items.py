"""STAC items: what is read from them, and which are refused; items of real catalogues."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperviouslib.core.errors import CatalogueError, ImperviousError, OffsetError
from imperviouslib.core.items import parse_item
from imperviouslib.core.offset import parse_metadata_offset, resolve_offset
from testsuite.scene_ground import item, load, real_folder


@pytest.fixture(scope="session")
def real():
    return real_folder()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda i: i.update(type="Collection"), "is not a STAC item"),
        (lambda i: i.pop("stac_version"), "no stac_version"),
        (lambda i: (i.pop("stac_version"), i["properties"].update(productIdentifier="/eodata/x")), "old OpenSearch catalogue"),
        (lambda i: i["properties"].pop("datetime"), "no date"),
        (lambda i: i["properties"].update(datetime="yesterday"), "a field that cannot be understood"),
        (lambda i: i["properties"].pop("grid:code") and i.update(id="x"), "no MGRS tile"),
        (lambda i: i["properties"].pop("processing:version") and i.update(id="x_T33UUU"), "no processing baseline"),
        (lambda i: i["assets"].pop("SCL_20m"), "no scene classification SCL"),
        (lambda i: i.update(id=i["id"].replace("MSIL2A", "MSIL1C")), "a product of Level-1C"),
        (lambda i: i.update(geometry={"type": "Polygon", "coordinates": [[["a", 1]]]}), "a field that cannot be understood"),
        (lambda i: i["properties"].update({"eo:cloud_cover": "many"}), "eo:cloud_cover many, expected the share of cloud"),
        (lambda i: i["properties"].pop("eo:cloud_cover"), "no eo:cloud_cover"),
        (lambda i: i["properties"].update({"grid:code": "MGRS-../../x"}), r"tile \.\./\.\./x, expected a tile such as"),
        (lambda i: i.update(id="../../../../" + i["id"]), "an id that cannot be the name of a folder"),
        (lambda i: i.update(id=".."), "an id that cannot be the name of a folder"),
        (lambda i: i.update(id="a" * 201), "an id that cannot be the name of a folder"),
        (lambda i: i.update(properties=None), "is not a STAC item"),
        (lambda i: i["properties"].update(datetime=20180601), "no date"),
        (lambda i: i["properties"].update(datetime="0001-01-01T00:00:00+14:00"), "a field that cannot be understood"),
        (lambda i: i["properties"].update({"earthsearch:boa_offset_applied": "perhaps"}), "a field that cannot be understood"),
        (lambda i: i["assets"]["B12_20m"].update({"file:size": float("inf")}), "a field that cannot be understood"),
        (lambda i: i["assets"]["B12_20m"].update({"file:size": 10**30}), "a field that cannot be understood"),
        (lambda i: i["assets"]["B12_20m"].update({"file:size": -5}), "a field that cannot be understood"),
    ],
)  # fmt: skip
def test_an_item_without_a_required_property_is_refused_in_one_line(change, found):
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


@pytest.mark.parametrize(
    ("value", "cloud"),
    [
        (0, 0.0), (4.36, 4.36), ("4.36", 4.36), (" 12 ", 12.0), (100, 100.0), (100.0000001, 100.0), (-1e-9, 0.0),
        (-1, None), (250, None), (float("nan"), None), (float("inf"), None), ("NaN", None), ("4,36", None), ("", None), (True, None),
        ([3], None), ({}, None), (10**400, None),
    ],
)  # fmt: skip
def test_cloud_cover_is_a_share_or_the_item_is_refused(value, cloud):
    odd = item(**{"eo:cloud_cover": value})
    if cloud is None:
        with pytest.raises(
            CatalogueError, match=r"found eo:cloud_cover .*, expected the share of cloud, 0 to 100 per cent"
        ):
            parse_item(odd)
    else:
        assert parse_item(odd).cloud_pct == cloud


@pytest.mark.parametrize(
    ("value", "baseline"),
    [
        (5.1, "05.10"), (5.11, "05.11"), (5.09, "05.09"), (2.1, "02.10"), (4, "04.00"), (4.0, "04.00"), (400, "04.00"), (509, "05.09"), (2.06, "02.06"),
        ("5.1", "05.10"), ("05.01", "05.01"), ("4.0", "04.00"), (" 05.10 ", "05.10"), ("N0510", "05.10"), (99.99, "99.99"),
        (-5.1, None), (1e30, None), (float("nan"), None), (True, None), ([5], None), ("٠٥.١٠", None),
    ],
)  # fmt: skip
def test_a_baseline_written_as_a_number_is_read_in_the_form_of_esa(value, baseline):
    odd = item("S2A_T33UUU_20180601", value)
    if baseline is None:
        with pytest.raises((CatalogueError, OffsetError)):
            parse_item(odd)
    else:
        assert parse_item(odd).baseline_text == baseline


def test_the_name_of_the_product_decides_about_a_baseline_that_is_a_number():
    assert (
        parse_item(item("S2A_MSIL2A_20180601T101031_N0501_R022_T33UUU_20180601T152000", 5.1)).baseline_text == "05.01"
    )


@pytest.mark.parametrize(
    ("claim", "applied"), [("true", True), ("False", False), (1, True), (0, False), (True, True), (None, None)]
)
def test_a_claim_in_quotes_is_a_claim(claim, applied):
    assert parse_item(item(**{"earthsearch:boa_offset_applied": claim})).offset_applied is applied


@pytest.mark.parametrize(
    ("value", "share"), [("12.5", 12.5), (float("nan"), None), (-3, None), ("much", None), (0, 0.0)]
)
def test_a_share_without_data_that_is_none_is_not_known(value, share):
    assert parse_item(item(**{"s2:nodata_pixel_percentage": value})).nodata_pct == share


# Links. An item of a service has an address as its base, an item of a file a folder.

SERVED, LOCAL = "https://host/v1/items", "/data/x"


@pytest.mark.parametrize(
    ("href", "base", "resolved"),
    [
        ("./R20m/B12.jp2", LOCAL, "/data/x/R20m/B12.jp2"), ("R20m//B12.jp2", LOCAL, "/data/x/R20m/B12.jp2"), ("/elsewhere/B12.jp2", LOCAL, "/elsewhere/B12.jp2"),
        ("file:///data/B12.jp2", LOCAL, "file:///data/B12.jp2"), ("S3://eodata/B12.jp2", LOCAL, "s3://eodata/B12.jp2"),
        ("a/../B12 ü.jp2", LOCAL, "/data/x/B12 ü.jp2"), ("https://h/B12.tif?sig=a%3A", SERVED, "https://h/B12.tif?sig=a%3A"),
        ("B12.tif", SERVED, "https://host/v1/items/B12.tif"), ("/data/B12.tif", SERVED, "https://host/data/B12.tif"),
        ("../../B12.tif", SERVED, "https://host/B12.tif"), ("//other/B12.tif", SERVED, "https://other/B12.tif"),
    ],
)  # fmt: skip
def test_links_are_resolved_where_they_belong(href, base, resolved):
    odd = item()
    odd["assets"]["B12_20m"]["href"] = href
    assert parse_item(odd, base).assets["B12"].href == resolved


@pytest.mark.parametrize(
    ("href", "base", "found"),
    [
        ("../B12.jp2", LOCAL, "a path that leaves the folder"), ("a/../../y/B12.jp2", LOCAL, "a path that leaves the folder"), ("..", LOCAL, "a path that leaves"),
        ("/vsicurl/https://host/B12.jp2", LOCAL, "virtual file systems"), ("//vsizip//vsicurl/x.zip/B12", LOCAL, "virtual file systems"),
        ("/vsimem/x", SERVED, "virtual file systems"), ("/vsisubfile/1_2,/etc/passwd", SERVED, "virtual file systems"),
        ("file:///etc/passwd", SERVED, "scheme file:"), ("FILE:///etc/passwd", SERVED, "scheme file:"), ("file:/etc/passwd", LOCAL, "scheme file:"),
        ("ftp://host/B12.jp2", LOCAL, "scheme ftp:"), ("gs://bucket/B12.jp2", SERVED, "scheme gs:"), ("data:image/tiff;base64,AAAA", LOCAL, "scheme data:"),
        ("javascript:alert(1)", SERVED, "scheme javascript:"), ("zip+s3://bucket/a.zip", SERVED, r"scheme zip\+s3:"), ("NETCDF:/etc/passwd:x", LOCAL, "scheme netcdf:"),
        ("https://host/\nB12.jp2", SERVED, "control characters"), ("B12\x00.jp2", LOCAL, "control characters"), ("C:\\data\\B12.jp2", LOCAL, "scheme c:"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("asset", ["B12_20m", "SCL_20m"])
def test_hostile_links_are_refused_in_one_line(href, base, found, asset):
    odd = item()
    odd["assets"][asset]["href"] = href
    with pytest.raises(
        CatalogueError, match=f"found a link with .*{found}.*, expected links that begin with"
    ) as caught:
        parse_item(odd, base)
    assert str(caught.value).isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(
        [
            ("geometry",), ("bbox",), ("properties", "eo:cloud_cover"), ("properties", "datetime"), ("properties", "grid:code"),
            ("properties", "processing:version"), ("properties", "statistics"), ("properties", "platform"), ("assets", "B12_20m"),
            ("assets", "SCL_20m", "href"), ("assets", "B12_20m", "proj:transform"), ("assets", "B12_20m", "file:size"), ("id",), ("properties",),
        ]
    ),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_value_in_any_place_gives_a_scene_or_one_line(value, place):
    odd = item()
    inner = odd
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        found = parse_item(odd)
    except ImperviousError as err:
        assert "\n" not in str(err)
    else:
        assert 0 <= found.cloud_pct <= 100
        assert found.footprint


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
    assert len(found.footprint[0]) >= 4


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
        ("cdse_resto_legacy/eodag_cop_dataspace_search.json", "is not a STAC item"),
        ("cdse/collection_cdse-sentinel-2-l2a.json", "is not a STAC item"),
        ("more/cdse_l1c_S2A_T51CVP.json", "a product of Level-1C"),
        ("more/earth-search_sentinel-2-l1c_S2B_20EPT_20250731_0_L1C.json", "a product of Level-1C"),
        ("more/cdse_live_2026-09-01_29UNU_29UNT.json", "is not a STAC item"),
    ],
)  # fmt: skip
def test_items_of_other_levels_are_refused_with_a_reason(real, file, found):
    with pytest.raises(CatalogueError, match=found):
        parse_item(load(real / "stac" / file))


def test_items_of_early_stac_versions_are_parsed_and_metadata_of_tiles_are_not_used(real):
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
