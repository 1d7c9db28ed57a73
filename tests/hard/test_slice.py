"""A slice of ``make hard``: hostile files of every kind end in a sentence or in what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import artifacts, folders, imported, tables
from .tally import Tally, run_here

CASES = {
    "artifacts": (artifacts.case, 25),
    "sweep tables": (tables.table_case, 25),
    "bits": (tables.bit_case, 10),
    "data files": (tables.data_case, 25),
    "YAML": (tables.yaml_case, 25),
    "npz": (tables.npz_case, 20),
    "journals": (tables.journal_case, 12),
    "vectors": (folders.vector_case, 20),
    "other tools": (imported.case, 20),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_slice_of_hostile_files(kind: str, tmp_path: Path) -> None:
    case, count = CASES[kind]
    tally = run_here(kind, case, range(1_000_000, 1_000_000 + count), tmp_path)
    assert tally.bad == 0, tally.examples
    assert tally.counts.get("long", 0) <= 1, tally.examples
    assert tally.tried == count


def test_control_wrong_and_broken_are_counted(tmp_path: Path) -> None:
    def wrong(seed: int, folder: Path) -> str:
        return "wrong"

    def broken(seed: int, folder: Path) -> str:
        raise KeyError(seed)

    found: list[Tally] = [run_here("control", case, range(2), tmp_path) for case in (wrong, broken)]
    assert [tally.counts for tally in found] == [{"wrong": 2}, {"traceback": 2}]
    assert all(tally.bad == 2 for tally in found)
