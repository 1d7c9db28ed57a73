"""PEFT's LoRA adapters, both ways: ``adapter_config.json`` and ``adapter_model.safetensors``.

    W h + b + scaling (B A h + c)        scaling = lora_alpha / r, or lora_alpha / sqrt(r) with ``use_rslora``

At run time ``peft.helpers.rescale_adapter_scale(model, multiplier=k)`` scales both terms, so an adapter exported at m
plays ``attach(k m)``. m stands in ``lora_alpha`` alone: A and B keep their bits. db becomes PEFT's ``lora_bias`` c,
scaled alike. A local weight update becomes a LoRA of ``rank`` by SVD, its A and B rounded to float32. Read back, A and
B keep their bits too; adapters whose modules have different ranks or scales are padded with zeros and rescaled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config import require
from ..files.reading import cut, listed, parse_json, read_bounded, reason_of, shown
from ..model.describe import name_of
from ..model.maps import maps_in
from ..model.sites import Site, blocks_of, find_linear, short_names
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.artifact_files import read_tensors
from ..steering.intervention import Intervention, InterventionConfig
from ..types import ArtifactError, ConfigError
from .base import FORMATS, Format, Incoming, Outgoing
from .lora_updates import LoraUpdate, lora_updates, module_names, quiet_warnings
from .vectors import imported, read_tensors_alone

_PREFIX = "base_model.model."
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


@FORMATS.register("peft")
class Peft(Format):
    """A PEFT LoRA adapter, as ``PeftModel.from_pretrained`` reads it."""

    name = "peft"
    writes = "folder"
    reads = True
    export_reads = ("rank",)
    import_reads = ("leave_out",)

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write an adapter that, as it is loaded, does what ``attach(m)`` does.

        Args:
            outgoing: what is to be written.
            place: the adapter's folder.
        """
        from peft import LoraConfig

        updates = lora_updates(outgoing)
        ranks, scales = {len(u.A) for u in updates}, {u.scale for u in updates}
        assert len(ranks) == len(scales) == 1, "the sites of one intervention share their form's settings"
        rank, scale = ranks.pop(), scales.pop()
        names = module_names(outgoing.model, {u.site: find_linear(outgoing.model, u.site) for u in updates})
        has_bias = any(u.bias is not None for u in updates)
        with quiet_warnings():
            config = LoraConfig(
                r=rank,
                lora_alpha=scale * rank,
                target_modules=sorted(names.values()),
                lora_bias=has_bias,
                bias="none",
                task_type="CAUSAL_LM",
                base_model_name_or_path=name_of(outgoing.model),
                inference_mode=True,
            )
            config.save_pretrained(place)
        save_file(_tensors(updates, names, has_bias), place / TENSORS, metadata={"format": "pt"})
        if has_bias:
            outgoing.notes.append("db is written as PEFT's lora_bias, which vLLM and llama.cpp do not read")
        if outgoing.m[0] != outgoing.m[1] and has_bias:
            outgoing.notes.append("m1 and m2 are written as one: rescale_adapter_scale scales both")

    def read(self, incoming: Incoming) -> Artifact:
        """Read an adapter for the sites that this package knows; other modules are refused by name.

        Args:
            incoming: what is to be read.
        """
        config = _read_config(incoming.path / CONFIG)
        parts = _taken(incoming)
        return imported(incoming, {DEFAULT_CONCEPT: _intervention(parts, config, incoming)}, self.name)


def _tensors(updates: list[LoraUpdate], names: Mapping[Site, str], has_bias: bool) -> dict[str, Tensor]:
    found = {}
    for update in updates:
        key = f"{_PREFIX}{names[update.site]}"
        found[f"{key}.lora_A.weight"] = update.A.contiguous()
        found[f"{key}.lora_B.weight"] = update.B.contiguous()
        if has_bias:
            found[f"{key}.lora_B.bias"] = torch.zeros(len(update.B)) if update.bias is None else update.bias
    return found


# --- reading -------------------------------------------------------------------------------------------------------

_SAYS_NOTHING = frozenset(
    (
        *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "lora_bias", "peft_version"),
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out"),
        *("base_model_name_or_path", "revision", "task_type", "inference_mode", "auto_mapping", "lora_dropout"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "arrow_config", "runtime_config"),
        *("megatron_config", "megatron_core", "ensure_weight_tying"),
    )
)
"""Keys that this reader reads, or that do not bear on what a loaded adapter computes."""
_PLAIN_START = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of ``init_lora_weights`` that leave the base model's own weights alone."""


def _read_config(path: Path) -> dict[str, Any]:
    try:
        stored: Any = parse_json(read_bounded(path, ArtifactError).decode("utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable as JSON: {cut(str(error), 120)}") from error
    if not isinstance(stored, dict) or stored.get("peft_type") != "LORA":
        kind = stored.get("peft_type") if isinstance(stored, dict) else None
        raise ArtifactError(f"{path}: peft_type is {shown(kind)}, and only LORA is a change of a linear map")
    started = stored.get("init_lora_weights", True)
    require(
        started in _PLAIN_START,
        f"{path}: init_lora_weights is {shown(started)}, which also changes the base model: convert it with PEFT first",
    )
    from peft import LoraConfig

    usual = LoraConfig().to_dict()
    for key, value in stored.items():
        if key in _SAYS_NOTHING or key == "init_lora_weights" or not value or value == usual.get(key):
            continue
        raise ConfigError(f"{path}: {cut(key, 60)} is {shown(value)}, which a LoRA of this package cannot do")
    return stored


def _modules(folder: Path) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Tensors by module name and by ``A``, ``B``, ``bias``; and the names of those that are of no LoRA."""
    path = folder / TENSORS
    other = folder / "adapter_model.bin"
    tensors = read_tensors_alone(other) if not path.is_file() and other.is_file() else read_tensors(path)
    ends = {".lora_A.weight": "A", ".lora_B.weight": "B", ".lora_B.bias": "bias"}
    found: dict[str, dict[str, Tensor]] = {}
    others = []
    for key, tensor in tensors.items():
        end = next((end for end in ends if key.endswith(end)), None)
        if end is None or not key.startswith(_PREFIX):
            others.append(key)
            continue
        if not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(f"{path}: {key} holds a value that is not finite")
        found.setdefault(key[len(_PREFIX) : -len(end)], {})[ends[end]] = tensor
    for name, parts in found.items():
        if not {"A", "B"} <= set(parts):
            raise ArtifactError(f"{path}: {name} has only one of lora_A and lora_B")
    if not found:
        raise ArtifactError(f"{path}: holds no tensors of a LoRA on a linear map")
    return found, others


def known_sites(model: nn.Module) -> dict[str, Site]:
    """Every linear map that is a site, by the dotted name of its module.

    Args:
        model: a Hugging Face causal LM.
    """
    modules: dict[Site, nn.Module] = {}
    for block, module in enumerate(blocks_of(model)):
        short = short_names(model, block)
        for name in [*short, *(path for path in maps_in(module) if path not in short.values())]:
            try:
                modules[Site(block, name)] = find_linear(model, Site(block, name))
            except ConfigError:
                continue  # a family's name that this block does not have
    return {name: site for site, name in module_names(model, modules).items()}


def _taken(incoming: Incoming) -> dict[str, tuple[Site, dict[str, Tensor]]]:
    modules, others = _modules(incoming.path)
    sites = known_sites(incoming.model)
    unknown = sorted({*modules, *others} - set(sites))
    if unknown and not incoming.options.leave_out:
        raise ConfigError(
            f"{incoming.path}: {len(unknown)} of its modules have no place here: {listed(unknown, 6, 120)}; "
            "--leave-out takes the others, which is another change"
        )
    if unknown:
        incoming.notes.append(f"left out, so the change is another one than the file's: {listed(unknown)}")
    taken = {name: (sites[name], parts) for name, parts in modules.items() if name in sites}
    require(
        bool(taken),
        f"{incoming.path}: none of its modules is a site of this model, e.g. {cut(unknown[0], 80) if unknown else ''}",
    )
    return dict(sorted(taken.items(), key=lambda item: item[1][0]))


_REPEATS, _REPEATED_GROUP, _MOST_REPEATS = re.compile(r"[*+{]"), re.compile(r"\)\??[*+{]"), 3
"""Signs of repetition in a regular expression, a group that repeats, and how many signs are taken."""


@dataclass(frozen=True, eq=False)
class _Part:
    site: Site
    A: Tensor
    B: Tensor
    bias: Tensor | None
    alpha: float  # so that the scale is alpha / r, as here


def _part(name: str, site: Site, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> _Part:
    alpha = _alpha(name, config)
    A, B = tensors["A"].float(), tensors["B"].float()
    if A.ndim != 2 or B.ndim != 2 or B.shape[1] != len(A):
        raise ArtifactError(f"{name}: lora_A is {list(A.shape)} and lora_B {list(B.shape)}, which do not fit together")
    if config.get("use_rslora"):
        alpha *= math.sqrt(len(A))
    bias = tensors.get("bias")
    return _Part(site, A, B, None if bias is None else bias.float(), alpha)


def _alpha(name: str, config: Mapping[str, Any]) -> float:
    """``lora_alpha`` of a module. ``alpha_pattern`` goes by regular expressions; those that repeat what repeats
    are refused: one alone could keep a processor busy for years.
    """
    from peft.utils.other import get_pattern_key

    patterns = config.get("alpha_pattern") or {}
    good = isinstance(patterns, dict) and all(type(value) in (int, float) for value in patterns.values())
    require(good, f"alpha_pattern is {shown(patterns)}, wanted numbers by module names")
    for pattern in patterns:
        few = len(_REPEATS.findall(pattern)) <= _MOST_REPEATS and not _REPEATED_GROUP.search(pattern)
        require(few, f"alpha_pattern {shown(pattern)} repeats too much to be tried: write the modules' names")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(f"alpha_pattern {shown(pattern)} is no regular expression: {reason_of(error)}") from error
    found = patterns.get(get_pattern_key(list(patterns), name), config.get("lora_alpha", 8))
    require(type(found) in (int, float) and math.isfinite(found), f"lora_alpha is {shown(found)}, wanted a number")
    return float(found)


def _intervention(
    taken: Mapping[str, tuple[Site, dict[str, Tensor]]], config: Mapping[str, Any], incoming: Incoming
) -> Intervention:
    parts = [_part(name, site, tensors, config) for name, (site, tensors) in taken.items()]
    keys = tuple(part.site.key for part in parts)
    shapes = [(part.A.shape[1], part.B.shape[0]) for part in parts]
    if any(part.bias is not None for part in parts):
        incoming.notes.append("it has lora_bias, so it is read as a local weight update: dW = scaling B A in full")
        made = Intervention(InterventionConfig("local_weight", keys), shapes)
        _fill(made, [_dense(part) for part in parts])
        return made
    rank = max(len(part.A) for part in parts)
    alike = len({(len(part.A), part.alpha) for part in parts}) == 1
    if not alike:
        incoming.notes.append(
            f"its modules differ in rank or scale: padded to rank {rank}, their scales written into B"
        )
    alpha = parts[0].alpha if alike else float(rank)
    form_config = {"rank": rank} if alpha == rank else {"rank": rank, "alpha": alpha, "apply_alpha": True}
    made = Intervention(InterventionConfig("lora", keys, form_config), shapes)
    _fill(made, [_padded(part, rank, 1.0 if alike else part.alpha / len(part.A)) for part in parts])
    return made


def _padded(part: _Part, rank: int, factor: float) -> dict[str, Tensor]:
    more = rank - len(part.A)
    B = part.B if factor == 1 else (factor * part.B.double()).float()
    return {
        "lora_A": torch.cat([part.A, torch.zeros(more, part.A.shape[1])]),
        "lora_B": torch.cat([B, torch.zeros(len(B), more)], 1),
    }


def _dense(part: _Part) -> dict[str, Tensor]:
    scale = part.alpha / len(part.A)
    bias = torch.zeros(len(part.B)) if part.bias is None else part.bias
    return {"weight": scale * (part.B.double() @ part.A.double()), "bias": scale * bias.double()}


@torch.no_grad()
def _fill(made: Intervention, values: list[dict[str, Tensor]]) -> None:
    for site, tensors in zip(made.sites, values, strict=True):
        for name, parameter in made[site].named_parameters():
            parameter.copy_(tensors[name])


__all__ = ["Peft", "known_sites"]
