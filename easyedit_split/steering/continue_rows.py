"""Generation for rows (prompt, m) of token ids, in batches planned by token budget and halved when memory runs out.

Rows of all m share batches, longest first, the m of one prompt side by side; rows at m = 0 have batches of their own,
which the bare model runs without a hook, so they are the same whichever other m are asked for. The plan depends on
nothing but what is asked, not on what is done already. In fp32 and float64 a row's text does not depend on its batch;
in half precision the last bits, and so a close call between two tokens, do.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
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
from .generate_config import GenerateConfig
from .intervention import Intervention
from .limits import limits_of
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
        m: strength.
        opening: tokens of the prompt's constant template prefix; None where only the intervention knows it.
    """

    index: int
    prompt: Ids
    m: float
    opening: int | None = None

    def seed(self, seed: int) -> int:
        """The row's random seed, derived from the run's seed, the prompt's number and m.

        Args:
            seed: the run's.
        """
        key = f"{seed} {self.index} {(self.m + 0.0).hex()}"
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
    for group in ([ask for ask in asks if ask.m == 0], [ask for ask in asks if ask.m != 0]):
        members = sorted(group, key=lambda ask: (ask.prompt, ask.index, ask.m))
        lengths = [(len(ask.prompt) + config.max_new_tokens) * config.num_beams for ask in members]
        plan += [[members[i] for i in batch] for batch in plan_batches(lengths, max_tokens=budget, max_rows=rows or 1)]
    return plan


class RowWriter:
    """Generates batches of rows, and remembers the batch size that fits in memory.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
        intervention: what steers where m is not 0; None for the bare model.
        config: length and sampling.
    """

    def __init__(
        self, model: nn.Module, template: Template, intervention: Intervention | None, config: GenerateConfig
    ) -> None:
        self.model = model
        self.template = template
        self.intervention = intervention
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
        acting = self.intervention if any(ask.m != 0 for ask in asks) else None
        m = torch.tensor([ask.m for ask in asks], dtype=torch.float64, device=batch.input_ids.device)
        steered = attach(self.model, acting, m) if acting is not None else nullcontext()
        beams = self.config.num_beams > 1
        if beams and self.limits.cache is not None:
            raise ConfigError(f"{self.limits.cache}: beam search needs it, take num_beams=1")
        with torch.random.fork_rng(enabled=beams and self.config.do_sample), steered as attachment:
            if beams and self.config.do_sample:
                torch.manual_seed(asks[0].seed(self.config.seed))
            if beams and attachment is not None:
                lengths = (batch.prompt_lengths, batch.prefix_lengths)
                attachment.set_rows(m, *(each.repeat_interleave(self.config.num_beams) for each in lengths))
            loop = None if beams else self._loop(asks, batch, attachment, m)
            ids = self._generate(batch, loop)
        width = batch.input_ids.shape[1]
        return [row[width:].tolist() for row in ids]

    def _loop(self, asks: Sequence[Ask], batch: Batch, attachment: Attachment | None, m: torch.Tensor) -> Decoding:
        draws = None
        if self.config.do_sample:
            seeds = [ask.seed(self.config.seed) for ask in asks]
            draws = uniform_draws(seeds, self.config.max_new_tokens).to(m.device)
        if attachment is None:
            return Decoding(batch, self.template.pad_id, draws, cached=self.cached)
        shared = self._shared(asks, attachment.intervention)
        rows = Rows(attachment, m, batch.prompt_lengths, batch.prefix_lengths)
        return Decoding(batch, self.template.pad_id, draws, rows, shared, cached=self.cached)

    def _opening(self, ask: Ask) -> int:
        """Tokens of a prompt's constant opening, found by the intervention's own ids where the caller does not say."""
        if ask.opening is not None or self.intervention is None:
            return ask.opening or 0
        acts = self.intervention.config
        return prefix_lengths([ask.prompt], acts.prefix_ids, acts.bos_id, acts.openings)[0]

    def _shared(self, asks: Sequence[Ask], intervention: Intervention) -> SharedPrompt | None:
        """The part of the prompts that no m changes, which is run once for all rows; None where that saves nothing."""
        acts, prompts = intervention.config, [ask.prompt for ask in asks]
        prefixes = [self._opening(ask) for ask in asks]
        constant = constant_lengths(acts.positions, acts.skip_prefix, [len(ids) for ids in prompts], prefixes)
        return share(prompts, constant) if self.cached and selectable(self.model) else None

    def _generate(self, batch: Batch, loop: Decoding | None) -> torch.Tensor:
        sampling: dict[str, Any] = {"do_sample": False}
        if self.config.do_sample:
            sampling = {"do_sample": True, "temperature": self.config.temperature, "top_p": self.config.top_p}
        with finite_masks(self.model):
            ids: torch.Tensor = self.model.generate(  # type: ignore[operator]
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                max_new_tokens=self.config.max_new_tokens,
                num_beams=self.config.num_beams,
                num_return_sequences=1,
                pad_token_id=self.template.pad_id,
                eos_token_id=self.stops,
                custom_generate=loop,
                **sampling,
            )
        return ids


def stops_of(model: nn.Module, template: Template) -> list[int] | None:
    """Token ids that end an answer: the template's end of turn, the tokenizer's and the model's own.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
    """
    own: Any = getattr(model.generation_config, "eos_token_id", None)
    found = {*template.stop_ids, *(own if isinstance(own, list) else [own]), template.tokenizer.eos_token_id}
    return sorted(id_ for id_ in found if id_ is not None) or None
