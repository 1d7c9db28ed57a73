"""Reference scorer: answer losses by one full forward pass per row, which every faster path must reproduce.

    L(A | q) = - sum_t log P(y_t | q, y_<t)          Eq. 28, nats, summed over the answer's tokens, end token included

Padding, batch composition and order change nothing: exact to 1e-9 in float64. Logits are the model's own, in its dtype
but at least fp32; log-softmax and sums are float64. At m = 0 the model is bit-identical to the bare one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ..model.hooks import device_of, finite_masks, frozen, full_precision_head
from ..steering.attach import Delta, attach
from ..steering.forms.base import Strength
from ..steering.intervention import Intervention
from ..text.batching import Batch, Row, collate, plan_batches
from ..text.encode_pairs import EncodedPair
from ..text.positions import Layout
from ..types import Scores


def layout_of(batch: Batch) -> Layout:
    """Positions of prompt and answer tokens in a batch that holds both.

    Args:
        batch: rows of prompt and answer.
    """
    index = torch.where(batch.attention_mask.bool(), batch.position_ids, -1)
    return Layout(index, batch.prompt_lengths, batch.prefix_lengths, batch.lengths)


def answer_losses(logits: Float[Tensor, "b k V"], batch: Batch) -> Float64[Tensor, " b"]:
    """Negative log-likelihood of each answer given its prompt, from the logits of the last ``k`` positions.

    Args:
        logits: ``[b k V]`` for the last ``k`` of the batch's ``s`` columns.
        batch: the rows that the logits are of.
    """
    skipped = batch.input_ids.shape[1] - logits.shape[1]
    index = layout_of(batch).index
    rows, columns = torch.nonzero(index >= batch.prompt_lengths[:, None], as_tuple=True)
    at = columns - 1 - skipped  # the position before a token predicts it
    logp = logits[rows, at].double().log_softmax(-1)
    token = logp.gather(-1, batch.input_ids[rows, columns][:, None]).squeeze(-1)
    return torch.zeros(len(logits), dtype=torch.float64, device=logits.device).index_add(0, rows, -token)


def row_losses(
    model: nn.Module,
    batch: Batch,
    intervention: Intervention | None = None,
    m: Strength = 0.0,
    *,
    delta: Delta | None = None,
) -> Float64[Tensor, " b"]:
    """Negative log-likelihood (summed nats) of each row's answer under an intervention; differentiable in its
    parameters.

    Args:
        model: a Hugging Face causal LM.
        batch: rows of prompt and answer.
        intervention: what to apply; None for the bare model.
        m: as in ``attach``; a tensor holds one value per row.
        delta: as in ``attach``.
    """
    layout = layout_of(batch)
    first_answer = int(torch.where(layout.index >= batch.prompt_lengths[:, None], 1, 0).amax(0).argmax())
    steered = attach(model, intervention, m, layout=layout, delta=delta) if intervention else nullcontext()
    with steered, full_precision_head(model), finite_masks(model):
        output = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
            logits_to_keep=batch.input_ids.shape[1] - first_answer + 1,
        )
    return answer_losses(output.logits, batch)


def answer_rows(pairs: Sequence[EncodedPair]) -> list[Row]:
    """Token rows of a set of pairs: the positive answers of all pairs, then the negative ones.

    Args:
        pairs: encoded pairs.
    """
    return [
        *(Row(pair.prompt, pair.positive, pair.prefix_length) for pair in pairs),
        *(Row(pair.prompt, pair.negative, pair.prefix_length) for pair in pairs),
    ]


def score(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention | None = None,
    m: Strength = 0.0,
    *,
    pad_id: int = 0,
    max_tokens: int = 4096,
    max_rows: int = 64,
    side: Literal["right", "left"] = "right",
) -> Scores:
    """Negative log-likelihood of both answers of each pair under an intervention at one m.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded pairs.
        intervention: what to apply; None for the bare model.
        m: a float or ``(m1, m2)`` of floats.
        pad_id: any valid id; it changes nothing.
        max_tokens: padded tokens of a batch at most; changes nothing but memory and time.
        max_rows: rows of a batch at most; changes nothing but memory and time.
        side: side of the padding; it changes nothing.

    Returns:
        ``Scores`` with one entry per pair, in the order given; losses in nats.
    """
    acting = [] if intervention is None else [(intervention, m)]
    return score_together(model, pairs, acting, pad_id=pad_id, max_tokens=max_tokens, max_rows=max_rows, side=side)


@torch.no_grad()
def score_together(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    acting: Sequence[tuple[Intervention, Strength]],
    *,
    pad_id: int = 0,
    max_tokens: int = 4096,
    max_rows: int = 64,
    side: Literal["right", "left"] = "right",
) -> Scores:
    """Negative log-likelihood of both answers of each pair under several interventions at once, each at its own m.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded pairs.
        acting: interventions, each with a float or ``(m1, m2)`` of floats; none for the bare model.
        pad_id: any valid id; it changes nothing.
        max_tokens: padded tokens of a batch at most; changes nothing but memory and time.
        max_rows: rows of a batch at most; changes nothing but memory and time.
        side: side of the padding; it changes nothing.

    Returns:
        ``Scores`` with one entry per pair, in the order given; losses in nats.
    """
    rows = answer_rows(pairs)
    lengths = [len(row.prompt) + len(row.answer) for row in rows]
    losses = np.empty(len(rows))
    with frozen(model):
        for chosen in plan_batches(lengths, max_tokens=max_tokens, max_rows=max_rows):
            batch = collate([rows[i] for i in chosen], pad_id=pad_id, side=side).to(device_of(model))
            with ExitStack() as stack:
                for intervention, m in acting:
                    stack.enter_context(attach(model, intervention, m, layout=layout_of(batch)))
                losses[chosen] = row_losses(model, batch).cpu().numpy()
    tokens = np.array([len(row.answer) for row in rows])
    n = len(pairs)
    return Scores(L_p=losses[:n], L_n=losses[n:], T_p=tokens[:n], T_n=tokens[n:])


def plain_scores_over_m(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention | None,
    ms: Sequence[float | tuple[float, float]],
    *,
    pad_id: int = 0,
    known: Collection[int] = (),
) -> Iterator[Scores]:
    """Negative log-likelihood of both answers of each pair at each of many m, in order, by the reference scorer.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded by one template.
        intervention: None for the bare model.
        ms: floats or ``(m1, m2)``.
        pad_id: any valid id.
        known: places in ``ms`` that are left out.
    """
    for place, m in enumerate(ms):
        if place not in known:
            yield score(model, pairs, intervention, m, pad_id=pad_id)
