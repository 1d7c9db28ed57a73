"""The options of every command that has texts judged, given to it as one ``JudgeOptions``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..judges.base import AXBENCH, Service, asks, prepared_judge
from ..types import ConfigError
from .grouped import grouped
from .output_paths import refuse_tilde

PARAMETER, SELF = "judging", "self"


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What the options about a judge say; each is named as its option.

    Attributes:
        judge: a registered judge, ``openai:MODEL`` for a language model; None for what the command does without one.
        judge_url: address of that model's API.
        judge_scales: what it grades on, with commas.
        judge_concept: what the concept is, in words.
        judge_cache: folder for its verdicts.
        judge_at_once: questions under way at a time.
    """

    judge: str | None = None
    judge_url: str | None = None
    judge_scales: str | None = None
    judge_concept: str | None = None
    judge_cache: Path | None = None
    judge_at_once: int | None = None

    @property
    def name(self) -> str:
        """The judge, the bare model itself where none was named."""
        return self.judge or SELF

    def service(self) -> Service:
        """Where the judge finds its model, and what it asks.

        Raises:
            ConfigError: no such judge, an option of language models beside one that asks none, or a ``~`` that no shell
                has read.
        """
        if not asks(self.name):
            given = [name for name in list(OPTIONS)[1:] if getattr(self, name) is not None]
            if given:
                option = f"--{given[0].replace('_', '-')}"
                raise ConfigError(f"{option} is for judges that ask a language model, and --judge is {self.name}")
            return Service()
        if self.judge_cache is not None:
            refuse_tilde(self.judge_cache, "--judge-cache")
        scales = self.judge_scales
        return Service(
            url=self.judge_url,
            scales=AXBENCH if scales is None else tuple(name.strip() for name in scales.split(",")),
            concept=self.judge_concept,
            cache=self.judge_cache,
            at_once=Service().at_once if self.judge_at_once is None else self.judge_at_once,
        )

    def check(self) -> None:
        """Raise now for what would stop a judge that asks a model elsewhere: no client, no key, nobody there.

        Raises:
            ConfigError, ServiceError: which.
        """
        if asks(self.name):
            prepared_judge(self.name, service=self.service())


DEFAULTS = JudgeOptions()
OPTIONS: dict[str, Any] = {
    "judge": Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="self (default of judge): the unsteered model and a probe; openai:MODEL: a language model; testbed: "
            "exact, for testbed: data; accuracy: Yes or No.",
        ),
    ],
    "judge_url": Annotated[
        str | None,
        typer.Option(
            "--judge-url",
            help="With openai:MODEL: address of the API, e.g. http://localhost:8000/v1 (vLLM, Ollama, llama.cpp). "
            "Default: OpenAI's. The key is read from OPENAI_API_KEY.",
        ),
    ],
    "judge_scales": Annotated[
        str | None,
        typer.Option(
            "--judge-scales",
            help="With openai:MODEL: what it grades, of concept, instruction, fluency (0 to 2, AxBench's; default: "
            "these three) and power (0 to 4).",
        ),
    ],
    "judge_concept": Annotated[
        str | None,
        typer.Option("--judge-concept", help="With openai:MODEL: the concept in words. Default: what the pairs say."),
    ],
    "judge_cache": Annotated[
        Path | None,
        typer.Option("--judge-cache", help="With openai:MODEL: folder for verdicts. Default: in the user's cache."),
    ],
    "judge_at_once": Annotated[
        int | None,
        typer.Option("--judge-at-once", help="With openai:MODEL: questions under way at a time. Default: 8."),
    ],
}
"""Type and option of each field of ``JudgeOptions``."""


def asks_judge(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter ``judging`` by the options that say who judges.

    Args:
        command: a function with a parameter ``judging``, whose default is ``DEFAULTS``.
    """
    return grouped(PARAMETER, JudgeOptions, OPTIONS)(command)
