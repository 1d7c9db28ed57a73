"""Settings of generation that this package controls; ``own_generation`` says what else counts of the model's own."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import require


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Settings of generation: length, sampling and seed.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        batch_size: answers at a time, of any prompt and m; None for as many as the device takes.
        do_sample: sample; greedy where off.
        temperature: of the sampling distribution.
        top_p: probability mass of nucleus sampling.
        num_beams: beam search where above 1.
        seed: of the random draws; each prompt and m draws from a seed of its own made from it.
    """

    max_new_tokens: int = 64
    batch_size: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    num_beams: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "batch_size", "num_beams"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} is {value}, must be at least 1")
        require(self.temperature > 0, f"temperature is {self.temperature}, must be positive")
        require(0 < self.top_p <= 1, f"top_p is {self.top_p}, must be in (0, 1]")
