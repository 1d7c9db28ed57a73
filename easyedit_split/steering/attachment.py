"""The state of one attached intervention: its strength, the token mask of the current call, and counts.

It hooks nothing; ``attach`` does, and asks it which tokens of the running call are steered and how strongly. At m = 0
nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..model.hooks import as_rows
from ..text.positions import Layout, TokenLayout, position_mask
from ..types import ConfigError
from .call_layout import CallReader
from .forms.base import Factor, Strength, factors
from .intervention import Intervention
from .limits import NO_LIMITS, Limits
from .report import Applied, Tally


class Attachment:
    """An intervention attached to a model: its strength, the token mask of the current call, and counts of changes.

    Made by ``attach`` only. ``set_m`` changes the strength of the calls to come.

    Args:
        intervention: what is applied.
        m: its strength.
        layout: where prompt and answer lie; None to read it off each call.
        measure: count the tokens touched and the size of the change.
        limits: what the model itself is known not to compute exactly.
    """

    def __init__(
        self,
        intervention: Intervention,
        m: Strength,
        layout: Layout | TokenLayout | None = None,
        measure: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> None:
        config = intervention.config
        self.intervention = intervention
        self.measure = measure
        self.set_m(m)
        self._layout = layout
        self._limits = limits
        self._reader = CallReader(
            config.prefix_ids,
            config.bos_id,
            config.skip_prefix,
            needs_prompt=config.positions != "all",
            openings=config.openings,
        )
        self._mask: Tensor | None = None
        self._seen: Tensor | None = None
        self._steers: Tensor | None = None
        self._last: tuple[Factor, Factor] = (0.0, 0.0)
        self.tallies: list[Tally] = []

    @property
    def m(self) -> tuple[Factor, Factor]:
        """The strength ``(m1, m2)`` used in the next model calls."""
        return self._m

    def set_m(self, m: Strength) -> None:
        """Set the strength for the next model calls; at 0 they equal the unsteered model's, bit for bit.

        Args:
            m: one float, one value per row of the batch ``[b]``, or ``(m1, m2)``, as ``attach`` takes it.

        Raises:
            ConfigError: m is not finite, or of another shape.
        """
        self._m = factors(m)
        self.bare = not any(isinstance(value, Tensor) or value != 0 for value in self._m)

    def set_rows(self, m: Strength, prompt_lengths: Tensor, prefix_lengths: Tensor) -> None:
        """Set strength, prompt and prefix lengths for the next calls, instead of reading them off the first call.

        Args:
            m: their strength, as ``set_m`` takes it.
            prompt_lengths: ``[b]`` tokens of each row's prompt, cached ones included.
            prefix_lengths: ``[b]`` tokens of its constant template prefix.

        Raises:
            ConfigError: m is not finite, or of another shape.
        """
        self.set_m(m)
        self._reader.expect(prompt_lengths, prefix_lengths)

    @contextmanager
    def prompts_known(self, columns: int, ids: Tensor | None) -> Iterator[None]:
        """Take the first columns of the calls inside for prompts, instead of reading this off each call.

        Args:
            columns: of the prompts, padding and cached ones included.
            ids: ``[b columns]`` their ids; None where embeddings are given.
        """
        with self._reader.prompts_known(columns, ids):
            yield

    def report(self) -> tuple[Applied, ...]:
        """What was done at each site, one row per site; tokens and norms only under ``attach(..., check=True)``."""
        return tuple(tally.applied() for tally in self.tallies)

    def enter_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before each call of the model: decide which of the call's tokens are steered.

        Args:
            module: the module that is called: the model, or one on the way to its decoder.
            args: its positional arguments.
            kwargs: its keyword arguments.
        """
        if isinstance(self._layout, TokenLayout):
            self._mask, self._seen = self._layout.steered, self._layout.real
            return
        layout = self._layout if self._layout is not None else self._reader.read(args, kwargs)
        self._limits.require_within(layout.index)
        config = self.intervention.config
        self._mask = position_mask(config.positions, config.skip_prefix, layout)
        self._seen = layout.index >= 0
        if not self.bare:  # no read of the device here: `require_steered` does it once
            self._last = self._m
            steers = self._mask.any()
            self._steers = steers if self._steers is None else self._steers | steers.to(self._steers.device)

    def require_steered(self) -> None:
        """Raise where the model was called at m other than 0 and the token policy selected no token in any call.

        Raises:
            ConfigError: so it was.
        """
        if self._steers is None or bool(self._steers) or not any(_is_nonzero(value) for value in self._last):
            return
        config = self.intervention.config
        raise ConfigError(
            f"no token of any row was steered (positions {config.positions}, skip_prefix {config.skip_prefix}), so the "
            f"model is unchanged at {', '.join(config.sites)}: give prompts that are longer than the constant template "
            "prefix, or other positions"
        )

    def by_row(self, tokens: Tensor) -> Tensor:
        """A module's input or output as ``[b s d]``, also where it comes as ``[b s, d]`` or ``[b, 1, s, d]``.

        Args:
            tokens: of the running call.
        """
        return tokens if self._mask is None else as_rows(tokens, *self._mask.shape)

    def masks(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Boolean masks ``(steered, real)`` of the tokens ``[b s]`` of the current call, for hidden states ``[b s d]``.

        Args:
            h: ``[b s d]`` of the running call.

        Raises:
            ConfigError: a block ran outside a call of the whole model, or the layout is for another shape.
        """
        if self._mask is None or self._seen is None:
            raise ConfigError(
                "an attached block ran outside a call of the whole model, so its token positions are unknown: "
                "call the model itself"
            )
        if h.ndim != 3:
            raise ConfigError(
                f"a site of {', '.join(self.intervention.config.sites)} is given {list(h.shape)} where the call has "
                f"{list(self._mask.shape)} tokens, so it does not see each token once, in order (an expert sees those "
                "routed to it): choose another site"
            )
        if self._mask.shape != h.shape[:2]:
            raise ConfigError(
                f"the layout is for {tuple(self._mask.shape)} tokens, the model was called with {tuple(h.shape[:2])}"
            )
        return self._mask.to(h.device), self._seen.to(h.device)

    def factors_for(self, h: Tensor) -> tuple[Factor, Factor]:
        """Strengths ``(m1, m2)`` for the rows of a call; the beams of a row share its m.

        Args:
            h: ``[b s d]`` of the running call.
        """
        m1, m2 = (_rowwise(value, len(h), h.device) for value in self._m)
        return m1, m2


def _is_nonzero(value: Factor) -> bool:
    return bool((value != 0).any()) if isinstance(value, Tensor) else value != 0


def _rowwise(m: Factor, b: int, device: torch.device) -> Factor:
    if not isinstance(m, Tensor):
        return m
    if m.ndim == 2 and len(m) == b:
        return m.to(device)
    if b % len(m):
        raise ConfigError(f"{len(m)} values of m for {b} rows: give one per row (beams of a row share it)")
    return m.to(device).repeat_interleave(b // len(m))
