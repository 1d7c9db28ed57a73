"""Journals of killed runs: gone on with by the very same run, and never where they were damaged."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.files.journal import Journal, journal_of
from easyedit_split.storage import StorageError, unused

KEY = {"model": "tiny", "m": [1.0, 0.1]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
    assert [json.loads(line[17:]) for line in path.read_text().splitlines()] == [KEY, {"part": 0}]


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


# --- damaged journals ------------------------------------------------------------------------------------------------


def test_one_flipped_bit_anywhere_is_never_taken_for_a_part(tmp_path: Path) -> None:
    path = filled(tmp_path)
    whole, before = path.read_bytes(), journal(tmp_path).records
    for place in range(len(whole)):
        path.write_bytes(bytes([*whole[:place], whole[place] ^ 1, *whole[place + 1 :]]))
        found = journal(tmp_path).records
        assert found == before[: len(found)]
        assert len(found) < 3 or place == len(whole) - 1


@pytest.mark.parametrize("order", [(0, 1, 1, 2, 3), (0, 2, 1, 3), (0, 1, 3)], ids=["doubled", "swapped", "lost"])
def test_a_doubled_moved_or_lost_line_ends_the_journal(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = filled(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[i] for i in order))
    assert len(journal(tmp_path).records) == next(k for k, i in enumerate(order) if i != k) - 1


def test_a_third_run_keeps_the_journals_of_both_before_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(3):
        journal(tmp_path, {**KEY, "seed": seed}).append({"part": 0})
    assert names(tmp_path) == [".table.csv.journal", ".table.csv.journal.old", ".table.csv.journal.old.2"]
    assert "(seed)" in caplog.text


def test_a_full_disk_leaves_the_parts_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = journal(tmp_path)
    begun.append({"part": 0})
    real = os.fsync

    def full(opened: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        begun.append({"part": 1})
    monkeypatch.setattr(os, "fsync", real)
    begun.append({"part": 1})
    assert [record["part"] for record in journal(tmp_path).records] == [0, 1]


def test_what_killed_writers_of_journals_left_goes_with_the_finished_run(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for rank in (0, 1, 12):  # of processes that this run does not have
        unused(journal_of(table, rank)).write_text("half", "utf-8")
    (foreign := unused(journal_of(tmp_path / "other.csv"))).write_text("half", "utf-8")
    begun = journal(tmp_path)
    begun.append({"part": 0})
    assert sum(name.endswith(".new.journal") for name in names(tmp_path)) == 3, "its own is cleared when it begins"
    begun.finish()
    assert names(tmp_path) == [foreign.name]
