"""Reports of an attached intervention: how many tokens it changed at each site, and by how much."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..types import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """Counts of calls and of changed tokens, and the mean relative change, at one site.

    Attributes:
        site: e.g. ``"20.mlp.down_proj"``.
        module: dotted name of the module whose output was changed.
        calls: forward passes seen.
        tokens_seen: real tokens that passed.
        tokens_touched: those of them that were steered.
        tokens_changed: those whose values came out different; fewer where dh is 0 or lost in the model's dtype.
        relative_norm: mean over touched tokens of ||dh|| / ||h||; 0 where none was touched.
    """

    site: str
    module: str
    calls: int
    tokens_seen: int
    tokens_touched: int
    tokens_changed: int
    relative_norm: float


class Tally:
    """Running counts of the calls of one site, and of its tokens where they are measured.

    Args:
        site: as in ``Applied``.
        module: as in ``Applied``.
    """

    def __init__(self, site: str, module: str) -> None:
        self.site = site
        self.module = module
        self.calls = self.seen = self.touched = self.changed = 0
        self.ratio = 0.0

    @torch.no_grad()
    def measure(self, h: Tensor, new: Tensor, mask: Tensor) -> None:
        """Add the tokens of one call to the counts.

        Args:
            h: ``[b s d]`` before the change.
            new: ``[b s d]`` after it.
            mask: ``[b s]``, True on steered tokens.
        """
        before, after = h[mask].double(), new[mask].double()
        self.touched += len(before)
        self.changed += int((before != after).any(-1).sum())
        self.ratio += float(((after - before).norm(dim=-1) / before.norm(dim=-1)).sum())

    def applied(self) -> Applied:
        """The counts and the mean relative norm so far."""
        mean = self.ratio / self.touched if self.touched else 0.0
        return Applied(self.site, self.module, self.calls, self.seen, self.touched, self.changed, mean)


def check_report(report: Sequence[Applied]) -> None:
    """Raise where the model was never called; warn where tokens were steered and no value changed.

    Args:
        report: one account per site.

    Raises:
        ConfigError: a site without a call.
    """
    for applied in report:
        if applied.calls == 0:
            raise ConfigError(f"{applied.site}: the model was never called while the intervention was attached")
        if applied.tokens_touched and not applied.tokens_changed:
            logger.warning(
                "%s: %d tokens were steered and no value changed: the intervention is 0 there, or too small for the "
                "model's dtype",
                applied.site,
                applied.tokens_touched,
            )


def parameter_norm(intervention: nn.Module) -> float:
    """Euclidean norm of all parameters: the size of dW and db together at m = 1 (of A and B for LoRA).

    Args:
        intervention: any intervention.
    """
    return math.sqrt(sum(float(p.detach().double().square().sum()) for p in intervention.parameters()))
