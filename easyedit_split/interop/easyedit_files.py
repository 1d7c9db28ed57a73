"""Convert between EasyEdit2's vector files, ``layer_{L}.pt``, and this package's forms.

| form         | one concept                                                             | several concepts |
|--------------|-------------------------------------------------------------------------|------------------|
| vector       | tensor ``[d]`` = db                                                     | ``[n, d]``       |
| lora         | ``lora_A [in, r]`` = A', ``lora_B [r, d]`` = s B', ``r``, ``alpha``, ... | ``{id: one}``    |
| local_weight | ``weight [in, d]`` = dW', ``bias [d]`` = db, ...                        | ``{id: one}``    |

...: ``intervention_components`` and ``concept_id``.

Its appliers add ``m (x lora_A lora_B)`` or ``m (x weight + bias)`` to the block's output, x the input of mlp.down_proj
(``mlp_mid``). That is our ``block_output`` placement, and our ``site`` in families without a norm after the MLP; any
other site or place has no such file. Row i of ``[n, d]`` is concept_id i. Files are read with ``weights_only=True``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import require
from ..files.reading import cut, require_file, require_unpacked
from ..model.sites import RESIDUAL, Site
from ..steering.forms.base import Form
from ..steering.forms.lora import Lora
from ..steering.intervention import Intervention, InterventionConfig
from ..steering.self_check import is_block_output
from ..types import ArtifactError

MLP_MID = "mlp_mid"
_MLP_SITE = "mlp.down_proj"


def why_not_writable(model: nn.Module, config: InterventionConfig) -> str | None:
    """Reason why EasyEdit2's format cannot represent an intervention; None where it can.

    Args:
        model: a Hugging Face causal LM.
        config: what the intervention does.
    """
    for key in config.sites:
        site = Site.parse(key)
        constant = config.form_class.constant
        if site.name == RESIDUAL and constant:
            continue
        if constant or site.name != _MLP_SITE:
            return f"it cannot represent a {config.form} at {site.name}"
        if config.placement == "site" and not is_block_output(model, site):
            return "it adds at the block's output, which in this model is not the same as at the site"
    return None


def to_state(form: Form, concept_id: int = 0) -> Tensor | dict[str, Any]:
    """The parameters at one site in EasyEdit2's format.

    Args:
        form: of the site, as it acts in the model (``Intervention.on``).
        concept_id: number of the concept, which the file repeats.
    """
    weight, bias = form.weight_delta(), form.bias_delta()
    if weight is None:
        assert bias is not None
        return bias.detach().cpu().clone()
    common = {"intervention_components": MLP_MID, "concept_id": concept_id}
    if isinstance(form, Lora):
        A, B, scale = form.lora_A, form.lora_B, form.config.scale
        rank = A.shape[0]
        return {
            "lora_A": A.detach().cpu().T.contiguous(),
            "lora_B": (scale * B.detach()).cpu().T.contiguous(),
            "r": rank,
            "alpha": rank,
            **common,
        }
    return {
        "weight": weight.detach().float().cpu().T.contiguous(),
        "bias": torch.zeros(weight.shape[0]) if bias is None else bias.detach().cpu().clone(),
        **common,
    }


def read_file(path: Path) -> Any:
    """Read a ``layer_{L}.pt`` without executing anything in it.

    Args:
        path: the file.

    Raises:
        ArtifactError: no such file, or not one of tensors and plain values.
    """
    try:
        require_file(path, ArtifactError)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file, and no artifact of easyedit_split in that folder either") from None
    require_unpacked(path, ArtifactError)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = cut(" ".join(str(error).split()), 120)
        raise ArtifactError(f"{path} is not a file of tensors alone: {reason}") from error


def select(state: Any, concept_id: int, where: str) -> Tensor | dict[str, Any]:
    """Select the parameters of one concept.

    Args:
        state: the content of a ``layer_{L}.pt``.
        concept_id: number of the concept.
        where: what the file is called in error messages.

    Raises:
        ArtifactError: no such concept.
    """
    if isinstance(state, Tensor):
        if state.ndim == 1:
            return state
        if state.ndim == 2 and 0 <= concept_id < len(state):
            return state[concept_id]
        raise ArtifactError(f"{where}: concept_id {concept_id}, but the tensor is {list(state.shape)}")
    by_id = isinstance(state, Mapping) and bool(state) and all(isinstance(v, Mapping | Tensor) for v in state.values())
    if by_id and not {"weight", "lora_A"} & set(state):
        if concept_id not in state:
            raise ArtifactError(f"{where}: no concept_id {concept_id}; it holds {', '.join(map(str, state))}")
        return select(state[concept_id], concept_id, where)
    if isinstance(state, Mapping):
        return dict(state)
    raise ArtifactError(f"{where}: holds a {type(state).__name__}, wanted a tensor or EasyEdit2's mapping")


def from_state(state: Tensor | Mapping[str, Any], layer: int, where: str) -> Intervention:
    """The intervention that EasyEdit2's own appliers would apply: at every token, at the block's output.

    Args:
        state: the parameters of one layer.
        layer: 0-based index of the block.
        where: what the file is called in error messages.

    Raises:
        ArtifactError: unknown content, wrong shapes, a value that is not finite, or another input than ``mlp_mid``.
    """
    tensors, form, form_config, d_in, d_out = _parse(state, where)
    name = RESIDUAL if form == "vector" else _MLP_SITE
    config = InterventionConfig(
        form=form,
        sites=(Site(layer, name).key,),
        form_config=form_config,
        placement="block_output",
    )
    intervention = Intervention(config, [(d_in, d_out)])
    parameters = dict(intervention[config.sites[0]].named_parameters())
    with torch.no_grad():
        for key, tensor in tensors.items():
            if not getattr(tensor, "is_floating_point", bool)():  # whatever the file holds there
                raise ArtifactError(f"{where}: {key} is no tensor of real numbers")
            if not bool(torch.isfinite(tensor).all()):
                raise ArtifactError(f"{where}: {key} holds a value that is not finite")
            if tensor.shape != parameters[key].shape:
                raise ArtifactError(f"{where}: {key} is {list(tensor.shape)}, wanted {list(parameters[key].shape)}")
            parameters[key].copy_(tensor)
    return intervention


def _parse(state: Tensor | Mapping[str, Any], where: str) -> tuple[dict[str, Tensor], str, dict[str, Any], int, int]:
    if isinstance(state, Tensor):
        require(state.ndim == 1, f"{where}: a vector of shape {list(state.shape)}, wanted [d]")
        return {"v": state}, "vector", {}, len(state), len(state)
    components = state.get("intervention_components", MLP_MID)
    if components != MLP_MID:
        raise ArtifactError(
            f"{where}: it reads {components!r}, and only {MLP_MID} (the input of mlp.down_proj) is supported here: "
            "apply it with the method that trained it"
        )
    try:
        if "lora_A" in state:
            A, B = state["lora_A"].T, state["lora_B"].T
            return {"lora_A": A, "lora_B": B}, "lora", {"rank": len(A)}, A.shape[1], len(B)
        weight, bias = state["weight"].T, state["bias"]
        return {"weight": weight, "bias": bias}, "local_weight", {}, weight.shape[1], weight.shape[0]
    except (KeyError, AttributeError, IndexError, TypeError) as error:
        reason = cut(str(error), 80)
        raise ArtifactError(f"{where}: neither a LoRA nor a local weight of EasyEdit2 ({reason})") from error
