"""How many m does ``--m auto`` need, and how many does an even grid need for the same error? On sweeps of the testbed.

    python benchmarks/auto_grid.py [--pairs 24] [--test 10] [--epochs 3] [--cases 0 1 2 ...]

Truth is a dense sweep: 145 m, r from -6 to 6. ``auto`` is run as ``sweep`` runs it; even grids lie over the range that
auto ended with, which their user would have to know, and are read off the dense sweep. A curve is what its points say
of it, interpolated as ``recommend`` does.

    error      of the mean preference and utility over the range, in percent of each curve's range or of 5 nats if that
               is more; the larger of the two
    needs      the smallest even grid (odd, so that it holds m = 0) whose error is no larger than auto's
    best m     how much less likely, in nats, the wanted answers are at the recommended m than at the best one
    fits       root mean square error of the fitted curves (Eq. 15, 17) against the dense sweep, worse of the two

An oracle is printed besides: it places as many m as auto takes one by one where the error, which it knows, is largest.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from scipy.interpolate import Akima1DInterpolator

from easyedit_split import compose, load_dataset, load_model
from easyedit_split.analysis.choose_m.from_pairs import from_pairs
from easyedit_split.analysis.choose_m.scored_pairs import ScoredPairs
from easyedit_split.analysis.fit.fit_curve import fit_curve
from easyedit_split.analysis.grow import next_points
from easyedit_split.log_odds import PairOdds
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.strength_grid import AUTO, parse_strengths
from easyedit_split.sweep_curves import KINDS, SweepCurve, curves_of
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import FloatArray

CASES = (
    ("testbed:gemma2", "testbed:persona", "vector", "split"),
    ("testbed:gemma2", "testbed:reviews", "vector", "diff_mean"),
    ("testbed:gemma2", "testbed:reviews", "lora", "split"),
    ("testbed:qwen2", "testbed:persona", "lora", "reps"),
    ("testbed:qwen2", "testbed:reviews", "local_weight", "sft"),
)
DENSE = np.unique(np.concatenate([np.linspace(-6, 6, 121), np.linspace(-0.6, 0.6, 37)]).round(6))
LEAST = 5.0  # nats
MOST = 201
HEAD = (
    "model", "data", "form x objective", "auto: m", "r", "error max", "error rms", "even grid of twice: max", "rms",
    "needs (max)", "needs (rms)", "oracle max", "best m: auto", "even grid of twice", "fits: auto",
    "even grid of twice",
)  # fmt: skip


class Truth:
    """A dense sweep, read off at any m."""

    def __init__(self, curve: SweepCurve) -> None:
        self.curve = curve
        self.rows = {k: Akima1DInterpolator(curve.preference.m, v, axis=1, method="makima") for k, v in self._values()}

    def _values(self) -> Iterator[tuple[str, FloatArray]]:
        assert self.curve.utility is not None
        yield from (("preference", self.curve.preference.values), ("utility", self.curve.utility.values))

    def swept(self, m: FloatArray) -> SweepCurve:
        """The sweep over other m."""
        c = self.curve
        assert c.utility is not None
        pref = PairOdds(m, self.rows["preference"](m), c.preference.concepts, True)
        util = PairOdds(m, self.rows["utility"](m), c.utility.concepts, True)
        return SweepCurve(c.key, pref, util, c.kept, c.excluded)

    def error(self, m: FloatArray, read: Callable[[SweepCurve, str, FloatArray], FloatArray]) -> tuple[float, float]:
        """Largest and root mean square error in percent, the worse of the two curves."""
        fine = np.linspace(m[0], m[-1], 2001)
        true, found = self.swept(fine), self.swept(m)
        parts = []
        for kind in KINDS:
            wanted = true.table(kind).mean
            off = np.abs(read(found, kind, fine) - wanted) / max(LEAST, float(np.ptp(wanted)))
            parts.append((100 * float(off.max()), 100 * float(np.sqrt(np.square(off).mean()))))
        return max(part[0] for part in parts), max(part[1] for part in parts)

    def missed(self, m: FloatArray) -> float:
        """Nats that the recommended m of a sweep over ``m`` loses against the best; none recommended is m = 0."""
        pairs = ScoredPairs.of(self.swept(np.linspace(m[0], m[-1], 4001)), "raise")
        chosen = from_pairs(self.swept(m)).m or 0.0
        return float(pairs.mean_score.max() - np.interp(chosen, pairs.m, pairs.mean_score))


def interpolated(curve: SweepCurve, kind: str, m: FloatArray) -> FloatArray:
    """A curve as its points say it."""
    table = curve.table("preference" if kind == "preference" else "utility")
    return np.asarray(Akima1DInterpolator(table.m, table.mean, method="makima")(m))


def fitted(curve: SweepCurve, kind: str, m: FloatArray) -> FloatArray:
    """A curve as the paper's form says it."""
    name = "preference" if kind == "preference" else "utility"
    table = curve.table(name)
    return fit_curve(table.m, table.mean, name, on_failure="return")(m)


def even(m: FloatArray, n: int) -> FloatArray:
    """An even grid over the range of m, and m = 0."""
    return np.union1d(np.linspace(m[0], m[-1], n), [0.0])


def needed(truth: Truth, m: FloatArray, error: tuple[float, float]) -> tuple[str, str]:
    """The even grids whose errors are no larger."""
    found: list[str] = ["", ""]
    for n in range(5, MOST + 1, 2):
        for place, value in enumerate(truth.error(even(m, n), interpolated)):
            if not found[place] and value <= error[place]:
                found[place] = str(n)
        if all(found):
            break
    return found[0] or f"> {MOST}", found[1] or f"> {MOST}"


def oracle(truth: Truth, m: FloatArray) -> FloatArray:
    """As many m as ``m`` has, each where the error is largest."""
    chosen, fine = even(m, 5), np.linspace(m[0], m[-1], 801)
    while len(chosen) < len(m):
        off = np.zeros(len(fine))
        for kind in KINDS:
            wanted = truth.swept(fine).table(kind).mean
            found = interpolated(truth.swept(chosen), kind, fine)
            off = np.maximum(off, np.abs(found - wanted) / max(LEAST, float(np.ptp(wanted))))
        chosen = np.union1d(chosen, fine[int(off.argmax())])
    return chosen


def row(case: tuple[str, str, str, str], args: argparse.Namespace) -> list[str]:
    """Train, sweep densely and by auto, compare."""
    name, data, form, objective = case
    model, tokenizer = load_model(name)
    recipe = compose(form, objective, model=name, dataset=data, overrides=[f"train.epochs={args.epochs}"])
    pairs = {s: load_dataset(data, split=s, limit=n) for s, n in (("train", args.pairs), ("test", args.test))}
    artifact = train_artifact(model, tokenizer, pairs["train"], recipe.run_config(), model_name=name)
    assert artifact.unit is not None
    per_m = artifact.unit.r_per_m

    def sweep(points: tuple[float, ...], grows: bool = False) -> SweepCurve:
        rule = next_points(points, grows=grows, refine=False)
        table: pd.DataFrame = sweep_pairs(model, tokenizer, pairs["test"], artifact, points, next_points=rule)
        return curves_of(table)[0]

    truth = Truth(sweep(tuple(float(r / per_m) for r in DENSE)))
    m = sweep(parse_strengths(AUTO).in_m(per_m), grows=True).preference.m
    m = m[(m >= truth.curve.preference.m[0]) & (m <= truth.curve.preference.m[-1])]
    twice, error = even(m, 2 * len(m)), truth.error(m, interpolated)
    return [
        name, data, f"{form} x {objective}", str(len(m)), f"{m[0] * per_m:.2g} to {m[-1] * per_m:.2g}",
        *(f"{v:.2f}" for v in (*error, *truth.error(twice, interpolated))), *needed(truth, m, error),
        f"{truth.error(oracle(truth, m), interpolated)[0]:.2f}",
        *(f"{truth.missed(grid):.4f}" for grid in (m, twice)),
        *(f"{truth.error(grid, fitted)[1]:.2f}" for grid in (m, twice)),
    ]  # fmt: skip


def main() -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--test", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    print(f"| {' | '.join(HEAD)} |", "|" + "-|" * len(HEAD), sep="\n", flush=True)
    for case in args.cases:
        print(f"| {' | '.join(row(CASES[case], args))} |", flush=True)


if __name__ == "__main__":
    main()
