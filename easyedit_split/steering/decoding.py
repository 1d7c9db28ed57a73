"""The decoding loop used by ``model.generate``: greedy or sampling; finished rows leave the batch.

    greedy    next = argmax z                                                z = logits after the model's own processors
    sampled   next = first i with sum_{j <= i} softmax(z)_j >= u             u in (0, 1], drawn for this row and step

``generate`` prepares everything else as it always does (the model's own generation configuration, logits processors,
stop criteria) and calls this in place of its own loop. Every row is steered at an m of its own; what is drawn for a row
is drawn from its own seed, so neither depends on the rest of the batch. Rows at m = 0 come without an attachment: no
hook, the bare model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from ..text.batching import Batch
from .attachment import Attachment
from .finite_logits import FiniteLogits
from .shared_prompt import SharedPrompt, part_ids, run_parts, spread

_SELECTABLE = (DynamicLayer, DynamicSlidingWindowLayer)
"""Types of KV-cache layers that hold only keys and values ``[b h s d]``, so that rows can be removed and copied."""


def uniform_draws(seeds: Sequence[int], steps: int) -> Float[Tensor, "b t"]:
    """Uniform random numbers for each row and step, in (0, 1], float64; a row's depend on its own seed alone.

    Args:
        seeds: one per row.
        steps: tokens that a row may have.
    """
    rows = [torch.rand(steps, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return 1 - torch.stack(rows)


def quantile_token(scores: Float[Tensor, "b v"], u: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Inverse-CDF sampling: the token at quantile u of each row's distribution.

    Args:
        scores: logits, processed.
        u: in (0, 1].
    """
    total = scores.double().softmax(-1).cumsum(-1)
    return torch.searchsorted(total, (u * total[:, -1])[:, None]).squeeze(-1)


def selectable(model: nn.Module) -> bool:
    """Whether rows of this model's KV cache can be selected and copied.

    Args:
        model: a Hugging Face causal LM.
    """
    return all(type(layer) in _SELECTABLE for layer in DynamicCache(config=model.config).layers)


@dataclass(frozen=True, slots=True)
class Rows:
    """The steering of the rows of one batch by k interventions: strengths, prompt lengths and prefix lengths.

    Attributes:
        attachments: the k that steer them, live.
        m: ``[k b]`` strengths.
        prompt_lengths: ``[b]`` tokens of each prompt.
        prefix_lengths: ``[b]`` tokens of its constant template prefix.
    """

    attachments: Sequence[Attachment]
    m: Float[Tensor, "k b"]
    prompt_lengths: Int[Tensor, " b"]
    prefix_lengths: Int[Tensor, " b"]

    def steer(self, rows: Int[Tensor, " k"]) -> None:
        """Steer these rows of the batch, in this order, in the next model calls.

        Args:
            rows: their numbers.
        """
        for attachment, m in zip(self.attachments, self.m, strict=True):
            attachment.set_rows(m[rows], self.prompt_lengths[rows], self.prefix_lengths[rows])

    def rest(self, ids: Int[Tensor, "n w"]) -> None:
        """Leave the rows ``ids`` of the next model calls unsteered.

        Args:
            ids: of these rows.
        """
        lengths = torch.full((len(ids),), ids.shape[1], device=ids.device)
        for attachment in self.attachments:
            attachment.set_rows(0.0, lengths, torch.zeros_like(lengths))


@dataclass(frozen=True, slots=True)
class _Calls:
    """One model's calls, with a cache where it has one, for the logits of the last column."""

    model: Any
    last_only: dict[str, int]

    def __call__(self, ids: Tensor, mask: Tensor, places: Tensor, cache: DynamicCache | None) -> Tensor:
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=cache is not None,
            **self.last_only,
        )
        logits: Tensor = output.logits[:, -1]
        return logits


class Decoding:
    """A decoding loop for ``generate(custom_generate=...)``, over one batch padded on the left.

    Args:
        batch: the prompts.
        pad_id: what fills a row after its end.
        draws: ``[b t]`` from ``uniform_draws``; greedy where None.
        steered: how the rows are steered; None for the bare model.
        shared: what they reuse of each other; None to run every row whole.
        cached: keep keys and values; where off, every step runs its rows whole.
        finite: raises for rows whose logits are not finite.
    """

    def __init__(
        self,
        batch: Batch,
        pad_id: int,
        draws: Float[Tensor, "b t"] | None = None,
        steered: Rows | None = None,
        shared: SharedPrompt | None = None,
        *,
        cached: bool = True,
        finite: FiniteLogits | None = None,
    ) -> None:
        self.cached, self.finite = cached, finite
        self.batch = batch
        self.pad_id = pad_id
        self.draws = draws
        self.steered = steered
        self.shared = shared

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **settings: Any,
    ) -> Tensor:
        """Generate: token ids of prompts and answers, ``[b s]``; called by ``generate``.

        Args:
            model: that ``generate`` was called on.
            input_ids: the prompts.
            logits_processor: changes logits before a token is chosen.
            stopping_criteria: says which rows have ended.
            generation_config: unused: what it asks for is in the two before.
            **settings: what ``generate`` would hand its own loop; ``logits_to_keep`` says that the model knows it.
        """
        call = _Calls(model, {"logits_to_keep": 1} if "logits_to_keep" in settings else {})
        b, ids = len(input_ids), input_ids
        running, done = torch.arange(b, device=ids.device), torch.zeros(b, dtype=torch.bool, device=ids.device)
        leave, mask = not self.cached or selectable(model), self.batch.attention_mask
        logits, cache = self._prompts(call)
        while True:
            if self.finite is not None:
                self.finite.require(logits, running.tolist)
            scores = _processed(logits.float(), running, ids, logits_processor)
            column = ids.new_full((b,), self.pad_id)
            column[running] = self._choose(scores, running, ids.shape[1] - input_ids.shape[1])
            column[done] = self.pad_id
            ids = torch.cat([ids, column[:, None]], -1)
            done = done | stopping_criteria(ids, None)
            if bool(done.all()):
                return ids
            if leave and bool(done[running].any()):
                stay = (~done[running]).nonzero().squeeze(-1)
                running, mask = running[stay], mask[stay]
                if cache is not None:
                    cache.batch_select_indices(stay)
                if self.steered is not None:
                    self.steered.steer(running)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
            if cache is None:
                logits = call(ids[running], mask, (mask.cumsum(-1) - 1).clamp(min=0), None)
            else:
                logits = call(column[running][:, None], mask, mask.sum(-1, keepdim=True) - 1, cache)

    def _prompts(self, call: _Calls) -> tuple[Tensor, DynamicCache | None]:
        """Logits ``[b v]`` behind every prompt, and its keys and values."""
        batch, shared = self.batch, self.shared
        width = batch.input_ids.shape[1]
        run = width if shared is None else shared.run
        cache: DynamicCache | None = None
        if shared is None:
            cache = DynamicCache(config=call.model.config) if self.cached else None
        else:
            ids = part_ids(shared, self.pad_id).to(batch.input_ids.device)
            if self.steered is not None:
                self.steered.rest(ids)
            cache = run_parts(call.model, ids)
            spread(cache, shared, width - run)
        if self.steered is not None:
            self.steered.steer(torch.arange(len(batch.input_ids), device=batch.input_ids.device))
        ids, places = batch.input_ids[:, -run:], batch.position_ids[:, -run:]
        return call(ids, batch.attention_mask, places, cache), cache

    def _choose(self, scores: Tensor, running: Tensor, step: int) -> Tensor:
        if self.draws is None:
            return scores.argmax(-1)
        return quantile_token(scores, self.draws[running, step])


def _processed(logits: Tensor, running: Tensor, ids: Tensor, processors: Any) -> Tensor:
    """Logits after the model's own logits processors, which see the whole batch, as in ``generate``."""
    if not len(processors):
        return logits
    full = logits.new_zeros(len(ids), logits.shape[-1])
    full[running] = logits
    scores: Tensor = processors(ids, full)[running]
    return scores
