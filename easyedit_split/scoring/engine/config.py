"""Settings of the engine; none of them changes a score by more than rounding error."""

from __future__ import annotations

from dataclasses import dataclass, field

from .budget import MemoryBudget


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of the engine.

    Attributes:
        launch_tokens: tokens of one call of the decoder, padding included; None for one row at a time on a CPU and
            8,192 elsewhere.
        row_tokens: tokens of one packed row at most.
        budget: memory for cached states.
        keep_keys: whether keys and values of tokens that no strength changes are kept.
        plain: leave everything to the plain scorer.
        release: let blocks below the entry leave the device while launches run that need only cached states; the model
            is not to be called by others meanwhile.
    """

    launch_tokens: int | None = None
    row_tokens: int = 512
    budget: MemoryBudget = field(default_factory=MemoryBudget)
    keep_keys: bool = True
    plain: bool = False
    release: bool = False
