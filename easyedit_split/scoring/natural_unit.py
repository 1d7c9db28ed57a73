"""Strength in natural units: how large an intervention's change is against the activation that it is added to.

    r = |m dh| / |h|          per steered token;  `r_per_m` is its median over tokens at m = 1, so r = r_per_m m

h ``[d]`` is the block's output where the site writes into the residual stream (a map as wide as the stream, or
`residual` itself), so that forms at different sites are on one scale; for other maps it is the map's own output. dh is
``form.delta(x, 1)`` of the bare model's x, so r is linear in m; at m = 0 it is 0. The median, not the mean: opening
tokens carry activations a hundred times as large as all others in many models. With several sites the one that is
changed most counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen, site_values
from ..model.sites import Unwrap, same
from ..steering.intervention import Intervention
from ..text.batching import collate
from ..text.encode import EncodedPair
from ..text.positions import position_mask
from .score import answer_rows, layout_of

ROWS = 64
"""Answers that are looked at: a median over their thousands of tokens moves by less than a hundredth with more."""


@dataclass(frozen=True, slots=True)
class NaturalUnit:
    """What one m is worth at a site.

    Attributes:
        h: median \\|h\\| over the steered tokens, in the model's own unit.
        r_per_m: median of \\|dh\\| / \\|h\\| at m = 1; 0 for an intervention that changes nothing.
        tokens: steered tokens that were measured.
    """

    h: float
    r_per_m: float
    tokens: int

    def record(self) -> dict[str, Any]:
        """Plain JSON values, as an artifact keeps them."""
        return {"h": self.h, "r_per_m": self.r_per_m, "tokens": self.tokens}


@torch.no_grad()
def natural_unit(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    *,
    pad_id: int = 0,
    rows: int = ROWS,
    unwrap: Unwrap = same,
) -> NaturalUnit:
    """Measure \\|h\\| and \\|dh\\| over the steered tokens of pairs, under the bare model.

    Args:
        model: the bare model.
        pairs: prompts and both answers are read; at least one pair.
        intervention: says where, on which tokens, and what dh is.
        pad_id: any valid id; it changes nothing.
        rows: at most so many answers are read, evenly chosen from all.
        unwrap: looks through wrappers around the model's own modules.

    Returns:
        The unit of the site whose r is largest (the first of several that change nothing).

    Raises:
        ConfigError: the intervention does not fit the model.
    """
    chosen = answer_rows(pairs)
    chosen = [chosen[i * len(chosen) // min(rows, len(chosen))] for i in range(min(rows, len(chosen)))]
    config, sites = intervention.config, intervention.sites
    norms: dict[str, list[tuple[Tensor, Tensor]]] = {site.key: [] for site in sites}
    with frozen(model):
        for row in chosen:
            batch = collate([row], pad_id=pad_id).to(device_of(model))
            mask = position_mask(config.positions, config.skip_prefix, layout_of(batch))
            with site_values(model, sites, unwrap) as values:
                model(
                    input_ids=batch.input_ids,
                    attention_mask=batch.attention_mask,
                    position_ids=batch.position_ids,
                    use_cache=False,
                    logits_to_keep=1,
                )
            for site in sites:
                x, h = values[site]
                dh = intervention[site].delta(x, 1.0)
                norms[site.key].append((_norms(h, mask), _norms(dh, mask)))
    units = [_unit(norms[site.key]) for site in sites]
    return max(units, key=lambda unit: unit.r_per_m)


def _norms(values: Tensor, mask: Tensor) -> Tensor:
    """``[tokens]`` Euclidean norms of the steered tokens, float64."""
    steered: Tensor = values[mask.to(values.device)].double()
    norms: Tensor = torch.linalg.vector_norm(steered, dim=-1)
    return norms.cpu()


def _unit(parts: Sequence[tuple[Tensor, Tensor]]) -> NaturalUnit:
    h, dh = (torch.cat(column) for column in zip(*parts, strict=True))
    return NaturalUnit(float(h.median()), float((dh / h).median()), len(h))
