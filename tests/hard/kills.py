"""Kills at any moment, and two writers of one output: what comes of it is one whole run's."""

from __future__ import annotations

import builtins
import io
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .runs import COMMANDS, Place, contents, finish, references, run, start

OPERATIONS = ("fsync", "rename", "replace", "mkdir", "unlink", "link", "rmdir")


def at_operation(count: int, act: Callable[[], None], folder: Path, seen: Any = None) -> Callable[[], None]:
    """Before a child's ``count``-th change in a folder's file system, ``act``; ``seen.value`` counts them."""

    def install() -> None:
        left = [count]

        def one() -> None:
            left[0] -= 1
            if seen is not None:
                seen.value += 1
            if left[0] == 0:
                act()

        def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **settings: Any) -> Any:
                if name != "unlink" or os.path.lexists(args[0]):  # what is not there is not removed
                    one()
                return real(*args, **settings)

            return call

        real_open = io.open

        def opened(file: Any, mode: str = "r", *args: Any, **settings: Any) -> Any:
            if set(mode) & set("wax+") and str(file).startswith(str(folder)):
                one()
            return real_open(file, mode, *args, **settings)

        for name in OPERATIONS:
            setattr(os, name, counted(name, getattr(os, name)))
        builtins.open = io.open = opened  # type: ignore[assignment]

    return install


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_case(place: Place, command: str, seed: int) -> tuple[str, str]:
    """Kill a run, maybe its resumption too, and let it end: byte for byte the uninterrupted one's result."""
    rng = random.Random(seed)
    wanted, seconds = references(place, command)
    to = place.folder / f"kill-{command}-{seed}"
    to.mkdir()
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.5:
            ended = run(place.line(command, to), wait=rng.uniform(0, seconds))
        else:
            ended = run(place.line(command, to), at_operation(int(2 ** rng.uniform(0, 7.5)), killed, to))
        if ended.code == 0:
            break
    if ended.code != 0:
        ended = run(place.line(command, to))
    if not ended.clean:
        return "traceback", f"{command} seed {seed}: {ended.said[-600:]}"
    left = contents(to)
    if left != wanted and ended.code == 2 and "exists already" in ended.said:  # what else there is, is put away by
        if {name: left.get(name) for name in wanted} != wanted:
            return "wrong", f"{command} seed {seed}: {ended.said[-300:]} and only {sorted(left)}"
        ended = run((*place.line(command, to), "--overwrite"))
    left = contents(to)
    return ("equal", "") if left == wanted else ("wrong", f"{command} seed {seed}: {ended.said[-300:]} {sorted(left)}")


def writers_case(place: Place, command: str, seed: int) -> tuple[str, str]:
    """Two runs with one output: one writes, the other is refused in a sentence, and nothing is mixed."""
    rng = random.Random(seed)
    both = [references(place, command, variant)[0] for variant in (0, 1)]
    to = place.folder / f"two-{command}-{seed}"
    to.mkdir()
    runs = [start(place.line(command, to, 0))]
    time.sleep(rng.choice((0.0, 0.0, rng.uniform(0, references(place, command)[1]))))
    runs.append(start(place.line(command, to, 1)))
    ends = [finish(*each) for each in runs]
    found = {name: digest for name, digest in contents(to).items() if not name.startswith(".")}
    refused = [end for end in ends if end.code == 2]
    named = all("is writing it" in end.said or "exists already" in end.said for end in refused)
    example = f"{command} seed {seed}: {[end.code for end in ends]} {ends[0].said[-200:]} {ends[1].said[-200:]}"
    if not all(end.clean for end in ends):
        return "traceback", example
    return ("equal", "") if len(refused) == 1 and named and found in both else ("wrong", example)


def kill(place: Place, seed: int) -> tuple[str, str]:
    """Kills spread over the commands."""
    return kill_case(place, COMMANDS[seed % len(COMMANDS)], seed)


def writers(place: Place, seed: int) -> tuple[str, str]:
    """Pairs of writers spread over the commands."""
    return writers_case(place, ("train", "sweep", "apply", "steer")[seed % 4], seed)
