"""The histories of cells, from r.unet.train and r.unet.predict run as commands in a real GRASS session."""

import json

import numpy as np
import pytest
import rasterio

from imperviouslib.edge.modelfile import read_model
from testsuite.grass_session import Session
from testsuite.unet_ground import grid_at, make_classes, write_ard

GRID = grid_at(150_003, 200_005, 161, 174)
YEARS = (2017, 2018, 2019, 2020)
SITE = (slice(60, 72), slice(80, 94))
"""Land that is sealed from 2019 on."""
CLEARED = (slice(120, 130), slice(20, 32))
"""Land that is unsealed from 2018 on."""
HOLE, CLOUDY = (slice(20, 30), slice(40, 60)), (slice(64, 66), slice(84, 90))
"""Land that is never seen, and land within the site that is not seen in 2018."""


def classes_of(year):
    classes = make_classes(GRID.shape)
    classes[SITE] = 1 if year >= 2019 else 3
    classes[CLEARED] = 3 if year >= 2018 else 1
    return classes


@pytest.fixture(scope="module")
def session(location, grass_env):
    result = Session(location / "histories", grass_env)
    result.region(GRID)
    return result


@pytest.fixture(scope="module")
def ards(tmp_path_factory):
    """Files of three years and of four."""
    folder = tmp_path_factory.mktemp("ard")
    for number in (3, 4):
        write_ard(
            folder / f"{number}.h5", GRID, years=YEARS[:number], classes={year: classes_of(year) for year in YEARS},
            holes=[HOLE], clouds={2018: [CLOUDY]},
        )  # fmt: skip
    return {number: folder / f"{number}.h5" for number in (3, 4)}


@pytest.fixture(scope="module")
def model(session, ards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    small = ("patch=32", "depth=1", "filters=8", "epochs=8", "batch=4")
    session("r.unet.train", f"input={ards[4]}", f"output={folder}", *small)
    return folder


@pytest.fixture(scope="module")
def mapped(session, ards, model):
    return session("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=lc", "nprocs=2")


def read(session, name, path):
    """Cells of a map as floating-point numbers, NaN = NULL."""
    session("r.out.gdal", f"input={name}", f"output={path}", "type=Float64", "nodata=-1", "-f", "--o", "--q")
    with rasterio.open(path) as dataset:
        assert dataset.shape == GRID.shape
        return dataset.read(1, masked=True).filled(np.nan)


def test_the_card_describes_the_series_model(model):
    series = read_model(model).series
    assert series.years == YEARS and len(series.shares) == 4 and 0.5 < series.kept <= 1


def test_stocks_gains_and_losses_belong_together(session, mapped, tmp_path):
    stock = [read(session, f"lc_{year}_p_sealed", tmp_path / "a.tif") for year in YEARS]
    seen = np.ones(GRID.shape, bool)
    seen[HOLE] = False
    for first in range(3):
        gain, loss = (
            read(session, f"lc_{YEARS[first]}_{YEARS[first + 1]}_p_{k}", tmp_path / "a.tif") for k in ("gain", "loss")
        )
        for plane in (stock[first], gain, loss):
            assert (~np.isnan(plane) == seen).all()
        assert np.nanmax(np.abs(stock[first + 1] - stock[first] - gain + loss)) < 1e-6
    gain, loss = (read(session, f"lc_2017_2020_p_{k}", tmp_path / "a.tif") for k in ("gain", "loss"))
    assert np.nanmax(np.abs(stock[3] - stock[0] - gain + loss)) < 1e-6
    classes = read(session, "lc_2020_series", tmp_path / "a.tif")
    assert ((classes == 1) == (stock[3] >= 0.5)).all() and set(np.unique(classes[seen])) <= {1, 2, 3, 4}
    assert (classes == classes_of(2020))[seen].mean() > 0.8


def test_change_is_found_in_its_year_also_where_a_year_was_not_seen(session, mapped, tmp_path):
    gain = {
        pair: read(session, f"lc_{pair[0]}_{pair[1]}_p_gain", tmp_path / "a.tif")
        for pair in ((2017, 2018), (2018, 2019), (2019, 2020))
    }
    inner = (slice(61, 71), slice(81, 93))
    assert np.median(gain[2018, 2019][inner]) > 0.5
    assert np.median(sum(gain.values())[inner]) > 0.8
    # Sealed in 2018 or in 2019: that cannot be told where 2018 was not seen.
    first, second = gain[2017, 2018][CLOUDY], gain[2018, 2019][CLOUDY]
    assert np.allclose(first, second, atol=1e-3) and (first + second > 0.5).mean() > 0.8
    loss = read(session, "lc_2017_2018_p_loss", tmp_path / "a.tif")
    assert np.median(loss[121:129, 21:31]) > 0.5
    elsewhere = np.ones(GRID.shape, bool)
    for place in (SITE, CLEARED, HOLE):
        elsewhere[place] = False
    assert sum(gain.values())[elsewhere].mean() < 0.01


def test_maps_have_title_colours_history_and_provenance(session, mapped, model):
    info = session("r.info", "map=lc_2018_2019_p_gain").stdout
    assert "Probability of sealing, 2018 to 2019" in info and "r.unet.predict: series net" in info
    assert "1\tArtificial surfaces" in session("r.category", "map=lc_2018_series").stdout
    stored = json.loads((session.mapset / "cell_misc" / "lc_2018_p_sealed" / "impervious.json").read_text())
    assert stored["series"] == read_model(model).series.sha256 and stored["years"] == list(YEARS)
    assert set(stored["rates"]) == {"always", "gain", "loss", "defaults"} and set(stored["data"]) == set(
        map(str, YEARS)
    )
    assert "is sealed in all years" in mapped.said


def test_histories_that_exist_are_kept_and_a_stopped_run_continues(session, ards, model, mapped, tmp_path):
    predict = ("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=lc")
    assert "Histories of 2017-2020 exist already" in session(*predict).said
    stamp = session.mapset / "cell" / "lc_2017_class"
    before = stamp.stat().st_mtime_ns
    layers = ("lc_2017_2020_p_gain", "lc_2018_series", "lc_2019_p_sealed")
    cells = [read(session, name, tmp_path / "a.tif") for name in layers]
    session("g.remove", "-f", "type=raster", f"name={layers[0]}", "--q")
    assert "Computing the histories" in session(*predict).said
    assert stamp.stat().st_mtime_ns == before
    # The first run kept what it knew of the yearly maps; this one has read them.
    again = [read(session, name, tmp_path / "a.tif") for name in layers]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(cells, again, strict=True))


def test_a_mask_does_not_cut_the_histories(session, ards, model, mapped, tmp_path):
    """As it does not cut the yearly maps that they are made from."""
    session("r.mapcalc", "MASK = if(row() > 60, 1, null())")
    try:
        predict = ("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=under")
        session(*predict)
        # The yearly maps that were made before are read.
        session("g.remove", "-f", "type=raster", "name=under_2017_2020_p_gain", "--q")
        session(*predict)
    finally:
        session("g.remove", "-f", "type=raster", "name=MASK", "--q")
    for layer in ("2018_2019_p_gain", "2020_series", "2018_class"):
        found, expected = (read(session, f"{prefix}_{layer}", tmp_path / "a.tif") for prefix in ("under", "lc"))
        assert np.array_equal(found, expected, equal_nan=True)


def test_a_new_year_revises_the_histories(session, ards, model, mapped, tmp_path):
    """Maps of three years, then of four: yearly maps stay, histories are made anew, and those of the shorter span go."""
    predict = ("r.unet.predict", f"model={model}", "output=more")
    session(*predict, f"input={ards[3]}")
    assert {"more_2017_2019_p_gain", "more_2018_2019_p_gain"} <= set(session.maps())
    done = session(*predict, f"input={ards[4]}")
    assert "revised" in done.said and "Period 2018 exists already" in done.said
    maps = set(session.maps())
    assert "more_2017_2020_p_gain" in maps and "more_2017_2019_p_gain" not in maps
    for layer in ("2018_2019_p_gain", "2017_p_sealed"):
        found, expected = (read(session, f"{prefix}_{layer}", tmp_path / "a.tif") for prefix in ("more", "lc"))
        assert np.allclose(found, expected, atol=1e-6, equal_nan=True)
    # The other way round would lose a year.
    done = session(*predict, f"input={ards[3]}", ok=False)
    assert "different: features" in done.said or "different: years" in done.said


def test_fewer_years_replace_a_longer_series_whole(session, ards, model, mapped):
    predict = ("r.unet.predict", f"model={model}", "output=less", f"input={ards[4]}")
    session(*predict)
    done = session(*predict, "years=2017,2018,2019", ok=False)
    assert "different: years" in done.said
    session(*predict, "years=2017,2018,2019", "--overwrite")
    left = {name for name in session.maps() if name.startswith("less")}
    assert "less_2020_class" in left and "less_2017_2019_p_gain" in left
    # Nothing of the longer series may stay beside the shorter one.
    assert not left & {"less_2020_p_sealed", "less_2020_series", "less_2019_2020_p_gain", "less_2017_2020_p_loss"}


def test_a_year_made_again_by_itself_does_not_pass_as_part_of_the_series(session, ards, model, mapped, tmp_path):
    """The yearly map of 2018 comes from other data than the histories."""
    predict = ("r.unet.predict", f"model={model}", "output=mixed")
    session(*predict, f"input={ards[4]}")
    write_ard(tmp_path / "other.h5", GRID, years=YEARS, classes={year: classes_of(2017) for year in YEARS})
    session(*predict, f"input={tmp_path / 'other.h5'}", "years=2018", "--overwrite")
    session("v.in.region", "output=part", "--o", "--q")
    change = ("r.impervious.change", "-n", "input=mixed", "zones=part", "prefix=mixed", f"output={tmp_path / 'table'}")
    done = session(*change, ok=False)
    assert "<mixed_2018_p_sealed> was not computed from <mixed_2018_class>" in done.said and "--overwrite" in done.said


def test_a_region_where_nothing_was_seen_has_no_histories(session, ards, model, mapped):
    rows, cols = HOLE
    try:
        session.region(grid_at(GRID.first_row + rows.start, GRID.first_col + cols.start, 10, 20))
        done = session("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=blind")
        assert "No cell of the region was seen" in done.said
        assert not {name for name in session.maps() if name.startswith("blind") and "p_sealed" in name}
    finally:
        session.region(GRID)


def test_two_years_are_enough_and_one_has_no_history(session, ards, model):
    session("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=two", "years=2018,2019")
    assert {name for name in session.maps() if name.startswith("two_2018_2019")} == {
        "two_2018_2019_p_gain",
        "two_2018_2019_p_loss",
    }
    session("r.unet.predict", f"input={ards[4]}", f"model={model}", "output=one", "years=2018")
    assert not {name for name in session.maps() if name.startswith("one") and ("sealed" in name or "series" in name)}


def test_the_whole_chain_gives_the_method_of_the_series(session, ards, model, mapped, tmp_path):
    """r.impervious.change takes these maps: stocks, gains and losses of the table are their sums."""
    session("v.in.region", "output=box", "--o", "--q")
    session("v.db.addtable", "map=box", "columns=NUTS_ID varchar(5)", "--q")
    session("v.db.update", "map=box", "column=NUTS_ID", "value=XX", "--q")
    done = session(
        "r.impervious.change",
        "-n",
        "input=lc",
        "zones=box",
        f"output={tmp_path / 'table'}",
        "method=mapped_series",
        "definition=artificial",
        "format=json",
    )
    summary = json.loads(done.stdout)["summary"][0]
    cell = 400 / 1e6
    for first, last in ((2017, 2018), (2018, 2019), (2019, 2020), (2017, 2020)):
        gain = read(session, f"lc_{first}_{last}_p_gain", tmp_path / "a.tif")
        share = gain.size / (~np.isnan(gain)).sum()
        assert summary["gain"][f"{first}-{last}"] == pytest.approx(np.nansum(gain) * cell * share, rel=1e-3, abs=1e-6)
