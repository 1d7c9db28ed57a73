"""Strength in natural units: how large an intervention's change is against the activation that it is added to.

    r = |m dh| / |h|          per steered token;  ``r_per_m`` is its median over tokens at m = 1, so r = r_per_m m

h ``[d]`` is the block's output where the site writes into the residual stream (a map as wide as the stream, or
``residual`` itself), so that forms at different sites are on one scale; for other maps it is the map's own output. dh
is ``form.delta(x, 1)`` of the bare model's x, so r is linear in m; at m = 0 it is 0. The median, not the mean: opening
tokens carry activations a hundred times as large as all others in many models. With several sites the one that is
changed most counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen, site_values
from ..model.sites import Site
from ..steering.intervention import Intervention
from ..steering.strength_grid import NaturalUnit
from ..text.batching import collate
from ..text.encode import EncodedPair
from ..text.positions import position_mask
from .score import answer_rows, layout_of

ROWS = 16
"""Answers that are looked at: the median over their hundreds of tokens hardly moves with more."""


def natural_unit(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    *,
    pad_id: int = 0,
    rows: int = ROWS,
) -> NaturalUnit:
    """The natural unit of an intervention: that of its site with the largest r (the first of several that change
    nothing).

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded pairs to measure on.
        intervention: what to measure.
        pad_id: any valid id; it changes nothing.
        rows: how many rows are measured.

    Raises:
        ConfigError: the intervention does not fit the model.
    """
    units = natural_units(model, pairs, intervention, pad_id=pad_id, rows=rows)
    return max(units.values(), key=lambda unit: unit.r_per_m)


@torch.no_grad()
def natural_units(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    *,
    pad_id: int = 0,
    rows: int = ROWS,
) -> dict[Site, NaturalUnit]:
    """Measure |h| and |dh| at each site over the steered tokens of pairs, under the bare model.

    Args:
        model: the bare model.
        pairs: prompts and both answers are read; at least one pair.
        intervention: says where, on which tokens, and what dh is.
        pad_id: any valid id; it changes nothing.
        rows: at most so many answers are read, evenly chosen from all.

    Raises:
        ConfigError: the intervention does not fit the model.
    """
    chosen = answer_rows(pairs)
    chosen = [chosen[i * len(chosen) // min(rows, len(chosen))] for i in range(min(rows, len(chosen)))]
    config = intervention.config
    norms: dict[Site, list[tuple[Tensor, Tensor]]] = {site: [] for site in intervention.sites}
    with frozen(model):
        for row in chosen:
            batch = collate([row], pad_id=pad_id).to(device_of(model))
            mask = position_mask(config.positions, config.skip_prefix, layout_of(batch))
            with site_values(model, list(norms)) as values:
                model(
                    input_ids=batch.input_ids,
                    attention_mask=batch.attention_mask,
                    position_ids=batch.position_ids,
                    use_cache=False,
                    logits_to_keep=1,
                )
            for site, parts in norms.items():
                x, h = values[site]
                parts.append((_norms(h, mask), _norms(intervention[site].delta(x, 1.0), mask)))
    return {site: _unit(parts) for site, parts in norms.items()}


def _norms(values: Tensor, mask: Tensor) -> Tensor:
    """``[tokens]`` Euclidean norms of the steered tokens, float64."""
    steered: Tensor = values[mask.to(values.device)].double()
    norms: Tensor = torch.linalg.vector_norm(steered, dim=-1)
    return norms.cpu()


def _unit(parts: Sequence[tuple[Tensor, Tensor]]) -> NaturalUnit:
    h, dh = (torch.cat(column) for column in zip(*parts, strict=True))
    return NaturalUnit(float(h.median()), float((dh / h).median()), len(h))
