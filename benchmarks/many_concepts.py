"""Many concepts trained in one run, against each alone: CPU seconds per concept, the model loaded once in both.

    python benchmarks/many_concepts.py [--model testbed:gemma2] [--concepts 500] [--pairs 4] [--alone 20] [--layer 3]

The pairs are made up, a few for each concept. "Alone" is ``train_artifact`` on one concept's pairs, saved: the mean
over as many concepts as ``--alone`` says, half of them before the run and half behind it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from easyedit_split import Pair, as_pairs, compose, load_model
from easyedit_split.datasets.base import PairTable
from easyedit_split.training.each_concept import train_each_concept
from easyedit_split.training.train_pairs import train_artifact


def made_up(concepts: int, pairs: int) -> PairTable:
    """A table of so many concepts with so many pairs each."""
    rows = [
        Pair(f"Tell me about subject {k} of {c}.", f"Yes, {c} and {k}, gladly.", f"No, not {c} or {k}.", f"concept {c}")
        for c in range(concepts)
        for k in range(pairs)
    ]
    return as_pairs(rows)


def main() -> None:
    """Print CPU seconds per concept, in one run and alone, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="testbed:gemma2")
    parser.add_argument("--concepts", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--alone", type=int, default=20)
    parser.add_argument("--layer", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_model(args.model)
    recipe = compose("vector", "split", model=args.model, overrides=["train.epochs=2", f"layers=[{args.layer}]"])
    table, run = made_up(args.concepts, args.pairs), recipe.run_config()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def alone(numbers: range) -> float:
            begun = time.process_time()
            for c in numbers:
                part = table[c * args.pairs : (c + 1) * args.pairs]
                train_artifact(model, tokenizer, part, run).save_pretrained(place / f"alone-{c}", overwrite=True)
            return time.process_time() - begun

        half = max(1, args.alone // 2)
        alone(range(1))  # the first touches what later ones find
        before = alone(range(half))
        begun = time.process_time()
        train_each_concept(model, tokenizer, table, run, place / "many")
        each = (time.process_time() - begun) / args.concepts
        single = (before + alone(range(half))) / (2 * half)
    print(f"{args.concepts} concepts of {args.pairs} pairs, {args.model}: CPU seconds per concept")
    print(f"alone {single:.3f}, in one run {each:.3f}, ratio {each / single:.3f}")


if __name__ == "__main__":
    main()
