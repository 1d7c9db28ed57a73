"""Number of optimiser steps of a run, learning-rate schedule, and seeds for all randomness.

    N = epochs * ceil(ceil(pairs / batch_size) / gradient_accumulation_steps)
    lr_k = lr (k + 1) / (w + 1)  for k < w,      lr (N - k) / (N - w)  from there on          k = 0 .. N - 1

w steps warm up. No lr_k is 0: every step trains.
"""

from __future__ import annotations

import hashlib
import math

from ..config import TrainConfig


def steps_in(config: TrainConfig, pairs: int) -> int:
    """Number of optimiser steps of a run over ``pairs`` pairs.

    Args:
        config: epochs, batch size and accumulation.
        pairs: training pairs.
    """
    batches = math.ceil(pairs / config.batch_size)
    return config.epochs * math.ceil(batches / config.gradient_accumulation_steps)


def lr_factor(step: int, warmup: int, total: int) -> float:
    """Learning-rate multiplier: linear warm-up to 1 over ``warmup`` steps, then linear decay to 0.

    Zero itself would come one step after the last.

    Args:
        step: 0-based optimiser step.
        warmup: steps of warm-up.
        total: steps in all.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (total - step) / (total - warmup)


def derive_seed(seed: int, *parts: str) -> int:
    """Derive a 63-bit seed for one purpose of a run from the run's seed and names; the same on every machine.

    Args:
        seed: the run's.
        *parts: names of the purpose.
    """
    digest = hashlib.sha256("\0".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
