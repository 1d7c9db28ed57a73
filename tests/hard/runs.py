"""Command lines in forked processes: killed at any moment, on a full disk, and two at a time.

The parent imports everything once; a child is a fork that runs one command line, so a run takes a second and not ten.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from easyedit_split.cli import main as cli
from easyedit_split.cli.lazy import load_command
from easyedit_split.steering.artifact import Artifact

from .. import toy_tokenizers
from ..cli.shared import ROWS, apply_line, sweep_line, train_line, write_rows
from ..small import made, world
from ..tiny import tiny_model

COMMANDS = ("train", "sweep", "apply", "fit", "export", "steer", "pairs", "sweep with texts")
"""Command lines by their first word, with what else they write."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its code (negative: a signal) and what it said on standard error."""

    code: int
    said: str

    @property
    def clean(self) -> bool:
        return "Traceback" not in self.said


class Place:
    """Inputs in one folder, and each command's line into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[tuple[str, int], tuple[dict[str, str], float]] = {}
        self.model = folder / "model"
        tokenizer = toy_tokenizers.qwen()
        network = tiny_model("qwen2", torch.float32, vocab_size=len(tokenizer))
        network.set_attn_implementation("eager")
        network.save_pretrained(self.model)
        tokenizer.save_pretrained(self.model)
        self.data = write_rows(folder / "pairs.jsonl", ROWS)
        self.prompts = folder / "prompts.txt"
        self.prompts.write_text("".join(f"{row['prompt']}\n" for row in ROWS), "utf-8")
        self.artifacts = [
            Artifact({"default": made(world(), seed=seed)}).save_pretrained(folder / f"vector{seed}") for seed in (1, 2)
        ]
        self.table = folder / "swept.csv"
        m = [float(k) for k in range(-8, 9)]
        curve = {"m1": m, "pref": [2 * math.tanh(k / 3) for k in m], "util": [-5 - 0.1 * k * k for k in m]}
        pd.DataFrame(curve).to_csv(self.table, index=False)
        self._warm_up()

    def _warm_up(self) -> None:
        """Import and run here what a child would begin with; what takes gradients cannot be forked afterwards."""
        for command in COMMANDS:
            load_command(command.split()[0])
        to = self.folder / "warm"
        to.mkdir()
        argv, files = sys.argv, (cli.common.console.file, cli.common.out.file)
        for command in ("sweep", "apply", "export", "fit"):
            sys.argv = ["easyedit-split", *map(str, self.line(command, to))]
            cli.common.console.file = cli.common.out.file = io.StringIO()
            try:
                cli.main()
            except SystemExit as stop:
                if stop.code:
                    raise RuntimeError(cli.common.console.file.getvalue()) from stop
        sys.argv = argv
        cli.common.console.file, cli.common.out.file = files

    def line(self, command: str, to: Path, variant: int = 0) -> tuple[Any, ...]:
        """A command line that writes into the folder ``to``."""
        artifact = self.artifacts[variant]
        if command == "train":
            every = ("--checkpoint-every", 1, "--set", "train.epochs=2", "--seed", variant)
            return train_line(self.model, self.data, to / "out", *every)
        if command == "sweep":
            return sweep_line(self.model, self.data, artifact, to / "out.parquet")
        if command == "sweep with texts":
            beside = ("--collateral", "--texts", 2)
            return sweep_line(self.model, self.data, artifact, to / "out.parquet", *beside)
        if command == "pairs":
            asked = ("--system", f"Say {variant}.", "--max-new-tokens", 4, "--batch-size", 2)
            return ("pairs", "--model", self.model, "--from", self.prompts, "--out", to / "out.jsonl", *asked)
        if command == "apply":
            prompts = [part for row in ROWS[:3] for part in ("--prompt", row["prompt"])]
            return apply_line(self.model, artifact, *prompts, "--m", 2 + variant, "--out", to / "out.jsonl")
        if command == "fit":
            return ("fit", self.table, "--out", to / "out.csv")
        if command == "export":
            whole = ("--positions", "all", "--m", 2 + variant)
            return ("export", artifact, "--to", "vector-pt", "--out", to / "out.pt", "--model", self.model, *whole)
        short = ("--layer", 1, "--m", "-2:2:5", "--texts", 1, "--neutral", 2, "--max-new-tokens", 3, "--form", "vector")
        few = (
            "--checkpoint-every",
            1,
            "--set",
            "train.epochs=2",
            "--set",
            "train.lr=0.01",
            "--set",
            f"train.seed={variant}",
        )
        return ("steer", "--model", self.model, "--data", self.data, "--out", to / "out", *short, *few)


def run(line: tuple[Any, ...], before: Callable[[], None] | None = None, wait: float | None = None) -> Ended:
    """Run a command line in a forked child; with ``wait`` it is killed after so many seconds."""
    process, told = start(line, before)
    if wait is not None:
        time.sleep(wait)
        os.kill(process, signal.SIGKILL)
    return finish(process, told)


def start(line: tuple[Any, ...], before: Callable[[], None] | None = None) -> tuple[int, int]:
    """Fork a child that runs a command line; its number, and where its standard error can be read."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process:
        os.close(theirs)
        return process, ours
    code = 1
    try:
        os.dup2(theirs, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(k), "w", buffering=1) for k in (1, 2))
        cli.common.console.file, cli.common.out.file = sys.stderr, sys.stdout
        sys.argv = ["easyedit-split", *map(str, line)]
        if before is not None:
            before()
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        with contextlib.suppress(BaseException):
            sys.stderr.write(traceback.format_exc())
            sys.stderr.flush()
    finally:
        os._exit(code)


def finish(process: int, told: int) -> Ended:
    """Wait for a child."""
    with os.fdopen(told, "rb") as file:
        said = file.read().decode("utf-8", "replace")
    _, status = os.waitpid(process, 0)
    return Ended(os.waitstatus_to_exitcode(status), said)


def contents(folder: Path) -> dict[str, str]:
    """Digests of what a finished run left, without what is hidden; figures and times differ from run to run."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes().replace(str(folder).encode(), b"")  # a report names its folder
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".png"
    }


def references(place: Place, command: str, variant: int = 0) -> tuple[dict[str, str], float]:
    """What an uninterrupted run leaves, and how long it takes."""
    if (command, variant) in place.known:
        return place.known[command, variant]
    to = place.folder / "reference" / f"{command}{variant}"
    to.mkdir(parents=True)
    begun = time.monotonic()
    ended = run(place.line(command, to, variant))
    assert ended.code == 0, ended.said
    place.known[command, variant] = contents(to), time.monotonic() - begun
    return place.known[command, variant]
