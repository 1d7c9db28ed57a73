"""Reproduction of the paper's findings for power-seeking on a real chat model, as Markdown.

    python benchmarks/real_model.py --data FOLDER --out FOLDER [--model smollm2] [--layer 15] [--train 64] [--test 24]
                                    [--neutral 16] [--texts 3]

Vector x DiffMean, SFT, RePS, SPLIT; LoRA and local weight x SPLIT: trained with the defaults for a model that nobody
tuned, swept over r until utility has lost 80 % of its range, on pairs that were not trained on. Every cell is kept in
--out and not made again, so a stopped run goes on. Printed:

* curves: mean preference and utility at a few r, and the share of pairs with preference above 0;
* R2 of the paper's preference and utility curves;
* SPLIT's vector against each other at equal utility, paired: at the largest m > 0 whose mean utility is still the bare
  model's, and at the largest one that costs 10 nats; the difference in preference with a 95 % interval from a bootstrap
  over pairs;
* KL and changed answers on neutral prompts, and texts, at the first of these m (where there is none, at r = 0.3).

One model, one seed: reported as found.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from easyedit_split import Artifact, GenerateConfig, PairTable, Template, compose, load_dataset, load_model
from easyedit_split.analysis import SweepFit, curves_of, fit_sweep
from easyedit_split.analysis.grow import next_points
from easyedit_split.datasets.everyday import neutral_prompts
from easyedit_split.scoring.collateral import collateral, collateral_means
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.generate import generate_texts
from easyedit_split.steering.strength_grid import AUTO, parse_strengths
from easyedit_split.sweep_table import read_sweep, write_table
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import FloatArray

CELLS = (
    ("vector", "diff_mean"), ("vector", "sft"), ("vector", "reps"), ("vector", "split"), ("lora", "split"),
    ("local_weight", "split"),
)  # fmt: skip
REFERENCE = "vector x split"
SHOWN_R = (-0.4, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
COSTS = (0.0, 10.0)  # nats of utility
FALLBACK_R = 0.3
RESAMPLES = 4000


@dataclass(frozen=True)
class Cell:
    """One intervention and its sweep."""

    name: str
    artifact: Artifact
    fit: SweepFit

    @property
    def r_per_m(self) -> float:
        assert self.artifact.unit is not None
        return self.artifact.unit.r_per_m

    def at(self, kind: str, m: FloatArray) -> FloatArray:
        """Log-odds of each pair at m, ``[pairs, len(m)]``, interpolated between swept points."""
        odds = self.fit.curve.preference if kind == "preference" else self.fit.curve.table("utility")
        curve = Akima1DInterpolator(odds.m, odds.values, axis=1, method="makima")
        return np.asarray(curve(m), dtype=np.float64)

    def strongest(self, cost: float) -> float | None:
        """The largest m > 0 whose mean utility is at most ``cost`` nats below the unsteered model's."""
        m = np.linspace(0, self.fit.curve.table("utility").m[-1], 4001)
        utility = self.at("utility", m).mean(axis=0)
        good = np.flatnonzero(utility >= utility[0] - cost)
        return float(m[good[-1]]) if good[-1] > 0 else None


def made(
    form: str, objective: str, args: argparse.Namespace, model: Any, tokenizer: Any, pairs: dict[str, PairTable]
) -> Cell:
    """A cell read from --out, or trained, swept and saved there."""
    name = f"{form} x {objective}"
    stem = args.out / f"{form}-{objective}"
    if not stem.is_dir():
        settings = [f"layers=[{args.layer}]", f"train.epochs={args.epochs}", "train.directions=both"]
        run = compose(form, objective, model="nobody/tuned-this", overrides=settings).run_config()
        train_artifact(model, tokenizer, pairs["train"], run, model_name=args.model).save_pretrained(stem)
    artifact = Artifact.from_pretrained(stem)
    assert artifact.unit is not None
    table = stem.with_suffix(".parquet")
    if not table.is_file():
        points = parse_strengths(AUTO).in_m(artifact.unit.r_per_m)
        rule = next_points(points, grows=True, refine=False)
        swept = sweep_pairs(model, tokenizer, pairs["test"], artifact, points, model_name=args.model, next_points=rule)
        write_table(swept, table)
    return Cell(name, artifact, fit_sweep(curves_of(read_sweep(table)), keep_going=True)[0])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Format a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "-|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def curves(cells: list[Cell]) -> str:
    """Table of preference, utility and accuracy at a few r."""
    rows = []
    for r in SHOWN_R:
        row = [f"{r:g}"]
        for cell in cells:
            m = np.array([r / cell.r_per_m])
            odds = cell.fit.curve.preference.m
            if not odds[0] <= m[0] <= odds[-1]:
                row.append("")
                continue
            pref, util = cell.at("preference", m)[:, 0], cell.at("utility", m)[:, 0]
            row.append(f"{pref.mean():+.1f} / {util.mean():+.1f} / {np.mean(pref > 0):.2f}")
        rows.append(tuple(row))
    return table(("r", *(cell.name for cell in cells)), rows)


def fits(cells: list[Cell]) -> str:
    """Table of R2 of both curves, and r at m = 1."""
    rows = []
    for cell in cells:
        r2 = [f"{fit.r2:.3f}" if fit else "not fitted" for fit in (cell.fit.preference, cell.fit.utility)]
        points = cell.fit.curve.preference.m
        reach = f"{points[0] * cell.r_per_m:.2g} to {points[-1] * cell.r_per_m:.2g}"
        rows.append((cell.name, f"{cell.r_per_m:.3f}", f"{len(points)}", reach, *r2))
    return table(("", "r at m = 1", "points", "r swept", "R2 preference", "R2 utility"), rows)


def paired(cells: list[Cell]) -> str:
    """Paired comparison of SPLIT's vector with each other cell at equal utility."""
    draws = np.random.default_rng(0)
    reference = next(cell for cell in cells if cell.name == REFERENCE)
    rows = []
    for cost in COSTS:
        ours = reference.strongest(cost)
        for cell in cells:
            theirs = cell.strongest(cost)
            if cell is reference or ours is None:
                continue
            if theirs is None:
                rows.append((f"{cost:g}", cell.name, "no m > 0", "", ""))
                continue
            a, b = (one.at("preference", np.array([m]))[:, 0] for one, m in ((reference, ours), (cell, theirs)))
            picks = draws.integers(len(a), size=(RESAMPLES, len(a)))
            low, high = np.quantile((a - b)[picks].mean(axis=1), (0.025, 0.975))
            at = f"{ours * reference.r_per_m:.2f} and {theirs * cell.r_per_m:.2f}"
            means = f"{a.mean():+.1f} and {b.mean():+.1f}"
            rows.append((f"{cost:g}", cell.name, at, means, f"{np.mean(a - b):+.2f} [{low:+.2f}, {high:+.2f}]"))
    return table(("utility paid (nats)", "SPLIT's vector and", "at r", "preference", "SPLIT's advantage (nats)"), rows)


def strength_of(cell: Cell) -> float:
    """The m at which texts and side effects are shown."""
    found = cell.strongest(0.0)
    return FALLBACK_R / cell.r_per_m if found is None else found


def side_effects(cells: list[Cell], model: Any, tokenizer: Any, count: int) -> str:
    """Table of KL divergence and changed answers."""
    rows = []
    for cell in cells:
        m = strength_of(cell)
        template = Template(tokenizer, cell.artifact.tokens)
        means = collateral_means(collateral(model, template, neutral_prompts(count), cell.artifact.only(), [m]))
        kl, changed = float(means["kl"].iloc[0]), float(means["changed"].iloc[0])
        rows.append((cell.name, f"{m * cell.r_per_m:.2f}", f"{kl:.3f}", f"{changed:.0%}"))
    return table(("", "at r", "KL (nats per token)", "answers changed"), rows)


def texts(cells: list[Cell], model: Any, tokenizer: Any, pairs: PairTable) -> str:
    """Sample answers, unsteered and of each cell."""
    config, prompts = GenerateConfig(max_new_tokens=40), [pair.prompt for pair in pairs]
    said: dict[str, list[str]] = {}
    for cell in cells:
        template = Template(tokenizer, cell.artifact.tokens)
        m = strength_of(cell)
        points = [0.0, m] if not said else [m]
        answers = generate_texts(model, template, prompts, cell.artifact.only(), points, config=config)
        for answer in answers:
            label = "unsteered" if answer.m == 0 else f"{cell.name}, r = {m * cell.r_per_m:.2f}"
            said.setdefault(label, []).append(" / ".join(answer.text.split("\n")))
    blocks = []
    for place, row in enumerate(pairs.rows):  # the data set's own texts are not reprinted
        lines = [f"- *{label}*: {answers[place]}" for label, answers in said.items()]
        blocks.append("\n".join([f"**Test row {row}**", "", *lines, ""]))
    return "\n".join(blocks)


def main() -> None:
    """Print the Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with powerseeking_train.csv and powerseeking_test.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--layer", type=int, default=15)
    parser.add_argument("--train", type=int, default=64)
    parser.add_argument("--test", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--neutral", type=int, default=16)
    parser.add_argument("--texts", type=int, default=3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = {"train": args.train, "test": args.test}
    data = f"powerseeking:{args.data}"
    pairs = {split: load_dataset(data, split=split, limit=n, drop_bad=True) for split, n in sizes.items()}
    model, tokenizer = load_model(args.model)
    cells = [made(form, objective, args, model, tokenizer, pairs) for form, objective in CELLS]
    print(f"{args.model}, layer {args.layer}, {args.train} train and {args.test} test pairs, {args.epochs} epoch(s).\n")
    print("Mean preference / mean utility (nats) / share of pairs with preference above 0:\n")
    print(curves(cells), fits(cells), paired(cells), sep="\n")
    print(side_effects(cells, model, tokenizer, args.neutral))
    print(texts(cells, model, tokenizer, pairs["test"][: args.texts]))


if __name__ == "__main__":
    main()
