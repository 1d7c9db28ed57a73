"""Training defaults on untuned models: whether training diverges or has no effect, and whether the grid shows the
decay.

    python benchmarks/defaults.py [--models smollm2 testbed:gemma2 testbed:qwen2 random:llama:96 random:qwen2:160]
                                  [--data everyday] [--pairs 24] [--test 12] [--epochs 2] [--forms ...]

Every model is given under a name that no recipe has, so that its settings are those of `hparams/models/untuned.yaml`,
its layer the middle one (`--layer auto` is measured elsewhere). ``random:FAMILY:WIDTH`` is an untrained model with
SmolLM2's tokenizer, or gemma2's of the testbed where that is not there. A row per form and objective: r at m = 1 after
training, the loss of the first and of the last quarter of the steps, how many m the grid took, up to which r on either
side, and how much of utility's fitted range is lost at its ends. "shown" asks for 80 % on at least one side.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from easyedit_split import Artifact, PairTable, compose, load_dataset, load_model
from easyedit_split.analysis import curves_of
from easyedit_split.analysis.grow import SideDecay, decay_shown, next_points
from easyedit_split.model.sites import blocks_of
from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.steering.strength_grid import AUTO, parse_strengths
from easyedit_split.training.objectives.base import OBJECTIVES
from easyedit_split.training.train_pairs import RunStopped, train_artifact

MODELS = ("testbed:gemma2", "testbed:qwen2", "random:llama:96", "random:qwen2:160", "smollm2")
FORMS = ("vector", "lora", "local_weight")
CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config}
HEAD = ("model", "form x objective", "r at m = 1", "loss", "points", "r reached", "utility lost", "shown")


def opened(name: str) -> tuple[Any, Any]:
    """Load a model by name, or create a random one ``random:FAMILY:WIDTH``."""
    if not name.startswith("random:"):
        return load_model(name)
    _, family, width = name.split(":")
    tokenizer = load_model("smollm2")[1]
    d = int(width)
    config = CONFIGS[family](
        hidden_size=d, intermediate_size=3 * d, num_hidden_layers=6, num_attention_heads=d // 16,
        num_key_value_heads=d // 32, vocab_size=len(tokenizer), max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval(), tokenizer


def row(
    name: str,
    model: Any,
    tokenizer: Any,
    pairs: dict[str, PairTable],
    form: str,
    objective: str,
    overrides: list[str],
) -> tuple[str, ...]:
    """One training run and its sweep as a table row."""
    what = f"{form} x {objective}"
    settings = [f"layers=[{len(blocks_of(model)) // 2}]", *overrides]
    run = compose(form, objective, model="nobody/tuned-this", overrides=settings).run_config()
    try:
        artifact = train_artifact(model, tokenizer, pairs["train"], run, model_name=name)
    except RunStopped as stopped:
        return (name, what, "diverged", str(stopped)[:60], "", "", "", "no")
    assert artifact.unit is not None
    if not artifact.unit.r_per_m > 0:
        return (name, what, "0", losses(artifact), "", "", "", "no")
    points = parse_strengths(AUTO).in_m(artifact.unit.r_per_m)
    rule = next_points(points, grows=True, refine=False)
    table = sweep_pairs(model, tokenizer, pairs["test"], artifact, points, model_name=name, next_points=rule)
    low, high = decay_shown(curves_of(table)[0])
    per_m = artifact.unit.r_per_m
    reached = f"{low.m * per_m:.2g} to {high.m * per_m:.2g}"
    lost = f"{percent(low)}, {percent(high)}"
    shown = "yes" if low.reached or high.reached else "no"
    return (name, what, f"{per_m:.3f}", losses(artifact), f"{table['m1'].nunique()}", reached, lost, shown)


def losses(artifact: Artifact) -> str:
    """Mean training loss over the first and the last quarter of the steps."""
    values = [step["loss"] for step in artifact.history["default"]]
    if not values:
        return "closed form"
    quarter = max(1, len(values) // 4)
    first, last = sum(values[:quarter]) / quarter, sum(values[-quarter:]) / quarter
    return f"{first:.2f} to {last:.2f}"


def percent(side: SideDecay) -> str:
    """A share as text, in percent."""
    return "not fitted" if math.isnan(side.lost) else f"{side.lost:.0%}"


def main() -> None:
    """Print the table row by row as results are computed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--forms", nargs="+", default=list(FORMS))
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES.names()))
    parser.add_argument("--data", default="everyday")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--test", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--set", nargs="+", default=[], help="other settings, e.g. train.lr=1.5")
    args = parser.parse_args()
    overrides = [f"train.epochs={args.epochs}", *args.set]
    print(f"| {' | '.join(HEAD)} |", "|" + "-|" * len(HEAD), sep="\n", flush=True)
    for name in args.models:
        data = "testbed:reviews" if name.startswith("testbed:") else args.data
        sizes = {"train": args.pairs, "test": args.test}
        pairs = {split: load_dataset(data, split=split, limit=limit) for split, limit in sizes.items()}
        model, tokenizer = opened(name)
        for form in args.forms:
            for objective in args.objectives:
                allowed = OBJECTIVES[objective].forms
                if allowed is None or form in allowed:
                    cells = row(name, model, tokenizer, pairs, form, objective, overrides)
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
