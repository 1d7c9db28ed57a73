"""Answer losses of pairs under whatever steers an EasyEdit2 model: by the engine where that is exact, else plainly.

The engine knows interventions of this package. Where nothing else steers, they are taken off the model, the wrappers
with them, and given to the engine as one intervention; afterwards, also after an exception, all stand where they stood.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from ..scoring.engine.scorer import scores_over_m
from ..scoring.score import score_together
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..types import Scores
from .host.wrappers import layers_of, taken_off
from .live import live_on, set_aside
from .strength import at_strength

logger = logging.getLogger(__name__)


def wrapper_scores(wrapper: Any, pairs: Sequence[EncodedPair], m: float, pad_id: int) -> Scores:
    """Losses of both answers of each pair, with everything that is applied at ``m`` times its strength.

    Args:
        wrapper: EasyEdit2's model wrapper.
        pairs: encoded pairs.
        m: factor on everything that is applied.
        pad_id: any valid id; it changes nothing.

    Raises:
        ConfigError: a method that cannot be scaled, as ``at_strength``.
    """
    acting = [(live.intervention, live.m * m) for live in live_on(wrapper)]
    with at_strength(wrapper, m) as ours:
        reason = _why_plain(wrapper, acting)
        if reason is not None:
            logger.warning("scored by the reference scorer, without the engine: %s", reason)
            return score_together(wrapper.model, pairs, ours, pad_id=pad_id)
        one = as_one([intervention for intervention, _ in acting])
        with set_aside(wrapper), taken_off(wrapper.model):
            (scores,) = scores_over_m(wrapper.model, pairs, one, [acting[0][1] if acting else 0.0], pad_id=pad_id)
        return scores


def as_one(interventions: Sequence[Intervention]) -> Intervention | None:
    """Interventions at different sites as one, with the same parameters; None of none.

    Args:
        interventions: alike but for their sites.
    """
    if len(interventions) < 2:
        return interventions[0] if interventions else None
    forms = {key: part[key] for part in interventions for key in part.config.sites}
    config = dataclasses.replace(interventions[0].config, sites=tuple(forms))
    one = Intervention(config, [(form.d_in, form.d_out) for form in forms.values()])
    for name, form in zip(list(one.forms), forms.values(), strict=True):
        one.forms[name] = form
    return one


def _why_plain(wrapper: Any, acting: Sequence[tuple[Intervention, float]]) -> str | None:
    """Reason why the engine cannot score the applied interventions; None where it can."""
    for layer in layers_of(wrapper):
        if layer.add_activations_dict or layer.intervention_dict:
            name = next(iter((*layer.add_activations_dict, *layer.intervention_dict)))
            return f"{name} of EasyEdit2 steers the model"
    kinds = {repr(dataclasses.asdict(intervention.config) | {"sites": ()}) for intervention, _ in acting}
    sites = [key for intervention, _ in acting for key in intervention.config.sites]
    if len({strength for _, strength in acting}) > 1 or len(kinds) > 1 or len({*sites}) < len(sites):
        return "interventions of different kinds or strengths steer it together"
    return None
