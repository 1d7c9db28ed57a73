"""Calibration test that the testbed's models must pass before they are used for measurements.

For a model and a dataset, over the held-out pairs (pref = L_n - L_p in nats, end of turn included):

    follows   accuracy: share of pairs on the stated value's side by pref (a tie counts half), and of greedy answers
              with that value, each >= 0.95
    open      mean |pref| with the latent left open < 0.5
    fluent    share of greedy answers that the grammar can write, and that name what was asked, >= 0.95

``python -m easyedit_split.testbed.gate`` prints it as a table. The scorer here is on purpose its own and plain: it
must not depend on the package that is measured with what it calibrates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..log_odds import credit
from ..types import Pair
from . import datasets
from .models import MODELS, load_checkpoint

FOLLOWS, OPEN_NATS, FLUENT = 0.95, 0.5, 0.95
_BATCH = 64


@dataclass(frozen=True)
class GateRow:
    """Calibration measurements of one model on one dataset.

    Attributes:
        model: ``gemma2`` or ``qwen2``.
        dataset: name of the dataset.
        follows_pref: share of stated prompts whose log-odds have the stated sign.
        follows_greedy: share of stated prompts whose greedy answer carries the stated value.
        open_nats: mean |preference| of open prompts, nats.
        parses: share of greedy answers that parse.
        on_topic: share of greedy answers about what was asked.
    """

    model: str
    dataset: str
    follows_pref: float
    follows_greedy: float
    open_nats: float
    parses: float
    on_topic: float

    @property
    def passes(self) -> bool:
        """Whether every measurement is within its limit."""
        follows = min(self.follows_pref, self.follows_greedy) >= FOLLOWS
        return follows and self.open_nats < OPEN_NATS and min(self.parses, self.on_topic) >= FLUENT


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a user's turn, up to the start of the answer.

    Args:
        tokenizer: the model's.
        prompt: the user's message.
    """
    chat = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@torch.inference_mode()
def negative_log_likelihood(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[tuple[str, str]]
) -> Float[Tensor, " n"]:
    """Summed negative log-likelihood (nats) of each ``(prompt, answer)``, end-of-turn token included.

    Args:
        model: a testbed model.
        tokenizer: its tokenizer.
        rows: ``(prompt, answer)`` texts.
    """
    end = end_of_turn(tokenizer)
    out = []
    for start in range(0, len(rows), _BATCH):
        prompts = [prompt_ids(tokenizer, p) for p, _ in rows[start : start + _BATCH]]
        answers = [[*tokenizer(a, add_special_tokens=False)["input_ids"], end] for _, a in rows[start : start + _BATCH]]
        joined = [torch.tensor(p + a) for p, a in zip(prompts, answers, strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(joined, batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(j) for j in joined], batch_first=True)
        logp = model(input_ids=ids, attention_mask=mask).logits[:, :-1].double().log_softmax(-1)
        token_logp = logp.gather(-1, ids[:, 1:, None]).squeeze(-1)
        for row, p, a in zip(token_logp, prompts, answers, strict=True):
            out.append(-row[len(p) - 1 : len(p) - 1 + len(a)].sum())
    return torch.stack(out)


def preferences(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair]
) -> Float[Tensor, " n"]:
    """Preference log-odds L_n - L_p of each pair, nats (Eq. 7).

    Args:
        model: a testbed model.
        tokenizer: its tokenizer.
        pairs: prompts with their two answers.
    """
    rows = [(p.prompt, p.positive) for p in pairs] + [(p.prompt, p.negative) for p in pairs]
    both = negative_log_likelihood(model, tokenizer, rows)
    return both[len(pairs) :] - both[: len(pairs)]


@torch.inference_mode()
def greedy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], max_new_tokens: int = 48
) -> list[str]:
    """Greedy answers, without the end-of-turn token.

    Args:
        model: a testbed model.
        tokenizer: its tokenizer.
        prompts: the user's messages.
        max_new_tokens: tokens of an answer at most.
    """
    answers: list[str] = []
    for start in range(0, len(prompts), _BATCH):
        rows = [prompt_ids(tokenizer, p) for p in prompts[start : start + _BATCH]]
        width = max(map(len, rows))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(r)) + r for r in rows])
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
        out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=max_new_tokens)
        answers += tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    return [answer.strip() for answer in answers]


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token id that ends an answer.

    Args:
        tokenizer: the model's.
    """
    known = tokenizer.get_vocab()
    return int(next(known[token] for token in ("<end_of_turn>", "<|im_end|>") if token in known))


def measure(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dataset: str, split: str) -> GateRow:
    """Measure the calibration of a model on one dataset's split.

    Args:
        name: ``gemma2`` or ``qwen2``.
        model: the model.
        tokenizer: its tokenizer.
        dataset: name of the dataset.
        split: ``train``, ``dev`` or ``test``.
    """
    domain, cases = datasets.domain_named(dataset), datasets.cases(dataset, split)
    signed, follows, parses, topics = [], [], [], []
    answered = [(side, datasets.stated(dataset, split, side)) for side in ("positive", "negative")]
    for side, pairs in [*answered, ("open", datasets.pairs(dataset, split))]:
        pref = preferences(model, tokenizer, pairs)
        texts = greedy(model, tokenizer, [pair.prompt for pair in pairs])
        readings = [domain.read(case.content, text) for case, text in zip(cases, texts, strict=True)]
        parses += [reading is not None for reading in readings]
        topics += [
            reading is not None and all(reading.slots.get(slot, phrase) == phrase for slot, phrase in case.content)
            for case, reading in zip(cases, readings, strict=True)
        ]
        if side == "open":
            open_nats = pref.abs().mean().item()
            continue
        signed.append(pref if side == "positive" else -pref)
        values = [getattr(case, side) for case in cases]
        follows += [r is not None and set(r.marks) == {v} for r, v in zip(readings, values, strict=True)]
    follows_pref = float(credit(torch.cat(signed).cpu().numpy()).mean())
    return GateRow(name, dataset, follows_pref, _share(follows), open_nats, _share(parses), _share(topics))


def table(rows: Sequence[GateRow]) -> str:
    """Calibration measurements as a plain table, one line per model and dataset.

    Args:
        rows: one for each model and dataset.
    """
    head = f"{'model':8}{'dataset':10}{'follows':>9}{'greedy':>9}{'open':>9}{'parses':>9}{'topic':>9}  gate"
    lines = [
        f"{r.model:8}{r.dataset:10}{r.follows_pref:9.3f}{r.follows_greedy:9.3f}{r.open_nats:9.3f}"
        f"{r.parses:9.3f}{r.on_topic:9.3f}  {'pass' if r.passes else 'FAIL'}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def main() -> int:
    """Measure both shipped models on every dataset's test split; exit code 1 where a limit is missed."""
    rows = [measure(n, *load_checkpoint(n), dataset, "test") for n in MODELS for dataset in datasets.DATASETS]
    sys.stdout.write(table(rows) + "\n")
    return 0 if all(row.passes for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
