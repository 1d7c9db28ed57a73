"""Objectives without training: read the answers' mean activations off the bare model and let the objective fit v.

    mean over an answer's tokens of h, one row of [n d] per answer

h is what v is added to: under placement ``site`` the output of the site, under ``block_output`` that of its block. One
row at a time, so that padding plays no part; sums over pairs are the objective's, in float64. An activation that is not
finite is an error: half precision overflows in some models.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .batching import Row, collate
from .forms.vector import Vector
from .intervention import Intervention
from .objectives.base import FittedObjective
from .observe import activations, device_of
from .scoring import answer_rows
from .sites import RESIDUAL, Placement, Site, Unwrap, same
from .tokens import EncodedPair
from .types import ConfigError


@torch.no_grad()
def fit_closed_form(
    model: nn.Module,
    pad_id: int,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    objective: FittedObjective,
    unwrap: Unwrap = same,
) -> None:
    """Set the vectors of ``intervention``, one per site, to what ``objective`` fits to the pairs' activations.

    Raises:
        ConfigError: an activation is not finite.
    """
    rows, n = answer_rows(pairs), len(pairs)
    indices = 2 * [pair.index for pair in pairs]
    fit_answers(model, pad_id, rows[:n], rows[n:], intervention, objective, unwrap, indices=indices)


@torch.no_grad()
def fit_answers(
    model: nn.Module,
    pad_id: int,
    positive: Sequence[Row],
    negative: Sequence[Row],
    intervention: Intervention,
    objective: FittedObjective,
    unwrap: Unwrap = same,
    *,
    indices: Sequence[int],
) -> None:
    """`fit_closed_form` from answers that need no partner.

    Args:
        indices: row number in the source of each positive, then of each negative answer.
    """
    places = {site: _added_to(site, intervention.config.placement) for site in intervention.sites}
    means = answer_means(model, pad_id, [*positive, *negative], list(places.values()), unwrap)
    for site, place in places.items():
        form, found = intervention[site], means[place]
        assert isinstance(form, Vector)
        bad = torch.nonzero(~found.isfinite().all(-1)).flatten().tolist()
        if bad:
            raise ConfigError(
                f"the activations of row {indices[bad[0]]} at {place.key} are not finite: "
                "load the model in float32 or bfloat16"
            )
        form.v.copy_(objective.fit(found[: len(positive)], found[len(positive) :]))


def _added_to(site: Site, placement: Placement) -> Site:
    """Where dy joins what the model computes."""
    return Site(site.block, RESIDUAL) if placement == "block_output" else site


@torch.no_grad()
def answer_means(
    model: nn.Module, pad_id: int, rows: Sequence[Row], sites: Sequence[Site], unwrap: Unwrap = same
) -> dict[Site, Tensor]:
    """Mean activation over each row's answer tokens, ``[n d]`` per site, at least fp32."""
    means: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for row in rows:
        batch = collate([row], pad_id=pad_id).to(device_of(model))
        with activations(model, sites, unwrap) as found:
            model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                use_cache=False,
                logits_to_keep=1,
            )
        for site, h in found.items():
            answer = h[0, len(row.prompt) :].to(torch.promote_types(h.dtype, torch.float32))
            means[site].append(answer.mean(0))
    return {site: torch.stack(values) for site, values in means.items()}
