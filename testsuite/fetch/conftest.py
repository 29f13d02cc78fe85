"""The world that all tests of r.s2.fetch share, and the tool in a GRASS session."""

import os
import subprocess
import sys

import pytest

from imperviouslib.edge.archivefile import fetch_scene
from testsuite import TOP
from testsuite.fetch_ground import area, digests, small_world, task_of
from testsuite.world.serve import serve


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return small_world(tmp_path_factory.mktemp("world") / "w")


@pytest.fixture(scope="session")
def served(world):
    with serve(world) as found:
        yield found


@pytest.fixture
def keys(served, monkeypatch):
    """The served world with its keys in the environment and no faults."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/nonexistent")
    for gate in (served.s3, served.stac):
        gate.rules = []
        gate.reset_counts()
    yield served
    served.s3.rules, served.stac.rules = [], []


@pytest.fixture(scope="session")
def expected(world, served, tmp_path_factory):
    """Checksums of one scene's files when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in served.environment().items():
            patch.setenv(name, value)
        assert not any(outcome.error for outcome in fetch_scene(task_of(world, folder)))
    found = digests(folder)
    assert len(found) == 4
    return found


@pytest.fixture
def tool(mapset, world, keys):
    """Run r.s2.fetch in a new mapset whose region is the middle of the world; returns (status, stdout, stderr)."""
    import grass.script as gs

    grid = area(world, 2)
    gs.run_command("g.region", w=grid.west, s=grid.south, e=grid.east, n=grid.north, res=20, quiet=True)

    def run(*words, env=None, **options):
        words = [*words, *(f"{key}={value}" for key, value in options.items())]
        done = subprocess.run(
            [sys.executable, TOP / "r.s2.fetch" / "r.s2.fetch.py", *words],
            capture_output=True, text=True, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run
