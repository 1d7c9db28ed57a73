"""The tables that `benchmarks/aims.py` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from easyedit_split.analysis import Aim

AIMS: tuple[Aim, ...] = ("answer", "capped", "kl", "text")
WORST, TIE = 5, 1e-9


@dataclass(frozen=True)
class Scored:
    """One cell.

    Attributes:
        name: model-dataset-form-objective.
        judged: the m that the exact judge chose on dev.
        test: score of test answers at the judged m.
        m: what each aim chose; None where it found no usable m.
        test_at: score of test answers at the chosen m, and at 0.
        dev: mean of the self judge (overall) and of the exact one over the same dev answers, by m.
        accuracy: of the self judge's probe, the lowest of the concepts.
    """

    name: str
    judged: float
    test: dict[float, float]
    m: dict[str, float | None]
    test_at: dict[float, float]
    dev: pd.DataFrame
    accuracy: float

    def score(self, aim: str) -> float:
        """Test score of an aim's m."""
        return self.test_at[self.m[aim] or 0.0]

    def ratio(self, aim: str) -> float:
        """Of the score at the m that the exact judge chose on dev."""
        return self.score(aim) / self.test[self.judged] if self.test[self.judged] else float("nan")

    def of_best(self, aim: str) -> float:
        """Of the best test score of any m."""
        best = max([*self.test.values(), *self.test_at.values()])
        return self.score(aim) / best if best else float("nan")

    @property
    def rho(self) -> float:
        """Spearman's, over m, of the two judges; NaN where one of them never changes."""
        if self.dev["overall"].nunique() < 2 or self.dev["exact"].nunique() < 2:
            return float("nan")
        return float(stats.spearmanr(self.dev["overall"], self.dev["exact"]).statistic)


def print_tables(cells: Sequence[Scored]) -> None:
    """All of them."""
    print(f"\n{len(cells)} cells; ratio to the test score at the m that the exact judge chose on dev")
    print(
        "| aim | mean ratio | median | lowest | below 0.7 | of best: mean | median | lowest | no usable m | undefined |"
    )
    print("|-|-:|-:|-:|-:|-:|-:|-:|-:|-:|")
    for aim in AIMS:
        refused = sum(cell.m[aim] is None for cell in cells)
        ratios, best = (np.array([read(cell, aim) for cell in cells]) for read in (Scored.ratio, Scored.of_best))
        ratios, best = ratios[np.isfinite(ratios)], best[np.isfinite(best)]
        counts = f"{refused} | {len(cells) - len(ratios)}"
        print(f"| {aim} | {_three(ratios)} | {(ratios < 0.7).sum()} | {_three(best)} | {counts} |")
    print("(undefined: the exact judge's own choice scores 0 on test)")
    print("\nratio of `text` less that of another aim, mean over cells and its standard error")
    for aim in AIMS[:-1]:
        less = np.array([cell.ratio("text") - cell.ratio(aim) for cell in cells])
        less = less[np.isfinite(less)]
        more, fewer = (less > TIE).sum(), (less < -TIE).sum()
        print(f"  {aim:<7} {less.mean():+.4f} +- {stats.sem(less):.4f}; higher in {more} cells, lower in {fewer}")
    print("\nmean ratio (lowest) by part")
    print(f"| part | cells | {' | '.join(AIMS)} |")
    print("|-|-:|" + "-:|" * len(AIMS))
    for part in range(4):
        for word in dict.fromkeys(cell.name.split("-")[part] for cell in cells):
            some = [cell for cell in cells if cell.name.split("-")[part] == word]
            print(f"| {word} | {len(some)} | {' | '.join(_mean(some, aim) for aim in AIMS)} |")
    rho = np.array([cell.rho for cell in cells])
    told = rho[np.isfinite(rho)]
    low = sum(r < 0.8 for r in told)
    print(f"\nSpearman over m of the self judge and the exact judge: median {np.median(told):.3f}, lowest", end=" ")
    print(f"{told.min():.3f}, below 0.8 in {low} of {len(told)} cells; undefined in {len(rho) - len(told)}")
    for word in dict.fromkeys(cell.name.split("-")[1] for cell in cells):
        part_rho = [cell.rho for cell in cells if cell.name.split("-")[1] == word]
        print(f"  {word:<10} median {np.nanmedian(part_rho):.3f}, lowest {np.nanmin(part_rho):.3f}")
    print(f"\nthe {WORST} lowest of each aim")
    print("| aim | cell | m | m by the judge | test score | by the judge | best of any m | ratio | rho |")
    print("|-|-|-:|-:|-:|-:|-:|-:|-:|")
    for aim in AIMS:
        for cell in sorted(cells, key=_low(aim))[:WORST]:
            m = "none" if cell.m[aim] is None else f"{cell.m[aim]:.3g}"
            best_of = max([*cell.test.values(), *cell.test_at.values()])
            scores = f"{cell.score(aim):.2f} | {cell.test[cell.judged]:.2f} | {best_of:.2f}"
            print(
                f"| {aim} | {cell.name} | {m} | {cell.judged:.3g} | {scores} | {cell.ratio(aim):.2f} | {cell.rho:.2f} |"
            )


def _low(aim: str) -> Callable[[Scored], float]:
    return lambda cell: float(np.nan_to_num(cell.ratio(aim), nan=np.inf))


def _three(values: np.ndarray) -> str:
    return f"{values.mean():.3f} | {np.median(values):.3f} | {values.min():.2f}"


def _mean(cells: Sequence[Scored], aim: str) -> str:
    ratios = np.array([cell.ratio(aim) for cell in cells])
    return f"{np.nanmean(ratios):.3f} ({np.nanmin(ratios):.2f})"
