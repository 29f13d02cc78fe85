"""The suite is installed by g.extension as users do it; what counts is that each tool answers, not g.extension's exit status."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from testsuite import TOOLS, TOP

HEAVY = (
    "tensorflow", "keras", "rasterio", "h5py", "sklearn", "pystac_client", "pystac", "obstore", "pyproj", "scipy", "pyarrow",
    "matplotlib", "shiny", "grass_session",
)  # fmt: skip


@pytest.fixture(scope="module")
def without_heavy(tmp_path_factory):
    """A PYTHONPATH folder under which no heavy package can be imported."""
    folder = tmp_path_factory.mktemp("poison")
    for package in HEAVY:
        (folder / f"{package}.py").write_text(f"raise ImportError('{package} was imported')\n")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout in which a run has left its data, in Python's and make's own suffixes too."""
    folder = tmp_path_factory.mktemp("clone") / "r.impervious"
    shutil.copytree(TOP, folder, ignore=shutil.ignore_patterns("build", ".git", ".venv", "__pycache__", "*.tmp"))
    data = folder / "build" / "demo" / "scenes" / "31UDS"
    data.mkdir(parents=True)
    (data / "B12.tif").write_bytes(bytes(range(256)) * 400)
    (data / "B12.json").write_text('{"sidecar": 1}\n')
    (folder / "build" / "bench.json").write_text("[]\n")
    return folder


@pytest.fixture
def addons(tmp_path, grass_env):
    """A new, empty folder for addons, and the environment that names it."""
    base = tmp_path / "addons"
    env = {**grass_env, "GRASS_ADDON_BASE": str(base)}
    env.pop("GRASS_ADDON_PATH")
    return base, env


def _grass(env, *command, **more):
    return subprocess.run(
        ["grass", "--tmp-location", "XY", "--exec", *map(str, command)],
        env={**env, **more}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def _check_tool(base, env, tool, without_heavy):
    """The tool, its page and its library are in place; it answers without a heavy package and needs no other folder."""
    assert (base / "scripts" / tool).is_file()
    assert (base / "etc" / tool / "imperviouslib" / "__init__.py").is_file()
    page = (base / "docs" / "html" / f"{tool}.html").read_text(encoding="utf-8")
    assert ">DESCRIPTION<" in page
    poison = os.pathsep.join([str(without_heavy), env.get("PYTHONPATH", "")])
    asked = _grass(env, tool, "--interface-description", PYTHONPATH=poison)
    assert asked.returncode == 0, asked.stderr
    task = ET.fromstring(asked.stdout[asked.stdout.index("<?xml") :].encode())
    assert task.get("name") == tool
    assert len(task.findtext("keywords").split(",")) >= 3
    helped = _grass(env, tool, "--help", PYTHONPATH=poison)
    assert helped.returncode == 0, helped.stderr
    assert "Usage:" in helped.stderr + helped.stdout


def _left(base, tools=TOOLS):
    return [
        p for p in base.rglob("*") if p.is_file() and "__pycache__" not in p.parts and any(t in str(p) for t in tools)
    ]


def test_the_poison_works(without_heavy, grass_env):
    tried = subprocess.run(
        ["python3", "-c", "import rasterio"], env={**grass_env, "PYTHONPATH": str(without_heavy)}, capture_output=True
    )
    assert tried.returncode != 0


def test_suite_installs_from_a_checkout_full_of_data_and_is_removed_and_installed_again(
    checkout, addons, without_heavy
):
    base, env = addons
    _grass(env, "g.extension", "extension=r.impervious", f"url={checkout}")
    for tool in TOOLS:
        _check_tool(base, env, tool, without_heavy)
    assert ">DESCRIPTION<" in (base / "docs" / "html" / "r.impervious.html").read_text(encoding="utf-8")
    _grass(env, "g.extension", "-f", "operation=remove", "extension=r.impervious")
    assert not _left(base)
    assert _grass(env, TOOLS[0], "--help").returncode != 0
    _grass(env, "g.extension", "extension=r.impervious", f"url={checkout}")
    _check_tool(base, env, TOOLS[0], without_heavy)


def test_all_tools_have_the_same_makefile():
    """So that two of them stand for all in the test below."""
    assert len({(TOP / tool / "Makefile").read_text().replace(tool, "TOOL") for tool in TOOLS}) == 1


@pytest.mark.parametrize("tool", [TOOLS[0], TOOLS[-1]])
def test_tool_installs_alone_from_its_folder_and_is_removed(tool, checkout, addons, without_heavy):
    base, env = addons
    _grass(env, "g.extension", f"extension={tool}", f"url={checkout / tool}")
    _check_tool(base, env, tool, without_heavy)
    assert not _left(base, [other for other in TOOLS if other != tool])
    _grass(env, "g.extension", "-f", "operation=remove", f"extension={tool}")
    assert not _left(base)


def test_without_the_packages_a_tool_says_how_to_get_them(installed, grass_env):
    """The list of packages lies beside the installed library, since the suite's folder may be gone."""
    tool = "r.s2.ard"
    env = {**grass_env, "GRASS_ADDON_BASE": str(installed), "PATH": "/usr/bin:/bin"}
    env.pop("GRASS_ADDON_PATH")
    done = _grass(env, tool, "-c", "input=none.h5")
    wanted = installed / "etc" / tool / "requirements.txt"
    said = "".join(done.stderr.split())
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "Pythonpackage<h5py>isnotinstalledforthepython3" in said and f"pipinstall-r{wanted}in" in said, done.stderr
    for name in ("requirements.txt", "requirements-cluster.txt"):
        assert wanted.with_name(name).read_text() == (TOP / name).read_text()


def test_suite_installs_from_a_zip(checkout, addons, without_heavy, tmp_path):
    base, env = addons
    packed = shutil.make_archive(str(tmp_path / "main"), "zip", root_dir=checkout.parent, base_dir=checkout.name)
    _grass(env, "g.extension", "extension=r.impervious", f"url={packed}")
    assert {path.name for path in (base / "scripts").iterdir()} == set(TOOLS)
    _check_tool(base, env, TOOLS[-1], without_heavy)


def test_tool_without_the_library_beside_it_is_refused(checkout, addons, tmp_path):
    base, env = addons
    shutil.copytree(checkout / TOOLS[0], tmp_path / "lone" / TOOLS[0])
    tried = _grass(env, "g.extension", f"extension={TOOLS[0]}", f"url={tmp_path / 'lone' / TOOLS[0]}")
    assert tried.returncode != 0
    assert "imperviouslib" in tried.stderr
    assert not (base / "scripts" / TOOLS[0]).exists()


def test_install_script_works_where_a_virtual_environment_lies_in_the_checkout(
    checkout, addons, without_heavy, tmp_path
):
    """g.extension itself stops at a file in another encoding than UTF-8, as virtual environments hold them."""
    base, env = addons
    clone = tmp_path / "r.impervious"
    shutil.copytree(checkout, clone)
    packages = clone / ".venv" / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "old.py").write_bytes("# -*- coding: latin-1 -*-\nname = 'Zürich'\n".encode("latin-1"))
    done = subprocess.run(
        [clone / "tools" / "install.sh"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    for tool in TOOLS:
        _check_tool(base, env, tool, without_heavy)
    assert not list(base.rglob("old.py"))


def test_install_script_reports_a_tool_that_does_not_start(checkout, addons, tmp_path):
    _, env = addons
    clone = tmp_path / "r.impervious"
    shutil.copytree(checkout, clone)
    (clone / TOOLS[0] / f"{TOOLS[0]}.py").write_text("#!/usr/bin/env python3\nthis is no Python\n")
    done = subprocess.run(
        [clone / "tools" / "install.sh"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert f"Tool <{TOOLS[0]}>" in done.stderr


def _tests(tool):
    return sorted((TOP / tool / "testsuite").glob("test_*.py"))


@pytest.mark.parametrize("tool", TOOLS)
def test_gunittest_files_of_the_tool_pass_on_the_installed_suite(tool, installed, grass_env, tmp_path):
    assert _tests(tool), f"{tool} has no testsuite/test_*.py"
    work = tmp_path / tool
    shutil.copytree(TOP / tool / "testsuite", work / "testsuite")
    database = tmp_path / "grassdata"
    database.mkdir()
    subprocess.run(["grass", "-c", "EPSG:3035", "-e", database / "eu"], check=True, capture_output=True)
    env = {k: v for k, v in grass_env.items() if k != "GRASS_ADDON_PATH"}
    done = subprocess.run(
        ["grass", "--tmp-location", "XY", "--exec", "python3", "-m", "grass.gunittest.main", "--grassdata", database, "--location", "eu",
         "--min-success", "100"],
        cwd=work, env={**env, "GRASS_ADDON_BASE": str(installed)}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    report = work / "testreport" / "test_keyvalue_result.txt"
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + _outputs(work)
    results = dict(line.split("=", 1) for line in report.read_text().splitlines() if "=" in line)
    # gunittest ends with 0 also where it found nothing to run.
    assert int(results["files_total"]) == len(_tests(tool)), results
    assert int(results["successes"]) > 0, results


def _outputs(work: Path) -> str:
    return "\n".join(p.read_text(errors="replace")[-3000:] for p in (work / "testreport").rglob("std*.txt"))
