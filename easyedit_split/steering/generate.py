"""Steered text: ``model.generate`` under ``attach``, in batches, for prompts at one or more m.

Rows are padded on the left and their masks come from lengths, so batch size changes nothing but time in greedy and beam
search; a sample depends on it. m = 0 is the bare model's own text. What ``GenerateConfig`` does not name is left to the
model's own generation configuration. With a journal, a killed run goes on where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..config import require
from ..model.hooks import device_of, finite_masks, frozen
from ..storage import Journal
from ..text.batching import Row, collate
from ..text.prompt_tokens import Ids, Template, prefix_lengths
from ..types import DataError
from .attach import attach
from .forms.base import Strength
from .intervention import Intervention


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """How text is continued.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        batch_size: prompts at a time.
        do_sample: sample; greedy where off.
        temperature: of the sampling distribution.
        top_p: probability mass of nucleus sampling.
        num_beams: beam search where above 1.
        seed: of the random draws.
    """

    max_new_tokens: int = 64
    batch_size: int = 8
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    num_beams: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size", "num_beams"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, must be at least 1")
        require(self.temperature > 0, f"temperature is {self.temperature}, must be positive")
        require(0 < self.top_p <= 1, f"top_p is {self.top_p}, must be in (0, 1]")


@dataclass(frozen=True, slots=True)
class Generated:
    """One generated answer.

    Attributes:
        index: number of the prompt.
        prompt: the user's message.
        m: the strength it was written at.
        text: the answer, without special tokens.
    """

    index: int
    prompt: str
    m: float
    text: str


def generate_texts(
    model: nn.Module,
    template: Template,
    prompts: Sequence[str],
    intervention: Intervention | None = None,
    m: Sequence[float] = (0.0,),
    *,
    config: GenerateConfig | None = None,
    journal: Journal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Generated]:
    """Generate answers to every prompt at every m, ordered by m, then by prompt.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt.
        prompts: the user's messages, plain text.
        intervention: what to apply; None for the bare model.
        m: strengths; 0 is the bare model.
        config: length, batch size and sampling; greedy where None.
        journal: keeps each finished batch; what it holds already is not generated again.
        progress: called with (answers done, answers in all).

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
        ConfigError: no m, one that is not finite, stands twice, or is not 0 without an intervention; or an intervention
            that does not fit the model.
    """
    config = config or GenerateConfig()
    _check_points(m, intervention)
    rows = _encode(template, prompts)
    done = _finished(journal, m)
    have = {(answer.index, answer.m) for answer in done}
    with frozen(model), torch.no_grad():
        for value in m:
            for start in range(0, len(rows), config.batch_size):  # the same batches whatever is done already
                chosen = list(range(len(rows))[start : start + config.batch_size])
                if all((i, float(value)) in have for i in chosen):
                    continue
                stops = _stops(model, template)
                written = _continue(model, template, [rows[i] for i in chosen], intervention, value, config, start)
                for i, ids in zip(chosen, written, strict=True):
                    if (i, float(value)) in have:
                        continue
                    text = template.decode(_until(ids, stops))
                    done.append(Generated(i, prompts[i], float(value), text))
                    if journal is not None:
                        journal.append(asdict(done[-1]))
                if progress is not None:
                    progress(len(done), len(rows) * len(m))
    place = {float(value): k for k, value in enumerate(m)}
    return sorted(done, key=lambda answer: (place[answer.m], answer.index))


def _finished(journal: Journal | None, m: Sequence[float]) -> list[Generated]:
    """What a journal holds of the m asked for; it may hold others."""
    answers = [Generated(**record) for record in (journal.records if journal else ())]
    return [answer for answer in answers if answer.m in m]


def _check_points(m: Sequence[float], intervention: Intervention | None) -> None:
    require(len(m) > 0, "there is no m to generate at: name at least one")
    require(len(set(m)) == len(m), f"m holds a value twice: {list(m)}")
    for value in m:
        require(math.isfinite(value), f"m is {value}, must be finite")
        require(
            value == 0 or intervention is not None,
            f"m is {value}, but there is no intervention: only 0 means something",
        )


def _encode(template: Template, prompts: Sequence[str]) -> list[tuple[int, ...]]:
    if not prompts:
        raise DataError("there are no prompts to answer")
    rows = []
    for index, prompt in enumerate(prompts):
        if not prompt.strip():
            raise DataError(f"prompt {index} is empty: give it a text")
        try:
            rows.append(template.prompt(prompt))
        except DataError as error:
            raise DataError(f"prompt {index} {error}") from error
    return rows


def greedy_rows(
    model: nn.Module,
    template: Template,
    prompts: Sequence[str],
    config: GenerateConfig | None = None,
) -> list[Row]:
    """The bare model's answers to prompts as rows of ids, each with the token that ended it, if one did.

    Args:
        model: left as it is.
        template: turns prompts into ids.
        prompts: at least one.
        config: lengths and batch size; the answers are greedy unless it says otherwise.

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded (named).
    """
    config = config or GenerateConfig()
    encoded = _encode(template, prompts)
    lengths = prefix_lengths(encoded, template.prefix_ids, template.bos_id)
    rows: list[Row] = []
    with frozen(model), torch.no_grad():
        for start in range(0, len(encoded), config.batch_size):
            chosen = encoded[start : start + config.batch_size]
            rows += [
                Row(prompt, _through(ids, _stops(model, template)), lengths[start + k])
                for k, (prompt, ids) in enumerate(
                    zip(chosen, _continue(model, template, chosen, None, 0.0, config, start), strict=True)
                )
            ]
    return rows


@torch.no_grad()
def reply(
    model: nn.Module,
    template: Template,
    prompt: Ids,
    intervention: Intervention | None,
    m: float,
    config: GenerateConfig | None = None,
) -> str:
    """The answer to one prompt that is ids already, e.g. a conversation's.

    Args:
        model: the model that writes.
        template: that made the ids.
        prompt: ids of everything before the answer.
        intervention: what steers; the bare model where None.
        m: its strength.
        config: lengths and sampling; greedy where None.

    Raises:
        ConfigError: an intervention that does not fit the model.
    """
    with frozen(model):
        (ids,) = _continue(model, template, [prompt], intervention, m, config or GenerateConfig(), 0)
    return template.decode(_until(ids, _stops(model, template)))


def _continue(
    model: nn.Module,
    template: Template,
    prompts: Sequence[tuple[int, ...]],
    intervention: Intervention | None,
    m: Strength,
    config: GenerateConfig,
    offset: int,
) -> list[list[int]]:
    """What follows each prompt, in ids: the answer, and whatever fills its row after the token that ended it."""
    lengths = prefix_lengths(prompts, template.prefix_ids, template.bos_id)
    rows = [Row(prompt, (), length) for prompt, length in zip(prompts, lengths, strict=True)]
    batch = collate(rows, pad_id=template.pad_id, side="left").to(device_of(model))
    sampling: dict[str, Any] = {"do_sample": False}
    if config.do_sample:
        sampling = {"do_sample": True, "temperature": config.temperature, "top_p": config.top_p}
    steered = attach(model, intervention, m) if intervention else nullcontext()
    with torch.random.fork_rng(enabled=config.do_sample), steered, finite_masks(model):
        if config.do_sample:
            torch.manual_seed(config.seed + offset)
        ids = model.generate(  # type: ignore[operator]
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=config.max_new_tokens,
            num_beams=config.num_beams,
            pad_token_id=template.pad_id,
            eos_token_id=_stops(model, template),
            **sampling,
        )
    width = batch.input_ids.shape[1]
    return [row[width:].tolist() for row in ids]


def _stops(model: nn.Module, template: Template) -> list[int] | None:
    """Ids that end an answer: the template's end of turn, the tokenizer's and the model's own."""
    own: Any = getattr(model.generation_config, "eos_token_id", None)
    found = {*template.stop_ids, *(own if isinstance(own, list) else [own]), template.tokenizer.eos_token_id}
    return sorted(id_ for id_ in found if id_ is not None) or None


def _until(ids: list[int], stops: list[int] | None) -> list[int]:
    """The ids before the first stop: what follows is padding, whatever id it is made of."""
    for place, id_ in enumerate(ids):
        if stops and id_ in stops:
            return ids[:place]
    return ids


def _through(ids: list[int], stops: list[int] | None) -> tuple[int, ...]:
    """The ids up to the first stop and with it."""
    return tuple(ids[: len(_until(ids, stops)) + 1])
