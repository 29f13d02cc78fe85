"""The sidecar's keys, and the rules by which a band of the archive is kept, grows or is fetched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from imperviouslib.core.archive import (
    Sidecar,
    WarpSettings,
    check_metadata_baseline,
    check_one_offset,
    format_sidecar,
    is_missing,
    parse_sidecar,
    resolve_kept,
    resolve_target,
    resolve_warp_settings,
)
from imperviouslib.core.errors import OffsetError
from imperviouslib.core.grid import Grid
from imperviouslib.core.items import Scene

SCENE = Scene("S", "33UUU", "2022-06-01T10:10:31Z", "sentinel-2a", "GS2A", "D", (5, 10), 1.5, None, (), {})
CELLS = Grid(0, 0, 200, 100)
TILE = Grid(0, 0, 400, 400)
CUBIC = WarpSettings("cubic", 20)
PATH = Path("archive/33UUU/2022/S/B12.tif")
SIDECAR = Sidecar(
    path=PATH, scene="S", tile="33UUU", band="B12", sensed_utc="2022-06-01T10:10:31Z", platform="sentinel-2a", datatake="GS2A",
    datastrip="D", baseline="05.10", cloud_pct=1.5, nodata_pct=None, valid_cells=20, offset_dn=-1000, offset_rule="because",
    offset_confirmed=True, source_href="s3://eodata/B12.jp2", source_size=1000, source_checksum="1620ab", source_read="window",
    source_bytes_read=300, output_size=77, output_sha256="cd", grid=CELLS, extent=TILE, settings=CUBIC, catalogue="c",
    version="1", fetched_utc="2024-01-01T00:00:00Z",
)  # fmt: skip


def test_a_sidecar_keeps_all_its_values_through_json():
    content = json.loads(json.dumps(format_sidecar(SIDECAR)))
    assert parse_sidecar(content, PATH.with_suffix(".json")) == SIDECAR
    bare = replace(SIDECAR, extent=None, settings=None, source_checksum=None)
    assert parse_sidecar(format_sidecar(bare), PATH) == bare
    # 20 of 10 x 5 cells.
    assert content["valid_pct"] == 40


def test_the_keys_of_a_sidecar_on_disk_are_these():
    content = format_sidecar(SIDECAR)
    assert set(content) == {
        "sidecar", "scene", "tile", "band", "sensed_utc", "platform", "datatake", "datastrip", "baseline", "cloud_pct", "nodata_pct",
        "valid_cells", "valid_pct", "offset", "source", "output", "grid", "extent", "settings", "catalogue", "version", "fetched_utc",
    }  # fmt: skip
    assert {key: set(value) for key, value in content.items() if isinstance(value, dict)} == {
        "offset": {"dn", "rule", "metadata_read"},
        "source": {"href", "size", "checksum", "read", "read_bytes", "invalid_pixels"},
        "output": {"file", "size", "sha256"},
        "grid": {"bounds", "res_m"},
        "settings": {"resampling", "res_m"},
    }


@pytest.mark.parametrize(
    "key", ["sidecar", "scene", "tile", "band", "sensed_utc", "datatake", "baseline", "cloud_pct", "valid_cells", "offset", "source", "output", "grid"]
)  # fmt: skip
def test_a_sidecar_without_a_needed_key_does_not_count(key):
    content = format_sidecar(SIDECAR)
    del content[key]
    assert parse_sidecar(content, PATH) is None


def test_the_file_of_a_sidecar_lies_beside_it():
    content = format_sidecar(SIDECAR)
    for name in ("../../other/B12.tif", "/etc/B12.tif"):
        content["output"]["file"] = name
        found = parse_sidecar(content, PATH.with_suffix(".json"))
        assert found is not None and found.path == PATH


@pytest.mark.parametrize("settings", [{}, {"resampling": "cubic"}, {"resampling": "cubic", "res_m": 20, "more": 1}])
def test_settings_of_another_form_are_not_those_of_a_run(settings):
    found = parse_sidecar({**format_sidecar(SIDECAR), "settings": settings}, PATH)
    assert found is not None and found.settings is None


@pytest.mark.parametrize(
    "content", [[], "x", {}, {**format_sidecar(SIDECAR), "sidecar": 2}, {"sidecar": 1, "offset": []}]
)
def test_content_of_another_form_does_not_count(content):
    assert parse_sidecar(content, PATH) is None


@pytest.mark.parametrize(
    ("sidecar", "size", "area", "missing"),
    [
        (SIDECAR, 77, CELLS, False),
        (SIDECAR, 77, Grid(20, 20, 60, 60), False),
        (SIDECAR, 77, Grid(0, 0, 220, 100), True),
        # Cells outside of the tile are not required.
        (SIDECAR, 77, Grid(-200, -200, 200, 100), False),
        (SIDECAR, 77, Grid(400, 0, 600, 100), False),
        (SIDECAR, 76, CELLS, True),
        (SIDECAR, None, CELLS, True),
        (None, 77, CELLS, True),
        (replace(SIDECAR, baseline="04.00"), 77, CELLS, True),
        (replace(SIDECAR, settings=WarpSettings("nearest", 20)), 77, CELLS, True),
        (replace(SIDECAR, settings=None), 77, CELLS, True),
        (replace(SIDECAR, extent=None), 77, CELLS, False),
        (replace(SIDECAR, extent=None), 77, Grid(-20, 0, 200, 100), True),
    ],
)
def test_a_complete_band_with_the_same_settings_is_kept(sidecar, size, area, missing):
    assert is_missing(sidecar, size, SCENE, CUBIC, area) == missing


def test_only_complete_files_with_the_same_settings_are_extended():
    assert resolve_kept(SIDECAR, 77, SCENE, CUBIC) == CELLS
    assert resolve_kept(SIDECAR, 76, SCENE, CUBIC) is None
    assert resolve_kept(SIDECAR, 77, SCENE, WarpSettings("bilinear", 20)) is None
    assert resolve_kept(SIDECAR, 77, replace(SCENE, baseline=(2, 13)), CUBIC) is None


@pytest.mark.parametrize(
    ("area", "kept", "target"),
    [
        (Grid(-40, 0, 40, 40), None, Grid(0, 0, 40, 40)),
        (Grid(0, 0, 40, 40), Grid(60, 60, 80, 80), Grid(0, 0, 80, 80)),
        (Grid(500, 0, 540, 40), None, None),
        (Grid(500, 0, 540, 40), CELLS, None),
    ],
)
def test_a_file_is_one_rectangle_around_area_and_kept_cells(area, kept, target):
    assert resolve_target(area, TILE, kept) == target


def test_classes_are_never_averaged():
    assert resolve_warp_settings("SCL", "cubic", 20) == WarpSettings("nearest", 20)
    assert resolve_warp_settings("B12", "cubic", 20) == CUBIC


def test_bands_of_one_scene_share_baseline_and_offset():
    check_metadata_baseline(SCENE, (5, 10))
    with pytest.raises(OffsetError, match=r"baseline 04\.00 in its metadata"):
        check_metadata_baseline(SCENE, (4, 0))
    # Classes have no offset, and files of another baseline are made again.
    harmless = [SIDECAR, replace(SIDECAR, band="SCL", offset_dn=0), replace(SIDECAR, baseline="02.13", offset_dn=0)]
    check_one_offset(SCENE, -1000, harmless, Path("archive"))
    with pytest.raises(OffsetError, match="offset -1000 for one band and 0 for another"):
        check_one_offset(SCENE, -1000, [*harmless, replace(SIDECAR, band="B11", offset_dn=0)], Path("archive"))
