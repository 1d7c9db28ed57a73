"""Options that select how losses are computed, and the engine settings that follow."""

from __future__ import annotations

from typing import Annotated

import typer

from ..config import require
from ..scoring.engine.budget import MemoryBudget
from ..scoring.engine.config import EngineConfig

EngineOption = Annotated[str, typer.Option("--engine", help="auto, or plain: the slow reference scorer.")]
CacheOption = Annotated[
    str, typer.Option("--cache", help="Memory for cached states: auto, off, 2G, or device and main memory: 8G,32G.")
]


def engine_config(engine: str, cache: str) -> EngineConfig:
    """Engine settings selected by the options.

    Args:
        engine: ``auto`` or ``plain``.
        cache: as ``MemoryBudget.parse`` reads it.

    Raises:
        ConfigError: anything else.
    """
    require(engine in ("auto", "plain"), f"--engine {engine}: allowed are auto and plain")
    return EngineConfig(budget=MemoryBudget.parse(cache), plain=engine == "plain")
