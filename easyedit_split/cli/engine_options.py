"""Options that select how losses are computed, and the engine settings that follow."""

from __future__ import annotations

from typing import Annotated

import typer

from ..config import require
from ..scoring.engine.budget import MemoryBudget
from ..scoring.engine.config import EngineConfig

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="auto; lean: lower blocks leave the device once their states are cached; or plain: the slow "
        "reference scorer.",
    ),
]
CacheOption = Annotated[
    str, typer.Option("--cache", help="Memory for cached states: auto, off, 2G, or device and main memory: 8G,32G.")
]


def engine_config(engine: str, cache: str) -> EngineConfig:
    """Engine settings selected by the options.

    Args:
        engine: ``auto``, ``lean`` or ``plain``.
        cache: as ``MemoryBudget.parse`` reads it.

    Raises:
        ConfigError: anything else.
    """
    require(engine in ("auto", "lean", "plain"), f"--engine {engine}: allowed are auto, lean and plain")
    return EngineConfig(budget=MemoryBudget.parse(cache), plain=engine == "plain", release=engine == "lean")
