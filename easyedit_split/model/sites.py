"""Where interventions can act in a model: families as data, and one function that finds a linear map by its name.

A site is (block index, name). Block indices are 0-based: "layer 20" is block 20, as in EasyEdit2. ``residual`` is the
block's output (W = I); every other name is a linear map inside the block. A family says by dotted paths where the names
live; widths are read from the modules themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import nn

from ..registry import Registry, nearest
from ..types import ConfigError
from .wrappers import unwrap

RESIDUAL = "residual"
Placement: TypeAlias = Literal["site", "block_output"]
PLACEMENTS: tuple[Placement, ...] = ("site", "block_output")

DECODER_LINEARS: Mapping[str, str] = {
    "mlp.down_proj": "mlp.down_proj",
    "mlp.up_proj": "mlp.up_proj",
    "mlp.gate_proj": "mlp.gate_proj",
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.o_proj": "self_attn.o_proj",
}
"""Names of linear maps that most decoder families share, with their dotted paths inside a block."""


@dataclass(frozen=True, slots=True)
class Family:
    """A model family: the module paths and other facts that the models of one architecture share.

    Attributes:
        model_types: values of ``config.model_type`` that it covers.
        decoder: dotted path from the causal LM to the module that is given ``input_ids``.
        blocks: dotted path to the list of blocks.
        linears: site name to dotted path inside a block.
        post_norms: norms between a map's output and the residual stream, by the map's prefix (``mlp``, ``attn``). Where
            one stands, ``site`` and ``block_output`` are different functions.
        attention: the attention backend that computes the model as defined; None where every backend does.
    """

    model_types: tuple[str, ...]
    decoder: str = "model"
    blocks: str = "model.layers"
    linears: Mapping[str, str] = field(default_factory=lambda: DECODER_LINEARS)
    post_norms: Mapping[str, str] = field(default_factory=dict)
    attention: str | None = None


FAMILIES: Registry[Family] = Registry("family", "easyedit_split.model.families", group="easyedit_split.families")


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """Where an intervention acts: a linear map of one block, or the block's output (residual stream).

    Attributes:
        block: 0-based index of the block.
        name: ``residual``, or a linear map such as ``mlp.down_proj``.
    """

    block: int
    name: str

    @property
    def key(self) -> str:
        """The site as text in files and tables, e.g. ``"20.mlp.down_proj"``."""
        return f"{self.block}.{self.name}"

    @staticmethod
    def parse(key: str) -> Site:
        """Parse a site from text; the inverse of ``key``.

        Args:
            key: e.g. ``20.mlp.down_proj``.
        """
        block, _, name = key.partition(".")
        if not block.isdigit() or not name:
            raise ConfigError(f"{key!r} is not a site: write block.name, e.g. 20.mlp.down_proj or 14.residual")
        return Site(int(block), name)


def family_of(model: nn.Module) -> Family:
    """The registered family that a model belongs to.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: no family knows ``config.model_type``.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    known = {t: name for name in FAMILIES for t in FAMILIES[name].model_types}
    if model_type not in known:
        raise ConfigError(
            f"no registered family covers model_type {model_type!r}{nearest(str(model_type), tuple(sorted(known)))}; "
            "a new one is a single file, see easyedit_split/model/families"
        )
    return FAMILIES[known[model_type]]


def walk(module: nn.Module, path: str) -> nn.Module:
    """Follow a dotted module path, looking through registered wrappers at each step and at the end.

    Args:
        module: where the path starts.
        path: names of submodules, joined by dots.

    Raises:
        ConfigError: a part of the path does not exist.
    """
    module = unwrap(module)
    for part in path.split("."):
        child = getattr(module, part, None)
        if not isinstance(child, nn.Module):
            raise ConfigError(f"{type(module).__name__} has no module {part!r} (looking for {path!r})")
        module = unwrap(child)
    return module


def blocks_of(model: nn.Module) -> Sequence[nn.Module]:
    """The model's own decoder blocks, in order, without wrappers.

    Args:
        model: a Hugging Face causal LM.
    """
    return [unwrap(block) for block in walk(model, family_of(model).blocks).children()]


def check_site(model: nn.Module, site: Site) -> None:
    """Raise ``ConfigError`` unless the model has this site.

    Args:
        model: a Hugging Face causal LM.
        site: where an intervention would act.

    Raises:
        ConfigError: no such block or no such name.
    """
    count = len(blocks_of(model))
    if not 0 <= site.block < count:
        raise ConfigError(f"layer {site.block} does not exist: this model has blocks 0 to {count - 1}")
    names = (RESIDUAL, *family_of(model).linears)
    if site.name not in names:
        raise ConfigError(f"unknown site {site.name!r}{nearest(site.name, names)}")


def find_linear(model: nn.Module, site: Site) -> nn.Module:
    """The linear map of a site that is not ``residual``.

    Args:
        model: a Hugging Face causal LM.
        site: a linear map.

    Raises:
        ConfigError: no such block, no such name, or the module there is not a linear map.
    """
    check_site(model, site)
    block = blocks_of(model)[site.block]
    module = walk(block, family_of(model).linears[site.name])
    if not hasattr(module, "in_features") or not hasattr(module, "out_features"):
        raise ConfigError(f"{site.key} is a {type(module).__name__}, not a linear map")
    return module


def hidden_size(model: nn.Module) -> int:
    """Width d of the residual stream.

    Args:
        model: a Hugging Face causal LM.
    """
    return int(model.config.get_text_config().hidden_size)  # type: ignore[union-attr, operator]


def widths(model: nn.Module, site: Site, placement: Placement) -> tuple[int, int]:
    """Input and output width ``(d_in, d_out)`` of an update at a site under a placement.

    Args:
        model: a Hugging Face causal LM.
        site: where an intervention would act.
        placement: ``site`` or ``block_output``.

    Raises:
        ConfigError: ``block_output`` with a map whose output width is not the hidden width.
    """
    check_site(model, site)
    d = hidden_size(model)
    if site.name == RESIDUAL:
        return d, d
    linear = find_linear(model, site)
    d_in, d_out = int(linear.in_features), int(linear.out_features)  # type: ignore[arg-type]
    if placement == "block_output" and d_out != d:
        raise ConfigError(
            f"{site.key} has output width {d_out}, the block's output has {d}: "
            "placement block_output needs a map that writes to the residual stream (mlp.down_proj, attn.o_proj)"
        )
    return d_in, d_out
