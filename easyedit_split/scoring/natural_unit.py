"""Strength relative to the activation, r = |m dh| / |h|: the unit in which strengths of interventions compare.

    r = |m dh| / |h|          per steered token;  ``r_per_m`` is its median over tokens at m = 1, so r = r_per_m m

h ``[d]`` is the block's output where the site writes into the residual stream (a map as wide as the stream, or
``residual`` itself), so that forms at different sites are on one scale; for other maps it is the map's own output. dh
is ``form.delta(x, 1)`` of the bare model's x, so r is linear in m; at m = 0 it is 0. The median, not the mean: opening
tokens carry activations a hundred times as large as all others in many models. With several sites the one that is
changed most counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen, site_values
from ..model.sites import Site
from ..steering.intervention import Intervention, InterventionConfig
from ..steering.strength_grid import NaturalUnit
from ..text.batching import Row, collate
from ..text.encode_pairs import EncodedPair
from ..text.positions import position_mask
from .engine.library import remembered
from .score import answer_rows, layout_of

ROWS = 16
"""Answers that are looked at: the median over their hundreds of tokens hardly moves with more."""
MOST_REMEMBERED = 4
"""Sites whose values are kept for the next call on the same texts; a scan of all blocks needs its own once."""


@dataclass(frozen=True, slots=True)
class SteeredValues:
    """Inputs and norms of the activations that one site changes, over ``n`` steered tokens of the unsteered model.

    Attributes:
        x: ``[1 n d_in]`` what a change is computed from.
        h: ``[n]`` norms of what it is added to, float64.
    """

    x: Tensor
    h: Tensor


def natural_unit(
    model: nn.Module, pairs: Sequence[EncodedPair], intervention: Intervention, *, pad_id: int = 0, rows: int = ROWS
) -> NaturalUnit:
    """Measure r per unit of m for an intervention: that of its site with the largest r.

    Args:
        model: the bare model.
        pairs: prompts and both answers are read; at least one pair.
        intervention: says where, on which tokens, and what dh is.
        pad_id: any valid id; it changes nothing.
        rows: at most so many answers are read, evenly chosen from all.

    Raises:
        ConfigError: the intervention does not fit the model.
    """
    values = steered_values(model, pairs, intervention, pad_id=pad_id, rows=rows)
    return max(units_of(model, values, intervention).values(), key=lambda unit: unit.r_per_m)


@torch.no_grad()
def steered_values(
    model: nn.Module, pairs: Sequence[EncodedPair], intervention: Intervention, *, pad_id: int = 0, rows: int = ROWS
) -> dict[Site, SteeredValues]:
    """Collect the input x and the norm of h at each site of an intervention, under the unsteered model.

    Args:
        model: the bare model.
        pairs: prompts and both answers are read; at least one pair.
        intervention: says where and on which tokens; its parameters play no part.
        pad_id: any valid id; it changes nothing.
        rows: at most so many answers are read, evenly chosen from all.

    Raises:
        ConfigError: the intervention does not fit the model.
    """
    intervention.onto(model)
    chosen = answer_rows(pairs)
    chosen = [chosen[i * len(chosen) // min(rows, len(chosen))] for i in range(min(rows, len(chosen)))]
    config, sites = intervention.config, tuple(intervention.sites)
    texts = tuple((row.prompt, row.answer, row.prefix_length) for row in chosen)
    if len(sites) > MOST_REMEMBERED:
        return _collected(model, chosen, sites, config, pad_id)
    key = ("steered values", texts, sites, config.positions, config.skip_prefix)
    return dict(remembered(model, key, lambda: _Collected(_collected(model, chosen, sites, config, pad_id))).by_site)


@dataclass(frozen=True, slots=True)
class _Collected:
    """Values by site, as they are remembered.

    Attributes:
        by_site: of ``steered_values``.
    """

    by_site: dict[Site, SteeredValues]

    @property
    def nbytes(self) -> int:
        """Memory of the inputs and norms, in bytes."""
        return sum(seen.x.nbytes + seen.h.nbytes for seen in self.by_site.values())


def _collected(
    model: nn.Module, rows: Sequence[Row], sites: Sequence[Site], config: InterventionConfig, pad_id: int
) -> dict[Site, SteeredValues]:
    parts: dict[Site, list[tuple[Tensor, Tensor]]] = {site: [] for site in sites}
    with frozen(model):
        for row in rows:
            batch = collate([row], pad_id=pad_id).to(device_of(model))
            mask = position_mask(config.positions, config.skip_prefix, layout_of(batch))
            with site_values(model, list(parts)) as values:
                model(
                    input_ids=batch.input_ids,
                    attention_mask=batch.attention_mask,
                    position_ids=batch.position_ids,
                    use_cache=False,
                    logits_to_keep=1,
                )
            for site, found in parts.items():
                x, h = values[site]
                found.append((x[mask.to(x.device)], _norms(h[mask.to(h.device)])))
    columns = {site: list(zip(*found, strict=True)) for site, found in parts.items()}
    return {site: SteeredValues(torch.cat(x)[None], torch.cat(h)) for site, (x, h) in columns.items()}


@torch.no_grad()
def units_of(
    model: nn.Module, values: Mapping[Site, SteeredValues], intervention: Intervention
) -> dict[Site, NaturalUnit]:
    """r at m = 1 of each site for an intervention's parameters.

    Args:
        model: the bare model, whose maps some forms read.
        values: of ``steered_values`` at the intervention's sites.
        intervention: what dh is.
    """
    found = {}
    for site, seen in values.items():
        dh = _norms(intervention.on(model, site).delta(seen.x, 1.0)[0])
        found[site] = NaturalUnit(float(seen.h.median()), float((dh / seen.h).median()), len(dh))
    return found


def _norms(values: Tensor) -> Tensor:
    """``[n]`` Euclidean norms of the rows, float64."""
    norms: Tensor = torch.linalg.vector_norm(values.double(), dim=-1)
    return norms.cpu()
