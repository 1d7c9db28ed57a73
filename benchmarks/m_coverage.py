"""Coverage of the confidence interval of m, on fine and coarse sweeps of the same simulated tables.

    python benchmarks/m_coverage.py [--tables 300]

The tables are those of `curve_coverage.py` (32 pairs, 41 values of m), once with every point and once with every second
and every fourth (m = 0 among them), so that m* lies between points that are up to four units apart. The truth is what
1,500 pairs would choose on a grid of 0.05. Printed is the share of 95 % intervals that hold it (to 0.02), and their
median width. Tables for which no m is given do not count.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from curve_coverage import N_PAIRS, planted_table, true_choices
from curve_prior import TABLES, M, plant

from easyedit_split.analysis.choose_m.from_pairs import from_pairs
from easyedit_split.analysis.choose_m.result import Aim
from easyedit_split.log_odds import PairOdds
from easyedit_split.sweep_curves import KINDS, CurveKey, SweepCurve

ROUNDING = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=300)
    given = parser.parse_args()
    held: dict[tuple[Aim, int], list[bool]] = defaultdict(list)
    width: dict[tuple[Aim, int], list[float]] = defaultdict(list)
    concepts = np.zeros(N_PAIRS, dtype=np.int64)
    aims: tuple[Aim, ...] = ("capped", "answer")
    for seed in range(given.tables):
        rng = np.random.default_rng([7, seed])
        truth = {kind: plant(rng, kind, TABLES) for kind in KINDS}
        rows = {kind: planted_table(rng, truth[kind], kind) for kind in KINDS}
        chosen = true_choices(*truth.values(), seed)
        for step in (1, 2, 4):
            tables = [PairOdds(M[::step], rows[kind][:, ::step], concepts, True) for kind in KINDS]
            curve = SweepCurve(CurveKey(), *tables, np.arange(N_PAIRS), ())
            for aim in aims:
                ends = from_pairs(curve, aim=aim).m_interval
                if ends is not None:
                    held[aim, step].append(ends.low - ROUNDING <= chosen[aim] <= ends.high + ROUNDING)
                    width[aim, step].append(ends.high - ends.low)
    print(f"coverage of 95 % confidence intervals of m, over {given.tables} simulated tables of {N_PAIRS} pairs")
    print(f"{'aim':<10}{'spacing':>9}{'coverage':>10}{'median width':>14}{'tables':>8}")
    for (aim, step), values in sorted(held.items()):
        wide = np.median(width[aim, step])
        print(f"{aim:<10}{step:>9}{np.mean(values):>10.1%}{wide:>14.2f}{len(values):>8}")


if __name__ == "__main__":
    main()
