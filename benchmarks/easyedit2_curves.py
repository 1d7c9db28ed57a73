"""Curves of pref(m) and util(m): EasyEdit2's own SPLIT against this package's, over seeds, on the same pairs.

    python benchmarks/easyedit2_curves.py CLONE --model testbed:qwen2 --data testbed:power --form lora --seeds 5

Every side trains with the same recipe on the same rows without a chat template (upstream's trainer does not survive one
on transformers 5), and is scored by the same scorer on the same held-out pairs. The sides: ``upstream``; ``compat``
(``compat: easyedit2``); ``ours``, the package's defaults; ``rank``, those with LoRA's A drawn as upstream draws it. At
every m a side's mean over seeds is held against upstream's: |difference| within the 95 % interval of Welch's t.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from easyedit_split import log_odds
from easyedit_split.config import TokenConfig, parse_grid
from easyedit_split.datasets import load_dataset
from easyedit_split.easyedit.settings import COMPAT, COMPAT_FORMS
from easyedit_split.interop.easyedit_files import from_state, select
from easyedit_split.model.load import load_model
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.encode_pairs import EncodedPair, encode_pairs
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.training.loop import train_intervention
from easyedit_split.training.recipes import compose
from easyedit_split.training.run_config import RunConfig
from easyedit_split.types import Pair

TOKENS = TokenConfig(chat_template="off", score_end=False)
FORMS = ("vector", "lora", "local_weight")


def spaced(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with a space before each answer, as the paper's data has it: upstream joins prompt and answer as is."""
    return [Pair(p.prompt, f" {p.positive.lstrip()}", f" {p.negative.lstrip()}") for p in pairs]


def sides(run: RunConfig) -> dict[str, RunConfig]:
    """The runs of this package, by side."""
    objective = {**run.objective_config, "compat": COMPAT}
    found = {
        "compat": dataclasses.replace(
            run, form_config={**run.form_config, **COMPAT_FORMS.get(run.form, {})}, objective_config=objective
        ),
        "ours": run,
    }
    if run.form == "lora":
        found["rank"] = dataclasses.replace(run, form_config={**run.form_config, "start": "rank"})
    return found


class Upstream:
    """EasyEdit2's trainer on a model in memory.

    Args:
        clone: its root.
        folder: a saved model whose path holds a name that the host knows.
        run: the recipe.
    """

    def __init__(self, clone: Path, folder: Path, run: RunConfig) -> None:
        sys.path.insert(0, str(clone))
        import easyedit_split.easyedit  # repairs what main cannot import

        del easyedit_split
        import steer.utils  # noqa: F401
        from steer.models.get_model import get_model
        from steer.utils.seed import set_seed
        from steer.vector_generators.spilt.generate_spilt import generate_spilt
        from steer.vector_generators.spilt.generate_spilt_hparams import SpiltHyperParams

        self.seed, self.train = set_seed, generate_spilt
        train, config = run.train, run.objective_config
        self.hparams = SpiltHyperParams(
            layers=list(run.layers),
            model_name_or_path=str(folder),
            dtype="float32",
            device="cpu",
            use_chat_template=False,
            save_vectors=False,
            batch_size=train.batch_size,
            gradient_accumulation_steps=train.gradient_accumulation_steps,
            n_epochs=train.epochs,
            lr=train.lr,
            weight_decay=train.weight_decay,
            dropout=train.dropout,
            pos_loss_weight=config.get("lambda_p", 1.0),
            neg_loss_weight=config.get("lambda_n", 0.5),
            margin_penalty_weight=config.get("gamma", 5.0),
            margin_threshold=config.get("theta", 0.5),
            steering_factors=list(train.steering_factors),
            preference_pairs=["orig_add"] if train.directions == "add" else ["orig_add", "orig_sub"],
            substraction_type="normal",
            intervention_method=run.form,
            intervention_components="mlp_mid",
            low_rank_dimension=run.form_config.get("rank", 4) if run.form == "lora" else 1,
            output_length=512,
        )
        self.wrapper, _ = get_model(self.hparams)

    def intervention(self, pairs: Sequence[Pair], seed: int) -> Intervention:
        """What upstream trains under a seed, as its applier applies it."""
        (layer,) = self.hparams.layers
        rows = [{"question": p.prompt, "matching": p.positive, "not_matching": p.negative} for p in pairs]
        self.hparams.seed = seed
        self.seed(seed)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            state = self.train(self.hparams, rows, self.wrapper, "benchmark")[f"layer_{layer}"]
        self.wrapper.reset_all()
        return from_state(select(state, 0, "upstream"), layer, "upstream")


def curves(model: Any, pairs: Sequence[EncodedPair], acting: Intervention, ms: Sequence[float]) -> np.ndarray:
    """``[2, m]``: mean pref and util over the pairs whose util is defined at every m, nats."""
    found = [(s.L_p, s.L_n) for s in scores_over_m(model, pairs, acting, list(ms), pad_id=0)]
    util = np.array([log_odds.utility(*losses) for losses in found])
    defined = np.isfinite(util).all(0)
    pref = np.array([log_odds.preference(*losses) for losses in found])
    return np.stack([pref.mean(1), util[:, defined].mean(1)])


def within(side: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """``[2, m]``: whether the mean over seeds ``[seed, 2, m]`` lies within Welch's 95 % interval about upstream's."""
    va, vb = (x.var(0, ddof=1) / len(x) for x in (side, upstream))
    total = np.maximum(va + vb, 1e-300)
    df = total**2 / np.maximum(va**2 / (len(side) - 1) + vb**2 / (len(upstream) - 1), 1e-300)
    return np.abs(side.mean(0) - upstream.mean(0)) <= stats.t.ppf(0.975, df) * np.sqrt(total) + 1e-6


def measured(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, np.ndarray, float]]:
    """Side, its curves ``[seed, 2, m]`` and seconds."""
    model, tokenizer = load_model(args.model)
    name = "qwen" if "qwen" in model.config.model_type else "gemma" if "gemma" in model.config.model_type else "llama"
    place = folder / f"{name}-model"
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    recipe = compose(args.form, "split", model=args.model, dataset=args.data, overrides=args.set)
    recipe = recipe.with_layers(args.layer, "option") if args.layer else recipe
    tokens = dataclasses.asdict(TOKENS)
    run = RunConfig.read({**recipe.settings, "placement": "block_output", "tokens": tokens}, "recipe")
    template = Template(tokenizer, TOKENS)
    train, test = (
        spaced(load_dataset(args.data, split=split, limit=limit).pairs)
        for split, limit in (("train", args.pairs), ("test", args.test_pairs))
    )
    encoded, held_out = (encode_pairs(pairs, template, source=args.data).rows for pairs in (train, test))
    print(f"{args.model}, {args.data}: {len(encoded)} pairs, {len(held_out)} held out; {run.form}: {run.train}")
    upstream = Upstream(args.clone, place, run)
    for side in ("upstream", *(name for name in sides(run) if not args.sides or name in args.sides)):
        start, found = time.perf_counter(), []
        for seed in range(args.seeds):
            if side == "upstream":
                acting = upstream.intervention(train, seed)
            else:
                mine = sides(run)[side]
                mine = dataclasses.replace(mine, train=dataclasses.replace(mine.train, seed=seed))
                acting, _ = train_intervention(model, template, encoded, mine)
            found.append(curves(model, held_out, acting, args.m))
        yield side, np.array(found), (time.perf_counter() - start) / args.seeds


def row(side: str, found: np.ndarray, upstream: np.ndarray, seconds: float) -> str:
    """One line of the table."""
    pref, util = found[:, 0].max(1), found[:, 1].max(1)
    inside = within(found, upstream)
    share = "" if side == "upstream" else f"{inside[0].mean():.0%} / {inside[1].mean():.0%}"
    return (
        f"| {side} | {pref.mean():.2f} ± {pref.std(ddof=1):.2f} | {util.mean():.2f} ± {util.std(ddof=1):.2f} "
        f"| {share} | {seconds:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--model", default="testbed:qwen2")
    parser.add_argument("--data", default="testbed:power")
    parser.add_argument("--form", default="lora", choices=FORMS)
    parser.add_argument("--sides", nargs="+", choices=("compat", "ours", "rank"), help="beside upstream; all of them")
    parser.add_argument("--layer", type=int, nargs=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--test-pairs", type=int, default=32)
    parser.add_argument("--m", type=parse_grid)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, help="curves of every seed, as JSON")
    args = parser.parse_args()
    args.clone = args.clone.resolve()
    args.m = args.m or parse_grid("-20:20:21" if args.form == "vector" else "-2:2:21")
    results: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side, found, seconds in measured(args, Path(folder)):
            results[side] = found
            if side == "upstream":
                print("| side | highest pref, nats | highest util, nats | m within: pref / util | s per seed |")
                print("|-|-|-|-|-|")
            print(row(side, found, results["upstream"], seconds), flush=True)
    if args.out:
        curves_by_side = {side: found.tolist() for side, found in results.items()}
        args.out.write_text(json.dumps({"m": list(args.m), "curves": curves_by_side}))


if __name__ == "__main__":
    main()
