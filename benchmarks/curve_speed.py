"""Speed of curve fits: wall and CPU time of one fit, and of a thousand in several processes."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from curve_prior import M, plant

from easyedit_split.analysis.fit.fit_curve import curve_at, fit_curve
from easyedit_split.sweep_curves import KINDS, Kind


@dataclass(frozen=True)
class Speed:
    kind: Kind
    first_ms: float  # builds the lattice of starts of this grid
    median_ms: float
    p95_ms: float
    cpu_ms: float  # median of processor time: what the median is where nothing else runs
    thousand_s: float  # 1,000 curves over `jobs` processes, wall clock
    thousand_cpu_s: float  # their processor time, shared out evenly


def _timed_fit(seed: int, kind: Kind) -> tuple[float, float]:
    """Wall and CPU time of one fit, ms."""
    rng = np.random.default_rng([11, seed])
    clean = curve_at(kind, M, plant(rng, kind))
    y = clean + 0.01 * np.ptp(clean) * rng.normal(size=len(M))
    wall, cpu = time.perf_counter(), time.process_time()
    fit_curve(M, y, kind, on_failure="return")
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def speed(n: int, jobs: int, pool: ProcessPoolExecutor) -> list[Speed]:
    rows = []
    for kind in KINDS:
        times = np.array([_timed_fit(seed, kind) for seed in range(1 + n)])
        wall, cpu = times[1:, 0], times[1:, 1]
        list(pool.map(partial(_timed_fit, kind=kind), range(8)))  # processes started, lattices built
        start = time.perf_counter()
        spent = sum(cpu for _, cpu in pool.map(partial(_timed_fit, kind=kind), range(n), chunksize=10)) / 1e3
        total = (time.perf_counter() - start) * 1000 / n
        quantiles = float(np.median(wall)), float(np.quantile(wall, 0.95)), float(np.median(cpu))
        rows.append(Speed(kind, float(times[0, 0]), *quantiles, total, spent / jobs * 1000 / n))
    return rows


def print_speed(rows: list[Speed], jobs: int) -> None:
    print(f"{'speed, default solver':<24}{'first fit':>12}{'median':>12}{'95 %':>12}{'CPU median':>13}", end="")
    print(f"{f'1,000 on {jobs} cores':>19}{'CPU':>9}")
    for row in rows:
        cells = f"{row.first_ms:>9.1f} ms{row.median_ms:>9.1f} ms{row.p95_ms:>9.1f} ms"
        cells += f"{row.cpu_ms:>10.1f} ms{row.thousand_s:>17.1f} s{row.thousand_cpu_s:>7.1f} s"
        print(f"{row.kind:<24}{cells}")
