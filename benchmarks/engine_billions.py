"""Engine benchmark at the shapes of Gemma-2-9B and Qwen2.5-7B: random bf16 weights on a GPU, texts of fixed lengths.

What is measured is speed, which random weights do not change; eta_hw is held against the rate that the card itself
reaches in a large matrix product.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import torch
from engine_cases import BILLIONS, ModelShape, random_case, random_model, tiny
from engine_rows import Row, Timing, means_row, step_row, sweep_row
from engine_turns import now

from easyedit_split.scoring.engine.config import EngineConfig

LONG, SHORT = (60, 150, 0), (52, 2, 24)
MANY_TOKENS = EngineConfig(launch_tokens=16384)
"""Twice what the engine takes by itself, so that a launch of long answers is above 8,192 tokens."""


def product_rate(device: str, size: int, dtype: torch.dtype) -> float:
    """FLOPs per second of a large square matrix product, the median of ten.

    Args:
        device: where.
        size: of a side.
        dtype: of the matrices.
    """
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(13):
        start = now(a.device)
        a @ b
        seconds.append(now(a.device) - start)
    return 2 * size**3 / max(sorted(seconds[3:])[5], 1e-9)


def billions(device: str, models: int, small: bool, timing: Timing) -> Iterator[Callable[[], Row]]:
    """Rows to measure, model by model.

    Args:
        device: where the models stand.
        models: the first so many of the shapes.
        small: tiny models of the same families and short runs, to try this out anywhere.
        timing: how long to measure a row.
    """
    shapes = [tiny(shape) for shape in BILLIONS] if small else list(BILLIONS)
    for shape in shapes[:models]:
        yield from _of_shape(shape, device, small, timing)
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def _of_shape(shape: ModelShape, device: str, small: bool, timing: Timing) -> Iterator[Callable[[], Row]]:
    model = random_model(shape, device, torch.float32 if small else torch.bfloat16)
    points, few, many = (5, 2, 4) if small else (41, 4, 64)
    long, short = random_case(model, shape, LONG, 4 * few), random_case(model, shape, SHORT, many)
    yield lambda: sweep_row(long.first(2 * few), "vector", points, timing, MANY_TOKENS)
    yield lambda: step_row(long, "vector", 4 * few, timing)
    yield lambda: sweep_row(short, "vector", points, timing)
    yield lambda: step_row(short, "vector", min(many, 32), timing)
    yield lambda: step_row(long.first(few), "vector", few, timing)
    yield lambda: sweep_row(long.first(few), "local_weight", points, timing, MANY_TOKENS)
    yield lambda: means_row(long.first(2 * few), timing)
