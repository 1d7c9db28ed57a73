"""Attach trained interventions, read from a folder or held in memory, to an EasyEdit2 model, at one m per layer.

A folder holds our artifact (``steering/``), or EasyEdit2's own ``layer_{L}.pt`` of its methods spilt, sft and reps,
which is then applied as there: at every token, at the block's output.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..config import TokenConfig
from ..interop import easyedit_files as formats
from ..registry import nearest
from ..steering.artifact import Artifact
from ..steering.intervention import Intervention
from ..text.prompt_tokens import Template
from ..types import ArtifactError, ConfigError
from .host.loading import load_wrapper
from .host.wrappers import tokens_of
from .live import put
from .locate import read_artifact
from .settings import RECOMMENDED, ApplySettings, apply_settings

logger = logging.getLogger(__name__)


class SteeringVectors(dict[str, Any]):
    """Parameters by layer, ``{"layer_L": state}``, in EasyEdit2's format, with the artifact that they were made from.

    Args:
        states: by ``layer_L``, as EasyEdit2 keeps them.
        artifact: what they were made from.
    """

    def __init__(self, states: Mapping[str, Any], artifact: Artifact) -> None:
        super().__init__(states)
        self.artifact = artifact


def apply_to_host_model(hparams: Any, wrapper: Any = None, vectors: Mapping[str, Any] | None = None) -> Any:
    """Attach the interventions to an EasyEdit2 model wrapper and return it.

    Args:
        hparams: the host's, of any of our methods.
        wrapper: EasyEdit2's model wrapper; loaded here where None.
        vectors: what training returned; read from ``steer_vector_load_dir`` where None.

    Raises:
        ConfigError: settings that do not fit what is applied.
        ArtifactError: files that cannot be read or do not fit the model.
    """
    settings = apply_settings(hparams, f"apply settings of {hparams.alg_name}")
    if wrapper is not None:
        _require_hugging_face(wrapper, hparams)
    artifact, where = _artifact(settings, vectors)  # before the model is loaded: a wrong folder must not cost that
    if wrapper is None:
        wrapper = load_wrapper(hparams)
        _require_hugging_face(wrapper, hparams)
    if artifact is not None:
        artifact.other_weights = artifact.other_weights or settings.other_weights
        for note in artifact.check_model(wrapper.model, tokenizer=wrapper.tokenizer):
            logger.warning("the vectors' model differs: %s", note)
        _warn_of_prompts(artifact.tokens, tokens_of(wrapper))
    found = []  # all are read before the first is attached
    for layer in settings.layers:
        if artifact is not None:
            read = single_layer(_of_concept(artifact, settings.concept_id), layer, where)
        else:
            state = formats.select(_state(layer, settings, vectors), settings.concept_id, where)
            read = formats.from_state(state, layer, f"{where}, layer {layer}")
        read = _with_prefix(read, settings.skip_prefix, wrapper, artifact)
        _check_keys(read, settings, hparams.alg_name, where)
        found.append(read.to(next(wrapper.model.parameters()).device))
    multipliers = _stored_m(artifact, settings, where) if settings.recommended else settings.multipliers
    for intervention, m in zip(found, multipliers, strict=True):
        put(wrapper, hparams.alg_name, intervention, m)
        logger.info("%s: %s at %s, m = %g", hparams.alg_name, intervention.config.form, intervention.config.sites[0], m)
    return wrapper


def _stored_m(artifact: Artifact | None, settings: ApplySettings, where: str) -> tuple[float, ...]:
    """The m that the artifact stores for the concept, once for each layer."""
    m = None if artifact is None else artifact.chosen_m(_concept(artifact, settings.concept_id))
    if m is None:
        raise ConfigError(
            f"multipliers: {RECOMMENDED}, but {where} stores no m: choose one with `easyedit-split recommend SWEEP "
            "--save FOLDER`, or give numbers"
        )
    if isinstance(m, tuple):
        raise ConfigError(f"multipliers: {RECOMMENDED}, but m1 and m2 differ in {where} ({m[0]:g}, {m[1]:g}): give m")
    return (m,) * len(settings.layers)


def _warn_of_prompts(trained: TokenConfig, now: TokenConfig) -> None:
    """Log where this run writes its prompts otherwise than training did."""
    asked = {
        "use_chat_template": (trained.chat_template != "off", now.chat_template != "off"),
        "system_prompt": (trained.system or "", now.system or ""),
        "template arguments": (trained.template, now.template),
    }
    for name, (before, after) in asked.items():
        if before != after:
            logger.warning("the vectors were trained with %s %r, and this run has %r", name, before, after)


def _require_hugging_face(wrapper: Any, hparams: Any) -> None:
    if getattr(wrapper, "model", None) is None or getattr(wrapper, "VLLM_model", None) is not None:
        raise ConfigError(
            f"{hparams.alg_name} steers a Hugging Face model, and this one runs in vLLM: set vllm_enable: false"
        )


def _check_keys(intervention: Intervention, settings: ApplySettings, name: str, where: str) -> None:
    """Raise where the file names a form or placement that the loaded intervention does not have."""
    config = intervention.config
    for what, wanted, is_ in (
        ("form", settings.form, config.form),
        ("placement", settings.placement, config.placement),
    ):
        if wanted is not None and wanted != is_:
            raise ConfigError(
                f"{name}: {what} is {wanted!r}, but {where} holds {is_!r}: remove the key or load another"
            )


def _artifact(settings: ApplySettings, vectors: Mapping[str, Any] | None) -> tuple[Artifact | None, str]:
    if vectors is not None:
        return (vectors.artifact, "memory") if isinstance(vectors, SteeringVectors) else (None, "memory")
    if settings.load_dir is None:
        raise ConfigError("steer_vector_load_dir is not given: name the folder that training wrote")
    return read_artifact(Path(settings.load_dir), settings.layers)


def _state(layer: int, settings: ApplySettings, vectors: Mapping[str, Any] | None) -> Any:
    if vectors is None:
        assert settings.load_dir is not None
        return formats.read_file(Path(settings.load_dir) / f"layer_{layer}.pt")
    key = f"layer_{layer}"
    if key not in vectors:
        raise ConfigError(f"the vectors in memory hold no {key}{nearest(key, tuple(vectors))}")
    return vectors[key]


def _of_concept(artifact: Artifact, concept_id: int) -> Intervention:
    return artifact[_concept(artifact, concept_id)]


def _concept(artifact: Artifact, concept_id: int) -> str:
    """Name of the concept that EasyEdit2's number means."""
    ids: dict[str, str] = artifact.record.get("concept_ids", {})
    if ids:
        if str(concept_id) not in ids:
            raise ConfigError(f"no concept_id {concept_id}{nearest(str(concept_id), tuple(ids))}")
        return ids[str(concept_id)]
    if concept_id != 0:
        raise ConfigError(f"concept_id is {concept_id}, but these vectors are of one concept: remove the key")
    artifact.only()
    return artifact.concepts[0]


def single_layer(intervention: Intervention, layer: int, where: str) -> Intervention:
    """The part of an intervention that acts in one block, with the same parameters.

    Args:
        intervention: what was trained or loaded.
        layer: 0-based index of the block.
        where: what the intervention is called in error messages.

    Raises:
        ArtifactError: it has no site in that block, or several.
    """
    keys = [site.key for site in intervention.sites if site.block == layer]
    if len(keys) != 1:
        have = ", ".join(str(site.block) for site in intervention.sites)
        raise ArtifactError(f"{where} holds {len(keys)} interventions for layer {layer}; its layers: {have}")
    form = intervention[keys[0]]
    part = Intervention(dataclasses.replace(intervention.config, sites=(keys[0],)), [(form.d_in, form.d_out)])
    part.forms[next(iter(part.forms))] = form
    return part


def _with_prefix(
    intervention: Intervention, skip_prefix: bool | None, wrapper: Any, artifact: Artifact | None
) -> Intervention:
    """The intervention with ``skip_prefix`` replaced; unchanged where None.

    The constant template prefix is that of the artifact's own token settings; EasyEdit2's files have none, so there it
    is that of the wrapper.
    """
    if skip_prefix is None or skip_prefix == intervention.config.skip_prefix:
        return intervention
    template = Template(wrapper.tokenizer, tokens_of(wrapper) if artifact is None else artifact.tokens)
    config = dataclasses.replace(
        intervention.config,
        skip_prefix=skip_prefix,
        prefix_ids=template.prefix_ids,
        bos_id=template.bos_id,
        openings=template.openings,
    )
    form: nn.Module = intervention[config.sites[0]]
    changed = Intervention(config, [(intervention[config.sites[0]].d_in, intervention[config.sites[0]].d_out)])
    changed.forms[next(iter(changed.forms))] = form
    return changed
