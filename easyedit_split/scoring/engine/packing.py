"""Pack several texts into one row of tokens: shared prefixes are computed once, attention masks keep texts apart.

    node of a row = (node before it, node of the trie, strength if it is steered)

Two texts share a row's node while they have the same ids *and* were steered alike up to there: then their states are
the same. A token before the first steered one (and before the first that predicts an answer) has the bare model's state
at every block whatever m is: it is ``constant``, not run, and seen through kept keys and values.

A unit joins a row where that costs fewer FLOPs than a row of its own:

    cost of a row = per_token N + per_key N (K + N) + overhead          N tokens run, K constant keys
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...types import IntArray
from .tries import BoolArray, Trie, ancestors


@dataclass(frozen=True, slots=True)
class Member:
    """One text at one strength m.

    Attributes:
        text: index of the text.
        slot: which strength of the launch its steered tokens get.
    """

    text: int
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """Which tokens of a text are scored, steered or constant.

    Attributes:
        prompt_length: tokens of the prompt, at least 1.
        answer: ``[t]`` ids of the answer; its last is predicted but never run.
        steered: ``[s]`` whether each token that is run is steered, s = prompt_length + t - 1.
        constant: how many leading tokens have a state that no strength changes and predict nothing.
    """

    prompt_length: int
    answer: IntArray
    steered: BoolArray
    constant: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a packed row, in FLOPs or any other unit.

    Attributes:
        per_token: through the blocks that run, for one token.
        per_key: attention's, for one token and one key.
        overhead: of a row as such.
        most: tokens that a row may hold at most, unless one unit alone has more.
    """

    per_token: float
    per_key: float
    overhead: float
    most: int

    def of(self, tokens: int, keys: int) -> float:
        """Cost of one row of ``tokens`` that see ``keys`` constant keys.

        Args:
            tokens: that are run.
            keys: constant keys that they see.
        """
        return self.per_token * tokens + self.per_key * tokens * (keys + tokens) + self.overhead


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One packed row: ``n`` tokens that are computed and ``k`` constant ones that they attend to.

    Attributes:
        node: ``[n]`` node of the trie whose cached state enters.
        token: ``[n]`` ids.
        depth: ``[n]`` positions.
        slot: ``[n]`` strength of each steered token, -1 where it is left alone.
        constant: ``[k]`` nodes of the trie whose keys and values are kept.
        sees: ``[n k+n]`` what each token attends to: the constant tokens first, then the row's.
        key_depth: ``[k+n]`` position of each key.
        text: ``[e]`` for each answer token its member's place in ``members``.
        at: ``[e]`` the row's token that predicts it.
        target: ``[e]`` its id.
        members: the texts of the row.
        units: places of the row's units among those that were packed.
    """

    node: IntArray
    token: IntArray
    depth: IntArray
    slot: IntArray
    constant: IntArray
    sees: BoolArray
    key_depth: IntArray
    text: IntArray
    at: IntArray
    target: IntArray
    members: tuple[Member, ...]
    units: tuple[int, ...]


@dataclass
class _Builder:
    """A packed row under construction, from which the texts added last can be removed again."""

    trie: Trie
    texts: Sequence[Scored]
    known: dict[tuple[int, int, int], int] = field(default_factory=dict)
    nodes: list[tuple[int, int, int]] = field(default_factory=list)  # (row's parent or -1 - trie node, trie node, slot)
    constant: dict[int, int] = field(default_factory=dict)  # trie node -> place among the row's constant keys
    members: list[Member] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)

    def add(self, unit: Sequence[Member]) -> None:
        for member in unit:
            scored, path = self.texts[member.text], self.trie.paths[member.text].tolist()
            for node in path[: scored.constant]:
                self.constant.setdefault(node, len(self.constant))
            before = -2 - path[scored.constant - 1] if scored.constant else -1
            mine = []
            run = range(scored.constant, len(scored.steered))
            for node, steered in ((path[i], scored.steered[i]) for i in run):
                key = (before, node, member.slot if steered else -1)
                before = self.known.setdefault(key, len(self.nodes))
                if before == len(self.nodes):
                    self.nodes.append(key)
                mine.append(before)
            self.members.append(member)
            self.paths.append(mine)

    def state(self) -> tuple[int, int, int]:
        return len(self.nodes), len(self.constant), len(self.members)

    def take_back(self, state: tuple[int, int, int]) -> None:
        for key in self.nodes[state[0] :]:
            del self.known[key]
        for node in list(self.constant)[state[1] :]:
            del self.constant[node]
        del self.nodes[state[0] :], self.members[state[2] :], self.paths[state[2] :]

    def finish(self, units: Sequence[int]) -> PackedRow:
        node = np.array([key[1] for key in self.nodes], dtype=np.int64)
        constant = np.array(list(self.constant), dtype=np.int64)
        parent = np.array([max(key[0], -1) for key in self.nodes], dtype=np.int64)
        depth, kept_depth = self.trie.depth[node], self.trie.depth[constant]
        return PackedRow(
            node=node,
            token=self.trie.token[node],
            depth=depth,
            slot=np.array([key[2] for key in self.nodes], dtype=np.int64),
            constant=constant,
            sees=np.concatenate([self._constants_seen(), ancestors(parent)], 1),
            key_depth=np.concatenate([kept_depth, depth]),
            **self._targets(),
            members=tuple(self.members),
            units=tuple(units),
        )

    def _constants_seen(self) -> BoolArray:
        """Mask ``[n k]``: whether each token attends to each constant one, that is, has it as a prefix."""
        seen = np.zeros((len(self.nodes), len(self.constant)), dtype=np.bool_)
        for i, (before, _, _) in enumerate(self.nodes):
            if before >= 0:
                seen[i] = seen[before]
            else:
                node = -2 - before
                while node >= 0:
                    seen[i, self.constant[node]] = True
                    node = int(self.trie.parent[node])
        return seen

    def _targets(self) -> dict[str, IntArray]:
        text, at, target = [], [], []
        for place, (member, path) in enumerate(zip(self.members, self.paths, strict=True)):
            scored = self.texts[member.text]
            first = scored.prompt_length - 1 - scored.constant
            text += [place] * len(scored.answer)
            at += path[first:]
            target += scored.answer.tolist()
        arrays = {"text": text, "at": at, "target": target}
        return {name: np.array(values, dtype=np.int64) for name, values in arrays.items()}


def pack(trie: Trie, texts: Sequence[Scored], units: Sequence[Sequence[Member]], cost: Cost) -> list[PackedRow]:
    """Pack groups of texts into rows of least total cost, in the order given, each group whole in one row.

    Args:
        trie: of the texts' ids without the answers' last tokens.
        texts: what is scored in each text of the trie.
        units: texts that stay together, such as the two answers of a pair.
        cost: decides which units share a row.
    """
    rows: list[PackedRow] = []
    builder, inside = _Builder(trie, texts), list[int]()
    for place, unit in enumerate(units):
        alone = _Builder(trie, texts)
        alone.add(unit)
        before = builder.state()
        builder.add(unit)
        joined = cost.of(*builder.state()[:2]) - cost.of(*before[:2])
        if inside and (joined > cost.of(*alone.state()[:2]) or builder.state()[0] > cost.most):
            builder.take_back(before)
            rows.append(builder.finish(inside))
            builder, inside = alone, []
        inside.append(place)
    if inside:
        rows.append(builder.finish(inside))
    return rows
