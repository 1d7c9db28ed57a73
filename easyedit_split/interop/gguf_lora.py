"""LoRA adapters of llama.cpp in GGUF, both ways.

    W h + scale (alpha / r) B A h        ``blk.{l}.ffn_down.weight.lora_a`` [r, d_in], ``.lora_b`` [d_out, r]

``llama-server --lora-scaled FILE:k`` plays k times what the file holds; a server changes k while it runs. m stands in
``adapter.lora.alpha`` = m1 s r. llama.cpp reads alpha = 0 as no alpha at all, so m1 = 0 is refused.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..config import require
from ..model.sites import Site
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.intervention import Intervention, InterventionConfig
from ..types import ArtifactError, ConfigError
from .base import FORMATS, Format, Incoming, Outgoing
from .gguf_files import architecture_of, read_gguf, reordered, tensor_name, write_gguf
from .lora_updates import lora_updates
from .peft import known_sites
from .vectors import imported

_A, _B = ".lora_a", ".lora_b"


@FORMATS.register("gguf_lora")
class GgufLora(Format):
    """A LoRA adapter as llama.cpp reads it."""

    name = "gguf_lora"
    writes = "file"
    reads = True
    export_reads = ("rank",)

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write the adapter.

        Args:
            outgoing: what is to be written.
            place: the file.
        """
        model = outgoing.model
        arch = architecture_of(model)
        updates = lora_updates(outgoing)
        bias = next((u for u in updates if u.bias is not None and bool(u.bias.any())), None)
        if bias is not None:
            raise ConfigError(
                f"{bias.site.key}: db has no place in llama.cpp's LoRA files: train local_weight with --set "
                "form_config.bias=false or --form lora, or export it to peft"
            )
        tensors = {}
        for update in updates:
            name = tensor_name(model, update.site)
            tensors[f"{name}{_A}"] = update.A
            tensors[f"{name}{_B}"] = reordered(model, update.site, update.B)
        keys: dict[str, str | int | float] = {
            "general.type": "adapter",
            "adapter.type": "lora",
            "adapter.lora.alpha": float(updates[0].scale * len(updates[0].A)),
            "easyedit_split.m1": float(outgoing.m[0]),
            "easyedit_split.artifact": outgoing.artifact.identity(),
        }
        write_gguf(place, arch, keys, tensors)
        outgoing.notes.append("alpha, and m in it, is kept in float32 (llama.cpp's), which rounds it by up to 6e-8")

    def read(self, incoming: Incoming) -> Artifact:
        """Read an adapter whose maps are sites of the model.

        Args:
            incoming: what is to be read.
        """
        keys, tensors = read_gguf(incoming.path)
        arch, wanted = keys.get("general.architecture"), architecture_of(incoming.model)
        if keys.get("general.type") != "adapter" or keys.get("adapter.type") != "lora" or arch != wanted:
            raise ArtifactError(f"{incoming.path}: not a LoRA adapter of {wanted} (general.architecture {arch!r})")
        alpha = float(keys.get("adapter.lora.alpha") or 0.0)
        names = {tensor_name(incoming.model, site): site for site in known_sites(incoming.model).values()}
        parts: dict[Site, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            site = names.get(name.removesuffix(_A).removesuffix(_B))
            if site is None or not name.endswith((_A, _B)):
                raise ConfigError(f"{incoming.path}: {name} belongs to no site of this model")
            part, value = ("A", tensor) if name.endswith(_A) else ("B", reordered(incoming.model, site, tensor, True))
            parts.setdefault(site, {})[part] = value
        made = _intervention(parts, alpha, incoming.path)
        return imported(incoming, {DEFAULT_CONCEPT: made}, self.name)


def _intervention(parts: dict[Site, dict[str, torch.Tensor]], alpha: float, path: Path) -> Intervention:
    for site, tensors in parts.items():
        if set(tensors) != {"A", "B"}:
            raise ArtifactError(f"{path}: {site.key} has only one of lora_a and lora_b")
    ranks = {len(tensors["A"]) for tensors in parts.values()}
    require(
        len(ranks) == 1, f"{path}: its maps have ranks {sorted(ranks)}, and one artifact has one: import it as PEFT"
    )
    rank = ranks.pop()
    form_config = {"rank": rank} if alpha in (0.0, rank) else {"rank": rank, "alpha": alpha, "apply_alpha": True}
    sites = sorted(parts)
    shapes = [(parts[site]["A"].shape[1], len(parts[site]["B"])) for site in sites]
    made = Intervention(InterventionConfig("lora", tuple(site.key for site in sites), form_config), shapes)
    with torch.no_grad():
        for site in sites:
            parameters = dict(made[site].named_parameters())
            parameters["lora_A"].copy_(parts[site]["A"])
            parameters["lora_B"].copy_(parts[site]["B"])
    return made
