"""The effect table: does every form under every objective steer held-out pairs, at little cost in utility?

    python benchmarks/effect.py [--models gemma2,qwen2] [--datasets ...] [--keep FOLDER]

A cell is model x dataset x form x objective, trained on the testbed's train split with the recipe's defaults and swept
over m on its test split. It shows the greatest rise in preference (nats, mean over pairs) among the m at which utility
has lost at most 15 % of its swept range; for persona also the share of pairs whose right answer is the likelier one,
before and there. Beside it: random parameters of the same norms (the negative control), and Gemma-2's LoRA and local
weight at `site` instead of at the block's output. As 15 % of a range that reaches far can be tens of nats, a last line
counts the same with at most 3 nats of utility lost.

With --keep, each trained cell's artifact and its sweeps (of the test split, and of those in --splits) stay in FOLDER,
which `benchmarks/testbed_study.py` reads. What lies there already is read, not made again: an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from easyedit_split import Artifact, Source, compose, load_dataset, load_model
from easyedit_split.analysis import read_sweep
from easyedit_split.pipeline import sweep, train
from easyedit_split.sweep import write_table

MODELS = ("gemma2", "qwen2")
DATASETS = ("reviews", "persona", "power", "concepts")
FORMS = {
    "vector": ("split", "sft", "reps", "diff_mean"),
    "lora": ("split", "sft", "reps"),
    "local_weight": ("split", "sft", "reps"),
}
BUDGET = 0.15  # of the swept range
STRICT = 3.0  # nats
RISE = 3.0
ACCURACY = 0.9
# In units of the largest training factor; the curve's ends are far beyond where utility breaks down.
MULTIPLES = (0, 0.1, 0.3, 0.5, 0.75, 1, 1.5, 2, 4, 10)
# DiffMean is not trained at any m: its natural unit is the distance between the two means.
DIFF_MEAN_REACH = 10.0


@dataclass(frozen=True)
class Cell:
    model: str
    dataset: str
    form: str
    objective: str
    placement: str
    kind: str  # trained, or random
    m: float
    rise: float
    utility_lost: float
    accuracy_before: float
    accuracy: float
    passed: bool
    passed_strictly: bool


def grid(reach: float) -> list[float]:
    """m from -10 to 10 times the reach, dense near zero."""
    ups = [reach * multiple for multiple in MULTIPLES]
    return sorted({-m for m in ups} | set(ups))


def randomised(artifact: Artifact, seed: int) -> Artifact:
    """The same artifact with random parameters, each of the trained one's norm, and with dW as a whole of its norm."""
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


def measure(table: pd.DataFrame, **labels: str) -> Cell:
    """The best m of a sweep within the utility budget, from means over pairs."""
    bad = table.assign(bad=table["status"] != "ok").groupby(["concept", "pair"])["bad"].transform("any")
    by_m = table.groupby("m1")
    means = pd.DataFrame({"pref": by_m["pref"].mean(), "util": table[~bad].groupby("m1")["util"].mean()})
    means = means.reset_index(names="m")
    right = table.assign(right=table["pref"] > 0).groupby("m1")["right"].mean()
    zero = means[means.m == 0].iloc[0]
    persona = labels["dataset"] == "persona"

    def best_within(nats: float) -> tuple[pd.Series, bool]:
        allowed = [row for _, row in means[means.util >= means.util.max() - nats].iterrows()]
        # In persona the goal is the share of right answers.
        best = max(allowed, key=lambda row: (right[row.m], row.pref) if persona else row.pref)
        return best, bool(right[best.m] >= ACCURACY) if persona else bool(best.pref - zero.pref >= RISE)

    span = means.util.max() - means.util.min()
    best, passed = best_within(BUDGET * span)
    return Cell(
        **labels,
        m=float(best.m),
        rise=float(best.pref - zero.pref),
        utility_lost=float((means.util.max() - best.util) / span),
        accuracy_before=float(right[0.0]),
        accuracy=float(right[best.m]),
        passed=passed,
        passed_strictly=best_within(STRICT)[1],
    )


def cells(
    model_name: str,
    dataset: str,
    forms: dict[str, tuple[str, ...]],
    seed: int = 0,
    keep: Path | None = None,
    splits: tuple[str, ...] = (),
) -> Iterator[Cell]:
    """All cells of one model and dataset."""
    name, data = f"testbed:{model_name}", f"testbed:{dataset}"
    model, tokenizer = load_model(name)
    pairs = {split: load_dataset(data, split=split).pairs for split in ("train", "dev", "test")}
    for form, objectives in forms.items():
        placements = ["block_output"] if form == "vector" or model_name != "gemma2" else ["block_output", "site"]
        for objective, placement in itertools.product(objectives, placements):
            overrides = [f"placement={placement}", f"train.seed={seed}"]
            run = compose(form, objective, model=name, dataset=data, overrides=overrides).run()
            place = None
            if keep is not None and placement == "block_output":
                place = keep / "-".join((model_name, dataset, form, objective))
            if place is not None and (place / "artifact").exists():
                artifact = Artifact.from_pretrained(place / "artifact")
            else:
                artifact = train(model, tokenizer, pairs["train"], run, model_name=name, source=Source(data, "train"))
                if place is not None:
                    artifact.save_pretrained(place / "artifact")
            reach = DIFF_MEAN_REACH if objective == "diff_mean" else max(run.train.steering_factors)
            tables = {}
            for split in ("test", *splits):
                file = None if place is None else place / f"{split}.parquet"
                if file is not None and file.exists():
                    tables[split] = read_sweep(file)
                    continue
                tables[split] = sweep(model, tokenizer, pairs[split], artifact, grid(reach), source=Source(data, split))
                if file is not None:
                    write_table(tables[split], file)
            kinds = {"trained": tables["test"]}
            if objective == "split" and placement == "block_output":
                control = randomised(artifact, seed + 1)
                kinds["random"] = sweep(
                    model, tokenizer, pairs["test"], control, grid(reach), source=Source(data, "test")
                )
            for kind, table in kinds.items():
                yield measure(
                    table,
                    model=model_name,
                    dataset=dataset,
                    form=form,
                    objective=objective,
                    placement=placement,
                    kind=kind,
                )


def _work(job: tuple[str, str, dict[str, tuple[str, ...]], int, Path | None, tuple[str, ...]]) -> list[Cell]:
    torch.set_num_threads(1)
    return list(cells(*job))


def report(found: list[Cell]) -> str:
    """The table and its two verdicts, as Markdown."""
    lines = [
        "| model | dataset | form | objective | placement | parameters | m | preference gained (nats) | utility lost "
        "| right answers | |",
        "|-|-|-|-|-|-|-:|-:|-:|-|-|",
    ]
    for c in found:
        right = f"{c.accuracy_before:.0%} to {c.accuracy:.0%}" if c.dataset == "persona" else ""
        mark = "yes" if c.passed else "no"
        lines.append(
            f"| {c.model} | {c.dataset} | {c.form} | {c.objective} | {c.placement} | {c.kind} | {c.m:g} "
            f"| {c.rise:+.2f} | {c.utility_lost:.0%} | {right} | {mark} |"
        )
    trained = [c for c in found if c.kind == "trained" and c.objective != "diff_mean" and c.placement == "block_output"]
    controls = [c for c in found if c.kind == "random"]
    good, bad = sum(c.passed for c in trained), sum(c.passed for c in controls)
    lines += ["", f"{good} of {len(trained)} trained cells steer; {bad} of {len(controls)} random controls do."]
    good, bad = sum(c.passed_strictly for c in trained), sum(c.passed_strictly for c in controls)
    lines.append(f"Within {STRICT:g} nats of utility: {good} of {len(trained)} and {bad} of {len(controls)}.")
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
