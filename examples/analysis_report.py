"""From sweep tables to the paper's tables and figures, and to one m per intervention.

    python examples/analysis_report.py SWEEP... --out DIR [--aim answer|preference] [--budget 10%]
    python examples/analysis_report.py --planted --out DIR        # no sweep at hand: planted curves

Writes fits.json, table2.md (.tex, .csv; direct fits on train), table5 (test) and table6 (transfer) where the sweeps
have those splits, one figure per model and dataset, and prints the recommended m of every intervention.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from easyedit_split.analysis import (
    AIMS,
    Aim,
    Budget,
    CurveParams,
    Recommendation,
    SweepCurve,
    SweepFit,
    curves_of,
    fit_sweep,
    fits_json,
    preference_curve,
    r2_table,
    read_curves,
    recommend,
    spread_of,
    to_csv,
    to_latex,
    to_markdown,
    transfer_table,
    utility_curve,
)
from easyedit_split.analysis.figures.plots import Drawn, plot_sweep, save_figure
from easyedit_split.types import DataError


def planted(seed: int = 0, n_pairs: int = 16) -> list[SweepCurve]:
    """Curves like those of Figure 2, drawn from Eq. 15 and 17 with scatter between pairs."""
    rng, m = np.random.default_rng(seed), np.linspace(-20.0, 20.0, 41)
    frames = []
    for form, objectives in (("vector", ("diff_mean", "sft", "split")), ("lora", ("sft", "split"))):
        for objective in objectives:
            scale, alpha = rng.uniform(40, 160), rng.uniform(0.8, 2.0)
            pref = CurveParams(alpha, 1.0, 0.3, 0.0, scale, 0.9, 0.0, 0.7 * scale, 1.1)
            util = CurveParams(0.0, 40.0, -62.0, 0.0, 1.6 * scale, 1.2, 0.0, scale, 1.4)
            for split in ("train", "test"):
                for pair in range(n_pairs):
                    noise = rng.normal(size=(2, 1)) + 0.4 * rng.normal(size=(2, len(m)))
                    row = {"model": "planted", "dataset": "axbench", "split": split, "form": form}
                    row |= {"objective": objective, "pair": str(pair)}
                    values = {
                        "m1": m,
                        "pref": preference_curve(m, pref) + noise[0],
                        "util": utility_curve(m, util) + 2 * noise[1],
                    }
                    frames.append(pd.DataFrame({**row, **values}))
    return curves_of(pd.concat(frames, ignore_index=True), "planted")


def write_tables(fits: Sequence[SweepFit], out: Path) -> None:
    """Tables 2, 5 and 6, those whose splits are there."""
    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "table2": lambda: r2_table(fits, "train"),
        "table5": lambda: r2_table(fits, "test"),
        "table6": lambda: transfer_table(fits),
    }
    for name, make in makers.items():
        try:
            table = make()
        except DataError as error:
            print(f"{name}: left out ({error})")
            continue
        for suffix, text in ((".md", to_markdown(table)), (".tex", to_latex(table)), (".csv", to_csv(table))):
            (out / f"{name}{suffix}").write_text(text)
        print(f"{name}: R2\n{to_markdown(table)}")


def advise(item: SweepFit, budget: Budget | None, aim: Aim | None) -> Drawn:
    """Intervals and the recommended m of one intervention."""
    if item.curve.utility is None:
        return Drawn(item)
    varied = None
    if item.preference is not None and item.utility is not None:
        try:
            varied = spread_of(item.curve, item.preference, item.utility)
        except DataError as error:
            print(f"drawn without a band: {error}")
    advice = recommend(item, aim=aim, budget=budget, spread=varied)
    print(f"{item.curve.name}: {sentence(advice)}")
    return Drawn(item, varied, advice)


def sentence(advice: Recommendation) -> str:
    """A recommendation in words."""
    if advice.m is None:
        return advice.reason
    ends = "no interval"
    if advice.m_interval is not None:
        ends = f"{advice.m_interval.low:.2f} to {advice.m_interval.high:.2f}"
    rest = " (interval from residuals: the table has no pairs)" if advice.method == "residual" else ""
    return f"m = {advice.m:.2f} ({ends}): +{advice.gain:.2f} nats for {advice.paid:.2f}; {advice.reason}{rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", nargs="*", help="sweep tables (.parquet, .csv, .json)")
    parser.add_argument("--planted", action="store_true", help="use planted curves")
    parser.add_argument("--budget", help="what this loss of utility buys: '10%%' of its range, or nats")
    parser.add_argument("--aim", choices=AIMS, help="what m is to reach (docs/analysis.md)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    given = parser.parse_args()
    if bool(given.sweep) == given.planted:
        parser.error("give sweep tables, or --planted")
    given.out.mkdir(parents=True, exist_ok=True)
    fits = fit_sweep(planted() if given.planted else read_curves(given.sweep), keep_going=True)
    for item in fits:
        for problem in item.problems:
            print(f"not fitted: {problem}")
    (given.out / "fits.json").write_text(fits_json(fits))
    write_tables(fits, given.out)
    budget = None if given.budget is None else Budget.parse(given.budget)
    panels: dict[tuple[str, str, str], list[Drawn]] = {}
    for item in fits:
        key = item.curve.key
        panels.setdefault((key.model, key.dataset, key.split), []).append(advise(item, budget, given.aim))
    for names, drawn in panels.items():
        stem = "_".join(name.replace("/", "-").replace(":", "-") for name in names if name) or "curves"
        title = ", ".join(name for name in names if name) or None
        print(save_figure(plot_sweep(drawn, title=title), given.out / f"{stem}.png"))


if __name__ == "__main__":
    main()
