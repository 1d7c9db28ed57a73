"""A slice of ``make hard``: hostile files of every kind end in a sentence or in what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from . import artifacts, folders, imported, tables
from .__main__ import Asked, kept, together
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


@pytest.mark.long
def test_a_slice_of_kills_writers_and_full_disks(tmp_path: Path) -> None:
    """In a process of its own, since one that took gradients cannot be forked."""
    line = [sys.executable, "-m", "tests.hard", "--share", "0.01", "--only", "SIGKILLs|writers|disks|file systems"]
    here = Path(__file__).parents[2]
    ended = subprocess.run([*line, "--state", tmp_path], capture_output=True, text=True, check=True, cwd=here)
    found = [Tally(**json.loads(path.read_text())) for path in tmp_path.iterdir()]
    assert {"SIGKILLs", "pairs of writers", "disks full at each change"} <= {tally.kind for tally in found}
    for tally in found:
        assert tally.counts == {"equal": tally.tried}, tally.examples
        assert tally.tried == 6
    again = subprocess.run([*line, "--state", tmp_path], capture_output=True, text=True, check=True, cwd=here)
    assert again.stdout.splitlines()[-3:] == ended.stdout.splitlines()[-3:]
    assert " s\n" not in again.stdout, "what is finished is not run again"


def test_parts_are_all_of_it_and_are_added_up(tmp_path: Path) -> None:
    whole = Asked(0.1, 1, 1).seeds(1000)
    parts = [seed for part in (1, 2, 3) for seed in Asked(0.1, part, 3).seeds(1000)]
    assert [*whole] == parts == [*range(100)]
    for part in (1, 2, 3):
        path = kept(tmp_path, Asked(0.1, part, 3), "a kind's")
        assert path is not None
        path.write_text(json.dumps({"kind": "x", "tried": part, "counts": {"equal": part}, "examples": [str(part)]}))
    other = kept(tmp_path, Asked(0.1, 1, 2), "a kind's")
    assert other is not None
    other.write_text(json.dumps({"kind": "x", "tried": 5, "counts": {"wrong": 5}, "examples": []}))
    found = together(tmp_path, Asked(0.1, 1, 1), "a kind's")
    assert (found.tried, found.counts, found.examples) == (6, {"equal": 6}, ["1", "2", "3"])
    assert together(tmp_path, Asked(1.0, 1, 1), "a kind's").tried == 0, "control: another share is another run"
