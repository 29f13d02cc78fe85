"""GRASS for the tests: a location, sessions that clean up, and the tools of the source tree.

location        path of a location in EPSG:3035, made once for all tests
source_tools    folder with a command for each tool of the source tree
grass_env       environment for subprocesses: the tools and this Python first
grass_exec      function(*command, location=..., **env): run a command by `grass --exec` in a new mapset
installed       folder of addons with the whole suite, installed by g.extension; read only
mapset          a session of this process in a new mapset; yields the path of the mapset
"""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testsuite import TOOLS, TOP

_number = itertools.count(1)
LONG = (
    "test_change.py", "test_bad_input.py", "test_histories.py", "test_chain.py", "test_unet_tools.py", "test_install.py", "test_ard.py",
    "test_yearly.py", "test_workers.py", "test_cluster.py", "test_border_regions.py", "test_unet_resume.py", "test_browser.py", "test_tasks.py", "test_docs.py", "test_sample.py", "test_secrets.py", "test_maps.py",
)  # fmt: skip
"""Files with the longest tests, the longest first."""


def _grass_config(what):
    try:
        return subprocess.check_output(["grass", "--config", what], text=True).strip()
    except (OSError, subprocess.CalledProcessError) as err:
        pytest.exit(
            f"Cannot start grass: {err}. Install GRASS 8.2 or later, for example by tools/setup.sh.", returncode=1
        )


# Test modules import grass.script at their top.
sys.path.append(_grass_config("python_path"))


def pytest_collection_modifyitems(items):
    """Mark all tests that start GRASS as slow, so that `make check` leaves them out. Only `make soak` runs the longest ones.

    Files that take minutes come first: where several files are tested at a time, the last one then ends soon after the others.
    """
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))
    for item in items:
        if item.get_closest_marker("soak") and not os.environ.get("IMPERVIOUS_SOAK"):
            item.add_marker(pytest.mark.skip(reason="make soak"))
        if {"location", "grass_env", "source_tools"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def location(tmp_path_factory):
    path = tmp_path_factory.mktemp("grassdata") / "eu"
    subprocess.run(["grass", "-c", "EPSG:3035", "-e", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def source_tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    for tool in TOOLS:
        script = TOP / tool / f"{tool}.py"
        if script.is_file():
            (folder / tool).symlink_to(script)
    return folder


@pytest.fixture(scope="session")
def grass_env(source_tools, tmp_path_factory):
    """Environment of a subprocess. GRASS runs the tools with the first python3 on PATH, so this Python is put there."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIS", "GRASS_"))}
    env["GRASS_ADDON_PATH"] = str(source_tools)
    # An empty folder: installed tools of this user would come before those of the source tree.
    env["GRASS_ADDON_BASE"] = str(tmp_path_factory.mktemp("no_addons"))
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    return env


@pytest.fixture(scope="session")
def installed(tmp_path_factory, grass_env):
    base = tmp_path_factory.mktemp("addons")
    env = {**grass_env, "GRASS_ADDON_BASE": str(base)}
    env.pop("GRASS_ADDON_PATH")
    done = subprocess.run(
        [TOP / "tools" / "install.sh"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return base


@pytest.fixture
def grass_exec(location, grass_env):
    """Run a command by `grass --exec` in a temporary mapset, or in the one that `mapset` names, which is kept."""

    def run(*command, mapset=None, location=location, timeout=600, **env):
        where = ["--tmp-mapset", str(location)] if mapset is None else [str(Path(location) / mapset)]
        if mapset is not None and not (Path(location) / mapset).exists():
            where.insert(0, "-c")
        return subprocess.run(
            ["grass", *where, "--exec", *map(str, command)],
            env={**grass_env, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def mapset(location, source_tools):
    """A session of this process in a new mapset; environment and current folder are restored at the end."""
    import grass.script as gs
    import grass.script.setup  # noqa: F401 - GRASS 8.2.1 does not import it by itself

    before, here = os.environ.copy(), Path.cwd()
    path = location / f"test{next(_number)}"
    subprocess.run(["grass", "-c", path, "-e"], check=True, capture_output=True)
    try:
        os.environ["GRASS_ADDON_PATH"] = str(source_tools)
        with gs.setup.init(path):
            os.environ["PATH"] = os.pathsep.join(
                [str(source_tools), str(Path(sys.executable).parent), os.environ["PATH"]]
            )
            yield path
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
