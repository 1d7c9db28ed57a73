"""Engine benchmark on real pairs: SmolLM2 and twelve random Gemma-2 blocks, against the reference scorer and EasyEdit2.

EasyEdit2 takes part where EASYEDIT_HOME names a clone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine_cases import TWELVE_BLOCKS, Case, on_texts_of, smollm2_cases
from engine_easyedit import TWO, EasyEdit, NotHere
from engine_rows import Row, Timing, job_row, means_row, step_row, sweep_row

BATCH = 4
"""Pairs of a training step, as in EasyEdit2's files."""


def smollm2_rows(data: Path, quick: bool, timing: Timing, measured: dict[str, Any]) -> Iterator[Callable[[], Row]]:
    """Rows to measure, dataset by dataset.

    Args:
        data: folder of the datasets' files.
        quick: fewer pairs.
        timing: how long to measure a row.
        measured: the file's contents; whole jobs are made of its rows, and notes are put into it.
    """
    pairs = {"psychopathy": 4, "powerseeking": 4} if quick else {"psychopathy": 16, "powerseeking": 6}
    cases, tokenizer = smollm2_cases(data, pairs)
    host: EasyEdit | None = None
    for case in cases.values():
        try:
            host = EasyEdit(case, tokenizer)
        except NotHere as reason:
            measured["notes"] += [str(reason)] if str(reason) not in measured["notes"] else []
        yield from _of_dataset(case, host, timing, measured)
    if host is None:
        return
    gemma = on_texts_of(cases["powerseeking"], TWELVE_BLOCKS[0])
    host = EasyEdit(gemma, tokenizer)
    yield lambda: step_row(gemma, "vector", BATCH, timing, others=[host.step("easyedit", BATCH)])


def _of_dataset(
    case: Case, host: EasyEdit | None, timing: Timing, measured: dict[str, Any]
) -> Iterator[Callable[[], Row]]:
    both = case.name.endswith("psychopathy")  # EasyEdit2's second preference pair is measured on the short texts alone
    points = {host.point("easyedit", BATCH): BATCH} if host else {}
    if host and both:
        points[host.point("easyedit_two", BATCH, TWO)] = BATCH
    yield lambda: sweep_row(case, "vector", 1, timing, others=points)
    one = [host.step("easyedit", BATCH)] if host else []
    yield lambda: step_row(case, "vector", BATCH, timing, others=one)
    yield lambda: job_row(*_last(measured, case, "step", "sweep"))
    if both:
        two = [host.step("easyedit_two", BATCH, TWO)] if host else []
        yield lambda: step_row(case, "vector", BATCH, timing, directions=2, others=two)
        yield lambda: job_row(*_last(measured, case, "step", "sweep"))
        yield lambda: means_row(case, timing)


def _last(measured: dict[str, Any], case: Case, *parts: str) -> list[Row]:
    """The last measured row of each part for a case."""
    found = [row for row in measured["rows"] if row["case"] == case.name]
    return [next(row for row in reversed(found) if row["part"] == part) for part in parts]
