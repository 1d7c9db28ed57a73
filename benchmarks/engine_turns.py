"""Measure the cost of a computation: seconds (median of alternating runs), FLOPs, peak memory above the model.

On a CPU seconds are this process's CPU seconds (``resource.getrusage``), so that a busy machine changes little; on a
GPU they are wall seconds with the device waited for. The peak is that of tensors over making ready and the first turn,
so it holds the engine's caches; FLOPs are counted in a second one; neither is timed.
"""

from __future__ import annotations

import gc
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from easyedit_split.scoring.engine.bound import counted

Piece = Callable[[], object]
KINDS = (
    ("matrix products", ("gemm", "cutlass", "nvjet", "cublas", "xmma", "aten::mm", "aten::addmm", "aten::bmm")),
    ("attention", ("attention", "fmha", "flash", "softmax")),
    ("copies", ("copy", "memcpy", "cat", "index", "gather")),
)
"""Names of kernels and operators by what they do; all others are arithmetic element by element."""


@dataclass(frozen=True)
class Work:
    """A computation to measure.

    Attributes:
        name: of who does it.
        ready: makes it ready and returns what is timed.
    """

    name: str
    ready: Callable[[], Piece]


@dataclass(frozen=True)
class Cost:
    """Cost of one call of a computation.

    Attributes:
        seconds: median.
        flops: by torch's counter.
        peak_mb: of tensors, above what was there before it was made ready.
        ready_s: seconds to make it ready.
    """

    seconds: float
    flops: int
    peak_mb: float
    ready_s: float


def now(device: torch.device) -> float:
    """CPU seconds of this process without its children, or wall seconds after the device has finished."""
    if device.type == "cpu":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime
    torch.cuda.synchronize()
    return time.perf_counter()


class Peak:
    """Peak memory of tensors inside a ``with``, above what was there before.

    On a CPU it is the sum of what torch allocates and frees, which the profiler tells: the process's resident memory
    also holds what the allocator keeps of earlier rows and pages of files that come and go.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.mb = device, float("nan")

    def __enter__(self) -> Peak:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self._profile.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.mb = (torch.cuda.max_memory_allocated() - self._before) / 2**20
            return
        self._profile.__exit__(*error)
        found = self._profile.profiler.kineto_results.events()
        changes = sorted((event.start_ns(), event.nbytes()) for event in found if event.name() == "[memory]")
        self.mb = max(itertools.accumulate((size for _, size in changes), initial=0)) / 2**20


def take_turns(device: torch.device, works: Sequence[Work], repeats: int, seconds: float) -> dict[str, Cost | None]:
    """Costs by name, from alternating runs; None for work that runs out of device memory.

    Args:
        device: the model's.
        works: who takes turns.
        repeats: turns at most.
        seconds: wall seconds after which no new turn begins.
    """
    counted(lambda: torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device))  # loads what only a first needs
    pieces, first = {}, {}
    for work in works:
        try:
            with Peak(device) as peak:
                start = now(device)
                piece = work.ready()
                ready_s = now(device) - start
                piece()
            pieces[work.name], first[work.name] = piece, (counted(piece), peak.mb, ready_s)
        except torch.OutOfMemoryError:
            gc.collect()
    found: dict[str, list[float]] = {name: [] for name in pieces}
    until = time.monotonic() + seconds
    for turn in range(repeats):
        if turn and time.monotonic() > until:
            break
        for name, piece in pieces.items():
            start = now(device)
            piece()
            found[name].append(now(device) - start)
    costs: dict[str, Cost | None] = {work.name: None for work in works}
    return costs | {name: Cost(statistics.median(found[name]), *first[name]) for name in pieces}


def shares_of_time(device: torch.device, piece: Piece) -> dict[str, float]:
    """Share of each kind of kernel or operator in the time of one call, and ``idle`` of a GPU's wall time.

    Args:
        device: the model's.
        piece: run once.
    """
    on_gpu = device.type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as found:
        start = now(device)
        piece()
        wall = (now(device) - start) * 1e6
    spent: dict[str, float] = {}
    for event in found.key_averages():
        used = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        kind = next((kind for kind, words in KINDS if any(word in event.key.lower() for word in words)), "elementwise")
        spent[kind] = spent.get(kind, 0.0) + used
    total = sum(spent.values()) or 1.0
    shares = {kind: used / total for kind, used in sorted(spent.items(), key=lambda item: -item[1])}
    return {**shares, "idle": max(0.0, 1 - total / wall)} if on_gpu else shares
