"""Places as they are: files with a byte order mark, legends with signs, locales, apostrophes, and file systems without locks."""

import fcntl
import locale
import os
import subprocess
import sys

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperviouslib.core.errors import ArdError, InputError, LegendError
from imperviouslib.core.legend import parse_legend
from imperviouslib.edge.ardfile.contract import open_hdf5
from imperviouslib.edge.files import read_text
from testsuite import TOP


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_of_a_user_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "legend.txt"
    path.write_text("62 1 Künstlich\r\n-9999 nodata\r\n", encoding=encoding)
    legend = parse_legend(read_text(path, "Legend file"), "mine")
    assert legend.codes == {62: 1, -9999: 0}
    assert legend.titles == {62: "Künstlich"}


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"62 1 K\xfcnstlich", b"\xff"])
def test_a_text_in_another_encoding_is_refused(tmp_path, content):
    (tmp_path / "legend.txt").write_bytes(content)
    with pytest.raises(InputError, match="is not text in UTF-8"):
        read_text(tmp_path / "legend.txt", "Legend file")


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("-9999 nodata", {-9999: 0}), ("-9999 = NULL", {-9999: 0}), ("-1 0", {-1: 0}), ("-2 thru 1 = 3", {-2: 3, -1: 3, 0: 3, 1: 3}),
        ("-5 -4 7 = 1 Sealed", {-5: 1, -4: 1, 7: 1}), ("-32768 0 no data", {-32768: 0}),
        ("--1 0", None), ("- 1", None), ("1- 0", None), ("1 -1", None), ("\u00b2 1", None), ("1 \u00b9", None), ("1 thru 99999999 = 1", None),
        ("99999999999999999999 1", None), ("1.5 1", None), ("+1 1", None),
    ],
)  # fmt: skip
def test_a_code_may_have_a_sign(line, codes):
    if codes is None:
        with pytest.raises(LegendError, match="line 1: found"):
            parse_legend(line, "mine")
    else:
        assert parse_legend(line, "mine").codes == codes


@given(st.dictionaries(st.integers(-40000, 70000), st.integers(0, 4), min_size=1, max_size=8))
def test_a_legend_is_read_as_its_rules_are_written(codes):
    legend = parse_legend("\n".join(f"{code} {target}" for code, target in codes.items()), "mine")
    assert parse_legend(legend.rules(), "again").codes == legend.codes == codes


@given(st.text(alphabet="0123456789 -=#thrunodataNULL\n\t*\u00b2", max_size=40))
def test_any_text_is_a_legend_or_refused_in_one_line(text):
    try:
        parse_legend(text, "mine")
    except LegendError as err:
        assert "\n" not in str(err)


# HDF5. A file that another process holds locked is what HDF5 meets on a file system without locks: its lock fails.


@pytest.fixture
def locked(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 5
    with path.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield path


@pytest.mark.parametrize(("before", "variable"), [("", "TRUE"), ("", "BEST_EFFORT"), ("import h5py", None)])
def test_a_sound_file_is_opened_without_a_lock(locked, before, variable):
    """HDF5 reads the variable when it is loaded, so each case is a process of its own; in the last one HDF5 is loaded by the program that uses the library."""
    env = {key: value for key, value in os.environ.items() if key != "HDF5_USE_FILE_LOCKING"}
    if variable:
        env["HDF5_USE_FILE_LOCKING"] = variable
    lines = [
        before,
        "import sys",
        "from pathlib import Path",
        "from imperviouslib.edge.ardfile.contract import open_hdf5",
    ]
    lines += ["print(open_hdf5(Path(sys.argv[1]))['x'][()])"]
    words = [sys.executable, "-c", "\n".join(lines), str(locked)]
    done = subprocess.run(words, cwd=TOP, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


@pytest.mark.parametrize("number", [13, 5, 37, 116])
def test_an_error_of_the_file_system_is_named_and_is_no_damage(tmp_path, monkeypatch, number):
    path = tmp_path / "a.h5"
    path.touch()

    def fail(*_args, **_keys):
        raise OSError(number, "unable to open")

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(
        ArdError, match=r"found an error of the file system \(.*\).* need not be written again"
    ) as caught:
        open_hdf5(path)
    assert os.strerror(number) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"CDF\x01", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_no_hdf5_file_is_said_to_be_none(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(ArdError, match="is not a complete HDF5 file"):
        open_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LANG": "C"}, {"LC_ALL": "POSIX"}, {}, {"LC_ALL": "C.UTF-8"}])
def test_tables_are_read_as_utf8_whatever_the_locale(monkeypatch, variables):
    from imperviouslib.edge.tool import use_utf8

    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    # Restored at the end of the test.
    for name in ("LC_CTYPE", "LC_MESSAGES", "LC_TIME", "LC_COLLATE"):
        monkeypatch.setenv(name, "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, variables.get("LC_ALL", "C"))
        use_utf8()
        assert locale.nl_langinfo(locale.CODESET) == "UTF-8"
        # Tools that are started read the variables.
        found = os.environ.get("LC_ALL") or os.environ["LC_CTYPE"]
        assert found.endswith("UTF-8")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.parametrize("name", ["L'Aquila", "a';DROP TABLE x;--", "it''s", "line\nbreak", "Val d’Aosta", "tab\t"])
def test_titles_end_no_sql_statement(name):
    from imperviouslib.edge.grass.temporal import sql_text

    assert "'" not in sql_text(f"Scenes in {name}")
    assert sql_text(name).isprintable()


@pytest.mark.parametrize("kind", ["tool", "input"])
def test_maps_that_cannot_be_registered_are_complete_all_the_same(monkeypatch, kind):
    """As with the temporal database of another version of GRASS, which its tools refuse."""
    from grass.exceptions import CalledModuleError

    from imperviouslib.edge.grass import temporal

    told = []

    def fail(*_args):
        if kind == "tool":
            raise CalledModuleError("t.list", "t.list type=strds", 1, "ERROR: Unsupported version\nof the database")
        raise InputError("The temporal database was not updated", then="Run the same command again.")

    monkeypatch.setattr(temporal, "register", fail)
    monkeypatch.setattr(temporal, "warning", told.append)
    temporal.register_finished("lc", "Title", ["lc_2017_class|2017-01-01"])
    assert len(told) == 1 and "The maps are complete, but are not registered in space-time dataset <lc>" in told[0]
    assert told[0].isprintable()
