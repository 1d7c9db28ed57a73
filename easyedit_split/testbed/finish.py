"""Final training stage of a tiny model: learning-rate cooldown and calibration.

    loss = next-token loss of the corpus' last stage  +  weight * mean (L_n - L_p)^2 over fresh open pairs

An open prompt makes both answers of a pair equally likely by construction of the corpus; a model that has seen a few
hundred thousand chats knows this to about a nat. The second term says it outright, so that the instrument's zero is
where it should be. Its pairs use contents of the corpus, never those of a dataset. Linear decay to zero; the last share
of steps in float32. ``python -m easyedit_split.testbed.finish --model qwen2 --start DIR --out DIR``.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..types import Pair
from . import gate, models
from .corpus import STAGES, Stage, chats
from .datasets import DATASETS, corpus_contents, domain_named
from .domains.concepts import PLAIN
from .prompts import ask
from .train import PretrainConfig, encode, loss_sum, pad, probe, save_checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishConfig:
    """Settings of the final training stage.

    Attributes:
        steps: optimiser steps.
        lr: peak learning rate of AdamW; it falls linearly to zero.
        warmup: steps of linear warm-up to the peak.
        pairs: open pairs of each dataset a step.
        weight: of the calibration term.
        full_precision: the last share of steps runs in float32.
        favour: a kind of chat that is drawn four times as often, for a domain that the first leg left behind.
        corpus: batch and weights of the next-token loss; its seed differs from the first leg's.
    """

    steps: int = 700
    lr: float = 4e-4
    warmup: int = 50
    pairs: int = 1
    weight: float = 0.03
    full_precision: float = 0.25
    favour: str | None = None
    corpus: PretrainConfig = field(default_factory=lambda: PretrainConfig(batch=32, parts=2, seed=1))


def open_pairs(seed: int) -> Iterator[Pair]:
    """Random pairs whose prompts do not state the latent, from contents that no dataset holds, dataset after dataset.

    Args:
        seed: of everything drawn.
    """
    rng = random.Random(f"open:{seed}")
    for name in itertools.cycle(DATASETS):
        domain = domain_named(name)
        content = rng.choice(corpus_contents(name))
        values = [value for value in domain.values if value != PLAIN]
        sides = (rng.choice(values), PLAIN) if name == "concepts" else (domain.values[0], domain.values[1])
        positive, negative = domain.pair(content, *sides, rng)
        (user,) = ask(domain, content, rng)
        yield Pair(user["content"], positive, negative)


def open_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Pair], low_precision: bool
) -> Float[Tensor, ""]:
    """Mean squared preference log-odds of pairs whose prompts do not state the latent, nats squared.

    Args:
        model: the model in training.
        tokenizer: its tokenizer.
        pairs: pairs with open prompts.
        low_precision: compute in bfloat16.
    """
    end = gate.end_of_turn(tokenizer)
    rows: list[Tensor] = []
    spans: list[tuple[int, int]] = []
    for answer in [p.positive for p in pairs] + [p.negative for p in pairs]:
        prompt = gate.prompt_ids(tokenizer, pairs[len(rows) % len(pairs)].prompt)
        scored = [*tokenizer(answer, add_special_tokens=False)["input_ids"], end]
        rows.append(torch.tensor(prompt + scored))
        spans.append((len(prompt) - 1, len(prompt) - 1 + len(scored)))
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    per_row = loss.view(len(rows), -1)
    summed = torch.stack([row[start:stop].sum() for row, (start, stop) in zip(per_row, spans, strict=True)])
    return (summed[len(pairs) :] - summed[: len(pairs)]).square().mean()


def finish(name: str, start: Path, out: Path, settings: FinishConfig) -> None:
    """Run the final training stage and write the model as a Hugging Face folder.

    Args:
        name: ``gemma2`` or ``qwen2``.
        start: folder of the first leg.
        out: folder to write.
        settings: how the leg goes.
    """
    torch.manual_seed(settings.corpus.seed)
    model, tokenizer = models.load_checkpoint(name, folder=start)
    model.set_attn_implementation("eager")
    model.train()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.corpus.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), fused=True)
    source, fresh = chats(settings.corpus.seed, (_stage(settings.favour),)), open_pairs(settings.corpus.seed)
    began, shown, off = time.monotonic(), 0.0, 0.0
    for step in range(settings.steps):
        rate = min((step + 1) / settings.warmup, (settings.steps - step) / (settings.steps - settings.warmup))
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * rate
        low = step < settings.steps * (1 - settings.full_precision)
        shown += _corpus_step(model, tokenizer, source, settings.corpus, low)
        calibration = open_loss(model, tokenizer, list(itertools.islice(fresh, 4 * settings.pairs)), low)
        torch.autograd.backward(settings.weight * calibration)
        off += calibration.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0:
            log.info("step %d loss %.4f, open %.3f, %.0f s", step + 1, shown / 50, off / 50, time.monotonic() - began)
            shown = off = 0.0
        if (step + 1) % 200 == 0:
            probe(model, tokenizer)
            save_checkpoint(name, model, tokenizer, out)
    save_checkpoint(name, model, tokenizer, out)


def _stage(favour: str | None) -> Stage:
    last = STAGES[-1]
    shares = {kind: share * (4 if kind == favour else 1) for kind, share in last.shares.items()}
    return replace(last, shares=shares)


def _corpus_step(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: Iterator[tuple[str, list[dict[str, str]]]],
    settings: PretrainConfig,
    low_precision: bool,
) -> float:
    drawn = [encode(tokenizer, kind, chat, settings) for kind, chat in itertools.islice(source, settings.batch)]
    drawn.sort(key=lambda one: len(one[0]))
    total, shown, size = sum(float(w[1:].sum()) for _, w in drawn), 0.0, settings.batch // settings.parts
    for start in range(0, len(drawn), size):
        ids, weights = pad(drawn[start : start + size], tokenizer.pad_token_id)
        loss = loss_sum(model, ids, weights, low_precision)
        torch.autograd.backward(loss / total)
        shown += loss.item() / total
    return shown


def main() -> None:
    """Run the final training stage from the command line."""
    parser = argparse.ArgumentParser(description="Cool down and calibrate a tiny model of the testbed.")
    parser.add_argument("--model", choices=models.MODELS, required=True)
    parser.add_argument("--start", type=Path, required=True, help="folder that testbed.train wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=FinishConfig.steps)
    parser.add_argument("--lr", type=float, default=FinishConfig.lr)
    parser.add_argument("--warmup", type=int, default=FinishConfig.warmup)
    parser.add_argument(
        "--favour", choices=tuple(STAGES[-1].shares), help="a dataset whose chats are drawn four times as often"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = FinishConfig(steps=args.steps, lr=args.lr, warmup=args.warmup, favour=args.favour)
    finish(args.model, args.start, args.out, settings)


if __name__ == "__main__":
    main()
