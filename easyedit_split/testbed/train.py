"""Train a tiny model from random weights: ``python -m easyedit_split.testbed.train --model gemma2 --out DIR``.

Next-token loss on whole chats, endless and never repeated; answer tokens weigh 1, all others ``prompt_weight``, and
persona's one-word answers ``persona_weight`` (one bit in forty tokens is otherwise drowned). AdamW, linear warm-up,
linear decay to zero: the decay is what calibrates the open prompts to even odds. Deterministic up to floating point.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from ..log_odds import credit
from . import gate
from .corpus import chats
from .datasets import DATASETS, pairs, stated
from .models import MODELS, config, generation_config
from .prompts import Message, fold_system
from .vocabulary import BUILDERS

log = logging.getLogger(__name__)
Encoded = tuple[Int[Tensor, " s"], Float[Tensor, " s"]]


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the training of a tiny model.

    Attributes:
        steps: optimiser steps.
        batch: chats a step, sorted by length and cut into ``parts`` of equal count to save padding.
        parts: pieces of a batch.
        lr: the learning rate's peak.
        warmup: steps to the peak.
        weight_decay: AdamW's decay of matrices.
        prompt_weight: the loss weight of a token outside the answers.
        persona_weight: the loss weight of a token in persona's answers.
        full_precision: the last share of steps runs in float32, the others in bfloat16 where that is fast.
        seed: of the weights and the corpus.
    """

    steps: int = 4500
    batch: int = 64
    parts: int = 4
    lr: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.05
    prompt_weight: float = 0.1
    persona_weight: float = 4.0
    full_precision: float = 0.1
    seed: int = 0


def encode(tokenizer: PreTrainedTokenizerBase, kind: str, chat: list[Message], settings: PretrainConfig) -> Encoded:
    """One chat's token ids ``[s]`` and loss weights ``[s]``.

    Args:
        tokenizer: the model's.
        kind: the chat's kind, which decides the weights.
        chat: its messages.
        settings: the weights.
    """
    has_system = "im_start" in str(tokenizer.chat_template)
    text = tokenizer.apply_chat_template(chat if has_system else fold_system(chat), tokenize=False)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start, end = (
        tokenizer.convert_tokens_to_ids(t)
        for t in (["<|im_start|>", "<|im_end|>"] if has_system else ["<start_of_turn>", "<end_of_turn>"])
    )
    speaker = tokenizer("assistant" if has_system else "model", add_special_tokens=False)["input_ids"][0]
    heavy = settings.persona_weight if kind == "persona" else 1.0
    weights, inside, header = [], False, 0
    for i, token in enumerate(ids):
        if token == start and ids[i + 1] == speaker:
            inside, header = True, 3
        weights.append(heavy if inside and header == 0 else settings.prompt_weight)
        header = max(0, header - 1)
        inside = inside and token != end
    return torch.tensor(ids), torch.tensor(weights)


def batches(tokenizer: PreTrainedTokenizerBase, settings: PretrainConfig) -> Iterator[list[list[Encoded]]]:
    """Endless batches, each split into parts by length.

    Args:
        tokenizer: the model's.
        settings: batch size, parts and seed.
    """
    source = chats(settings.seed)
    size = settings.batch // settings.parts
    while True:
        drawn = [encode(tokenizer, kind, chat, settings) for kind, chat in itertools.islice(source, settings.batch)]
        drawn.sort(key=lambda one: len(one[0]))
        yield [drawn[i : i + size] for i in range(0, len(drawn), size)]


def loss_sum(
    model: PreTrainedModel, ids: Int[Tensor, "b s"], weights: Float[Tensor, "b s"], low_precision: bool
) -> Float[Tensor, ""]:
    """Weighted negative log-likelihood (nats) summed over a part of a batch.

    No mask: padding is on the right, has weight 0, and is not attended to.

    Args:
        model: the model in training.
        ids: token ids.
        weights: loss weight of each token.
        low_precision: compute in bfloat16.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (loss * weights[:, 1:].flatten()).sum()


def pad(part: list[Encoded], pad_id: int) -> tuple[Int[Tensor, "b s"], Float[Tensor, "b s"]]:
    """Token ids and loss weights of a part of a batch, padded on the right.

    Args:
        part: chats of one part.
        pad_id: what fills the empty places.
    """
    ids = torch.nn.utils.rnn.pad_sequence([i for i, _ in part], batch_first=True, padding_value=pad_id)
    return ids, torch.nn.utils.rnn.pad_sequence([w for _, w in part], batch_first=True)


def pretrain(
    name: str,
    settings: PretrainConfig,
    out: Path,
    save_every: int = 0,
    compiled: bool = True,
    stop_at: int | None = None,
) -> None:
    """Train one model from random weights and write it as a Hugging Face folder.

    Args:
        name: ``gemma2`` or ``qwen2``.
        settings: how it is trained.
        out: folder to write.
        save_every: steps between saved states; 0 saves at the end alone.
        compiled: compile the model first.
        stop_at: end the leg at this step, before the schedule does.
    """
    torch.manual_seed(settings.seed)
    tokenizer = BUILDERS[name]()
    model = AutoModelForCausalLM.from_config(config(name, tokenizer), attn_implementation="eager")
    fast_loss = torch.compile(loss_sum, dynamic=True) if compiled else loss_sum
    log.info("%s: %.2fM parameters, vocabulary %d", name, model.num_parameters() / 1e6, len(tokenizer))
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), fused=True)
    began, shown = time.monotonic(), 0.0
    for step, batch in enumerate(itertools.islice(batches(tokenizer, settings), stop_at or settings.steps)):
        rate = min((step + 1) / settings.warmup, (settings.steps - step) / (settings.steps - settings.warmup))
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * rate
        total = sum(float(w[1:].sum()) for part in batch for _, w in part)
        for part in batch:
            ids, weights = pad(part, tokenizer.pad_token_id)
            loss = fast_loss(model, ids, weights, step < settings.steps * (1 - settings.full_precision))
            torch.autograd.backward(loss / total)
            shown += loss.item() / total
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0:
            log.info("step %d loss %.4f, %.0f s", step + 1, shown / 50, time.monotonic() - began)
            shown = 0.0
        if save_every and (step + 1) % save_every == 0:
            probe(model, tokenizer)
            save_checkpoint(name, model, tokenizer, out)
    save_checkpoint(name, model, tokenizer, out)


def save_checkpoint(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write an ordinary Hugging Face folder with fp16 weights.

    Args:
        name: ``gemma2`` or ``qwen2``.
        model: the model.
        tokenizer: its tokenizer.
        out: folder to write.
    """
    tokenizer.save_pretrained(out)
    half = {key: value.half() for key, value in model.state_dict().items()}
    model.generation_config = generation_config(name, tokenizer)
    copy = AutoModelForCausalLM.from_config(model.config, dtype=torch.float16)
    copy.load_state_dict(half)
    copy.generation_config = model.generation_config
    copy.save_pretrained(out)


def probe(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Log the model's accuracy and calibration on the dev pairs.

    Args:
        model: the model in training.
        tokenizer: its tokenizer.
    """
    model.eval()
    for dataset in DATASETS:
        follows = torch.cat(
            [
                gate.preferences(model, tokenizer, stated(dataset, "dev", side)) * sign
                for side, sign in (("positive", 1), ("negative", -1))
            ]
        )
        open_pref = gate.preferences(model, tokenizer, pairs(dataset, "dev"))
        share, nats = float(credit(follows.cpu().numpy()).mean()), open_pref.abs().mean().item()
        log.info(
            "  %-9s follows %.3f (median %.1f nats), open |pref| %.3f nats",
            dataset,
            share,
            follows.median().item(),
            nats,
        )
    model.train()


def main() -> None:
    """Train a tiny model from the command line."""
    parser = argparse.ArgumentParser(description="Train a tiny model of the testbed from random weights.")
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=PretrainConfig.steps)
    parser.add_argument("--stop-at", type=int, help="stop after this step, in the middle of the schedule")
    parser.add_argument("--lr", type=float, default=PretrainConfig.lr)
    parser.add_argument("--batch", type=int, default=PretrainConfig.batch, help="chats per step")
    parser.add_argument("--parts", type=int, default=PretrainConfig.parts, help="parts of a batch, split by length")
    parser.add_argument("--seed", type=int, default=PretrainConfig.seed)
    parser.add_argument("--save-every", type=int, default=0, help="also save after every N steps (0: at the end only)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = PretrainConfig(steps=args.steps, batch=args.batch, parts=args.parts, lr=args.lr, seed=args.seed)
    pretrain(args.model, settings, args.out, args.save_every, stop_at=args.stop_at)


if __name__ == "__main__":
    main()
