"""Losses of answers at many m, and their gradients, computed from cached hidden states and shared prefix tokens.

    texts -> prepare (entry, states, constant keys) -> launches (packed rows) -> losses [texts]

Everything is in nats, summed over an answer's tokens as in ``scoring``. At m = 0 the state that enters is the cached
one, bit for bit. What the engine cannot promise it refuses (``EngineRefused``), before anything is scored.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from ...steering.attach import Delta, attach, plain_delta
from ...steering.intervention import Intervention, InterventionConfig
from ...text.positions import TokenLayout
from .anatomy import Anatomy
from .capture import run_bare
from .config import EngineConfig
from .decoder import arguments_of
from .entry import HIDDEN, Entry, before_all, entering_hidden
from .head import losses_of_logits, token_losses
from .kept_keys import KeptKeys
from .launch import FLOPS_OF_A_LAUNCH, Inputs, Launch, Strengths, batched, inputs_of
from .library import Library
from .packing import Cost, Member, Scored, pack
from .stand_ins import standing_in
from .states import States
from .strengths import strength_of
from .texts import Texts

logger = logging.getLogger(__name__)

NARROWEST = 32
"""Tokens of a row below which rows are not made narrower where memory is short."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Texts with everything cached that scoring them needs, for one kind of intervention and one token policy.

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


class Engine:
    """Scores texts under interventions of one model, from cached hidden states.

    Args:
        model: a Hugging Face causal LM in evaluation mode, its parameters frozen (``hooks.frozen``).
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
        self.library = Library(self.anatomy, self.config)
        on_cpu = self.anatomy.device.type == "cpu"
        self.launch_tokens = self.config.launch_tokens or (1 if on_cpu else 8192)

    def prepare(self, texts: Texts, config: InterventionConfig | None) -> Prepared:
        """Choose the entry point and fill the caches for these texts.

        Args:
            texts: from ``read_texts``.
            config: of the interventions to come; None for the bare model alone.

        Raises:
            EngineRefused: a hook of another's, or a block that does not hand its keys to the cache.
        """
        self.anatomy.check_hooks()
        entry = before_all() if config is None else self.anatomy.entry_for(config)
        states = self.library.states(texts, entry) if entry.block >= 0 else None
        scored = self.library.scored(texts, config, entry)
        keys = self.library.keys(texts, entry, states, scored)
        cost = self.library.cost(entry.block + 1, len(self.anatomy.blocks))
        return Prepared(texts, entry, states, scored, keys, cost)

    def launches(
        self, prepared: Prepared, units: Sequence[Sequence[Member]], strengths: Sequence[Strengths]
    ) -> list[Launch]:
        """The forward passes that score groups of texts at each of many strengths, those of the first strengths first.

        Args:
            prepared: from ``prepare``.
            units: texts that stay in one row, such as the two answers of a pair; a member's slot picks its strength.
            strengths: for each repeat, ``(m1, m2)`` of each slot.
        """
        cost = dataclasses.replace(prepared.cost, most=self.config.row_tokens)
        packed = pack(prepared.texts.trie, prepared.scored, units, cost)
        packed.sort(key=lambda row: -len(row.node))
        together = max(1, min(len(strengths), self.launch_tokens // len(packed[0].node)))
        on_gpu = self.anatomy.device.type == "cuda"
        spare = FLOPS_OF_A_LAUNCH / max(prepared.cost.per_token, 1.0) if on_gpu else 0.0
        widths, launches = [len(row.node) for row in packed], list[Launch]()
        for first in range(0, len(strengths), together):
            repeats = tuple(strengths[first : first + together])
            parts = batched(widths, self.launch_tokens // len(repeats), spare=spare / len(repeats))
            launches += [Launch(tuple(packed[part]), repeats) for part in parts]
        return launches

    def shrink(self) -> bool:
        """Half the tokens a launch from now on, down to one row each, then narrower rows; whether that is possible."""
        if self.launch_tokens > self.config.row_tokens:
            self.launch_tokens //= 2
            return True
        if self.config.row_tokens > NARROWEST:
            self.config = dataclasses.replace(self.config, row_tokens=self.config.row_tokens // 2)
            return True
        return False

    def losses(
        self, prepared: Prepared, launch: Launch, intervention: Intervention | None = None, delta: Delta | None = None
    ) -> Float64[Tensor, " texts"]:
        """Negative log-likelihood of each text's answer, summed nats, differentiable in the intervention's parameters.

        Args:
            prepared: what the launch was made of.
            launch: from ``launches``.
            intervention: of the prepared kind; None for the bare model.
            delta: what is added instead of ``form.delta(x, m)``.

        Returns:
            One loss per text: the rows' members in order, repeat after repeat.
        """
        inputs = inputs_of(launch, self.anatomy.device)
        acting = intervention if inputs.acting else None
        hidden = self.entering(prepared, inputs, acting, delta or plain_delta)
        with self.entered(prepared, inputs, hidden, acting, delta) as arguments:
            return self.decoded(inputs, arguments)

    def decoded(self, inputs: Inputs, arguments: dict[str, Any]) -> Float64[Tensor, " texts"]:
        """L(A | q) of each text from one call of the decoder, summed nats.

        Args:
            inputs: of the launch.
            arguments: from ``entered``, inside of which this is called.
        """
        whole = self.model(**arguments).logits if self.head is None else self.anatomy.decoder(**arguments)[0]
        answers = inputs.answers.to(whole.device)  # the last block's, where a model spans several
        final = whole.flatten(0, 1)[answers.predicting]
        if self.head is None:
            return answers.sums(losses_of_logits(final, answers.targets))
        return answers.sums(token_losses(final, *self.head, answers.targets))

    def run(
        self, prepared: Prepared, launch: Launch, intervention: Intervention | None = None, delta: Delta | None = None
    ) -> list[tuple[Launch, Float64[Tensor, " texts"]]]:
        """Losses of one forward pass without gradients, split in halves where the device runs out of memory.

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
        logger.info("out of memory for %d tokens in one forward pass: split into two", launch.tokens)
        return [part for half in halves for part in self.run(prepared, half, intervention, delta)]

    def entering(
        self, prepared: Prepared, inputs: Inputs, acting: Intervention | None, delta: Delta
    ) -> Float[Tensor, "b n d"] | None:
        """Hidden states that replace the output of the entry block; None where the model runs from its embeddings.

        Args:
            prepared: what the launch was made of.
            inputs: of the launch.
            acting: the intervention, if any strength of the launch is not 0.
            delta: makes the change.
        """
        entry, device = prepared.entry, self.anatomy.device
        if prepared.states is None:
            return None
        cached = prepared.states.at(
            inputs.node.repeat(inputs.repeats, 1), device, lambda row: run_bare(self.anatomy, entry, row)
        )
        if acting is None or entry.site is None:
            return cached[HIDDEN]
        norm = None if entry.norm is None else self.anatomy.blocks[entry.block].get_submodule(entry.norm)
        m = strength_of(inputs, device)
        return entering_hidden(entry, norm, cached, acting.on(self.model, entry.site), m, inputs.steered, delta)

    @contextmanager
    def entered(
        self,
        prepared: Prepared,
        inputs: Inputs,
        hidden: Tensor | None,
        acting: Intervention | None,
        delta: Delta | None,
    ) -> Iterator[dict[str, Any]]:
        """Context in which the blocks below the entry are skipped and the intervention is attached where it is not yet
        applied.

        Args:
            prepared: what the launch was made of.
            inputs: of the launch.
            hidden: from ``entering``.
            acting: the intervention, if any strength of the launch is not 0.
            delta: what is added instead of ``form.delta(x, m)``.

        Yields:
            What the decoder, or the whole model, is to be called with.
        """
        entry, anatomy, keys = prepared.entry, self.anatomy, prepared.keys
        kept = keys.before(inputs.constant, inputs.repeats) if keys and inputs.constant.shape[1] else None
        with ExitStack() as stack:
            if hidden is not None:
                below = range(entry.block)
                stack.enter_context(standing_in(self.model, below, (entry.block, hidden), in_tuple=anatomy.in_tuple))
            if acting is not None and entry.site is None:
                layout = TokenLayout(inputs.steered, torch.ones_like(inputs.steered))
                m = strength_of(inputs, torch.device("cpu"))  # whence it is checked without a read of the device
                stack.enter_context(attach(self.model, acting, m, layout=layout, delta=delta))
            yield arguments_of(anatomy, inputs, hidden, kept)

    def typical_norm(self, prepared: Prepared) -> float:
        """Median norm of the cached hidden states that enter; 1 where they are not cached.

        Args:
            prepared: from ``prepare``.
        """
        if prepared.states is None:
            return 1.0
        sample = prepared.states.sample(lambda row: run_bare(self.anatomy, prepared.entry, row))
        return float(sample[HIDDEN].float().norm(dim=-1).median())


__all__ = ["Engine", "EngineConfig", "Prepared"]
