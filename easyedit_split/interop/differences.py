"""KL divergence per token between two ways of steering, on a few neutral prompts.

    KL = sum over prompts and tokens t of  KL( p(. | q, y_<t)  ||  p'(. | q, y_<t) )  /  number of tokens           nats

y is the bare model's own greedy answer to the neutral prompt q, p one way of steering, p' the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..datasets.everyday import neutral_prompts
from ..model.hooks import device_of, frozen, full_precision_head
from ..scoring.score import layout_of
from ..steering.attach import attach
from ..steering.forms.base import Strength
from ..steering.generate import GenerateConfig, greedy_rows
from ..steering.intervention import Intervention
from ..text.batching import Batch, collate
from ..text.prompt_tokens import Template

PROMPTS, TOKENS = 8, 16
Steers: TypeAlias = Callable[[nn.Module, Batch], AbstractContextManager[Any]]
"""What steers a model while one batch of whole rows is scored."""


def by(intervention: Intervention, m: Strength) -> Steers:
    """Steering by an intervention at m.

    Args:
        intervention: what is attached.
        m: its strength.
    """
    return lambda model, batch: attach(model, intervention, m, layout=layout_of(batch))


def bare(model: nn.Module, batch: Batch) -> AbstractContextManager[Any]:
    """No steering.

    Args:
        model: left as it is.
        batch: unused.
    """
    return nullcontext()


def neutral_batch(model: nn.Module, template: Template) -> Batch:
    """A few neutral prompts with the bare model's greedy answers.

    Args:
        model: a Hugging Face causal LM.
        template: turns prompts into ids.
    """
    rows = greedy_rows(model, template, neutral_prompts(PROMPTS), GenerateConfig(max_new_tokens=TOKENS))
    return collate(rows, pad_id=template.pad_id).to(device_of(model))


@torch.no_grad()
def kl_per_token(batch: Batch, first: tuple[nn.Module, Steers], second: tuple[nn.Module, Steers]) -> float:
    """KL divergence per token, nats, of what a second steered model predicts from what a first one does.

    Args:
        batch: whole rows of prompt and answer.
        first: a model and what steers it.
        second: another model, or the same, and what steers it.
    """
    p, q = (_log_probabilities(model, steers, batch) for model, steers in (first, second))
    return float((p.exp() * (p - q)).sum() / len(p))


def _log_probabilities(model: nn.Module, steers: Steers, batch: Batch) -> Tensor:
    """``[T V]``, in float64, at the positions that predict an answer's token."""
    with frozen(model), steers(model, batch), full_precision_head(model):
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).logits
    starts, ends = (batch.prompt_lengths - 1).tolist(), (batch.lengths - 1).tolist()
    rows = [row[start:end] for row, start, end in zip(logits, starts, ends, strict=True)]
    return torch.cat(rows).double().log_softmax(-1).cpu()
