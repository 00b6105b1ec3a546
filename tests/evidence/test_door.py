"""The door: what a stranger's path may be, and that what is written is whole or not there."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from h5diag.errors import InputError
from h5diag.evidence import door
from h5diag.evidence.door import read_evidence, walk_evidence, write_whole
from h5diag.limits import FOLDER_DEPTH, FOLDER_FILES, KEY, TEXT, Limit

SMALL = Limit("a small thing", 100, "make it smaller")


def test_a_file_comes_with_its_name_size_and_hash(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc" * 30)
    found = read_evidence(tmp_path / "a.bin", limit=SMALL)
    assert (found.name, found.size, found.data) == ("a.bin", 90, b"abc" * 30)
    assert found.sha256 == hashlib.sha256(b"abc" * 30).hexdigest()
    assert "abcabc" not in repr(found)


def test_a_file_at_its_limit_is_taken_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert read_evidence(tmp_path / "a", limit=SMALL).size == 100
    (tmp_path / "a").write_bytes(bytes(101))
    with pytest.raises(InputError, match=r"a small thing \(101 bytes; 100 bytes at most\); make it smaller"):
        read_evidence(tmp_path / "a", limit=SMALL)


def test_a_file_that_was_opened_is_not_opened_again(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    found = read_evidence(tmp_path / "a", limit=TEXT)
    (tmp_path / "a").unlink()
    assert read_evidence(found, limit=SMALL) is found
    with pytest.raises(InputError, match="too large"):
        read_evidence(found, limit=Limit("a tiny thing", 99, ""))


def test_a_file_that_lies_about_its_size_is_still_bounded():
    # The system invents this file: it says that it has no bytes, and holds some.
    path = Path("/proc/self/maps")
    if not path.exists():
        pytest.skip("needs /proc")
    with pytest.raises(InputError, match="too large"):
        read_evidence(path, limit=SMALL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.json: is a pipe, no regular file"):
        read_evidence(tmp_path / "a.json", limit=TEXT)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_is_refused_also_through_a_link(tmp_path):
    (tmp_path / "a.bin").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        read_evidence(tmp_path / "a.bin", limit=TEXT)


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_followed(tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    (tmp_path / "secret.pem").write_text("secret")
    (case / "in.txt").write_text("inside")
    (case / "out.pem").symlink_to(tmp_path / "secret.pem")
    (case / "again.txt").symlink_to("in.txt")
    with pytest.raises(InputError, match=r"out\.pem: is a link that leaves the case folder; copy"):
        read_evidence(case / "out.pem", limit=KEY, inside=case)
    with pytest.raises(InputError, match="lies outside"):
        read_evidence(case / ".." / "secret.pem", limit=KEY, inside=case)
    assert read_evidence(case / "again.txt", limit=TEXT, inside=case).data == b"inside"
    assert read_evidence(case / "out.pem", limit=KEY).data == b"secret"  # what the person named is followed


@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="no folders as descriptors on this system")
@pytest.mark.parametrize("swapped", ["file", "folder", "folder above"])
def test_a_link_that_is_put_in_the_way_after_the_look_is_not_followed(tmp_path, monkeypatch, swapped):
    """A folder that somebody else writes into can change between the look at a path and its opening."""
    case, secret = tmp_path / "case", tmp_path / "home" / "below"
    for folder in (case / "sub" / "below", secret):
        folder.mkdir(parents=True)
        (folder / "a.pem").write_bytes(b"secret" if folder == secret else b"harmless")
    at = {
        "file": (case / "sub" / "below" / "a.pem", secret / "a.pem"),
        "folder": (case / "sub" / "below", secret),
        "folder above": (case / "sub", secret.parent),
    }[swapped]
    looked, opened = door._real, []

    def look_and_swap(path, inside):
        real = looked(path, inside)
        at[0].rename(tmp_path / "away")
        at[0].symlink_to(at[1])
        opened.append(real)
        return real

    path = case / "sub" / "below" / "a.pem"
    assert read_evidence(path, limit=KEY, inside=case).data == b"harmless"
    monkeypatch.setattr(door, "_real", look_and_swap)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(InputError, match=r"a\.pem: cannot be read \("):
        read_evidence(path, limit=KEY, inside=case)
    assert opened
    if before:
        assert len(os.listdir("/proc/self/fd")) == len(before)  # every folder that was opened is closed again


@pytest.mark.parametrize("kind", ["absent", "folder", "empty", "circle", "nul", "long"])
def test_what_is_no_evidence_is_told_in_one_line(tmp_path, kind):
    path = {"nul": tmp_path / "a\0b", "long": tmp_path / ("x" * 5000)}.get(kind, tmp_path / kind)
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "circle":
        path.symlink_to(path)
    for inside in (None, tmp_path):
        with pytest.raises(InputError) as caught:
            read_evidence(path, limit=TEXT, inside=inside)
        assert "\n" not in str(caught.value)
        assert caught.value.source


def test_a_folder_is_walked_without_hidden_files_other_cases_and_links_to_folders(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.txt").write_text("2")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "case.toml").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [p.relative_to(tmp_path).as_posix() for p in walk_evidence(tmp_path)]
    assert found == ["a.txt", "b/2.txt"]


def test_a_folder_of_too_many_files_is_refused(tmp_path):
    for i in range(FOLDER_FILES + 1):
        (tmp_path / str(i)).touch()
    with pytest.raises(InputError, match="no evidence of a case"):
        list(walk_evidence(tmp_path))


def test_folders_without_end_in_each_other_are_refused(tmp_path):
    deep = tmp_path.joinpath(*["n"] * FOLDER_DEPTH)
    deep.mkdir(parents=True)
    (deep / "log.txt").touch()
    assert list(walk_evidence(tmp_path)) == [deep / "log.txt"]
    (deep / "n").mkdir()
    with pytest.raises(InputError, match="no evidence of a case"):
        list(walk_evidence(tmp_path))


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(InputError, match="absent: cannot be listed"):
        list(walk_evidence(tmp_path / "absent"))


def test_a_write_that_fails_leaves_the_older_file_and_nothing_beside(tmp_path, monkeypatch):
    good = write_whole(tmp_path / "report.html", "the good one")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"report\.html: cannot be written \(No space left on device\)"):
        write_whole(good, "half of a new one")
    assert good.read_text() == "the good one"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_new_file_gets_the_usual_mode_and_a_private_one_its_own(tmp_path):
    (tmp_path / "usual").touch()
    usual = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    assert stat.S_IMODE(write_whole(tmp_path / "a", b"1").stat().st_mode) == usual
    assert stat.S_IMODE(write_whole(tmp_path / "k", b"1", private=True).stat().st_mode) == 0o600


def test_a_new_file_replaces_nothing_when_told_so(tmp_path):
    write_whole(tmp_path / "a", b"1", new=True)
    with pytest.raises(InputError, match="is there already"):
        write_whole(tmp_path / "a", b"2", new=True)
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path):
    (tmp_path / "profile").write_text("mine")
    (tmp_path / "report.md").symlink_to(tmp_path / "profile")
    write_whole(tmp_path / "report.md", "report")
    assert (tmp_path / "profile").read_text() == "mine"
    assert (tmp_path / "report.md").read_text() == "report"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_is_written_to_and_stays_a_device():
    write_whole("/dev/null", b"1")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(InputError, match="No space left"):
        write_whole("/dev/full", b"1")
