"""The comparison at equal cost: preference and judged scores of all cells where each has paid the same.

    iso-utility   utility lost on the test pairs: nothing, a tenth and a quarter of |util(0)|                 nats
    iso-kl        KL per token on neutral prompts                                                             nats

Preference is gained on the test pairs; scores are those of the judged dev answers, between judged m in a straight line.
Behind each number stands how much less it is than SPLIT's of the same form, with the paired interval. Of several seeds
the mean is shown with the standard deviation over them; the interval is over pairs, of which every seed has the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...analysis import Collateral
from ...analysis.iso_cost import LEVEL, Costed, EqualCost, interpolated
from ...sweep_table import read_sweep
from ...types import FloatArray, IntArray
from .layout import SCORE
from .plan import PlannedData, Run, StudyPlan, runs_of
from .readers import read_judged

BoolArray: TypeAlias = npt.NDArray[np.bool_]
UTILITY_SHARES = (0.0, 0.1, 0.25)
KL_BUDGETS = (0.05, 0.25)
REFERENCE = "split"
COLUMNS = (
    "model", "dataset", "cost", "budget", "form", "method", "seeds", "m", "r", "at_end",
    "pref", "pref_low", "pref_high", "pref_sd", "pref_vs_split", "vs_low", "vs_high", "vs_sd",
)  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    """One run with what it gains and costs over m >= 0: ``[pairs k]`` each."""

    run: Run
    m: FloatArray
    gain: FloatArray
    lost: FloatArray
    kl: FloatArray
    concepts: IntArray
    r_per_m: float
    bare_utility: FloatArray

    def costed(self, cost: str, defined: BoolArray) -> Costed:
        """Gains and costs, by utility on the pairs for which it is defined in all cells, or by KL.

        Args:
            cost: ``utility`` or ``kl``.
            defined: ``[pairs]`` whether all cells define utility there.
        """
        if cost == "utility":
            return Costed(self.m, self.gain[defined], self.lost[defined], self.concepts[defined])
        known = len(self.kl)
        return Costed(self.m[:known], self.gain[:, :known], self.kl, self.concepts)


def iso_table(folder: Path, plan: StudyPlan, cost: str) -> pd.DataFrame:
    """All cells at equal cost, a row for each model, dataset, budget, form and method.

    Args:
        folder: the study's.
        plan: its plan.
        cost: ``utility`` or ``kl``.
    """
    rows: list[dict[str, Any]] = []
    for model in plan.models:
        for data in plan.datasets_of(model):
            mine = [run for run in runs_of(folder, plan) if (run.model, run.dataset) == (model, data.label)]
            cells = [_cell(run) for run in mine if _is_swept(run)]
            defined = np.logical_and.reduce([np.isfinite(cell.lost).all(1) for cell in cells]) if cells else None
            if defined is None or not defined.any():
                continue
            for budget in _budgets(cells, defined, cost):
                rows += _at(cells, data, cost, budget, defined)
    scores = list(dict.fromkeys(name for data in plan.datasets for name in data.scores))
    return pd.DataFrame(rows, columns=[*COLUMNS, *scores])


def verdict_table(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """How often each method gains more or less than SPLIT of the same form, by paired intervals; no cost of 0 counts.

    Args:
        frames: from ``iso_table``.

    Returns:
        A row for each model, cost, form and method: of how many datasets and budgets it is ``ahead``, ``behind`` or
        ``undecided``.
    """
    table = pd.concat(frames, ignore_index=True)
    table = table[(table["budget"] > 0) & table["pref_vs_split"].notna()]
    counted = table.assign(
        ahead=(table["vs_low"] > 0).astype(int),
        behind=(table["vs_high"] < 0).astype(int),
        undecided=((table["vs_low"] <= 0) & (table["vs_high"] >= 0)).astype(int),
    )
    keys = ["model", "cost", "form", "method"]
    return counted.groupby(keys, sort=False)[["ahead", "behind", "undecided"]].sum().reset_index()


def _is_swept(run: Run) -> bool:
    return not run.cell.baseline and run.paths.sweep("test").is_file() and run.paths.collateral.is_file()


def _budgets(cells: list[_Cell], defined: BoolArray, cost: str) -> tuple[float, ...]:
    if cost == "kl":
        return KL_BUDGETS
    bare = abs(float(cells[0].bare_utility[defined].mean()))
    return tuple(share * bare for share in UTILITY_SHARES)


def _cell(run: Run) -> _Cell:
    table = read_sweep(run.paths.sweep("test"))
    table = table[table["m1"] >= 0]
    pref, util = (table.pivot(index=["concept", "pair"], columns="m1", values=name) for name in ("pref", "util"))
    m, gain = pref.columns.to_numpy(dtype=np.float64), pref.to_numpy(dtype=np.float64)
    utility = util.to_numpy(dtype=np.float64)
    names = pref.index.get_level_values("concept").to_numpy(dtype=str)
    effects = Collateral.read(run.paths.collateral)
    kl = np.array([effects.kl_at(value) for value in m if value <= effects.m[-1]], dtype=np.float64)
    r = table["r"].to_numpy(dtype=np.float64) / table["m1"].replace(0.0, np.nan).to_numpy(dtype=np.float64)
    return _Cell(
        run,
        m,
        gain - gain[:, :1],
        utility[:, :1] - utility,
        kl,
        np.unique(names, return_inverse=True)[1].astype(np.int64),
        float(np.nanmedian(r)),
        utility[:, 0],
    )


def _at(
    cells: list[_Cell], data: PlannedData, cost: str, budget: float, defined: BoolArray
) -> Iterator[dict[str, Any]]:
    """Rows of one model and dataset at one budget."""
    equal = EqualCost({cell.run.name: cell.costed(cost, defined) for cell in cells}, budget)
    groups: dict[tuple[str, str], list[_Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.run.cell.form, cell.run.cell.method), []).append(cell)
    for (form, method), members in groups.items():
        found = [equal.of(cell.run.name) for cell in members]
        samples = _mean_samples(equal, members)
        rivals = groups.get((form, REFERENCE), [])
        row: dict[str, Any] = {
            "model": members[0].run.model,
            "dataset": data.label,
            "cost": cost,
            "budget": budget,
            "form": form,
            "method": method,
            "seeds": len(members),
            "m": float(np.mean([one.m for one in found])),
            "r": float(np.mean([one.m * cell.r_per_m for one, cell in zip(found, members, strict=True)])),
            "at_end": any(one.at_end for one in found),
            "pref": float(np.mean([one.gain for one in found])),
        }
        row |= dict(zip(("pref_low", "pref_high"), _ends(samples), strict=True))
        row["pref_sd"] = _spread([one.gain for one in found])
        if rivals and method != REFERENCE:
            row |= _versus(equal, members, rivals)
        yield row | _scores(members, [one.m for one in found], data)


def _versus(equal: EqualCost, members: list[_Cell], rivals: list[_Cell]) -> dict[str, float]:
    """How much more a method gains than SPLIT: seed by seed where both have several, else mean against mean.

    A seed that one of them lacks, because its training failed, is left out of both.
    """
    common = {cell.run.seed for cell in members} & {cell.run.seed for cell in rivals}
    if len(members) > 1 and len(rivals) > 1 and common:
        members, rivals = ([cell for cell in cells if cell.run.seed in common] for cells in (members, rivals))
    gains, others = ({cell.run.seed: equal.of(cell.run.name).gain for cell in cells} for cells in (members, rivals))
    low, high = _ends(_mean_samples(equal, members) - _mean_samples(equal, rivals))
    spread = _spread([gains[seed] - others[seed] for seed in gains if seed in others])
    return {
        "pref_vs_split": fmean(gains.values()) - fmean(others.values()),
        "vs_low": low,
        "vs_high": high,
        "vs_sd": spread,
    }


def _mean_samples(equal: EqualCost, members: list[_Cell]) -> FloatArray:
    return np.asarray(np.mean([equal.samples(cell.run.name) for cell in members], axis=0), dtype=np.float64)


def _spread(values: Sequence[float]) -> float:
    """Standard deviation over seeds; NaN of fewer than two."""
    return stdev(values) if len(values) > 1 else math.nan


def _ends(samples: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _scores(members: list[_Cell], at: list[float], data: PlannedData) -> dict[str, float]:
    """Mean judged scores of dev answers at the m of equal cost; none beyond the judged m."""
    found: dict[str, list[float]] = {}
    for cell, m in zip(members, at, strict=True):
        if not cell.run.paths.judged_dev.is_file():
            continue
        table = read_judged(cell.run.paths.judged_dev)
        for name in data.scores:
            if f"{SCORE}{name}" not in table.columns or m > table["m1"].max():
                continue
            wide = table.pivot(index=["concept", "pair"], columns="m1", values=f"{SCORE}{name}").dropna()
            if len(wide):
                points = wide.columns.to_numpy(dtype=np.float64)
                values = interpolated(m, points, wide.to_numpy(dtype=np.float64))
                means = pd.Series(values, index=wide.index).groupby("concept").mean()
                found.setdefault(name, []).append(float(means.mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}
