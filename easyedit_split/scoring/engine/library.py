"""Cached results of one model that engines share: hidden states, keys of constant tokens, passed comparisons.

    key of states   weights, configuration, dtype, attention, versions, device type | token ids | block, tensors | plan
    key of keys     the same with all weights, and how many leading tokens of each text are constant
    other values    all weights, device | whatever else they depend on: ``remembered``

It lives as long as the model does, whoever asks: sweeps, training, closed forms, bare losses, activations.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, cast

from torch import nn

from ...steering.intervention import InterventionConfig
from .anatomy import Anatomy
from .budget import Shelf, Sized
from .capture import keys_of, rows_of_bare, run_bare
from .config import EngineConfig
from .entry import Entry
from .fingerprint import model_digest
from .kept_keys import KeptKeys
from .packing import Cost, Scored
from .refusal import EngineRefused
from .states import Plan, States
from .texts import Texts, scored_texts

_SHELVES: weakref.WeakKeyDictionary[nn.Module, Shelf] = weakref.WeakKeyDictionary()
_Kept = TypeVar("_Kept", bound=Sized)
_OVERHEAD_TOKENS = 16
"""A row as such costs about as much as so many tokens: small matrix products wait for their weights."""


def forget(model: nn.Module) -> None:
    """Free the memory of everything cached for a model; it is computed again when needed.

    Args:
        model: a Hugging Face causal LM.
    """
    _SHELVES.pop(model, None)


def remembered(model: nn.Module, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
    """A value that depends on the bare model and ``key`` alone, computed once while the model stays as it is.

    It is computed anew where the digest of the weights may not tell all: where the engine refuses the model, and where
    a part of it has hooks, a replaced ``forward`` or adapters, which a flag switches off.

    Args:
        model: a Hugging Face causal LM.
        key: texts and settings.
        make: computes the value.
    """
    config = EngineConfig()
    try:
        anatomy = Anatomy(model)
        anatomy.check_hooks()
    except EngineRefused:
        return make()
    if any(_is_changed(module) for module in anatomy.decoder.modules()):
        return make()
    library = Library(anatomy, config)
    whole = ("remembered", library.digest(), str(anatomy.device), key)
    held = library.shelf.get(whole)
    if held is None:
        held = make()
        place = library.shelf.room(held.nbytes, anatomy.device, config.budget)
        if place == anatomy.device:
            library.shelf.put(whole, held, place)
    return cast(_Kept, held)


def _is_changed(module: nn.Module) -> bool:
    """Whether a module may compute something that its weights do not tell."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks) or "forward" in vars(module) or hasattr(module, "_disable_adapters")


class Library:
    """Cached hidden states and keys of one model, computed where they are missing.

    Args:
        anatomy: of the model.
        config: how the engine works.
    """

    def __init__(self, anatomy: Anatomy, config: EngineConfig) -> None:
        self.anatomy, self.config = anatomy, config
        self.shelf = _SHELVES.setdefault(anatomy.model, Shelf())
        self._digests: dict[int, str] = {}

    def digest(self, block: int | None = None) -> str:
        """Digest of the model's weights and settings up to a block.

        Args:
            block: the last that takes part; all where None.
        """
        last = len(self.anatomy.blocks) - 1 if block is None else block
        if last not in self._digests:
            self._digests[last] = model_digest(self.anatomy.model, self.anatomy.lower_parts(last))
        return self._digests[last]

    def cost(self, first: int, end: int) -> Cost:
        """FLOPs of packed rows that run blocks ``first`` to ``end`` (not included).

        Args:
            first: the first block that runs.
            end: the first that does not.
        """
        per_token, per_key = self.anatomy.costs(first, end)
        return Cost(per_token, per_key, _OVERHEAD_TOKENS * per_token, self.config.row_tokens)

    def states(self, texts: Texts, entry: Entry) -> States:
        """Cached hidden states at an entry point, for every token of the texts.

        Args:
            texts: the texts.
            entry: not the embeddings.
        """
        key = ("states", self.digest(entry.block), texts.digest, entry.key, self.config.row_tokens)
        held = self.shelf.get(key)
        if isinstance(held, States):
            return held
        lengths = [len(path) for path in texts.trie.paths]
        rows = rows_of_bare(texts.trie, lengths, texts.order(), self.cost(0, entry.block + 1))
        size = len(texts.trie) * self.anatomy.state_bytes(entry)
        place = self.shelf.room(size, self.anatomy.device, self.config.budget)
        states = States(Plan.of(rows, len(texts.trie)), place)
        if place is not None:
            states.fill(lambda row: run_bare(self.anatomy, entry, row), place)
        self.shelf.put(key, states, place)
        return states

    def scored(self, texts: Texts, config: InterventionConfig | None, entry: Entry) -> tuple[Scored, ...]:
        """Which tokens of each text are scored, steered or constant, with as many constant ones as memory allows.

        Args:
            texts: the texts.
            config: of the interventions; None for the bare model.
            entry: where launches enter.
        """
        scored = scored_texts(texts.rows, config)
        if not self.config.keep_keys or config is None:
            return _cut(scored, [0] * len(scored))
        openings = _cut(scored, [row.prefix_length for row in texts.rows])
        for choice in (scored, openings):
            pairs = zip(choice, texts.trie.paths, strict=True)
            nodes = {node for text, path in pairs for node in path[: text.constant].tolist()}
            size = len(nodes) * self.anatomy.key_bytes(entry.block)
            place = self.config.budget.place(size, self.anatomy.device, {})
            if place is not None and place.type == self.anatomy.device.type:
                return choice
        return _cut(scored, [0] * len(scored))

    def keys(self, texts: Texts, entry: Entry, states: States | None, scored: Sequence[Scored]) -> KeptKeys | None:
        """Cached keys and values of the texts' constant tokens; None where there are none.

        Args:
            texts: the texts.
            entry: where launches enter.
            states: what enters; None where the model runs from its embeddings.
            scored: says how many leading tokens of each text are constant.

        Raises:
            EngineRefused: a block does not hand its keys to the cache.
        """
        lengths = tuple(text.constant for text in scored)
        if not any(lengths):
            return None
        key = ("keys", self.digest(), texts.digest, entry.block, lengths, self.config.row_tokens)
        held = self.shelf.get(key)
        if isinstance(held, KeptKeys):
            return held
        rows = rows_of_bare(texts.trie, lengths, texts.order(), self.cost(entry.block + 1, len(self.anatomy.blocks)))
        keys = keys_of(self.anatomy, len(texts.trie), entry, states, rows)
        self.shelf.room(keys.nbytes, self.anatomy.device, self.config.budget)
        self.shelf.put(key, keys, self.anatomy.device)
        return keys


def _cut(scored: Sequence[Scored], most: Sequence[int]) -> tuple[Scored, ...]:
    """The same texts with at most the given number of constant tokens each."""
    return tuple(
        dataclasses.replace(text, constant=min(text.constant, limit)) for text, limit in zip(scored, most, strict=True)
    )
