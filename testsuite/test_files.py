"""Where files and folders are written: symbolic links, and places that cannot be written."""

from pathlib import Path

import pytest

from imperviouslib.core.errors import InputError
from imperviouslib.core.mapnames import LONGEST_PREFIX, check_prefix
from imperviouslib.edge.files import atomic_folder, atomic_write, check_place


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    """Results often lie on another disk, behind a link."""
    (tmp_path / "disk" / "table").mkdir(parents=True)
    (tmp_path / "disk" / "table" / "old").write_text("old")
    (tmp_path / "home").mkdir()
    link = tmp_path / "home" / "table"
    link.symlink_to(tmp_path / "disk" / "table")
    with atomic_folder(link) as part:
        (part / "new").write_text("new")
        assert part.parent == tmp_path / "disk"
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "disk" / "table").iterdir()] == ["new"]
    assert [path.name for path in (*(tmp_path / "home").iterdir(), *(tmp_path / "disk").iterdir())] == ["table"] * 2


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "disk" / "real.json")
    with atomic_write(tmp_path / "link.json") as part:
        part.write_text("new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "disk" / "real.json").read_text() == "new"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.json"]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    check_place(tmp_path / "x.nc", "output", file=True)
    check_place(tmp_path, "output")
    with pytest.raises(
        InputError, match=rf"Option <output>, '{tmp_path}': found a folder, expected the name of a file"
    ):
        check_place(tmp_path, "output", file=True)


def test_a_link_into_nothing_is_judged_by_where_it_leads(tmp_path):
    (tmp_path / "a_file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a_file" / "table")
    with pytest.raises(InputError, match=rf"Option <output>, '{tmp_path}/a_file': found a file"):
        check_place(tmp_path / "link", "output")


def test_a_prefix_leaves_room_for_the_rest_of_a_name():
    check_prefix("x" * LONGEST_PREFIX, "prefix")
    with pytest.raises(InputError, match=r"Option <prefix>: found 151 characters, expected 150 or fewer"):
        check_prefix("x" * 151, "prefix")


def test_a_place_that_takes_no_files_is_refused_before_any_work(tmp_path):
    """The superuser may write everywhere, but in /proc no file can be made."""
    with pytest.raises(InputError, match=r"Option <output>, '/proc': found .*, expected a folder to write in"):
        check_place(Path("/proc/table"), "output")
    check_place(tmp_path / "new" / "table", "output")
    assert not [*tmp_path.iterdir()]
