"""A sweep of many concepts taken apart: a curve for each concept, so that each gets an m of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..sweep_curves import SweepCurve, curves_of
from ..sweep_table import read_sweep
from ..types import DataError


def read_concept_curves(paths: Sequence[str | Path]) -> list[SweepCurve]:
    """Read a curve for each concept of several sweep files, in order of first appearance.

    Args:
        paths: .parquet, .csv or .json files.

    Raises:
        DataError: a table without concepts; or as ``curves_of``.
    """
    found = []
    for path in paths:
        table = read_sweep(path)
        if "concept" not in table.columns or not table["concept"].astype("string").fillna("").ne("").any():
            raise DataError(f"{path}: names no concept, so there is no curve for each: leave --each-concept out")
        for concept, rows in table.groupby(table["concept"].astype("string").fillna(""), sort=False):
            for curve in curves_of(rows.reset_index(drop=True), str(path)):
                key = replace(curve.key, dataset=f"{curve.key.dataset}: {concept}")
                found.append(replace(curve, key=key, concept=str(concept)))
    return found
