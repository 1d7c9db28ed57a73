"""Lower bound on the FLOPs of scoring or training a pair, and the efficiency of a run: eta_alg = bound / counted.

    sweep point      2 S n N + 4 A d V + S kappa Pi                                  FLOPs per pair and m
    training step    twice the linear terms, three times attention's                 forwards and backwards

    S blocks behind the entry, n weights a block, N = P + 2A tokens, d hidden width, V vocabulary, kappa = 4 n_q h,
    Pi = C(P) + 2 (P A + C(A)) pairs of token and key with C(x) = x (x + 1) / 2

The bound takes one pair at a time, every token of it behind the frozen blocks. Where pairs share text or have tokens
that no strength changes, less than it is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ...model.sites import blocks_of


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that the lower bound depends on.

    Attributes:
        blocks: L.
        weights: n, of one block.
        hidden: d.
        vocabulary: V.
        kappa: 4 x query heads x head size.
    """

    blocks: int
    weights: int
    hidden: int
    vocabulary: int
    kappa: int

    @classmethod
    def of(cls, model: nn.Module) -> Shape:
        """The sizes of a Hugging Face causal LM.

        Args:
            model: any device, the meta device too.
        """
        config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
        blocks = blocks_of(model)
        weights = sum(p.numel() for p in blocks[-1].parameters() if p.ndim > 1)
        heads = int(config.num_attention_heads)
        size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
        return cls(len(blocks), weights, int(config.hidden_size), int(config.vocab_size), 4 * heads * size)

    def sweep_point(self, layer: int, prompt: int, answer: int) -> int:
        """Least FLOPs of one pair at one m.

        Args:
            layer: the block whose output is changed.
            prompt: P, in tokens.
            answer: A, in tokens.
        """
        linear, attention = self._terms(layer, prompt, answer)
        return linear + attention

    def training_step(self, layer: int, prompt: int, answer: int) -> int:
        """Least FLOPs of one pair in one training step of one direction.

        Args:
            layer: the block whose output is changed.
            prompt: P, in tokens.
            answer: A, in tokens.
        """
        linear, attention = self._terms(layer, prompt, answer)
        return 2 * linear + 3 * attention

    def _terms(self, layer: int, prompt: int, answer: int) -> tuple[int, int]:
        behind = self.blocks - layer - 1
        tokens = prompt + 2 * answer
        keys = _triangle(prompt) + 2 * (prompt * answer + _triangle(answer))
        linear = 2 * behind * self.weights * tokens + 4 * answer * self.hidden * self.vocabulary
        return linear, behind * self.kappa * keys


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def counted(work: Callable[[], object]) -> int:
    """FLOPs of calling ``work``, matrix products and attention, by torch's own counter.

    Args:
        work: run once.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
