"""Form x objective pairs trained one after the other, or by shared launches: CPU seconds, or seconds on a GPU.

    python benchmarks/together.py [--model testbed:gemma2] [--data testbed:reviews] [--pairs 8] [--turns 3]
                                  [--device cpu]

Both ways take turns; the medians over turns are printed, with how far the trained parameters lie apart. Cached states
are there before the first turn that counts.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from easyedit_split import compose, load_dataset, load_model
from easyedit_split.scoring.encode_table import encode_table
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.training.together import TrainedCell, TrainingCell, train_together

RUNS = tuple((form, goal) for form in ("vector", "lora", "local_weight") for goal in ("split", "sft", "reps"))


def cells(args: argparse.Namespace, tokenizer: object) -> list[TrainingCell]:
    """One cell for each form and objective, on the same pairs."""
    table = load_dataset(args.data, split="train", limit=args.pairs)
    found = []
    for form, objective in RUNS:
        recipe = compose(form, objective, model=args.model, dataset=args.data, overrides=["train.epochs=1"])
        run = (recipe.with_layers([args.layer], "the command line") if args.layer is not None else recipe).run_config()
        template = Template(tokenizer, run.tokens)
        found.append(TrainingCell(template, encode_table(table, template, model).rows, run))
    return found


def farthest(a: TrainedCell, b: TrainedCell) -> float:
    """Largest difference of any parameter, as a share of the largest parameter."""
    pairs = list(zip(a.intervention.parameters(), b.intervention.parameters(), strict=True))
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="testbed:gemma2")
    parser.add_argument("--data", default="testbed:reviews")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layer", type=int, help="block to act at, for a model without a recipe")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_model(args.model, device=args.device)
    some = cells(args, tokenizer)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    made: dict[bool, tuple[TrainedCell, ...]] = {}
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    for turn in range(args.turns + 1):
        for stacked, spent in seconds.items():
            begun = clock()
            made[stacked] = train_together(model, some, stacked=stacked)
            if turn:
                spent.append(clock() - begun)
    apart = max(farthest(a, b) for a, b in zip(made[True], made[False], strict=True))
    alone, shared = (float(np.median(seconds[how])) for how in (False, True))
    print(f"{args.model}, {args.data}, {args.device}: {len(some)} runs of {len(made[False][0].history)} steps")
    print(
        f"one after the other {alone:.2f} s, shared launches {shared:.2f} s (x{alone / shared:.2f}), apart {apart:.1e}"
    )


if __name__ == "__main__":
    main()
