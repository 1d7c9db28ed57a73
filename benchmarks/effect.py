"""Effect of every form and objective on held-out pairs: preference gained and utility lost, with random controls.

    python benchmarks/effect.py [--models gemma2,qwen2] [--datasets ...] [--keep FOLDER]

A cell is model x dataset x form x objective, trained on the testbed's train split with the recipe's defaults. Its test
split is swept twice: far out (ten times the largest training factor), to see where utility
falls, and then closely, over the m at which utility has lost at most 20 nats (`near_range`). On the close sweep the
table shows the greatest rise in preference (nats, mean over pairs) among the m at which utility has lost at most 15 %
of its swept range, some 3 nats; for persona also the share of pairs whose right answer is the likelier one, before and
there (a tie, which here are answers within 0.1 nats, counts half), and that answer's mean probability among the two.

Beside it: random parameters of the same norms (the negative control, three draws, each swept over its own close
range), and Gemma-2's LoRA and local weight at `site` instead of at the block's output. The last lines count the same
for other amounts of utility, and on the far sweep, where 15 % of the range can be tens of nats and any strong push tips
an open prompt.

With --keep, artifacts and sweeps (of the test split, and of trained cells far ones of those in --splits) stay in
FOLDER, which `benchmarks/testbed_study.py` reads. What lies there already is read, not made again: an interrupted run
goes on.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from effect_cells import ALLOWED, BUDGET, Cell, close_grid, far_grid, measure

from easyedit_split import Artifact, compose, load_dataset, load_model
from easyedit_split.analysis import read_sweep
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.sweep_table import write_table
from easyedit_split.training.run_config import RunConfig
from easyedit_split.training.train_pairs import train_artifact

MODELS = ("gemma2", "qwen2")
DATASETS = ("reviews", "persona", "power", "concepts")
FORMS = {
    "vector": ("split", "sft", "reps", "diff_mean"),
    "lora": ("split", "sft", "reps"),
    "local_weight": ("split", "sft", "reps"),
}
DRAWS = 3  # of the control
# DiffMean is not trained at any m: its natural unit is the distance between the two means.
DIFF_MEAN_REACH = 10.0


def randomised(artifact: Artifact, seed: int) -> Artifact:
    """The same artifact with random parameters whose dW and db have the trained ones' norms."""
    generator = torch.Generator().manual_seed(seed)
    control = copy.deepcopy(artifact)
    with torch.no_grad():
        for intervention in control.interventions.values():
            for form in intervention.forms.values():
                before = form.weight_delta()
                for parameter in form.parameters():
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.copy_(noise * parameter.norm() / noise.norm())
                after = form.weight_delta()
                if before is None or after is None:
                    continue
                factors = [parameter for parameter in form.parameters() if parameter.ndim > 1]
                for factor in factors:  # dW is their product
                    factor.mul_((before.norm() / after.norm()) ** (1 / len(factors)))
    return control


class Sweeper:
    """Sweeps of one model and dataset, cached in files where a folder is given."""

    def __init__(self, model_name: str, dataset: str) -> None:
        self.name, self.data = f"testbed:{model_name}", f"testbed:{dataset}"
        self.model, self.tokenizer = load_model(self.name)
        self.pairs = {split: load_dataset(self.data, split=split) for split in ("train", "dev", "test")}

    def trained(self, run: RunConfig, file: Path | None) -> Artifact:
        """The trained artifact of a run."""
        if file is not None and file.exists():
            return Artifact.from_pretrained(file)
        artifact = train_artifact(self.model, self.tokenizer, self.pairs["train"], run, model_name=self.name)
        if file is not None:
            artifact.save_pretrained(file)
        return artifact

    def sweep(self, artifact: Artifact, split: str, grid: list[float], file: Path | None) -> pd.DataFrame:
        """The sweep table of one split."""
        if file is not None and file.exists():
            return read_sweep(file)
        table = sweep_pairs(self.model, self.tokenizer, self.pairs[split], artifact, grid)
        if file is not None:
            write_table(table, file)
        return table

    def both(self, artifact: Artifact, reach: float, place: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The fine and the wide sweep of the test split."""
        far = self.sweep(artifact, "test", far_grid(reach), place and place / "test.parquet")
        return self.sweep(artifact, "test", close_grid(far), place and place / "test_close.parquet"), far


def cells(
    model_name: str,
    dataset: str,
    forms: dict[str, tuple[str, ...]],
    seed: int = 0,
    keep: Path | None = None,
    splits: tuple[str, ...] = (),
) -> Iterator[Cell]:
    """All cells of the effect table for one model and dataset."""
    on = Sweeper(model_name, dataset)
    for form, objectives in forms.items():
        placements = ["block_output"] if form == "vector" or model_name != "gemma2" else ["block_output", "site"]
        for objective, placement in itertools.product(objectives, placements):
            overrides = [f"placement={placement}", f"train.seed={seed}"]
            run = compose(form, objective, model=on.name, dataset=on.data, overrides=overrides).run_config()
            name = "-".join((model_name, dataset, form, objective))
            place = keep and (keep / name if placement == "block_output" else keep / placement / name)
            artifact = on.trained(run, place and place / "artifact")
            reach = DIFF_MEAN_REACH if objective == "diff_mean" else max(run.train.steering_factors)
            for split in splits if placement == "block_output" else ():
                on.sweep(artifact, split, far_grid(reach), place and place / f"{split}.parquet")
            labels = {"model": model_name, "dataset": dataset, "form": form}
            labels |= {"objective": objective, "placement": placement}
            yield measure(*on.both(artifact, reach, place), **labels, kind="trained")
            for draw in range(1, DRAWS + 1) if (objective, placement) == ("split", "block_output") else ():
                control = randomised(artifact, seed + draw)
                beside = keep and keep / "random" / f"{name}-{draw}"
                yield measure(*on.both(control, reach, beside), **labels, kind=f"random {draw}")


def _work(job: tuple[str, str, dict[str, tuple[str, ...]], int, Path | None, tuple[str, ...]]) -> list[Cell]:
    torch.set_num_threads(1)
    return list(cells(*job))


def report(found: list[Cell]) -> str:
    """The effect table and its summary as Markdown."""
    lines = [
        "| model | dataset | form | objective | placement | parameters | m | preference gained (nats) "
        "| utility lost (nats) | of allowed | right answers | their probability | |",
        "|-|-|-|-|-|-|-:|-:|-:|-:|-|-|-|",
    ]
    for c in found:
        persona = c.dataset == "persona"
        right = f"{c.accuracy_before:.0%} to {c.accuracy:.0%}" if persona else ""
        share = f"{c.share_before:.2f} to {c.share:.2f}" if persona else ""
        mark = "yes" if c.passed else "no"
        lines.append(
            f"| {c.model} | {c.dataset} | {c.form} | {c.objective} | {c.placement} | {c.kind} | {c.m:.3g} "
            f"| {c.rise:+.2f} | {c.lost:.2f} | {c.allowed:.2f} | {right} | {share} | {mark} |"
        )
    trained = [c for c in found if c.counted]
    controls = [c for c in found if c.kind.startswith("random")]
    groups = {"trained": trained, **{f"random {form}": [c for c in controls if c.form == form] for form in FORMS}}
    groups = {name: cells for name, cells in groups.items() if cells}
    lines += [
        "",
        f"{sum(c.passed for c in trained)} of {len(trained)} trained cells steer; "
        f"{sum(c.passed for c in controls)} of {len(controls)} random controls do.",
        "",
        f"| utility that may be lost | {' | '.join(groups)} |",
        "|-|" + "-:|" * len(groups),
    ]
    prices = {f"{nats:g} nats": [c.passed_at[k] for c in found] for k, nats in enumerate(ALLOWED)}
    prices[f"{BUDGET:.0%} of the close sweep's range"] = [c.passed for c in found]
    prices[f"{BUDGET:.0%} of the far sweep's range"] = [c.passed_far for c in found]
    for price, passed in prices.items():
        lucky = {id(c) for c, good in zip(found, passed, strict=True) if good}
        counts = [f"{sum(id(c) in lucky for c in cells)} of {len(cells)}" for cells in groups.values()]
        lines.append(f"| {price} | {' | '.join(counts)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--splits", default="", help="with --keep, also sweep these: dev,train")
    parser.add_argument("--keep", type=Path, help="keep artifacts, sweeps and cells.csv in this folder")
    given = parser.parse_args()
    forms = {form: FORMS[form] for form in given.forms.split(",")}
    jobs = [
        (m, d, forms, given.seed, given.keep, tuple(filter(None, given.splits.split(","))))
        for d in given.datasets.split(",")
        for m in given.models.split(",")
    ]
    began = time.monotonic()
    found: list[Cell] = []
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        for job, batch in zip(jobs, pool.map(_work, jobs), strict=True):
            found += batch
            print(f"{job[0]} {job[1]}: {len(batch)} cells, {time.monotonic() - began:.0f} s", flush=True)
            if given.keep:
                pd.DataFrame([asdict(c) for c in found]).to_csv(given.keep / "cells.csv", index=False)
    print(report(found))


if __name__ == "__main__":
    main()
