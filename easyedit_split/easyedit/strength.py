"""Multiply the strength of everything that EasyEdit2 has applied by m: m = 1 is the model as it is, m = 0 unsteered.

Every kind of steering that the wrappers know is covered: added activations (caa, sta, vector_prompt, sae_feature),
interventions with a multiplier (spilt, sft, reps), ours, and a prompt, which knows only 0 and 1; lm_steer, which
replaces the model's head, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..steering.intervention import Intervention
from ..types import ConfigError
from .host.wrappers import layers_of
from .live import Marker, live_on


def applied_methods(wrapper: Any) -> tuple[str, ...]:
    """Names of the methods that currently steer a wrapper.

    Args:
        wrapper: EasyEdit2's model wrapper.
    """
    names = {name for layer in layers_of(wrapper) for name in (*layer.add_activations_dict, *layer.intervention_dict)}
    if hasattr(wrapper, "prompt"):
        names.add("prompt")
    return tuple(sorted(names))


@contextmanager
def at_strength(wrapper: Any, m: float) -> Iterator[list[tuple[Intervention, float]]]:
    """Context in which the strength of everything applied is multiplied by ``m`` and start positions are ignored.

    Args:
        wrapper: EasyEdit2's model wrapper.
        m: factor on everything that is applied.

    Yields:
        Our own interventions with the strength each is to be attached at: they are left to the caller, who knows where
        prompt and answer lie.

    Raises:
        ConfigError: lm_steer, or a method without a strength at an m other than 0 and 1.
    """
    layers = layers_of(wrapper)
    ours = [(live.intervention, live.m * m) for live in live_on(wrapper)]
    saved = [(x, x.add_activations_dict, x.intervention_dict, x.from_position) for x in layers]
    multipliers: list[tuple[Any, Any]] = []
    if hasattr(wrapper, "steer"):
        raise ConfigError("lm_steer puts its own head on the model, whose logits cannot be scored here: reset it first")
    try:
        for layer in layers:
            layer.from_position = None
            theirs = {k: v for k, v in layer.intervention_dict.items() if not isinstance(v, Marker)}
            layer.add_activations_dict = {k: m * v for k, v in layer.add_activations_dict.items()} if m else {}
            layer.intervention_dict = theirs if m else {}
            for name, intervention in layer.intervention_dict.items():
                multipliers.append((intervention, _multiplier(name, intervention, m)))
        for intervention, before in multipliers:
            if before is not None:
                intervention.multiplier = before * m
        yield ours if m else []
    finally:
        for layer, activations, interventions, start in saved:
            layer.add_activations_dict, layer.intervention_dict, layer.from_position = activations, interventions, start
        for intervention, before in multipliers:
            if before is not None:
                intervention.multiplier = before


def _multiplier(name: str, intervention: Any, m: float) -> float | None:
    value = getattr(intervention, "multiplier", None)
    if value is None and m != 1:
        raise ConfigError(f"{name} has no multiplier, so it can be scored at m = 0 and m = 1 only, not at {m:g}")
    return None if value is None else float(value)


def prompt_of(wrapper: Any, m: float) -> str | None:
    """The steering prompt that precedes every input at this m.

    Args:
        wrapper: EasyEdit2's model wrapper.
        m: factor on everything that is applied.

    Raises:
        ConfigError: a prompt, at an m other than 0 and 1.
    """
    prompt: str | None = getattr(wrapper, "prompt", None)
    if prompt is None or m == 0:
        return None
    if m != 1:
        raise ConfigError(f"a steering prompt has no strength: it can be scored at m = 0 and m = 1 only, not at {m:g}")
    return prompt
