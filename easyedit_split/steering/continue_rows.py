"""Generation for rows (prompt, m) of token ids, in batches planned by token budget and halved when memory runs out.

Rows of all m share batches, longest first, the m of one prompt side by side; rows at m = 0 have batches of their own,
which the bare model runs without a hook, so they are the same whichever other m are asked for. The plan depends on
nothing but what is asked, not on what is done already. In fp32 and float64 a row's text does not depend on its batch;
in half precision the last bits, and so a close call between two tokens, do.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from torch import nn

from ..model.hooks import device_of, finite_masks
from ..text.batching import Batch, Row, collate, plan_batches
from ..text.openings import Ids, prefix_lengths
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .attach import attach
from .attachment import Attachment
from .decoding import Decoding, Rows, selectable, uniform_draws
from .finite_logits import FiniteLogits, Strengths
from .generate_config import GenerateConfig
from .intervention import Intervention
from .limits import limits_of
from .own_generation import own_config, own_settings
from .shared_prompt import SharedPrompt, constant_lengths, share

logger = logging.getLogger(__name__)

_TOKENS = {"cpu": 8192}
"""Largest number of tokens in a batch (prompts and answers, padding and beams included), by type of device."""
_TOKENS_ELSEWHERE = 65536


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer to generate: a prompt and a strength m.

    Attributes:
        index: number of its prompt.
        prompt: ids of everything before the answer.
        m: strength, or one of each intervention.
        opening: tokens of the prompt's constant template prefix; None where only the interventions know it.
    """

    index: int
    prompt: Ids
    m: Strengths
    opening: int | None = None

    @property
    def each(self) -> tuple[float, ...]:
        """The strengths named for it, one or one of each intervention."""
        return self.m if isinstance(self.m, tuple) else (self.m,)

    @property
    def bare(self) -> bool:
        """Whether the unsteered model writes it."""
        return not any(self.each)

    def seed(self, seed: int) -> int:
        """The row's random seed, derived from the run's seed, the prompt's number and m.

        Args:
            seed: the run's.
        """
        key = f"{seed} {self.index} {','.join((m + 0.0).hex() for m in self.each)}"
        return int.from_bytes(sha256(key.encode()).digest()[:7], "big")


def plan_rows(asks: Sequence[Ask], config: GenerateConfig, device: torch.device) -> list[list[Ask]]:
    """Plan batches of rows; rows at m = 0 come first, in batches of their own.

    Args:
        asks: in any order; the plan depends on which they are alone.
        config: rows of a batch, if it says so, else as many as fit the device's token budget.
        device: the model's.
    """
    plan: list[list[Ask]] = []
    budget, rows = _TOKENS.get(device.type, _TOKENS_ELSEWHERE), len(asks)
    if config.batch_size is not None:
        budget, rows = 1 << 62, config.batch_size
    if config.do_sample and config.num_beams > 1:
        rows = 1  # ``generate`` draws for all beams of a batch from one generator
    for group in ([ask for ask in asks if ask.bare], [ask for ask in asks if not ask.bare]):
        members = sorted(group, key=lambda ask: (ask.prompt, ask.index, ask.each))
        lengths = [(len(ask.prompt) + config.max_new_tokens) * config.num_beams for ask in members]
        plan += [[members[i] for i in batch] for batch in plan_batches(lengths, max_tokens=budget, max_rows=rows or 1)]
    return plan


class RowWriter:
    """Generates batches of rows, and remembers the batch size that fits in memory.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
        interventions: what steers where m is not 0; none for the bare model.
        config: length and sampling.
    """

    def __init__(
        self, model: nn.Module, template: Template, interventions: Sequence[Intervention], config: GenerateConfig
    ) -> None:
        self.model = model
        self.template = template
        self.interventions = tuple(interventions)
        self.config = config
        self.stops = stops_of(model, template)
        self.limits = limits_of(model)
        self._rows: int | None = None

    @property
    def cached(self) -> bool:
        """Whether steps run behind keys and values: not where the model's cache is another, or not exact."""
        return self.limits.cache is None and self.limits.keys

    def continue_rows(self, asks: Sequence[Ask]) -> list[list[int]]:
        """Generated token ids after each prompt: the answer, then whatever fills the row after its end token.

        Args:
            asks: a batch of ``plan_rows``.

        Raises:
            ConfigError: an intervention that does not fit the model, or beams where its cache is not exact.
            torch.OutOfMemoryError: not even one row fits.
        """
        if self.limits.padding is not None and len({len(ask.prompt) for ask in asks}) > 1:
            return [ids for ask in asks for ids in self.continue_rows([ask])]
        limit = self._rows or len(asks)
        if limit < len(asks):
            return [ids for k in range(0, len(asks), limit) for ids in self.continue_rows(asks[k : k + limit])]
        try:
            return self._continue(asks)
        except torch.OutOfMemoryError:
            if len(asks) == 1:
                raise
        self._rows = (len(asks) + 1) // 2  # outside the except block: there, the failed call still holds its tensors
        logger.warning("out of memory with %d rows at once: continuing with %d", len(asks), self._rows)
        return self.continue_rows(asks)

    def _continue(self, asks: Sequence[Ask]) -> list[list[int]]:
        rows = [Row(ask.prompt, (), self._opening(ask)) for ask in asks]
        batch = collate(rows, pad_id=self.template.pad_id, side="left").to(device_of(self.model))
        acting = () if all(ask.bare for ask in asks) else self.interventions
        strengths = [strengths_of(ask.m, len(acting)) for ask in asks]
        m = torch.tensor(strengths, dtype=torch.float64, device=batch.input_ids.device).T
        beams = self.config.num_beams > 1
        if beams and self.limits.cache is not None:
            raise ConfigError(f"{self.limits.cache}: beam search needs it, take num_beams=1")
        finite = FiniteLogits(self.model, [ask.m for ask in asks])
        with torch.random.fork_rng(enabled=beams and self.config.do_sample), ExitStack() as stack:
            attachments = [stack.enter_context(attach(self.model, *each)) for each in zip(acting, m, strict=True)]
            if beams and self.config.do_sample:
                torch.manual_seed(asks[0].seed(self.config.seed))
            for attachment, strength in zip(attachments, m, strict=True) if beams else ():
                lengths = (batch.prompt_lengths, batch.prefix_lengths)
                attachment.set_rows(strength, *(each.repeat_interleave(self.config.num_beams) for each in lengths))
            loop = None if beams else self._loop(asks, batch, attachments, m, finite)
            ids = self._generate(batch, loop, finite)
        width = batch.input_ids.shape[1]
        return [row[width:].tolist() for row in ids]

    def _loop(
        self,
        asks: Sequence[Ask],
        batch: Batch,
        attachments: Sequence[Attachment],
        m: torch.Tensor,
        finite: FiniteLogits,
    ) -> Decoding:
        draws = None
        if self.config.do_sample:
            seeds = [ask.seed(self.config.seed) for ask in asks]
            draws = uniform_draws(seeds, self.config.max_new_tokens).to(m.device)
        if not attachments:
            return Decoding(batch, self.template.pad_id, draws, cached=self.cached, finite=finite)
        rows = Rows(attachments, m, batch.prompt_lengths, batch.prefix_lengths)
        shared = self._shared(asks) if self.cached and selectable(self.model) else None
        return Decoding(batch, self.template.pad_id, draws, rows, shared, cached=self.cached, finite=finite)

    def _opening(self, ask: Ask) -> int:
        """Tokens of a prompt's constant opening, found by the interventions' own ids where the caller does not say."""
        if ask.opening is not None:
            return ask.opening
        acts = [one.config for one in self.interventions]
        return max((prefix_lengths([ask.prompt], c.prefix_ids, c.bos_id, c.openings)[0] for c in acts), default=0)

    def _shared(self, asks: Sequence[Ask]) -> SharedPrompt | None:
        """The part of the prompts that no m changes, which is run once for all rows; None where that saves nothing."""
        prompts, prefixes = [ask.prompt for ask in asks], [self._opening(ask) for ask in asks]
        lengths = [len(ids) for ids in prompts]
        each = [
            constant_lengths(one.config.positions, one.config.skip_prefix, lengths, prefixes)
            for one in self.interventions
        ]
        return share(prompts, [min(constant) for constant in zip(*each, strict=True)])

    def _generate(self, batch: Batch, loop: Decoding | None, finite: FiniteLogits) -> torch.Tensor:
        sampling: dict[str, Any] = {}
        if self.config.do_sample:
            sampling = {"temperature": self.config.temperature, "top_p": self.config.top_p}
        config = own_config(
            self.model,
            self.config.do_sample,
            do_sample=self.config.do_sample,
            max_new_tokens=self.config.max_new_tokens,
            num_beams=self.config.num_beams,
            pad_token_id=self.template.pad_id,
            eos_token_id=self.stops,
            **sampling,
        )
        with finite_masks(self.model), own_settings(self.model):
            ids: torch.Tensor = self.model.generate(  # type: ignore[operator]
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                generation_config=config,
                custom_generate=loop,
                logits_processor=[] if loop is not None else [finite],
            )
        return ids


def strengths_of(m: Strengths, parts: int) -> tuple[float, ...]:
    """One strength for each of several interventions: those that are named, or the one for all.

    Args:
        m: one strength, or one of each.
        parts: how many interventions there are.

    Raises:
        ConfigError: another number of strengths.
    """
    if not isinstance(m, tuple):
        return (m,) * parts
    if parts and len(m) != parts:
        raise ConfigError(f"{len(m)} strengths {m} for {parts} interventions: give one, or one of each")
    return m if parts else ()


def stops_of(model: nn.Module, template: Template) -> list[int] | None:
    """Token ids that end an answer: the template's end of turn, the tokenizer's and the model's own.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
    """
    own: Any = getattr(model.generation_config, "eos_token_id", None)
    found = {*template.stop_ids, *(own if isinstance(own, list) else [own]), template.tokenizer.eos_token_id}
    return sorted(id_ for id_ in found if id_ is not None) or None
