"""A sweep that was killed and resumed is the uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.files.journal import Journal
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.sweep_encoded import sweep_encoded
from easyedit_split.types import Scores

from ..small import world
from .sweeps import CONCEPTS, same_table, two


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_resumed_sweep_is_the_uninterrupted_one(tmp_path: Path, after: int) -> None:
    here = world(pairs=CONCEPTS)
    artifact, path = two(here), tmp_path / "table.csv"
    calls: list[int] = []

    def further(table: pd.DataFrame) -> tuple[float, ...]:
        return (5.0,) if table.m1.max() < 5 else ()

    def scorer(*args: Any, limit: int, **kwargs: Any) -> Iterator[Scores]:
        for scores in scores_over_m(*args, **kwargs):
            if len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(1)
            yield scores

    def run(limit: int, **settings: Any) -> pd.DataFrame:
        calls.clear()
        return sweep_encoded(
            here.model, here.rows, artifact, (0.1, 1 / 3), next_points=further,
            scorer=lambda *args, **kwargs: scorer(*args, limit=limit, **kwargs), **settings,
        )  # fmt: skip

    whole = run(99)
    assert len(calls) == 6
    with pytest.raises(KeyboardInterrupt):
        run(after, journal=Journal.beside(path, {"run": 1}))
    same_table(run(99, journal=Journal.beside(path, {"run": 1})), whole)
    assert len(calls) == 6 - after  # what was finished is not scored again
    run(99, journal=Journal.beside(path, {"run": 2}))
    assert len(calls) == 6
