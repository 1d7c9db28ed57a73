"""Where W lives: the one function that finds a linear map in a model, by structure, and families as overrides.

A site is (block index, name). Block indices are 0-based: "layer 20" is block 20, as in EasyEdit2. ``residual`` is the
block's output (W = I); every other name is a linear map inside the block: its own dotted path there, whatever the
architecture calls it, or one of seven short names (``mlp.down_proj``, ``attn.q_proj`` ...) that the usual names of
architectures are known by. Rows of a fused map are named ``mlp.gate_up_proj[0:48]``. Widths are read from the modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from ..registry import Registry, nearest
from ..types import ConfigError
from .maps import map_widths, maps_in, rows_within, split_rows
from .structure import find_blocks, modules_down_to, parent_of, text_config
from .usual_names import usual_names
from .wrappers import unwrap

RESIDUAL = "residual"
Placement: TypeAlias = Literal["site", "block_output"]
PLACEMENTS: tuple[Placement, ...] = ("site", "block_output")


@dataclass(frozen=True, slots=True)
class Family:
    """What structure cannot say of a kind of model; where a field is None, structure says it.

    Attributes:
        model_types: values of ``config.model_type`` that it covers.
        decoder: dotted path from the causal LM to the module that holds the blocks and can be called for hidden states.
        blocks: dotted path to the list of blocks.
        linears: site name to dotted path inside a block, instead of the short names.
        attention: the attention backend that computes the model as defined; every backend does where neither this nor
            ``attn_logit_softcapping`` in the configuration says otherwise.
    """

    model_types: tuple[str, ...]
    decoder: str | None = None
    blocks: str | None = None
    linears: Mapping[str, str] | None = None
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
    """The registered family that covers a model; one that leaves everything to structure where there is none.

    Args:
        model: a Hugging Face causal LM.
    """
    model_type = str(getattr(getattr(model, "config", None), "model_type", None))
    known = {t: name for name in FAMILIES for t in FAMILIES[name].model_types}
    return FAMILIES[known[model_type]] if model_type in known else Family((model_type,))


def is_registered(model: nn.Module) -> bool:
    """Whether a registered family covers a model, so that the contracts hold it.

    Args:
        model: a Hugging Face causal LM.
    """
    return any(FAMILIES[name] is family_of(model) for name in FAMILIES)


def attention_of(model: nn.Module) -> str | None:
    """The attention backend that computes a model as defined; None where every backend does.

    Args:
        model: a Hugging Face causal LM, or anything with its ``config``.
    """
    named = family_of(model).attention
    if named is not None:
        return named
    config: Any = model.config
    return "eager" if getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None else None


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


def block_list(model: nn.Module) -> nn.Module:
    """The model's list of decoder blocks, as it stands there, wrappers and all.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: it cannot be found.
    """
    named = family_of(model).blocks
    return model.get_submodule(find_blocks(model)) if named is None else walk(model, named)


def decoder_of(model: nn.Module) -> nn.Module:
    """The module that holds the blocks and gives final hidden states when it is called.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: it cannot be found.
    """
    family = family_of(model)
    if family.decoder is not None:
        return walk(model, family.decoder)
    return parent_of(model, family.blocks or find_blocks(model))


def called_modules(model: nn.Module) -> list[nn.Module]:
    """The modules that may be what a caller calls, outermost first: the model and all down to its decoder.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: the decoder cannot be found.
    """
    return modules_down_to(model, decoder_of(model))


def blocks_of(model: nn.Module) -> Sequence[nn.Module]:
    """The model's own decoder blocks, in order, without wrappers.

    Args:
        model: a Hugging Face causal LM.
    """
    return [unwrap(block) for block in block_list(model).children()]


def short_names(model: nn.Module, block: int) -> dict[str, str]:
    """Short names of a block's linear maps with their paths inside it.

    Args:
        model: a Hugging Face causal LM.
        block: 0-based index.
    """
    named = family_of(model).linears
    if named is not None:
        return dict(named)
    return usual_names(maps_in(blocks_of(model)[block]))


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
    if site.name != RESIDUAL:
        find_linear(model, site)


def find_linear(model: nn.Module, site: Site) -> nn.Module:
    """The linear map of a site that is not ``residual``, the whole of it where the site names rows.

    Args:
        model: a Hugging Face causal LM.
        site: a linear map.

    Raises:
        ConfigError: no such block, no such name, or the module there is not a linear map.
    """
    blocks = blocks_of(model)
    if not 0 <= site.block < len(blocks):
        raise ConfigError(f"layer {site.block} does not exist: this model has blocks 0 to {len(blocks) - 1}")
    block, (name, rows) = blocks[site.block], split_rows(site.name)
    maps, short = maps_in(block), short_names(model, site.block)
    module = walk(block, short[name]) if name in short else maps.get(name)
    if module is None:
        raise ConfigError(_no_such_map(site.block, block, name, maps, short))
    widths = map_widths(module)
    if widths is None:
        raise ConfigError(f"{site.key} is a {type(module).__name__}, not a linear map")
    rows_within(rows, widths[1], site.key)
    return module


def _no_such_map(
    index: int, block: nn.Module, name: str, maps: Mapping[str, nn.Module], short: Mapping[str, str]
) -> str:
    known = tuple(dict.fromkeys((RESIDUAL, *short, *maps)))
    return f"unknown site {name!r} in block {index}, a {type(block).__name__}{nearest(name, known)}"


def hidden_size(model: nn.Module) -> int:
    """Width d of the residual stream.

    Args:
        model: a Hugging Face causal LM.
    """
    return int(text_config(model).hidden_size)


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
    found = map_widths(find_linear(model, site))
    assert found is not None
    d_in, d_out = found
    rows = split_rows(site.name)[1]
    if rows is not None:
        d_out = rows.stop - rows.start
    if placement == "block_output" and d_out != d:
        raise ConfigError(
            f"{site.key} has output width {d_out}, the block's output has {d}: "
            "placement block_output needs a map that writes to the residual stream (mlp.down_proj, attn.o_proj)"
        )
    return d_in, d_out
