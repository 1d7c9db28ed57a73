"""Benchmark of the engine against the reference scorer and EasyEdit2: seconds, FLOPs, peak memory.

    python benchmarks/engine.py --data data                          CPU: shapes, twelve blocks, SmolLM2, EasyEdit2
    python benchmarks/engine.py --device cuda --json cuda.json       random 9B and 7B models on a GPU
    python benchmarks/engine.py --tiny                               the same run on tiny models, anywhere

Rivals take turns on the same pairs; medians. --data holds psychopathy.jsonl and powerseeking_train.csv; without it what
needs them is left out. EasyEdit2 takes part where EASYEDIT_HOME names a clone. --json is written anew after each row,
so that an interrupted run keeps what it has; benchmarks/engine_tables.py turns the file into docs/engine.md's tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import transformers
from engine_billions import billions, product_rate
from engine_cases import TWELVE_BLOCKS, random_case, random_model
from engine_rows import Row, Timing, step_row, sweep_row
from engine_shapes import shape_rows
from engine_smollm2 import smollm2_rows
from engine_tables import heading, table, tables


def rows_of(args: argparse.Namespace, measured: dict[str, Any]) -> Iterator[Callable[[], Row]]:
    """Rows to measure, by the arguments.

    Args:
        args: of the command line.
        measured: the file's contents; notes and the card's rate are put into it.
    """
    if args.device == "cuda" or args.tiny:
        size, dtype = (512, torch.float32) if args.tiny else (8192, torch.bfloat16)
        measured["rate"] = product_rate(args.device, size, dtype)
        yield from billions(args.device, args.models, args.tiny, Timing(args.repeats, args.seconds, measured["rate"]))
        return
    timing = Timing(1 if args.quick else args.repeats, args.seconds)
    if args.data is None:
        measured["notes"].append("SmolLM2: --data names no folder of the datasets")
    else:
        yield from smollm2_rows(args.data, args.quick, timing, measured)
    yield from shape_rows()
    for shape in TWELVE_BLOCKS:
        model = random_model(shape, "cpu", torch.float32)
        case = random_case(model, shape, (79, 23, 20), 4 if args.quick else 8)
        yield lambda case=case: sweep_row(case, "vector", 1, timing)  # type: ignore[misc]
        yield lambda case=case: step_row(case, "vector", 4, timing)  # type: ignore[misc]


def device_name(device: str) -> str:
    """Name of the GPU or CPU.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text("utf-8").splitlines() if cpus.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, one thread"


def main() -> None:
    """Run the benchmark, print its tables and write its file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", type=Path, help="folder of the datasets' files")
    parser.add_argument("--quick", action="store_true", help="fewer pairs and turns")
    parser.add_argument("--tiny", action="store_true", help="tiny models instead of the 9B and 7B shapes")
    parser.add_argument("--models", type=int, default=2, help="number of the 9B and 7B shapes")
    parser.add_argument("--repeats", type=int, default=3, help="largest number of turns per row")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds after which a row begins no new turn")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    measured: dict[str, Any] = {
        "device": device_name(args.device), "torch": torch.__version__, "transformers": transformers.__version__,
        "rows": [], "notes": [],
    }  # fmt: skip
    print(heading(measured), flush=True)
    start = time.monotonic()
    for measure in rows_of(args, measured):
        try:
            row = measure()
        except (RuntimeError, ValueError) as reason:  # one row that fails does not take the others with it
            measured["notes"].append(f"{type(reason).__name__}: {reason}")
            print(measured["notes"][-1], file=sys.stderr, flush=True)
            continue
        finally:
            del measure  # and with it its model
        measured["rows"].append(row)
        print(f"\n[{time.monotonic() - start:.0f} s] {row['part']}\n{table([row])}", flush=True)
        if args.json:
            args.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    print(f"\n{tables(measured)}")
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
