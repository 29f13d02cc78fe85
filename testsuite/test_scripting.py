"""Both ways of scripting run installed tools: grass-session (through imperviouslib/edge/session.py) and `grass --exec`.

The tool is r.s2.ard on two made composites: it reads maps, writes a file and needs no model.
"""

import json
import subprocess
import sys

import pytest

from testsuite import TOP

MAPS = """
import grass.script as gs
gs.run_command("g.region", n=1280, s=0, w=0, e=1280, res=20, quiet=True)
for year in (2017, 2018):
    for band, base in (("B12", 1000), ("B11", 2000), ("B04", 500)):
        gs.mapcalc(f"s2_{year}_{band}_p50 = {base} + row() + col()", quiet=True)
    gs.mapcalc(f"s2_{year}_count = 5", quiet=True)
gs.run_command("g.region", res=10, quiet=True)
gs.mapcalc("labels = if(col() < 64, 62, 73)", quiet=True)
gs.run_command("g.region", res=20, quiet=True)
"""
ARD = {"input": "s2", "years": "2017-2018", "labels": "labels", "label_year": "2017"}


@pytest.fixture
def at_installed(installed, grass_env):
    """Environment in which only the installed tools are found."""
    env = {k: v for k, v in grass_env.items() if k != "GRASS_ADDON_PATH"}
    return {**env, "GRASS_ADDON_BASE": str(installed)}


def _check(file):
    from imperviouslib.edge.ardfile import ArdFile

    with ArdFile.open(file) as ard:
        assert ard.periods == ("2017", "2018")
        assert ard.grid.bounds == (0, 0, 1280, 1280)
        # Row and column of r.mapcalc count from 1 at the north-west.
        cells = ard.read("2018", ard.grid)
        assert cells[list(ard.features).index("B12_p50")][0, 0] == 1000 + 1 + 1
        assert cells[list(ard.features).index("B04_p50")][63, 63] == 500 + 64 + 64


def test_grass_exec_runs_an_installed_tool(at_installed, tmp_path):
    script = tmp_path / "chain.py"
    script.write_text(MAPS + f"gs.run_command('r.s2.ard', output='a b.h5', **{ARD!r})\n")
    done = subprocess.run(
        ["grass", "-c", "EPSG:3035", str(tmp_path / "eu"), "--exec", sys.executable, str(script)],
        cwd=tmp_path, env=at_installed, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _check(tmp_path / "a b.h5")


def test_grass_session_runs_an_installed_tool(at_installed, tmp_path):
    """In a separate process, because grass-session changes the process that imports it."""
    script = tmp_path / "chain.py"
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {str(TOP)!r})\n"
        "from imperviouslib.edge.session import open_session\n"
        "before = dict(os.environ)\n"
        "with open_session('grass data/eu/work') as mapset:\n"
        + "".join(f"    {line}\n" for line in MAPS.strip().splitlines())
        + f"    gs.run_command('r.s2.ard', output='session.h5', **{ARD!r})\n"
        "    assert (mapset / '.gislock').exists()\n"
        "assert dict(os.environ) == before\n"
        "assert not (mapset / '.gislock').exists()\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=at_installed,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    _check(tmp_path / "session.h5")


def test_a_second_session_in_a_mapset_is_refused_in_one_line(at_installed, tmp_path):
    script = tmp_path / "twice.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(TOP)!r})\n"
        "from imperviouslib.core.errors import InputError\n"
        "from imperviouslib.edge.session import open_session\n"
        "with open_session('eu/PERMANENT'):\n"
        "    try:\n"
        "        with open_session('eu/PERMANENT'):\n"
        "            pass\n"
        "    except InputError as err:\n"
        "        print(err)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=at_installed, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "is in use by another session" in done.stdout


def test_a_session_cannot_be_opened_where_nothing_can_be_made(at_installed, tmp_path):
    (tmp_path / "file").write_text("")
    script = f"import sys; sys.path.insert(0, {str(TOP)!r}); from imperviouslib.edge.session import open_session as o\nwith o('file/eu/PERMANENT'): pass"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=at_installed, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "InputError: Mapset" in done.stderr


def test_shell_without_options_prints_json_where_asked(at_installed, tmp_path):
    """Standard output has only the result, so that a script can parse it."""
    script = tmp_path / "chain.py"
    script.write_text(
        MAPS + f"print(gs.read_command('r.s2.ard', output='x.h5', format='json', quiet=True, **{ARD!r}))\n"
    )
    done = subprocess.run(
        ["grass", "-c", "EPSG:3035", str(tmp_path / "eu"), "--exec", sys.executable, str(script)],
        cwd=tmp_path, env={**at_installed, "GRASS_VERBOSE": "0"}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
