"""Damage to bytes, JSON values and text, from plain seeds."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 1e308, float("nan"), float("inf"), "", "x", "\x00", "a" * 5000,
    "\ud83d", "../../etc/passwd", [], {}, [[]], [None] * 3, {"a": 1}, list(range(500)), "default", "float32", [-1, 2],
    [10**9, 10**9], ["a", "a"], {"m1": "x"}, "1e5", "ⅷ", "\u2028",
)  # fmt: skip


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """A file with bytes changed, cut, doubled, moved, or replaced."""
    out = bytearray(data)
    kind = rng.randrange(8)
    if kind == 0:
        return bytes(out[: rng.randrange(len(out) + 1)])
    if kind == 1:
        return bytes(out) + rng.randbytes(rng.randrange(1, 50))
    if kind == 2:
        return rng.randbytes(rng.randrange(200))
    if kind == 3:
        a, b = sorted(rng.randrange(len(out) + 1) for _ in range(2))
        return bytes(out[:a] + out[a:b] + out[a:])
    if kind == 4:
        a, b = sorted(rng.randrange(len(out) + 1) for _ in range(2))
        del out[a:b]
        return bytes(out)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if out:
            at = rng.randrange(len(out))
            out[at] = out[at] ^ 1 << rng.randrange(8) if kind < 7 else rng.randrange(256)
    return bytes(out)


def one_bit(rng: random.Random, data: bytes) -> bytes:
    """A file with one bit flipped."""
    out = bytearray(data)
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in JSON values."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        here = waiting.pop()
        items = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        for key, inner in list(items):
            found.append((here, key))
            waiting.append(inner)
    return found


def damaged_json(rng: random.Random, value: Any) -> Any:
    """JSON values with some replaced, removed, renamed, doubled or nested."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        known = places(value)
        if not known:
            return rng.choice(ODD)
        here, key = rng.choice(known)
        kind = rng.randrange(7)
        if kind <= 2:
            here[key] = copy.deepcopy(rng.choice(ODD))
        elif kind == 3:
            del here[key]
        elif kind == 4 and isinstance(here, dict):
            here[rng.choice((str(key) + "x", "", "__class__", "x" * 3000))] = here.pop(key)
        elif kind == 5:
            other, at = rng.choice(known)
            here[key] = (
                copy.deepcopy(other[at]) if at in (other if isinstance(other, dict) else range(len(other))) else 0
            )
        else:
            here[key] = [here[key]] * rng.choice((1, 2, 300))
    return value
