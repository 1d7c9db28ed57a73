"""The parts of a model that the engine touches, found by structure, and what they can do, found by trying.

Refused, with the reason: attention whose mask is not known, blocks that hooks or wrappers of others stand on, a decoder
that cannot be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...model.head_weight import HeadWeight, unreadable
from ...model.hooks import device_of
from ...model.maps import map_widths, split_rows
from ...model.sites import RESIDUAL, Site, block_list, decoder_of, find_linear, hidden_size
from ...model.wrappers import unwrap
from ...steering.intervention import InterventionConfig
from ...types import ConfigError
from .entry import HIDDEN, INPUT, OUTPUT, STREAM, Entry, before, behind, measured
from .masks import MaskKind
from .refusal import EngineRefused


class Anatomy:
    """Decoder, blocks and output head of one model.

    Args:
        model: a Hugging Face causal LM, or one around which wrappers stand.

    Raises:
        EngineRefused: the engine cannot enter this model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        try:
            self.decoder = decoder_of(model)
            blocks = block_list(model)
        except ConfigError as error:
            raise EngineRefused(str(error)) from error
        if not isinstance(blocks, nn.ModuleList):
            raise EngineRefused(f"the decoder blocks are in a {type(blocks).__name__}, not in a list")
        self.blocks = blocks
        self.masks = MaskKind.of(model)
        self.device = device_of(model)
        self.dtype: torch.dtype = model.get_input_embeddings().weight.dtype  # type: ignore[operator]
        config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
        self.config = config
        self.in_tuple = False  # until a call has shown it

    def check_hooks(self) -> None:
        """Raise where a block has forward hooks of other code: cached states would not contain what they do.

        Raises:
            EngineRefused: hooks or wrappers of others.
        """
        for index, block in enumerate(self.blocks):
            if unwrap(block) is not block:
                raise EngineRefused(f"block {index} is wrapped in a {type(block).__name__}")
            for name, module in block.named_modules():
                if module._forward_hooks or module._forward_pre_hooks:
                    raise EngineRefused(f"block {index}{name and '.'}{name} has a forward hook of other code")
        if self.decoder._forward_hooks or self.decoder._forward_pre_hooks:
            raise EngineRefused("the decoder has a forward hook of other code")

    def lower_parts(self, block: int) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules that compute the hidden state at the output of ``block``: all modules before it, and its
        own.

        Args:
            block: 0-based index of a block.
        """
        upper = {id(module) for above in list(self.blocks)[block + 1 :] for module in above.modules()}
        head = self.model.get_output_embeddings()  # type: ignore[operator]
        for name, module in self.decoder.named_modules():
            if id(module) not in upper and module is not head and not any(True for _ in module.children()):
                yield name, module

    def costs(self, first: int, end: int) -> tuple[float, float]:
        """FLOPs of blocks ``first`` to ``end`` (not included): per token, and per pair of token and attended key.

        Args:
            first: the first block that runs.
            end: the first that does not.
        """
        run = list(self.blocks)[first:end]
        weights = sum(p.numel() for block in run for p in block.parameters() if p.ndim > 1)
        heads = int(getattr(self.config, "num_attention_heads", 1))
        size = int(getattr(self.config, "head_dim", None) or self.config.hidden_size // heads)
        return 2.0 * weights, 4.0 * heads * size * len(run)

    def state_bytes(self, entry: Entry) -> int:
        """Memory in bytes of one token's cached tensors.

        Args:
            entry: where the engine enters.
        """
        d = hidden_size(self.model)
        widths = {HIDDEN: d, OUTPUT: d, STREAM: d, INPUT: d}
        if entry.site is not None and entry.site.name != RESIDUAL:
            found = map_widths(find_linear(self.model, entry.site))
            assert found is not None
            widths[INPUT] = found[0]
        return sum(widths[name] for name in entry.needs) * self.dtype.itemsize

    def key_bytes(self, block: int) -> int:
        """Memory in bytes of one token's keys and values in the blocks above ``block``.

        Args:
            block: 0-based index of a block.
        """
        heads = int(getattr(self.config, "num_attention_heads", 1))
        size = int(getattr(self.config, "head_dim", None) or self.config.hidden_size // heads)
        kept = int(getattr(self.config, "num_key_value_heads", None) or heads)
        return 2 * kept * size * self.dtype.itemsize * (len(self.blocks) - block - 1)

    @property
    def on_meta(self) -> bool:
        """Whether the model is on the meta device, where only shapes are computed."""
        return self.device.type == "meta"

    def probe(self) -> Mapping[str, Tensor]:
        """Inputs of a short ordinary call of the decoder, for probing."""
        length = 8
        ids = torch.arange(1, length + 1, device=self.device)[None] % int(self.config.vocab_size)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "position_ids": torch.arange(length, device=self.device)[None],
        }

    @torch.no_grad()
    def own_head(self) -> tuple[HeadWeight, float | None] | None:
        """Output head and logit soft-cap, if logits are a linear map of the final hidden state under a soft-cap; None
        if not.

        Tried on a short call: what the model gives has to be what head and soft-cap give.
        """
        head = self.model.get_output_embeddings()  # type: ignore[operator]
        weight: Any = getattr(head, "weight", None)
        hidden = None if self.on_meta else self._probed()
        cap = getattr(self.config, "final_logit_softcapping", None)
        if not isinstance(weight, Tensor) or (not self.on_meta and unreadable(head) is not None):
            return None
        if head._forward_hooks or head._forward_pre_hooks:
            return None
        ready = HeadWeight(head)
        if hidden is None:
            return ready, cap
        wanted = self.model(**self.probe(), use_cache=False).logits[0].to(ready.out_dtype)
        found = ready.logits(hidden)
        if cap is not None:
            found = torch.tanh(found / cap) * cap
        near = 4 * torch.finfo(wanted.dtype if not ready.half else weight.dtype).eps * wanted.abs().max()
        scale = max(1.0, float(hidden.shape[-1]) ** 0.5)
        return (ready, cap) if bool(((found - wanted).abs() <= near * scale).all()) else None

    def _probed(self) -> Tensor:
        """Final hidden states ``[s d]`` of a short call, which also shows whether a block returns a tuple."""

        def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self.in_tuple = isinstance(output, tuple)

        handle = self.blocks[0].register_forward_hook(note)
        try:
            final: Tensor = self.decoder(**self.probe(), use_cache=False)[0][0]
            return final
        finally:
            handle.remove()

    @torch.no_grad()
    def entry_for(self, config: InterventionConfig) -> Entry:
        """The latest point of the model at which such interventions can start from cached states.

        Args:
            config: of the interventions.
        """
        site, *others = (Site.parse(key) for key in config.sites)
        if others:
            return before(config)
        if site.name == RESIDUAL or config.placement == "block_output":
            return behind(site)
        if self.on_meta or split_rows(site.name)[1] is not None:
            return before(config)
        block = self.blocks[site.block]
        linear = find_linear(self.model, site)
        return measured(block, linear, site, lambda: self.decoder(**self.probe(), use_cache=False)) or before(config)
