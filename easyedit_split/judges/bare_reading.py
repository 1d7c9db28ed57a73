"""Log-likelihood of a text under the unsteered model, and mean hidden state over its tokens.

    log p = sum over the text's tokens t of  log p(y_t | prompt, y_<t)      nats
    h     = mean over the text's tokens of the block's output               [d]

One forward pass gives both. The end of turn is not read: a text may have been cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from ..model.hooks import activations, device_of, frozen, full_precision_head
from ..model.sites import Site
from ..scoring.bare_losses import bare_losses
from ..text.batching import Row, collate
from ..text.prompt_tokens import Template
from ..types import FloatArray

ROWS = 32  # at a time
_Asked: TypeAlias = tuple[str, tuple[int, ...]]
"""A prompt and an answer's token ids."""


@dataclass(frozen=True, slots=True)
class BareReading:
    """Log-likelihood and mean hidden state of one text.

    Attributes:
        logp: of all its tokens, nats.
        tokens: how many.
        h: ``[d]`` mean activation over them.
    """

    logp: float
    tokens: int
    h: FloatArray

    @property
    def loss(self) -> float:
        """Negative log-likelihood per token, nats."""
        return -self.logp / self.tokens


class BareReader:
    """Computes log-likelihoods and mean hidden states of texts under the unsteered model.

    Args:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        block: whose output is averaged.
        again: prompts with answers that are asked for more than once: read together the first time, and kept.
    """

    def __init__(self, model: nn.Module, template: Template, block: int, again: Sequence[tuple[str, str]] = ()) -> None:
        self.model = model
        self.template = template
        self.site = Site.parse(f"{block}.residual")
        self._again = dict.fromkeys((prompt, self.ids(answer)) for prompt, answer in again)

    def ids(self, text: str) -> tuple[int, ...]:
        """The text's tokens without the end of turn; none where it is empty.

        Args:
            text: an answer.
        """
        if not text.strip():
            return ()
        ids, end = tuple(self.template.answer(text, written=True)), tuple(self.template.end_ids)
        return ids[: -len(end)] if end and ids[-len(end) :] == end else ids

    def read(self, prompts: Sequence[str], answers: Sequence[tuple[int, ...]]) -> list[BareReading]:
        """Compute log-likelihood and mean hidden state of answers after their prompts.

        Args:
            prompts: one for each answer.
            answers: token ids, at least one each.

        Raises:
            DataError: a prompt cannot be encoded.
        """
        asked = list(zip(prompts, answers, strict=True))
        known = {} if self._again.keys().isdisjoint(asked) else self._known
        found = iter(self._read([pair for pair in asked if pair not in known]))
        return [known[pair] if pair in known else next(found) for pair in asked]

    @cached_property
    def _known(self) -> dict[_Asked, BareReading]:
        return dict(zip(self._again, self._read(list(self._again)), strict=True))

    @torch.no_grad()
    def _read(self, asked: Sequence[_Asked]) -> list[BareReading]:
        rows = self._rows(*zip(*asked, strict=True)) if asked else []
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt) + len(rows[i].answer))
        found: dict[int, BareReading] = {}
        with frozen(self.model), activations(self.model, [self.site]) as outputs, full_precision_head(self.model):
            for start in range(0, len(order), ROWS):
                chosen = order[start : start + ROWS]
                batch = collate([rows[i] for i in chosen], pad_id=self.template.pad_id).to(device_of(self.model))
                skipped = min(len(rows[i].prompt) for i in chosen) - 1  # nothing before it predicts an answer
                logits = self.model(
                    input_ids=batch.input_ids,
                    attention_mask=batch.attention_mask,
                    position_ids=batch.position_ids,
                    use_cache=False,
                    logits_to_keep=batch.input_ids.shape[1] - skipped,
                ).logits.float()
                for k, i in enumerate(chosen):
                    first, last = len(rows[i].prompt), len(rows[i].prompt) + len(rows[i].answer)
                    steps = logits[k, first - 1 - skipped : last - 1 - skipped].log_softmax(-1)
                    wanted = batch.input_ids[k, first:last]
                    logp = float(steps.gather(1, wanted[:, None]).double().sum())
                    h = outputs[self.site][k, first:last].double().mean(dim=0).cpu().numpy()
                    found[i] = BareReading(logp, last - first, np.asarray(h, dtype=np.float64))
        return [found[i] for i in range(len(rows))]

    def log_likelihoods(self, prompts: Sequence[str], answers: Sequence[tuple[int, ...]]) -> FloatArray:
        """Log-likelihood ``[n]`` of answers after prompts that many of them share, nats; no hidden state is read.

        Args:
            prompts: one for each answer.
            answers: token ids, at least one each.

        Raises:
            DataError: a prompt cannot be encoded.
        """
        return -bare_losses(self.model, self.template.pad_id, self._rows(prompts, answers))

    def _rows(self, prompts: Sequence[str], answers: Sequence[tuple[int, ...]]) -> list[Row]:
        return [Row(self.template.prompt(p), ids, 0) for p, ids in zip(prompts, answers, strict=True)]
