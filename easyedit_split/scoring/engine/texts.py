"""Token ids of texts with their prefix trie, and which of their tokens are scored, steered or constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...steering.intervention import InterventionConfig
from ...text.batching import Row
from ...text.positions import Layout, position_mask
from ...types import ConfigError
from .fingerprint import texts_digest
from .packing import Scored
from .tries import BoolArray, Trie, build_trie


@dataclass(frozen=True, slots=True)
class Texts:
    """Token ids of a set of texts, with their prefix trie.

    Attributes:
        rows: prompt and answer of each text.
        trie: of all their ids.
        digest: of all their ids, in order.
    """

    rows: tuple[Row, ...]
    trie: Trie
    digest: str

    def order(self) -> list[int]:
        """Indices of the texts, sorted so that texts with common prefixes are adjacent."""
        return sorted(range(len(self.rows)), key=lambda i: (self.rows[i].prompt, self.rows[i].answer, i))


def read_texts(rows: Sequence[Row]) -> Texts:
    """Build the token trie of a set of texts.

    Args:
        rows: prompts with one answer each; the same prompt may stand in many.

    Raises:
        ConfigError: no rows, or a row without a prompt or an answer.
    """
    if not rows:
        raise ConfigError("there are no texts to score")
    for i, row in enumerate(rows):
        if not row.prompt or not row.answer:
            raise ConfigError(f"text {i} has no {'answer' if row.prompt else 'prompt'} token: nothing could be scored")
    ids = [row.prompt + row.answer for row in rows]
    return Texts(tuple(rows), build_trie(ids), texts_digest(ids))


def steered_tokens(rows: Sequence[Row], config: InterventionConfig | None) -> list[BoolArray]:
    """Mask of the steered tokens of each text, over all its tokens but the answer's last.

    Args:
        rows: the texts.
        config: holds the policy; None for the bare model, where none is steered.

    Raises:
        ConfigError: the policy leaves out every token of every text.
    """
    lengths = [len(row.prompt) + len(row.answer) for row in rows]
    if config is None:
        return [np.zeros(n - 1, dtype=np.bool_) for n in lengths]
    whole = torch.tensor(lengths)
    column = torch.arange(max(lengths)).expand(len(rows), -1)
    layout = Layout(
        torch.where(column < whole[:, None], column, -1),
        torch.tensor([len(row.prompt) for row in rows]),
        torch.tensor([row.prefix_length for row in rows]),
        whole,
    )
    mask = position_mask(config.positions, config.skip_prefix, layout).numpy()
    return [mask[i, : n - 1] for i, n in enumerate(lengths)]


def scored_texts(rows: Sequence[Row], config: InterventionConfig | None) -> tuple[Scored, ...]:
    """Which tokens of each text are scored, steered or constant.

    Args:
        rows: the texts.
        config: holds the token policy; None for the bare model.
    """
    found = []
    for row, steered in zip(rows, steered_tokens(rows, config), strict=True):
        first = int(steered.argmax()) if steered.any() else len(steered)
        constant = min(first, len(row.prompt) - 1)
        found.append(Scored(len(row.prompt), np.array(row.answer, dtype=np.int64), steered, constant))
    return tuple(found)
