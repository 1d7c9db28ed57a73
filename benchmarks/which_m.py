"""Error rates of recommendations on simulated tables: an m given without an effect, none given with one.

    python benchmarks/which_m.py [--tables 400] [--check]

Tables of n pairs over m = -8, -7, ..., 8, k of them saturated. A free pair's preference is a + s m + c m^2 with a from
N(-4, 2), s from N(lift, 0.5) and c from N(0, 0.015); a saturated one's starts at N(20, 0.5) and moves by -0.005 m and
N(0, 0.05) m. Utility is -8 + N(0, 1) + (style + N(0, 0.3)) m - 0.02 m^2. All seeded.

    nothing      lift 0, style 0                       rough: errors of 0.1 nats at every point besides
    style        lift 0, style 0.4 nats per unit of m
    something    lift = (t + 2) standard errors of the mean over the free pairs, t the 95 % quantile of Student

Printed is the share of tables for which an m is recommended: an error, 5 % by design, where there is nothing, the power
where there is something. In brackets, the share whose best m makes the wanted answers likelier by less than 0.01 nats:
nothing to test. With three free pairs of twelve no m is given: six are the fewest that tell.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from easyedit_split.analysis.choose_m.from_pairs import from_pairs
from easyedit_split.log_odds import PairOdds
from easyedit_split.sweep_curves import CurveKey, SweepCurve

M = np.linspace(-8.0, 8.0, 17)
SPREAD = 0.5  # of the free pairs' slopes, nats per unit of m
SIZES, SHARES = (12, 32, 128), (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class World:
    """Simulation setting: mean slope of preference and utility, and s.d. of the points' errors, nats."""

    lift: float = 0.0
    style: float = 0.0
    rough: float = 0.0


def planted(rng: np.random.Generator, pairs: int, saturated: int, world: World) -> SweepCurve:
    """Simulate one table of log-odds over pairs and m."""
    free = pairs - saturated
    slope = world.lift + SPREAD * rng.normal(size=(pairs, 1))
    pref = rng.normal(-4, 2, size=(pairs, 1)) + slope * M + 0.015 * rng.normal(size=(pairs, 1)) * M**2
    own = rng.normal(size=(2, saturated, 1))
    pref[free:] = 20 + 0.5 * own[0] + (0.05 * own[1] - 0.005) * M
    own = rng.normal(size=(2, pairs, 1))
    util = -8 + own[0] + (world.style + 0.3 * own[1]) * M - 0.02 * M**2
    errors = world.rough * rng.normal(size=(2, pairs, len(M)))
    concepts = np.zeros(pairs, dtype=np.int64)
    tables = [PairOdds(M, rows, concepts, True) for rows in (pref + errors[0], util + errors[1])]
    return SweepCurve(CurveKey(), *tables, np.arange(pairs), ())


def worlds(free: int) -> dict[str, World]:
    """Simulation settings by name; effect sizes depend on the number of pairs."""
    lift = (float(stats.t.ppf(0.975, free - 1)) + 2) * SPREAD / np.sqrt(free)
    return {"nothing": World(), "rough": World(rough=0.1), "style": World(style=0.4), "something": World(lift=lift)}


def shares(pairs: int, saturated: int, world: World, tables: int) -> tuple[float, float]:
    """Shares of tables for which an m is given, and of those whose best m gains nothing."""
    given = nothing = 0
    for seed in range(tables):
        advice = from_pairs(planted(np.random.default_rng([seed, pairs, saturated]), pairs, saturated, world))
        given += advice.m is not None
        nothing += "no m makes" in advice.reason
    return given / tables, nothing / tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=400, help="of each kind")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a documented number is not reached")
    wanted = parser.parse_args()
    missed = []
    print(f"share of {wanted.tables} simulated tables for which an m is given (no gain at any m)")
    print(f"{'pairs':>5}{'saturated':>11}" + "".join(f"{name:>18}" for name in worlds(2)))
    for pairs in SIZES:
        for saturated in (int(share * pairs) for share in SHARES):
            cells = {
                name: shares(pairs, saturated, world, wanted.tables)
                for name, world in worlds(pairs - saturated).items()
            }
            print(
                f"{pairs:>5}{saturated:>11}" + "".join(f"{a:>10.1%} ({b:>4.0%})" for a, b in cells.values()), flush=True
            )
            missed += [f"{pairs}/{saturated} {name}" for name in ("nothing", "style") if cells[name][0] > 0.08]
            power, idle = cells["something"]
            if pairs - saturated >= 6 and power + idle < 0.9:
                missed.append(f"{pairs}/{saturated} power")
    if wanted.check and missed:
        raise SystemExit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
