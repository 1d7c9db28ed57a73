"""EasyEdit2's own files, both ways: a folder of ``layer_{L}.pt``, see ``easyedit_files``.

Its appliers add at the block's output of every token, which is ``placement: block_output`` here; its ``multipliers`` is
m. A file exported at m plays ``attach(k m)`` with ``multipliers: [k]``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config import require
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.intervention import Intervention, InterventionConfig
from ..types import ArtifactError, ConfigError
from .base import FORMATS, Format, Incoming, Outgoing
from .easyedit_files import from_state, read_file, select, to_state, why_not_writable
from .vectors import imported, save_tensors

_FILE = re.compile(r"layer_(\d+)\.pt")


@FORMATS.register("easyedit2")
class EasyEdit2(Format):
    """``layer_{L}.pt`` as EasyEdit2's methods write and apply them."""

    name = "easyedit2"
    writes = "folder"
    reads = True
    import_reads = ("layer", "concept_id", "positions")

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write a file for each layer.

        Args:
            outgoing: what is to be written.
            place: the folder, EasyEdit2's ``steer_vector_load_dir``.
        """
        config = outgoing.intervention.config
        reason = why_not_writable(outgoing.model, config)
        if reason is not None:
            raise ConfigError(f"EasyEdit2's format cannot say this: {reason}: train it with --placement block_output")
        blocks = [site.block for site in outgoing.intervention.sites]
        require(len(set(blocks)) == len(blocks), "EasyEdit2 keeps one change a layer, and this has several in one")
        for site in outgoing.intervention.sites:
            state = to_state(outgoing.intervention.on(outgoing.model, site))
            save_tensors(_times(state, *outgoing.m), place / f"layer_{site.block}.pt")
        outgoing.notes.append("its appliers add at the block's output (placement block_output), at every token")

    def read(self, incoming: Incoming) -> Artifact:
        """Read a ``layer_{L}.pt``, or all of a folder.

        Args:
            incoming: what is to be read.
        """
        found = []
        for layer, path in _files(incoming):
            state = select(read_file(path), incoming.options.concept_id or 0, str(path))
            found.append(from_state(state, layer, str(path)))
        incoming.notes.append("placement block_output, as EasyEdit2's appliers add it")
        return imported(incoming, {DEFAULT_CONCEPT: _together(found, incoming)}, self.name)


def _times(state: Tensor | dict[str, Any], m1: float, m2: float) -> Tensor | dict[str, Any]:
    if isinstance(state, Tensor):
        return _scaled(state, m2)
    factors = {"lora_B": m1, "weight": m1, "bias": m2}
    return {key: _scaled(value, factors[key]) if key in factors else value for key, value in state.items()}


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1 else (factor * tensor.double()).to(tensor.dtype)


def _files(incoming: Incoming) -> list[tuple[int, Path]]:
    path, layer = incoming.path, incoming.options.layer
    if path.is_file():
        match = _FILE.fullmatch(path.name)
        if layer is None and match is None:
            raise ConfigError(f"{path}: its name does not say the layer (layer_L.pt): say it with --layer")
        return [(int(match[1]) if layer is None and match else int(layer or 0), path)]
    found = sorted((int(match[1]), file) for file in path.iterdir() if (match := _FILE.fullmatch(file.name)))
    if layer is not None:
        found = [item for item in found if item[0] == layer]
    if not found:
        raise ArtifactError(f"{path}: no layer_{'L' if layer is None else layer}.pt in it")
    return found


def _together(found: list[Intervention], incoming: Incoming) -> Intervention:
    """One intervention of several layers."""
    configs = [one.config for one in found]
    require(
        len({(config.form, repr(config.form_config)) for config in configs}) == 1,
        f"{incoming.path}: its layers hold different forms or ranks: import each with --layer",
    )
    first = configs[0]
    config = InterventionConfig(
        form=first.form,
        sites=tuple(config.sites[0] for config in configs),
        form_config=first.form_config,
        placement=first.placement,
        positions=incoming.options.positions or "all",
    )
    forms = [one[one.sites[0]] for one in found]
    made = Intervention(config, [(form.d_in, form.d_out) for form in forms])
    for site, form in zip(made.sites, forms, strict=True):
        made[site].load_state_dict(form.state_dict())
    return made
