"""Side effects of steering on neutral prompts: KL divergence from the unsteered model, and greedy answers that change.

    KL(m) = sum over prompts and tokens t of  KL( p(. | q, y_<t)  ||  p_m(. | q, y_<t) )  /  number of tokens     nats

y is the bare model's own greedy answer to the neutral prompt q, p the bare model and p_m the steered one: how many nats
a token of what the model would have said becomes less likely. Along y a greedy answer under m is the bare one exactly
where the likeliest token is the same at every step, so one forward pass tells both. At m = 0 both are exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import require
from ..model.hooks import device_of, frozen, full_precision_head
from ..steering.attach import attach
from ..steering.generate import GenerateConfig, greedy_rows
from ..steering.intervention import Intervention
from ..text.batching import Batch, Row, collate
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .score import layout_of

COLUMNS = ("m1", "m2", "prompt", "kl", "tokens", "changed")
TOKENS = 32
"""Longest bare answer, in tokens."""
_ROWS = 8  # at a time: the logits of all their tokens are in memory


@torch.no_grad()
def collateral(
    model: nn.Module,
    template: Template,
    prompts: Sequence[str],
    intervention: Intervention,
    m: Sequence[float | tuple[float, float]],
    *,
    tokens: int = TOKENS,
    bare: Sequence[Row] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """KL divergence and changed greedy answers of an intervention at each m, on neutral prompts.

    Args:
        model: the bare model.
        template: turns prompts into ids, as the intervention was trained.
        prompts: neutral ones, e.g. ``datasets.everyday.neutral_prompts``.
        intervention: what is attached.
        m: floats, or ``(m1, m2)``.
        tokens: longest bare answer, in tokens.
        bare: the bare model's answers to these prompts from ``bare_answers``, where they are made already; ``tokens``
            plays no part then.
        progress: called after each batch of prompts with (prompts done, prompts in all).

    Returns:
        A row per m and prompt: ``m1, m2``; ``prompt`` (its index); ``kl``, summed over the answer's ``tokens``, nats;
        ``changed``, whether the greedy answer is another.

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
        ConfigError: no m, or an intervention that does not fit the model.
    """
    if not m:
        raise ConfigError("there is no m to measure side effects at: name at least one")
    rows = bare_answers(model, template, prompts, tokens) if bare is None else bare
    require(len(rows) == len(prompts), f"{len(rows)} bare answers for {len(prompts)} prompts: give each prompt its own")
    found: list[dict[str, Any]] = []
    with frozen(model):
        for start in range(0, len(rows), _ROWS):
            chosen = list(range(len(rows)))[start : start + _ROWS]
            batch = collate([rows[i] for i in chosen], pad_id=template.pad_id).to(device_of(model))
            before = _log_probabilities(model, batch)
            for value in m:
                m1, m2 = value if isinstance(value, tuple) else (value, value)
                with attach(model, intervention, (m1, m2), layout=layout_of(batch)):
                    steered = _log_probabilities(model, batch)
                for i, p, p_m in zip(chosen, before, steered, strict=True):
                    kl, changed = _compare(p, p_m)
                    values = (float(m1), float(m2), i, kl, len(p), changed)
                    found.append(dict(zip(COLUMNS, values, strict=True)))
            if progress is not None:
                progress(chosen[-1] + 1, len(rows))
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return table.sort_values(["m1", "m2", "prompt"], kind="stable").reset_index(drop=True)


def bare_answers(model: nn.Module, template: Template, prompts: Sequence[str], tokens: int = TOKENS) -> list[Row]:
    """The unsteered model's greedy answers to neutral prompts, along which ``collateral`` measures.

    Args:
        model: the bare model.
        template: turns prompts into ids.
        prompts: neutral ones.
        tokens: longest answer, in tokens.

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
    """
    return greedy_rows(model, template, prompts, GenerateConfig(max_new_tokens=tokens))


def collateral_means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the prompts at each m: ``kl`` per token, nats, and ``changed``, the share of greedy answers that
    differ.

    Args:
        table: from ``collateral``.

    Returns:
        A row per m, sorted: ``m1, m2, kl, changed, prompts``.
    """
    groups = table.groupby(["m1", "m2"], sort=True)
    sums = groups.agg(kl=("kl", "sum"), tokens=("tokens", "sum"), changed=("changed", "mean"), prompts=("kl", "size"))
    sums["kl"] = sums["kl"] / sums["tokens"]
    return sums.drop(columns="tokens").reset_index()


def _log_probabilities(model: nn.Module, batch: Batch) -> list[Float[Tensor, "T V"]]:
    """Log-probabilities ``[T V]`` at the positions that predict each row's answer tokens."""
    first = int(batch.prompt_lengths.min()) - 1
    with full_precision_head(model):
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
            logits_to_keep=batch.input_ids.shape[1] - first,
        ).logits
    starts, ends = (batch.prompt_lengths - 1 - first).tolist(), (batch.lengths - 1 - first).tolist()
    return [row[start:end].log_softmax(-1) for row, start, end in zip(logits, starts, ends, strict=True)]


def _compare(before: Float[Tensor, "T V"], after: Float[Tensor, "T V"]) -> tuple[float, bool]:
    """Summed KL(before || after), nats, and whether the likeliest token changes at any step."""
    kl = (before.exp() * (before - after)).double().sum()
    return float(kl), bool((before.argmax(-1) != after.argmax(-1)).any())
