"""Steered generation: ``model.generate`` under ``attach``, for prompts at one or more m, rows of all m in one batch.

Rows are padded on the left and their masks come from lengths, each is steered at its own m and samples from its own
seed, and one that ends leaves its batch: in fp32 a text is the same in any batch. m = 0 is the bare model's own text,
written without a hook. Several interventions act at once, each at its own m. Logits that are not finite are an error
that names the m. With a journal, a killed run goes on where it stopped.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..config import require
from ..files.journal import Parts
from ..model.context import require_context
from ..model.hooks import device_of, frozen
from ..text.batching import Row
from ..text.openings import Ids, prefix_lengths
from ..text.own_openings import behind_a_turn, is_behind_a_turn, own_opening_length
from ..text.prompt_tokens import Template
from ..types import DataError
from .continue_rows import Ask, RowWriter, plan_rows, strengths_of
from .finite_logits import Strengths
from .generate_config import GenerateConfig
from .intervention import Intervention

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generated:
    """One generated answer.

    Attributes:
        index: number of the prompt.
        prompt: the user's message.
        m: the strength it was written at; of several interventions one each, where they differ.
        text: the answer, without special tokens.
        ended: the model ended it; False where the longest length allowed did.
    """

    index: int
    prompt: str
    m: Strengths
    text: str
    ended: bool = True


def generate_texts(
    model: nn.Module,
    template: Template,
    prompts: Sequence[str],
    intervention: Intervention | Sequence[Intervention] | None = None,
    m: Sequence[Strengths] = (0.0,),
    *,
    config: GenerateConfig | None = None,
    journal: Parts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Generated]:
    """Generate answers to every prompt at every m, ordered by m, then by prompt.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
        prompts: the user's messages, plain text, or ``Conversation``s.
        intervention: what to apply, one or several at once; None for the bare model.
        m: strengths, of several interventions one for all or a tuple with one each; 0 is the bare model.
        config: length, batch size and sampling; greedy where None.
        journal: keeps each finished batch; what it holds already is not generated again.
        progress: called with (answers done, answers in all).

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
        ConfigError: no m, one that is not finite, stands twice, or is not 0 without an intervention; an intervention
            that does not fit the model; or logits that are not finite at an m.
    """
    config, parts = config or GenerateConfig(), _parts(intervention)
    m = [value if isinstance(value, tuple) else float(value) for value in m]
    _check_points(m, parts)
    rows = _encode(template, prompts, model, config)
    behind = sum(is_behind_a_turn(template, text, ids) for text, (ids, _) in zip(prompts, rows, strict=True))
    if behind and any(part.config.skip_prefix for part in parts):
        logger.warning("%s", behind_a_turn(behind, len(rows)))
    asks = [Ask(i, ids, value, opening) for value in m for i, (ids, opening) in enumerate(rows)]
    done = _finished(journal, m)
    have = {(answer.index, answer.m) for answer in done}
    with frozen(model), torch.no_grad():
        writer = RowWriter(model, template, parts, config)
        for batch in plan_rows(asks, config, device_of(model)):  # the same batches whatever is done already
            missing = [(ask.index, ask.m) not in have for ask in batch]
            if not any(missing):
                continue
            for ask, ids, wanted in zip(batch, writer.continue_rows(batch), missing, strict=True):
                if wanted:
                    answer = _until(ids, writer.stops)
                    text, ended = template.decode(answer), len(answer) < len(ids)
                    done.append(Generated(ask.index, prompts[ask.index], ask.m, text, ended))
                    if journal is not None:
                        journal.append(asdict(done[-1]))
            if progress is not None:
                progress(len(done), len(asks))
    place = {value: k for k, value in enumerate(m)}
    return sorted(done, key=lambda answer: (place[answer.m], answer.index))


def _parts(intervention: Intervention | Sequence[Intervention] | None) -> tuple[Intervention, ...]:
    if intervention is None:
        return ()
    return (intervention,) if isinstance(intervention, Intervention) else tuple(intervention)


def _finished(journal: Parts | None, m: Sequence[Strengths]) -> list[Generated]:
    """The finished answers in a journal at the requested m; it may hold other m too."""
    answers = [Generated(**{**one, "m": _read_m(one["m"])}) for one in (journal.records if journal else ())]
    return [answer for answer in answers if answer.m in m]


def _read_m(stored: Any) -> Strengths:
    return tuple(stored) if isinstance(stored, list) else stored


def _check_points(m: Sequence[Strengths], parts: Sequence[Intervention]) -> None:
    require(len(m) > 0, "there is no m to generate at: name at least one")
    require(len(set(m)) == len(m), f"m holds a value twice: {list(m)}")
    for value in m:
        each = value if isinstance(value, tuple) else (value,)
        require(all(map(math.isfinite, each)), f"m is {value}, must be finite")
        require(not any(each) or bool(parts), f"m is {value}, but there is no intervention: give one, or m = 0")
        strengths_of(value, len(parts))


def _encode(
    template: Template, prompts: Sequence[str], model: nn.Module, config: GenerateConfig
) -> list[tuple[Ids, int]]:
    """Ids of each prompt, and the length of its constant opening."""
    if not prompts:
        raise DataError("there are no prompts to answer")
    rows = []
    for index, prompt in enumerate(prompts):
        if not prompt.strip():
            raise DataError(f"prompt {index} is empty: give it a text")
        try:
            ids = template.generation_prompt(prompt)
            require_context(model, len(ids), config.max_new_tokens)
        except DataError as error:
            raise DataError(f"prompt {index} {error}") from error
        rows.append((ids, own_opening_length(template, prompt, ids)))
    return rows


def greedy_rows(
    model: nn.Module,
    template: Template,
    prompts: Sequence[str],
    config: GenerateConfig | None = None,
) -> list[Row]:
    """The unsteered model's greedy answers to prompts as rows of token ids, each with its end token where it has one.

    Args:
        model: left as it is.
        template: turns prompts into ids.
        prompts: at least one.
        config: lengths and batch size; the answers are greedy unless it says otherwise.

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
    """
    config = config or GenerateConfig()
    encoded = _encode(template, prompts, model, config)
    answers: dict[int, tuple[int, ...]] = {}
    with frozen(model), torch.no_grad():
        writer = RowWriter(model, template, (), config)
        for batch in plan_rows([Ask(i, ids, 0.0) for i, (ids, _) in enumerate(encoded)], config, device_of(model)):
            for ask, ids in zip(batch, writer.continue_rows(batch), strict=True):
                answers[ask.index] = _through(ids, writer.stops)
    return [Row(prompt, answers[i], opening) for i, (prompt, opening) in enumerate(encoded)]


@torch.no_grad()
def reply(
    model: nn.Module,
    template: Template,
    prompt: Ids,
    intervention: Intervention | Sequence[Intervention] | None,
    m: Strengths,
    config: GenerateConfig | None = None,
) -> str:
    """Generate the answer to one prompt given as token ids, e.g. a conversation's.

    Args:
        model: the model that writes.
        template: that made the ids.
        prompt: ids of everything before the answer.
        intervention: what steers, one or several; the bare model where None.
        m: its strength, or one of each.
        config: lengths and sampling; greedy where None.

    Raises:
        ConfigError: an intervention that does not fit the model, or logits that are not finite.
        DataError: the conversation and the longest answer are more than the model's context.
    """
    config = config or GenerateConfig()
    try:
        require_context(model, len(prompt), config.max_new_tokens)
    except DataError as error:
        raise DataError(f"the conversation {error}") from error
    with frozen(model):
        writer = RowWriter(model, template, _parts(intervention), config)
        opening = prefix_lengths([prompt], template.prefix_ids, template.bos_id, template.openings)[0]
        (ids,) = writer.continue_rows([Ask(0, prompt, m, opening)])
    return template.decode(_until(ids, writer.stops))


def _until(ids: list[int], stops: list[int] | None) -> list[int]:
    """The ids before the first stop token; those after it are padding, whatever their value."""
    for place, id_ in enumerate(ids):
        if stops and id_ in stops:
            return ids[:place]
    return ids


def _through(ids: list[int], stops: list[int] | None) -> tuple[int, ...]:
    """The ids up to and including the first stop token."""
    return tuple(ids[: len(_until(ids, stops)) + 1])


__all__ = ["GenerateConfig", "Generated", "generate_texts", "greedy_rows", "reply"]
