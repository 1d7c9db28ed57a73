"""Write the answers that a file lacks by the model itself, so that prompts become pairs.

    negative    the model's plain answer to the prompt
    positive    the file's answer, or the model's own under an instruction that asks for the concept, in a system
                message or in front of the prompt

What is written by the model that is steered later is likely under it: the two answers of a pair then differ in the
concept, not in who wrote them. No pair are a prompt whose answer stayed empty and one whose two answers are the same;
they are left out by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from ..config import TokenConfig, require
from ..datasets.one_answer import Asked
from ..files.journal import Journal
from ..steering.generate import GenerateConfig, Generated, generate_texts
from ..text.conversation import Conversation, in_front, plain
from ..text.prompt_tokens import Template
from ..types import DataError
from .answerable import require_answerable

Side: TypeAlias = Literal["positive", "negative"]
Given: TypeAlias = Literal["positive", "negative", "none"]
SIDES: tuple[Side, ...] = ("positive", "negative")
VARIED = 0.6
"""Share of distinct word pairs below which a text loops."""
CONCEPT = "{concept}"
"""What stands for the row's concept in an instruction."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Which answers of the pairs a file has, and how the others are written.

    Attributes:
        given: which answer of a pair the file's answers are.
        instruction: the system message under which the concept's answers are written; ``{concept}`` in it stands for
            the row's concept.
        concept: name of the concept; the rows' own where None.
        in_prompt: the instruction stands in front of the user's words, not in a system message.
    """

    given: Given = "positive"
    instruction: str | None = None
    concept: str | None = None
    in_prompt: bool = False

    def __post_init__(self) -> None:
        wants = self.given != "positive"
        require(
            not wants or bool(self.instruction and self.instruction.strip()),
            "the answers with the concept are to be written: give the instruction that asks for it (--system)",
        )
        require(
            wants or self.instruction is None,
            "the file's answers carry the concept, so an instruction for them would not count: leave one out",
        )
        require(wants or not self.in_prompt, "there is no instruction to put in front of the prompts: give --system")

        require(
            self.concept is None or bool(self.concept.strip()),
            "the concept's name is empty: give one, or leave it out (--concept)",
        )

    @property
    def written(self) -> tuple[Side, ...]:
        """The sides that the model writes."""
        return tuple(side for side in SIDES if side != self.given)


@dataclass(frozen=True, slots=True)
class MadePair:
    """A pair of which the model wrote an answer, or both.

    Attributes:
        asked: the file's row.
        positive: the answer with the concept.
        negative: the answer without it.
        concept: its name; None where there is none.
        cut: written answers that the longest length allowed ended, not the model.
    """

    asked: Asked
    positive: str
    negative: str
    concept: str | None
    cut: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class MadePairs:
    """The pairs of a file, and what was left out.

    Attributes:
        pairs: in the file's order.
        left_out: one sentence for each row that made no pair.
    """

    pairs: tuple[MadePair, ...]
    left_out: tuple[str, ...]


def loops(text: str) -> bool:
    """Whether a text says the same over and over: fewer than ``VARIED`` of its word pairs are distinct.

    Args:
        text: an answer.
    """
    pairs = list(itertools.pairwise(text.split()))
    return bool(pairs) and len(set(pairs)) < VARIED * len(pairs)


def write_missing(
    model: nn.Module,
    tokenizer: Any,
    asked: Sequence[Asked],
    lacking: Lacking,
    *,
    source: str,
    config: GenerateConfig | None = None,
    tokens: TokenConfig | None = None,
    whole: bool = False,
    journal: Journal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadePairs:
    """Write the missing answers of every row.

    Args:
        model: a Hugging Face causal LM, unsteered.
        tokenizer: its tokenizer.
        asked: prompts, each with the answer that the file has.
        lacking: which answers are given, and how the others are written.
        source: what the rows are of, for messages.
        config: length, batch size, sampling and seed; greedy where None.
        tokens: how prompts are written; as pairs are where None.
        whole: leave out rows with an answer that the longest length allowed ended.
        journal: keeps each finished batch; what it holds already is not written again.
        progress: called with (answers written, answers in all).

    Raises:
        DataError: no rows, a row without the answer that the file should have, a prompt that cannot be encoded, or no
            pair at all.
    """
    config, template = config or GenerateConfig(), Template(tokenizer, tokens or TokenConfig())
    _check_rows(asked, lacking, source)
    prompts = {side: [_prompt(one, side, lacking, source) for one in asked] for side in lacking.written}
    rows = [one.row for one in asked]
    for texts in prompts.values():
        require_answerable(model, template, texts, rows, config.max_new_tokens, source)
    found: dict[Side, list[Generated]] = {}
    for done, side in enumerate(lacking.written):

        def report(made: int, of: int, done: int = done) -> None:
            if progress is not None:
                progress(done * of + made, len(lacking.written) * of)

        section = None if journal is None else journal.section(side)
        places, different = _different(prompts[side])
        written = generate_texts(model, template, different, config=config, journal=section, progress=report)
        found[side] = [written[place] for place in places]
    return _made(asked, found, lacking, source, whole)


def _check_rows(asked: Sequence[Asked], lacking: Lacking, source: str) -> None:
    if not asked:
        raise DataError(f"{source}: holds no rows")
    bare = [one.row for one in asked if one.answer is None]
    if lacking.given != "none" and bare:
        raise DataError(
            f"{source}, row {bare[0]}: has no answer, and {lacking.given} answers are taken from the file: give one, "
            "or have both written (--answers none --system TEXT)"
        )


def _different(prompts: Sequence[str]) -> tuple[list[int], list[str]]:
    """Of each prompt its place among the different ones, and these: a prompt that stands twice is answered once."""
    places: dict[str, int] = {}
    keys = [repr(plain(prompt)) for prompt in prompts]
    for key in keys:
        places.setdefault(key, len(places))
    first = dict(zip(reversed(keys), reversed(prompts), strict=True))
    return [places[key] for key in keys], [first[key] for key in places]


def _prompt(one: Asked, side: Side, lacking: Lacking, source: str) -> str:
    """The prompt that a side's answer is written to: for the concept with its instruction as a system message."""
    prompt, said = one.prompt, lacking.instruction
    if side == "negative" or said is None:
        return prompt
    if CONCEPT in said:
        concept = one.concept if lacking.concept is None else lacking.concept
        if concept is None:
            raise DataError(
                f"{source}, row {one.row}: has no concept, and the instruction names it as {CONCEPT}: give one"
            )
        said = said.replace(CONCEPT, concept)
    if lacking.in_prompt:
        return in_front(said, prompt)
    if not isinstance(prompt, Conversation):
        return Conversation([{"role": "system", "content": said}, {"role": "user", "content": prompt}])
    messages = list(prompt.messages)
    if prompt.system is not None:
        said, messages = f"{prompt.system}\n\n{said}", messages[1:]
    return Conversation([{"role": "system", "content": said}, *messages], prompt.tools)


def _made(
    asked: Sequence[Asked], found: Mapping[Side, Sequence[Generated]], lacking: Lacking, source: str, whole: bool
) -> MadePairs:
    pairs, left_out = [], []
    for place, one in enumerate(asked):
        texts = {side: answers[place].text for side, answers in found.items()}
        cut = tuple(side for side, answers in found.items() if not answers[place].ended)
        positive, negative = (str(texts.get(side, one.answer)) for side in SIDES)
        reason = _no_pair(positive, negative, cut if whole else ())
        if reason:
            left_out.append(f"{source}, row {one.row}: {reason}")
            continue
        concept = one.concept if lacking.concept is None else lacking.concept
        pairs.append(MadePair(one, positive, negative, concept, cut))
    if not pairs:
        raise DataError(f"none of {len(asked)} rows makes a pair; the first: {left_out[0]}")
    return MadePairs(tuple(pairs), tuple(left_out))


def _no_pair(positive: str, negative: str, cut: Sequence[Side]) -> str:
    """Why two answers are no pair; empty where they are one."""
    for side, text in zip(SIDES, (positive, negative), strict=True):
        if not text.strip():
            return f"the {side} answer is empty"
    if positive.strip() == negative.strip():
        return "both answers are the same"
    return f"the {' and the '.join(cut)} answer reached the longest length" if cut else ""
