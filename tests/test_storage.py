"""Files that appear whole, and folders that take their place at once and keep what else was in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from easyedit_split import storage
from easyedit_split.files.journal import Journal
from easyedit_split.storage import StorageError, new_folder, write_whole

KEY = {"model": "tiny", "m": [1.0, 0.1]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "result"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
        assert temporary.parent == target.parent  # a move within one file system
    assert names(target) == ["a"]
    assert names(target.parent) == ["result"]


def test_where_nothing_can_be_put_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_text("1")
    with pytest.raises(StorageError, match=r"file/x cannot be written \(.*\): choose another place"):
        write_whole(tmp_path / "file" / "x", write_to("1"))
    with pytest.raises(StorageError, match="folder cannot be written"):
        write_whole(tmp_path / "folder", write_to("1"))
    with pytest.raises(StorageError, match="file/x cannot be written"), new_folder(tmp_path / "file" / "x"):
        pass
    with pytest.raises(StorageError, match=r"x\.journal cannot be written"):
        Journal.beside(tmp_path / "file" / "x", KEY).append({})
    (tmp_path / ".y.journal").mkdir()
    with pytest.raises(StorageError, match=r"\.y\.journal cannot be read"):
        Journal.beside(tmp_path / "y", KEY)
    assert names(tmp_path) == [".y.journal", "file", "folder"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_folder(tmp_path / "result") as temporary:
        (temporary / "a").write_text("1")
        raise error
    assert names(tmp_path) == []


def test_an_existing_folder_is_replaced_whole_or_kept_whole(tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(ValueError, match="half"), new_folder(target) as temporary:
        (temporary / "new").write_text("new")
        raise ValueError("half")
    assert names(target) == ["old"]
    with new_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["result"]


def test_a_failed_move_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real, moves = tmp_path / "result", os.rename, iter(range(9))
    target.mkdir()
    (target / "old").write_text("old")

    def rename(source: Any, to: Any) -> None:
        if next(moves) == 1:
            raise OSError("disk full")
        real(source, to)

    monkeypatch.setattr(storage, "_exchanged_at_once", lambda a, b: False)  # as on a file system that cannot
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StorageError, match=r"result cannot be written \(disk full\)"), new_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert names(target) == ["old"]
    assert names(tmp_path) == ["result"]


def test_folders_and_files_have_the_modes_of_ordinary_ones(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with new_folder(tmp_path / "result") as temporary:
            write_whole(temporary / "a", write_to("1"))
        (tmp_path / "plain").mkdir()
        (tmp_path / "plain" / "a").write_text("1")
    finally:
        os.umask(before)
    for name in ("", "a"):
        assert (tmp_path / "result" / name).stat().st_mode == (tmp_path / "plain" / name).stat().st_mode


# --- files ---------------------------------------------------------------------------------------------------------


def write_to(text: str, fail: bool = False) -> Any:
    def write(path: Path) -> None:
        path.write_text(text)
        if fail:
            raise ValueError("half")

    return write


def test_a_file_appears_whole_or_the_old_one_stays(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "table.csv"
    write_whole(target, write_to("old"))
    with pytest.raises(ValueError, match="half"):
        write_whole(target, write_to("ne", fail=True))
    assert target.read_text() == "old"
    write_whole(target, write_to("new"))
    assert target.read_text() == "new"
    assert names(target.parent) == ["table.csv"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(to: Path) -> None:
        seen.append(to)
        to.write_text("x")

    write_whole(tmp_path / "table.parquet", write)
    assert seen[0].suffix == ".parquet"
    assert seen[0].name != "table.parquet"


# --- what a folder held besides, and what a kill left ----------------------------------------------------------------


def an_artifact(folder: Path, text: str) -> None:
    with storage.new_folder(folder, own=("a", "gone")) as temporary:
        (temporary / "a").write_text(text)


@pytest.mark.parametrize("able", [True, False])
def test_only_the_own_files_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    if not able:
        monkeypatch.setattr(storage, "_exchanged_at_once", lambda a, b: False)
    target = tmp_path / "result"
    an_artifact(target, "old")
    (target / "gone").write_text("own, and not written again")
    (target / "notes.md").write_text("mine")
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_text("main")
    inode = (target / "notes.md").stat().st_ino
    an_artifact(target, "new")
    assert names(target) == [".git", "a", "notes.md"]
    assert (target / "a").read_text() == "new"
    assert (target / ".git" / "HEAD").read_text() == "main"
    assert (target / "notes.md").stat().st_ino == inode
    assert names(tmp_path) == ["result"]


def test_a_kill_between_the_two_renames_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    target, real, moves = tmp_path / "result", os.rename, iter(range(9))
    an_artifact(target, "old")

    def rename(source: Any, to: Any) -> None:
        if next(moves) >= 1:
            raise Killed
        real(source, to)

    monkeypatch.setattr(storage, "_exchanged_at_once", lambda a, b: False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(Killed):
        an_artifact(target, "new")
    monkeypatch.setattr(os, "rename", real)
    assert not target.exists()
    assert storage.recover(target)
    assert (target / "a").read_text() == "old"
    assert not storage.recover(target), "there is nothing more to mend"


def test_leftovers_of_killed_writers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    beside = (target, *(tmp_path / f".table.csv.{kind}" for kind in ("journal", "checkpoint")))
    for path in beside:
        storage.unused(path).write_text("half")
    of_a_rank = storage.unused(tmp_path / ".table.csv.1.journal")  # another process may be writing it
    foreign = (storage.unused(tmp_path / ".table.csv.gz.journal"), storage.unused(tmp_path / "other.csv"))
    kept = (target, tmp_path / ".table.csv.journal", tmp_path / ".table.notes.csv", of_a_rank, *foreign)
    for path in kept:
        path.write_text("keep")
    storage.clear_leftovers(target)
    assert names(tmp_path) == sorted(path.name for path in kept)


def test_a_folder_that_was_moved_aside_stays_but_where_all_is_the_packages_own(tmp_path: Path) -> None:
    (old := tmp_path / ".result.0123456789ab.old").mkdir()
    (old / "notes.txt").write_text("a user's")
    (tmp_path / "result").mkdir()  # made anew by hand, before anything could put the old one back
    storage.clear_leftovers(tmp_path / "result")
    assert (old / "notes.txt").is_file()
    storage.clear_all_leftovers(tmp_path)
    assert names(tmp_path) == ["result"]


def test_where_others_write_only_what_is_old_is_cleared(tmp_path: Path) -> None:
    old, new = storage.unused(tmp_path / "old"), storage.unused(tmp_path / "new")
    for path in (old, new):
        path.mkdir()
    os.utime(old, (0, 0))
    storage.clear_all_leftovers(tmp_path, older=60.0)
    assert names(tmp_path) == [new.name]
    storage.clear_all_leftovers(tmp_path)
    assert names(tmp_path) == []
