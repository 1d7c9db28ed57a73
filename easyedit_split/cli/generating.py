"""Options of how answers are written, given to a command as one ``WritingOptions``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from ..steering.generate import GenerateConfig
from .grouped import grouped

PARAMETER = "writing"


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """What the options about generation say; each is named as its option.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        batch_size: answers at a time; None for as many as fit.
        sample: draw; greedy where off.
        temperature: of the distribution that is drawn from.
        top_p: its nucleus.
        seed: of the draws.
    """

    max_new_tokens: int = 128
    batch_size: int | None = None
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def config(self) -> GenerateConfig:
        """The same as generation takes it."""
        given = asdict(self)
        return GenerateConfig(do_sample=given.pop("sample"), **given)


DEFAULTS = WritingOptions()
OPTIONS: dict[str, Any] = {
    "max_new_tokens": Annotated[int, typer.Option("--max-new-tokens", help="Longest answer, in tokens.")],
    "batch_size": Annotated[
        int | None, typer.Option("--batch-size", help="Answers per batch. Default: as many as fit in memory.")
    ],
    "sample": Annotated[bool, typer.Option("--sample", help="Sample instead of greedy decoding.")],
    "temperature": Annotated[float, typer.Option("--temperature", help="Temperature, with --sample.")],
    "top_p": Annotated[float, typer.Option("--top-p", help="Top-p of nucleus sampling, with --sample.")],
    "seed": Annotated[int, typer.Option("--seed", help="Random seed, with --sample.")],
}
"""Type and option of each field of ``WritingOptions``."""


def writes_answers(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter ``writing`` by the options of generation.

    Args:
        command: a function with a parameter ``writing``, whose default is ``DEFAULTS``.
    """
    return grouped(PARAMETER, WritingOptions, OPTIONS)(command)
