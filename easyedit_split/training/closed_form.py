"""Objectives with a closed form: collect the answers' mean activations in the unsteered model, and fit v to them.

    mean over an answer's tokens of h, one row of [n d] per answer

h is what v is added to: under placement ``site`` the output of the site, under ``block_output`` that of its block. One
row at a time, so that padding plays no part; sums over pairs are the objective's, in float64. An activation that is not
finite is an error: half precision overflows in some models.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..model.sites import RESIDUAL, Placement, Site
from ..scoring.answer_means import answer_means
from ..scoring.score import answer_rows
from ..steering.intervention import Intervention
from ..text.batching import Row
from ..text.encode_pairs import EncodedPair
from ..types import ConfigError
from .objectives.base import FittedObjective


@torch.no_grad()
def fit_closed_form(
    model: nn.Module,
    pad_id: int,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    objective: FittedObjective,
) -> None:
    """Set the vectors of ``intervention``, one per site, to what ``objective`` fits to the pairs' activations.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        pairs: encoded pairs of one concept.
        intervention: vectors to set, in place.
        objective: fits the vectors.

    Raises:
        ConfigError: an activation is not finite.
    """
    rows, n = answer_rows(pairs), len(pairs)
    indices = 2 * [pair.index for pair in pairs]
    fit_answers(model, pad_id, rows[:n], rows[n:], intervention, objective, indices=indices)


@torch.no_grad()
def fit_answers(
    model: nn.Module,
    pad_id: int,
    positive: Sequence[Row],
    negative: Sequence[Row],
    intervention: Intervention,
    objective: FittedObjective,
    *,
    indices: Sequence[int],
) -> None:
    """``fit_closed_form`` for positive and negative answers that are not paired.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        positive: rows whose answer carries the concept.
        negative: rows whose answer does not.
        intervention: vectors to set, in place.
        objective: fits the vectors.
        indices: row number in the source of each positive, then of each negative answer.
    """
    places = {site: _added_to(site, intervention.config.placement) for site in intervention.sites}
    means = answer_means(model, pad_id, [*positive, *negative], list(places.values()))
    for site, place in places.items():
        form, found = intervention[site], means[place]
        direction = form.bias_delta()
        assert direction is not None, "a closed form fits forms that are one vector (RunConfig checks it)"
        bad = torch.nonzero(~found.isfinite().all(-1)).flatten().tolist()
        if bad:
            raise ConfigError(
                f"the activations of row {indices[bad[0]]} at {place.key} are not finite: "
                "load the model in float32 or bfloat16"
            )
        direction.copy_(objective.fit(found[: len(positive)], found[len(positive) :]))


def _added_to(site: Site, placement: Placement) -> Site:
    """The site whose activations the vector is added to."""
    return Site(site.block, RESIDUAL) if placement == "block_output" else site
