"""Prefix tries of token ids: texts with a common prefix share its tokens, one node each.

    a node is a token behind a given beginning        depth = its position        a text = a path from a root

A causal model gives a token a state that depends on the ids up to it and on nothing else, so equal beginnings have
equal states: each node's is computed once. Pure index work on numpy arrays; no model, no m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...types import IntArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trie:
    """Prefix trie of a set of token sequences.

    Attributes:
        parent: ``[n]`` node before each node, -1 at a text's first token; parents come before their children.
        depth: ``[n]`` position of each node, 0 at a text's first token.
        token: ``[n]`` token id of each node.
        paths: for each text the nodes of its tokens, in order.
    """

    parent: IntArray
    depth: IntArray
    token: IntArray
    paths: tuple[IntArray, ...]

    def __len__(self) -> int:
        return len(self.parent)


def build_trie(texts: Sequence[Sequence[int]]) -> Trie:
    """The prefix trie of ``texts``, its nodes in the order of first appearance.

    Args:
        texts: token ids of each text.
    """
    known: dict[tuple[int, int], int] = {}
    parents: list[int] = []
    depths: list[int] = []
    tokens: list[int] = []
    paths: list[IntArray] = []
    for ids in texts:
        node, path = -1, []
        for depth, token in enumerate(ids):
            key = (node, token)
            node = known.setdefault(key, len(parents))
            if node == len(parents):
                parents.append(key[0])
                depths.append(depth)
                tokens.append(token)
            path.append(node)
        paths.append(np.array(path, dtype=np.int64))
    columns = [np.array(values, dtype=np.int64) for values in (parents, depths, tokens)]
    return Trie(columns[0], columns[1], columns[2], tuple(paths))


def ancestors(parent: IntArray) -> BoolArray:
    """Mask ``[n n]``: whether node j is node i or one of its ancestors.

    Args:
        parent: ``[n]`` as in ``Trie``, parents before their children.
    """
    n = len(parent)
    sees = np.zeros((n, n), dtype=np.bool_)
    for i, before in enumerate(parent.tolist()):
        if before >= 0:
            sees[i, : before + 1] = sees[before, : before + 1]
        sees[i, i] = True
    return sees
