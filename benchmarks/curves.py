"""Benchmark of ``easyedit_split.analysis`` on simulated curves: recovery, coverage of the intervals, speed.

    python benchmarks/curves.py recovery|coverage|speed|all [--quick] [--jobs 2]

Everything is seeded; --quick is the size the tests run. What is planted: `curve_prior.py`; what is measured:
`curve_recovery.py`, `curve_coverage.py`, `curve_speed.py`.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from curve_coverage import Covered, coverage, print_coverage
from curve_recovery import THRESHOLDS, Recovery, print_recovery, recovery
from curve_speed import print_speed, speed

from easyedit_split.analysis.uncertainty.spread import Method
from easyedit_split.sweep_curves import KINDS


def misses(recovered: list[Recovery], covered: list[Covered], quick: bool) -> list[str]:
    """Results that fall short of the documented numbers (with a margin for chance at the quick size)."""
    out = []
    for kind in KINDS:
        for noise, threshold in THRESHOLDS:
            part = [r.unexplained <= threshold for r in recovered if r.kind == kind and r.noise == noise]
            if part and np.mean(part) < (0.97 if quick else 0.99):
                out.append(f"recovery of {kind} at noise {noise:.0%}: {np.mean(part):.1%}")
    if recovered and max(r.gap for r in recovered) > 1e-9:
        out.append("the fitted curve is not continuous at m = 0")
    low, high = (0.82, 1.0) if quick else (0.92, 0.98)
    rows = [row.values for row in covered if row.method == "bootstrap"]
    for name in dict.fromkeys(name for values in rows for name in values):
        share = float(np.mean([values[name] for values in rows if name in values]))
        if not low <= share <= high:
            out.append(f"coverage of {name} by bootstrap: {share:.1%}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["recovery", "coverage", "speed", "all"])
    parser.add_argument("--quick", action="store_true", help="the size the tests run")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a documented number is not reached")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    recovered: list[Recovery] = []
    covered: list[Covered] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        if given.what in ("speed", "all"):
            print_speed(speed(100 if given.quick else 1000, given.jobs, pool), given.jobs)
            print()
        if given.what in ("recovery", "all"):
            recovered = recovery(*((25, 1) if given.quick else (1000, 100)), pool)
            print_recovery(recovered)
            print()
        if given.what in ("coverage", "all"):
            methods: tuple[Method, ...] = ("bootstrap",) if given.quick else ("bootstrap", "sandwich")
            covered = coverage(*((30, methods, 100) if given.quick else (500, methods, 200)), pool)
            print_coverage(covered)
    short = misses(recovered, covered, given.quick)
    if given.check and short:
        raise SystemExit("missed: " + "; ".join(short))


if __name__ == "__main__":
    main()
