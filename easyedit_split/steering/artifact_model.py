"""Compatibility checks between an artifact and a model.

    another architecture                                    an error
    the same name, other weights                            an error, unless other weights were allowed on reading
    another id, revision, dtype, attention, quantisation,
    adapters, tokenizer, settings or versions               a sentence each, for the user to judge

Weights are compared by their digest, which says something only where all else is equal: in another dtype, quantised, or
under another release of transformers (which may lay weights out anew) the same checkpoint has another one, and what
differs there is said. What is not known, of the artifact or of the model, is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..files.reading import cut
from ..model.describe import recorded_name
from ..model.digests import model_digests, versions
from ..model.sites import Placement, Site, widths
from ..text.prompt_tokens import tokenizer_hash
from ..types import ArtifactError, ConfigError

ARCHITECTURE = ("model_type", "hidden_size", "num_hidden_layers")
NOTED = ("id", "revision", "dtype", "attention", "quantization", "adapters")
_VERSIONS = ("transformers", "torch")


def require_fit(
    record: Mapping[str, Any],
    found: Mapping[str, Any],
    model: nn.Module,
    shapes: Mapping[str, tuple[int, int]],
    placement: Placement,
    other_weights: bool,
) -> None:
    """Raise unless an artifact may steer a model.

    Args:
        record: the artifact's.
        found: the model as ``model.describe`` finds it.
        model: a Hugging Face causal LM.
        shapes: ``(d_in, d_out)`` by site key.
        placement: where the artifact's change is added.
        other_weights: whether a model of the recorded name may have other weights.

    Raises:
        ArtifactError: another architecture, a site that does not fit, or other weights.
    """
    require_architecture(record.get("model", {}), found)
    require_sites(model, shapes, placement)
    if not other_weights:
        require_weights(record, found, model)


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
    if model is not None and _alike(recorded, found):
        notes += _inner_differences(record, recorded, model)
    known = record.get("tokenizer_hash")
    if tokenizer is not None and known and known != tokenizer_hash(tokenizer):
        notes.append("the tokenizer or its chat template is not the one the artifact was trained with")
    then, here = _versions(record.get("versions") or {}), _versions(versions())
    news = [
        f"{name} was {then[name]}, is {here[name]}" for name in _VERSIONS if then.get(name, here[name]) != here[name]
    ]
    return (*notes, *(["; ".join(news)] if news else []))


def require_weights(record: Mapping[str, Any], found: Mapping[str, Any], model: nn.Module) -> None:
    """Raise where a model goes by the recorded name and has other weights than the artifact was trained with.

    Args:
        record: the artifact's record.
        found: the model as ``model.load.describe`` finds it.
        model: the same.

    Raises:
        ArtifactError: it has, and neither dtype, quantisation, adapters nor versions explain it.
    """
    recorded: Mapping[str, Any] = record.get("model", {})
    plain = recorded.get("quantization") == "none" == found["quantization"] and "adapters" in recorded
    if plain and _same_release(record) and _alike(recorded, found) and (both := _other_weights(recorded, model)):
        raise ArtifactError(
            f"the weights of {cut(str(found['id'] or 'this model'), 60)} are not those that the artifact was trained "
            f"with (digest {both[0]}, now {both[1]}): load that model, or allow others with --other-weights, in Python "
            "Artifact.from_pretrained(folder, other_weights=True)"
        )


def _alike(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a model goes by the recorded name in every respect but attention."""
    return not any(key != "attention" and _differ(key, _shown(recorded.get(key)), _shown(found[key])) for key in NOTED)


def _other_weights(recorded: Mapping[str, Any], model: nn.Module) -> tuple[str, str] | None:
    """Both digests, shortened, where they are known and differ."""
    was = recorded.get("weights")
    now = model_digests(model)["weights"] if was else ""
    return (was[:12], now[:12]) if was and now and was != now else None


def _same_release(record: Mapping[str, Any]) -> bool:
    return (record.get("versions") or {}).get("transformers") == versions()["transformers"]


def _versions(known: Mapping[str, Any]) -> dict[str, str]:
    """Releases without the name of their build, as in ``2.9.0+cpu``."""
    return {name: str(known[name]).split("+")[0] for name in _VERSIONS if name in known}


def _inner_differences(record: Mapping[str, Any], recorded: Mapping[str, Any], model: nn.Module) -> list[str]:
    """What differs in a model that goes by the recorded name: digests tell."""
    found = []
    if both := _other_weights(recorded, model):
        found.append(f"its weights are not those that the artifact was trained with (digest {both[0]}, now {both[1]})")
    was = recorded.get("config")
    if was and _same_release(record) and was != (now := model_digests(model)["config"]):  # another one has other keys
        found.append(
            f"its settings (config.json) are not those that the artifact was trained with (digest {was[:12]}, now "
            f"{now[:12]})"
        )
    return found


def _shown(value: Any) -> str | None:
    """A recorded value as text; an empty list is none of its kind, and a None is not known."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def _differ(key: str, was: str | None, now: str | None) -> bool:
    if not was or not now or was == now:
        return False
    return key != "id" or recorded_name(was) != recorded_name(now)
