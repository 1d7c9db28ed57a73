"""Compatibility checks between an artifact and a model.

    another architecture                                    an error
    another id, revision, dtype, attention, quantisation,
    adapters, tokenizer, weights or settings                a sentence each, for the user to judge

What is not known, of the artifact or of the model, is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..model.digests import model_digests, versions
from ..model.sites import Placement, Site, widths
from ..text.prompt_tokens import tokenizer_hash
from ..types import ArtifactError, ConfigError

ARCHITECTURE = ("model_type", "hidden_size", "num_hidden_layers")
NOTED = ("id", "revision", "dtype", "attention", "quantization", "adapters")
_DIGESTS = {"weights": "its weights", "config": "its settings (config.json)"}


def require_architecture(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise where a model's architecture or widths, as ``load.describe`` finds them, differ from the recorded ones.

    Args:
        recorded: the model's part of an artifact's record.
        found: the model as ``load.describe`` finds it.

    Raises:
        ArtifactError: a width, the number of blocks or the architecture differs.
    """
    for key in ARCHITECTURE:
        if key in recorded and recorded[key] != found[key]:
            raise ArtifactError(
                f"made for a model with {key} {recorded[key]}, this one has {found[key]}: load {recorded.get('id')!r}"
            )


def require_sites(model: nn.Module, shapes: Mapping[str, tuple[int, int]], placement: Placement) -> None:
    """Raise unless a model has every site of an artifact, of the stored widths.

    Args:
        model: a Hugging Face causal LM.
        shapes: ``(d_in, d_out)`` by site key.
        placement: where the artifact's change is added.

    Raises:
        ArtifactError: a site that the model has not, or of other widths.
    """
    for key, shape in shapes.items():
        try:
            fits = widths(model, Site.parse(key), placement)
        except ConfigError as error:
            raise ArtifactError(f"does not fit this model: {error}") from error
        if fits != shape:
            raise ArtifactError(f"{key} maps {shape[0]} to {shape[1]}, this model's site {fits[0]} to {fits[1]}")


def differences(
    record: Mapping[str, Any], found: Mapping[str, Any], tokenizer: Any = None, model: nn.Module | None = None
) -> tuple[str, ...]:
    """Other differences between an artifact's training record and a model, one sentence each.

    Args:
        record: the artifact's record.
        found: the model as ``model.load.describe`` finds it.
        tokenizer: compared with the recorded one by everything that decides ids; None where there is none at hand.
        model: its weights and settings are compared too where it is given and what goes by the same name, in the same
            dtype, might be taken for the same.
    """
    recorded: Mapping[str, Any] = record.get("model", {})
    keys = [key for key in NOTED if _differ(key, _shown(recorded.get(key)), _shown(found[key]))]
    if "id" in keys and "revision" in keys:
        keys.remove("revision")  # of another model, so it says nothing
    notes = [f"{key} was {_shown(recorded[key])}, is {_shown(found[key])}" for key in keys]
    if not keys or keys == ["attention"]:
        notes += _inner_differences(record, recorded, model)
    known = record.get("tokenizer_hash")
    if tokenizer is not None and known and known != tokenizer_hash(tokenizer):
        notes.append("the tokenizer or its chat template is not the one the artifact was trained with")
    return tuple(notes)


def _inner_differences(record: Mapping[str, Any], recorded: Mapping[str, Any], model: nn.Module | None) -> list[str]:
    """What differs in a model that goes by the recorded name: digests tell."""
    if model is None or not any(recorded.get(key) for key in _DIGESTS):
        return []
    now, then, here = model_digests(model), record.get("versions") or {}, versions()
    same_release = then.get("transformers") == here["transformers"]  # another one writes other keys
    return [
        f"{said} are not those that the artifact was trained with (digest {recorded[key][:12]}, now {now[key][:12]})"
        for key, said in _DIGESTS.items()
        if recorded.get(key) and recorded[key] != now[key] and (key == "weights" or same_release)
    ]


def _shown(value: Any) -> str | None:
    """A recorded value as text; an empty list is none of its kind, and a None is not known."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def _differ(key: str, was: str | None, now: str | None) -> bool:
    if not was or not now or was == now:
        return False
    return key != "id" or not Path(was).exists() or Path(was).resolve() != Path(now).resolve()
