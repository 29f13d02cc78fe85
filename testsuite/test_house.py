"""The project itself: locked packages, make targets, and that tests cannot leave this machine."""

import importlib.util
import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from testsuite import TOOLS, TOP


def _names(file):
    """Requirements of a file, by normalised name."""
    lines = [line.split("#")[0].strip() for line in (TOP / file).read_text().splitlines()]
    found = [re.match(r"[A-Za-z0-9._-]+", line)[0] for line in lines if line and not line.startswith("-")]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


@pytest.mark.parametrize("lock", ["lock/py311.txt", "lock/py313.txt"])
def test_lock_pins_every_requirement_and_names_no_server(lock):
    text = (TOP / lock).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.+!-]+", line) for line in lines)
    assert "://" not in text
    assert _names("requirements.txt") | _names("requirements-dev.txt") <= _names(lock)


def test_lock_holds_what_this_python_runs():
    version = "py{}{}".format(*sys.version_info[:2])
    pinned = dict(
        line.split("==") for line in (TOP / "lock" / f"{version}.txt").read_text().splitlines() if "==" in line
    )
    import h5py
    import numpy

    assert pinned["numpy"] == numpy.__version__
    assert pinned["h5py"] == h5py.__version__
    assert tuple(int(n) for n in pinned["h5py"].split(".")[:2]) < (3, 15)


def test_help_lists_every_target():
    shown = subprocess.run(["make", "-s"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (TOP / "dev.mk").read_text(), re.M)[1].split()
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("  make ")] == phony


def test_readme_names_the_two_commands_and_every_tool():
    text = (TOP / "README.md").read_text()
    assert all(word in text for word in ("make demo", "make test", *TOOLS))


def test_every_tool_has_script_page_rules_and_tests():
    for tool in TOOLS:
        script = TOP / tool / f"{tool}.py"
        assert script.stat().st_mode & 0o111, f"{script} is not executable"
        assert (TOP / tool / f"{tool}.html").is_file() and (TOP / tool / f"{tool}.md").is_file()
        assert f"PGM = {tool}\n" in (TOP / tool / "Makefile").read_text()


def test_manual_pages_carry_the_usual_parts():
    for tool in TOOLS:
        page = (TOP / tool / f"{tool}.md").read_text()
        parts = re.findall(r"^## (.+)$", page, re.M)
        assert [part for part in parts if part != "REFERENCES"] == [
            "DESCRIPTION",
            "NOTES",
            "EXAMPLE",
            "SEE ALSO",
            "AUTHORS",
        ], tool


def test_setup_says_nothing_and_does_nothing_where_nothing_is_missing():
    done = subprocess.run(
        [TOP / "tools" / "setup.sh", "-y", "demo"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_setup_refuses_an_unknown_word_in_one_line():
    done = subprocess.run(
        [TOP / "tools" / "setup.sh", "everything"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: Argument 'everything' is unknown. Use ") and done.stderr.count("\n") == 1


def test_install_refuses_an_unknown_tool_in_one_line():
    done = subprocess.run([TOP / "tools" / "install.sh", "r.nonsense"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"ERROR: Tool <r.nonsense> does not exist. TOOLS= takes: {' '.join(TOOLS)}.\n"


@pytest.mark.parametrize(("target", "variable"), [("judge", "RUN"), ("dashboard", "DATA")])
def test_target_asks_for_the_folder_that_it_needs(target, variable):
    done = subprocess.run(["make", "-s", target, f"{variable}="], cwd=TOP, capture_output=True, text=True)
    assert done.returncode and done.stderr.startswith(f"{variable}= is missing. Name the folder of a ")


def test_no_test_reaches_beyond_this_machine():
    with pytest.raises(PermissionError, match="expected 127"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(PermissionError):
        socket.getaddrinfo("example.org", 80)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://example.org/", timeout=1)


def test_programs_that_tests_start_do_not_reach_beyond_this_machine():
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "PermissionError" in done.stderr


def test_loopback_is_open():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname(), timeout=1):
            pass


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True), ("Apache Software License; MIT License", True), ("BSD-3-Clause AND 0BSD", True), ("GNU General Public License v3 or later (GPLv3+)", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", True), ("Other/Proprietary License", False), ("", False), ("UNKNOWN", False),
        ("MIT AND LicenseRef-Commercial", False), ("GNU Affero General Public License v3", False), ("AGPL-3.0-only", False), ("SSPL-1.0", False),
    ],
)  # fmt: skip
def test_a_licence_that_does_not_go_with_the_gpl_is_found(licence, allowed):
    assert load_program("licences").is_allowed(licence) is allowed


CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
OPEN = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.1"]}]}
UNKNOWN = {"name": "keras", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("entries", "status", "words"),
    [
        ([CLEAN], 0, "1 locked packages of py.txt have no known vulnerability"), ([CLEAN, OPEN], 1, "pillow 9.0 in py.txt has the known vulnerability PYSEC-1; mended in: 9.1"),
        ([CLEAN, UNKNOWN], 2, "1 packages of py.txt were not found in the database of vulnerabilities: keras"), ([OPEN, UNKNOWN], 1, "PYSEC-1"), ([], 2, "0 packages"),
    ],
)  # fmt: skip
def test_packages_that_nobody_looked_up_do_not_count_as_safe(entries, status, words):
    found, lines = load_program("audit").verdict({"py.txt": entries})
    assert found == status and words in "\n".join(lines)


def load_program(name):
    spec = importlib.util.spec_from_file_location(name, TOP / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
