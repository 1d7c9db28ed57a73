"""What an intervention did at one site: the answer to "did it apply?"."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Applied:
    """The account of one site.

    Attributes:
        site: e.g. ``"20.mlp.down_proj"``.
        module: dotted name of the module whose output was changed.
        calls: forward passes seen.
        tokens_seen, tokens_touched: real tokens that passed, and those steered.
        tokens_changed: those of them whose values came out different; fewer where dh is 0 or lost in the model's dtype.
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
    """Counts one site's calls; the tokens too where they are measured.

    Args:
        site, module: see `Applied`.
    """

    def __init__(self, site: str, module: str) -> None:
        self.site = site
        self.module = module
        self.calls = self.seen = self.touched = self.changed = 0
        self.ratio = 0.0

    @torch.no_grad()
    def measure(self, h: Tensor, new: Tensor, mask: Tensor) -> None:
        """Add one call: hidden states ``[b s d]`` before and after, and the steered tokens ``[b s]``."""
        before, after = h[mask].double(), new[mask].double()
        self.touched += len(before)
        self.changed += int((before != after).any(-1).sum())
        self.ratio += float(((after - before).norm(dim=-1) / before.norm(dim=-1)).sum())

    def applied(self) -> Applied:
        """The account so far."""
        mean = self.ratio / self.touched if self.touched else 0.0
        return Applied(self.site, self.module, self.calls, self.seen, self.touched, self.changed, mean)
