"""The engine: losses of answers at many m, and their gradients, from cached states and shared tokens.

    texts -> prepare (entry, states, constant keys) -> launches (packed rows) -> losses [texts]

Everything is in nats, summed over an answer's tokens as in ``scoring``. At m = 0 the state that enters is the cached
one, bit for bit. What the engine cannot promise it refuses (``EngineRefused``), before anything is scored.
"""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ...steering.attach import Delta, attach, plain_delta
from ...steering.intervention import Intervention, InterventionConfig
from ...text.positions import TokenLayout
from .anatomy import Anatomy
from .budget import MemoryBudget, Shelf
from .capture import keys_of, rows_of_bare, run_bare
from .decoder import arguments_of
from .entry import HIDDEN, Entry, before_all, entering_hidden
from .fingerprint import model_digest
from .head import losses_of_logits, token_losses
from .kept_keys import KeptKeys
from .launch import Inputs, Launch, Strengths, inputs_of
from .packing import Cost, Member, PackedRow, Scored, pack
from .stand_ins import standing_in
from .states import Plan, States
from .strengths import strength_of
from .texts import Texts, scored_texts

logger = logging.getLogger(__name__)

_SHELVES: weakref.WeakKeyDictionary[nn.Module, Shelf] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How the engine works; nothing here changes a score beyond rounding.

    Attributes:
        launch_tokens: tokens of one call of the decoder, padding included; None for one row at a time on a CPU and
            8,192 elsewhere.
        row_tokens: tokens of one packed row at most.
        budget: memory for cached states.
        keep_keys: whether keys and values of tokens that no strength changes are kept.
        plain: leave everything to the plain scorer.
    """

    launch_tokens: int | None = None
    row_tokens: int = 512
    budget: MemoryBudget = dataclasses.field(default_factory=MemoryBudget)
    keep_keys: bool = True
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Texts made ready for interventions of one kind, at one place, under one token policy.

    Attributes:
        texts: the texts.
        entry: where a launch enters.
        states: what enters; None where the model runs from its embeddings.
        scored: what is scored and steered in each text.
        keys: keys of constant tokens; None where none are kept.
        cost: of rows.
    """

    texts: Texts
    entry: Entry
    states: States | None
    scored: tuple[Scored, ...]
    keys: KeptKeys | None
    cost: Cost

    def typical_norm(self) -> float:
        """Median length of what enters, in the unit of the hidden state; 1 where that is not cached."""
        if self.states is None:
            return 1.0
        return float(self.states.sample()[HIDDEN].float().norm(dim=-1).median())


class Engine:
    """Scores texts under interventions of one model.

    Args:
        model: a Hugging Face causal LM in evaluation mode, its parameters frozen (``observe.frozen``).
        config: how it works.

    Raises:
        EngineRefused: the model is of a kind the engine cannot enter.
    """

    def __init__(self, model: nn.Module, config: EngineConfig | None = None) -> None:
        self.model = model
        self.config = config or EngineConfig()
        self.anatomy = Anatomy(model)
        self.anatomy.check_hooks()
        self.head = self.anatomy.own_head()
        self.shelf = shelf_of(model)
        self._digests: dict[int, str] = {}
        on_cpu = self.anatomy.device.type == "cpu"
        self.launch_tokens = self.config.launch_tokens or (1 if on_cpu else 8192)

    def prepare(self, texts: Texts, config: InterventionConfig | None) -> Prepared:
        """Make texts ready: find the entry, fill what is to be cached.

        Args:
            texts: from ``read_texts``.
            config: of the interventions to come; None for the bare model alone.

        Raises:
            EngineRefused: a hook of another's, or a block that does not hand its keys to the cache.
        """
        self.anatomy.check_hooks()
        entry = before_all() if config is None else self.anatomy.entry_for(config)
        cost = self._cost(entry)
        states = self._states(texts, entry) if entry.block >= 0 else None
        scored = self._scored(texts, config, entry)
        keys = self._keys(texts, entry, states, scored, cost)
        return Prepared(texts, entry, states, scored, keys, cost)

    def launches(
        self, prepared: Prepared, units: Sequence[Sequence[Member]], strengths: Sequence[Strengths]
    ) -> list[Launch]:
        """The calls that score ``units`` under each of ``strengths``, those of the first strengths first.

        Args:
            prepared: from ``prepare``.
            units: texts that stay in one row, such as the two answers of a pair; a member's slot picks its strength.
            strengths: for each repeat, ``(m1, m2)`` of each slot.
        """
        packed = pack(prepared.texts.trie, prepared.scored, units, prepared.cost)
        packed.sort(key=lambda row: -len(row.node))
        together = max(1, min(len(strengths), self.launch_tokens // len(packed[0].node)))
        launches: list[Launch] = []
        for first in range(0, len(strengths), together):
            repeats = tuple(strengths[first : first + together])
            launches += [Launch(tuple(rows), repeats) for rows in self._batches(packed, len(repeats))]
        return launches

    def losses(
        self,
        prepared: Prepared,
        launch: Launch,
        intervention: Intervention | None = None,
        delta: Delta | None = None,
    ) -> Float64[Tensor, " texts"]:
        """L(A | q) of each text of a launch, summed nats, differentiable in the intervention's parameters.

        Args:
            prepared: what the launch was made of.
            launch: from ``launches``.
            intervention: of the prepared kind; None for the bare model.
            delta: what is added instead of ``form.delta(x, m)``.

        Returns:
            One loss per text: the rows' members in order, repeat after repeat.
        """
        inputs = inputs_of(launch, self.anatomy.device)
        acting = intervention if bool((inputs.m1 != 0).any() or (inputs.m2 != 0).any()) else None
        hidden = self._entering(prepared, inputs, acting, delta or plain_delta)
        token = self._token_losses(prepared, inputs, hidden, acting, delta)
        return inputs.answers.sums(token)

    def run(
        self,
        prepared: Prepared,
        launch: Launch,
        intervention: Intervention | None = None,
        delta: Delta | None = None,
    ) -> list[tuple[Launch, Float64[Tensor, " texts"]]]:
        """``losses`` of a launch, cut in halves where the device has no memory for the whole; without gradients.

        Args:
            prepared: what the launch was made of.
            launch: from ``launches``.
            intervention: of the prepared kind; None for the bare model.
            delta: what is added instead of ``form.delta(x, m)``.
        """
        try:
            return [(launch, self.losses(prepared, launch, intervention, delta))]
        except torch.OutOfMemoryError:
            halves = launch.halves()
            if not halves:
                raise
        logger.info("no memory for %d tokens at once: in two halves", launch.tokens)
        return [part for half in halves for part in self.run(prepared, half, intervention, delta)]

    def narrowed(self, prepared: Prepared) -> Prepared:
        """The same texts, in rows of no more than what ``config.row_tokens`` has become.

        Args:
            prepared: from ``prepare``.
        """
        cost = dataclasses.replace(prepared.cost, most=self.config.row_tokens)
        return dataclasses.replace(prepared, cost=cost)

    def digest(self) -> str:
        """Of the whole model."""
        return self._digest(len(self.anatomy.blocks) - 1)

    def _batches(self, packed: Sequence[PackedRow], repeats: int) -> list[list[PackedRow]]:
        """Rows of like width, as many as a launch may hold."""
        batches: list[list[PackedRow]] = []
        for row in packed:
            width = len(batches[-1][0].node) if batches else 0
            if batches and (len(batches[-1]) + 1) * width * repeats <= self.launch_tokens:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def _cost(self, entry: Entry) -> Cost:
        per_token, per_key = self.anatomy.costs(entry.block + 1, len(self.anatomy.blocks))
        return Cost(per_token, per_key, 16 * per_token, self.config.row_tokens)

    def _states(self, texts: Texts, entry: Entry) -> States:
        """From the shelf, or filled now."""
        key = ("states", self._digest(entry.block), texts.digest, entry.key, self.config.row_tokens)
        shelf = self.shelf
        held = shelf.get(key)
        if isinstance(held, States):
            return held
        per_token, per_key = self.anatomy.costs(0, entry.block + 1)
        cost = Cost(per_token, per_key, 16 * per_token, self.config.row_tokens)
        lengths = [len(path) for path in texts.trie.paths]
        plan = Plan.of(rows_of_bare(texts.trie, lengths, texts.order(), cost), len(texts.trie))
        size = len(texts.trie) * self.anatomy.state_bytes(entry)
        place = shelf.room(size, self.anatomy.device, self.config.budget)
        states = States(plan, lambda row: run_bare(self.anatomy, entry, row), place)
        shelf.put(key, states, place)
        return states

    def _scored(self, texts: Texts, config: InterventionConfig | None, entry: Entry) -> tuple[Scored, ...]:
        """With as many constant tokens as their keys may take memory: all, those of the opening, or none."""
        scored = scored_texts(texts.rows, config, self.config.keep_keys and config is not None)
        per_node = self.anatomy.key_bytes(entry.block)
        for most in (None, [row.prefix_length for row in texts.rows]):
            cut = (
                scored
                if most is None
                else tuple(
                    dataclasses.replace(text, constant=min(text.constant, limit))
                    for text, limit in zip(scored, most, strict=True)
                )
            )
            nodes = {
                n for text, path in zip(cut, texts.trie.paths, strict=True) for n in path[: text.constant].tolist()
            }
            room = self.shelf.room(len(nodes) * per_node, self.anatomy.device, self.config.budget)
            if room is not None and room.type == self.anatomy.device.type:
                return cut
        return tuple(dataclasses.replace(text, constant=0) for text in scored)

    def _keys(
        self, texts: Texts, entry: Entry, states: States | None, scored: Sequence[Scored], cost: Cost
    ) -> KeptKeys | None:
        lengths = tuple(text.constant for text in scored)
        if not any(lengths):
            return None
        key = ("keys", self.digest(), texts.digest, entry.block, lengths, self.config.row_tokens)
        shelf = self.shelf
        held = shelf.get(key)
        if isinstance(held, KeptKeys):
            return held
        rows = rows_of_bare(texts.trie, lengths, texts.order(), cost)
        keys = keys_of(self.anatomy, texts.trie, entry, states, rows)
        shelf.put(key, keys, self.anatomy.device)
        return keys

    def _digest(self, block: int) -> str:
        if block not in self._digests:
            self._digests[block] = model_digest(self.model, self.anatomy.lower_parts(block))
        return self._digests[block]

    def _entering(
        self, prepared: Prepared, inputs: Inputs, acting: Intervention | None, delta: Delta
    ) -> Float[Tensor, "b n d"] | None:
        """What goes in at the entry; None where the model runs from its embeddings."""
        entry, device = prepared.entry, self.anatomy.device
        if prepared.states is None:
            return None
        cached = prepared.states.at(inputs.node.repeat(inputs.repeats, 1), device)
        if acting is None or entry.site is None:
            return cached[HIDDEN]
        norm = None if entry.norm is None else self.anatomy.blocks[entry.block].get_submodule(entry.norm)
        form, m = acting.on(self.model, entry.site), strength_of(inputs, device)
        return entering_hidden(entry, norm, cached, form, m, inputs.steered, delta)

    def _token_losses(
        self,
        prepared: Prepared,
        inputs: Inputs,
        hidden: Tensor | None,
        acting: Intervention | None,
        delta: Delta | None,
    ) -> Float64[Tensor, " e"]:
        entry, anatomy, keys = prepared.entry, self.anatomy, prepared.keys
        kept = keys.before(inputs.constant, inputs.repeats) if keys and inputs.constant.shape[1] else None
        arguments = arguments_of(anatomy, inputs, hidden, kept)
        with ExitStack() as stack:
            if hidden is not None:
                entered = standing_in(self.model, range(entry.block), (entry.block, hidden), in_tuple=anatomy.in_tuple)
                stack.enter_context(entered)
            if acting is not None and entry.site is None:
                layout = TokenLayout(inputs.steered, torch.ones_like(inputs.steered))
                m = strength_of(inputs, torch.device("cpu"))  # whence it is checked without a read of the device
                stack.enter_context(attach(self.model, acting, m, layout=layout, delta=delta))
            if self.head is None:
                logits = self.model(**arguments).logits
                return losses_of_logits(logits.flatten(0, 1)[inputs.answers.predicting], inputs.answers.targets)
            final = anatomy.decoder(**arguments)[0].flatten(0, 1)[inputs.answers.predicting]
        return token_losses(final, *self.head, inputs.answers.targets)


def shelf_of(model: nn.Module) -> Shelf:
    """What has been computed for a model, for as long as it lives.

    Args:
        model: the model.
    """
    return _SHELVES.setdefault(model, Shelf())


__all__ = ["Engine", "EngineConfig", "Prepared", "shelf_of"]
