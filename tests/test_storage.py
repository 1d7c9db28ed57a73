"""Files that appear whole, folders that take their place at once, and journals of killed runs."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.storage import Journal, StorageError, new_folder, write_whole

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


# --- journals ------------------------------------------------------------------------------------------------------


def journal(tmp_path: Path, key: Any = KEY) -> Journal:
    return Journal.beside(tmp_path / "table.csv", key)


def filled(tmp_path: Path) -> Path:
    begun = journal(tmp_path)
    for part in range(3):
        begun.append({"part": part, "L": 0.1 + part})
    return begun.path


def test_a_journal_is_gone_on_with_and_removed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert path.name == ".table.csv.journal"
    again = journal(tmp_path)
    assert again.records == [{"part": part, "L": 0.1 + part} for part in range(3)]
    again.append({"part": 3})
    assert len(journal(tmp_path).records) == 4
    again.finish()
    again.finish()
    assert names(tmp_path) == []
    assert journal(tmp_path).records == []


@pytest.mark.parametrize("lost", [1, 5, 17])
def test_a_torn_last_line_is_forgotten(tmp_path: Path, lost: int) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[: -1 - lost])
    again = journal(tmp_path)
    assert [record["part"] for record in again.records] == [0, 1]
    again.append({"part": 2, "L": 2.1})
    assert [record["part"] for record in journal(tmp_path).records] == [0, 1, 2]


def test_control_a_lost_line_break_loses_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    again = journal(tmp_path)
    again.append({"part": 3})
    assert [record["part"] for record in journal(tmp_path).records] == [0, 1, 2, 3]


@pytest.mark.parametrize("broken", ["", '{"part": 1, "L"', "\x00" * 20])
def test_what_follows_a_broken_line_is_done_again(tmp_path: Path, broken: str) -> None:
    """A part in the middle that cannot be read: what was written after it is not trusted."""
    path = filled(tmp_path)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:2], broken, *lines[3:]]))
    again = journal(tmp_path)
    assert [record["part"] for record in again.records] == [0]
    again.append({"part": 1, "L": 1.1})
    assert [record["part"] for record in journal(tmp_path).records] == [0, 1]


def test_a_torn_character_is_no_crash(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with path.open("ab") as file:
        file.write('{"text": "é'.encode()[:-1])
    assert len(journal(tmp_path).records) == 3


def test_a_torn_first_line_starts_anew(tmp_path: Path) -> None:
    path = journal(tmp_path).path
    path.write_text('{"model": "ti')
    again = journal(tmp_path)
    assert again.records == []
    again.append({"part": 0})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [KEY, {"part": 0}]


OTHERS = pytest.mark.parametrize("other", [{"model": "tiny", "m": [1.0, 0.2]}, {"model": "tiny"}, {**KEY, "seed": 1}])


@OTHERS
def test_another_fingerprint_starts_anew_and_keeps_the_old_one(
    tmp_path: Path, other: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path)
    before = path.read_text()
    with caplog.at_level(logging.WARNING):
        begun = journal(tmp_path, other)
        assert begun.records == []
        begun.append({"part": 0})
    assert "other settings" in caplog.text
    assert path.with_name(path.name + ".old").read_text() == before
    assert journal(tmp_path, other).records == [{"part": 0}]


@OTHERS
def test_a_run_that_finishes_no_part_leaves_another_ones_journal(tmp_path: Path, other: dict[str, Any]) -> None:
    before = filled(tmp_path).read_text()
    begun = journal(tmp_path, other)
    assert not begun.holds_parts
    begun.finish()
    assert names(tmp_path) == [".table.csv.journal"]
    assert begun.path.read_text() == before
    assert len(journal(tmp_path).records) == 3


def test_nothing_is_written_before_the_first_part(tmp_path: Path) -> None:
    begun = Journal.beside(tmp_path / "new" / "table.csv", KEY)
    assert not begun.holds_parts
    begun.finish()
    assert names(tmp_path) == []
    begun.append({"part": 0})
    assert begun.holds_parts
    assert Journal.beside(tmp_path / "new" / "table.csv", KEY).holds_parts


def test_control_the_same_fingerprint_in_another_order_or_as_tuples(tmp_path: Path) -> None:
    filled(tmp_path)
    assert len(journal(tmp_path, {"m": (1.0, 0.1), "model": "tiny"}).records) == 3


def test_records_keep_every_bit_of_a_float(tmp_path: Path) -> None:
    value = 0.1 + 2**-54
    begun = journal(tmp_path)
    begun.append({"L": [value, 1e-310, float("inf")]})
    assert journal(tmp_path).records[0]["L"] == [value, 1e-310, float("inf")]
