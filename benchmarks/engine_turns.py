"""Measure the cost of a computation: seconds (median of alternating runs), FLOPs, peak memory above the model.

On a CPU seconds are this process's CPU seconds (``resource.getrusage``), so that a busy machine changes little; on a
GPU they are wall seconds with the device waited for. The peak is taken over making ready and the first turn, so it
holds the engine's caches; FLOPs are counted in a second one; neither is timed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from easyedit_split.scoring.engine.bound import counted

Piece = Callable[[], object]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
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
        peak_mb: above what was there before it was made ready; None where the system does not tell.
        ready_s: seconds to make it ready.
    """

    seconds: float
    flops: int
    peak_mb: float | None
    ready_s: float


def now(device: torch.device) -> float:
    """CPU seconds of this process without its children, or wall seconds after the device has finished."""
    if device.type == "cpu":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime
    torch.cuda.synchronize()
    return time.perf_counter()


class Peak:
    """Peak memory since the start of the measurement, above what was in use then."""

    def __init__(self, device: torch.device) -> None:
        gc.collect()
        self.device = device
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before: float | None = torch.cuda.memory_allocated()
            return
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        try:
            CLEAR.write_text("5")  # the high-water mark falls to what is in use
            self.before = _status("VmRSS")
        except OSError:
            self.before = None

    def mb(self) -> float | None:
        """Peak memory so far, MB; None where the system does not report it."""
        if self.before is None:
            return None
        most = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else _status("VmHWM")
        return (most - self.before) / 2**20


def _status(key: str) -> float:
    (line,) = [line for line in STATUS.read_text("ascii").splitlines() if line.startswith(f"{key}:")]
    return float(line.split()[1]) * 1024


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
        peak, start = Peak(device), now(device)
        try:
            piece = work.ready()
            ready_s = now(device) - start
            piece()
            most = peak.mb()  # before FLOPs are counted: the counter itself holds memory
            pieces[work.name], first[work.name] = piece, (counted(piece), most, ready_s)
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
