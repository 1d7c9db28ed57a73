"""Strict configuration: nothing unread goes unnoticed, and every message says what was allowed."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from easyedit_split.config import TokenConfig, TrainConfig, build, check_keys, parse_grid
from easyedit_split.types import ConfigError


@dataclass(frozen=True)
class Inner:
    x: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    mode: Literal["a", "b", 2] = "a"
    count: int = 1
    flag: bool = False
    rate: float = 0.5
    maybe: float | None = None
    values: tuple[float, ...] = (1.0,)
    numbers: tuple[int, ...] = ()
    inner: Inner = field(default_factory=Inner)
    free: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"count is {self.count}, must not be negative")


# --- build ---------------------------------------------------------------------------------------------------------


def test_values_of_every_kind() -> None:
    built = build(
        Outer,
        {
            "name": "n",
            "mode": "b",
            "count": 3,
            "flag": True,
            "rate": 2,
            "maybe": "1e-4",
            "values": "-1:1:3",
            "numbers": [1, 2],
            "inner": {"x": 3},
            "free": {"anything": [1]},
        },
        "c.yaml",
    )
    assert built == Outer("n", "b", 3, True, 2.0, 1e-4, (-1.0, 0.0, 1.0), (1, 2), Inner(3.0), {"anything": [1]})
    assert type(built.rate) is float
    assert build(Outer, {"name": "n"}, "c") == Outer("n")
    assert build(Outer, {"name": "n", "maybe": None}, "c").maybe is None
    assert build(Inner, None, "c") == Inner()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "n", "coutn": 1}, r"c: unknown key 'coutn' \(did you mean 'count'\?\); allowed: name, mode"),
        ({"name": "n", 3: 1}, "c: unknown key 3; allowed"),
        ({"count": 1}, "c: name missing"),
        ({"name": 3}, "c.name: 3 is a int, wanted str"),
        ({"name": "n", "count": True}, "c.count: True is a bool, wanted int"),
        ({"name": "n", "count": 1.0}, "c.count: 1.0 is a float, wanted int"),
        ({"name": "n", "flag": 1}, "c.flag: 1 is a int, wanted bool"),
        ({"name": "n", "flag": "true"}, "c.flag: 'true' is a str, wanted bool"),
        ({"name": "n", "rate": True}, "c.rate: True is a bool, wanted float"),
        ({"name": "n", "rate": "fast"}, "c.rate: 'fast' is a str, wanted float"),
        ({"name": "n", "rate": float("nan")}, "c.rate: nan is not a finite number"),
        ({"name": "n", "rate": "inf"}, "c.rate: .*inf"),
        ({"name": "n", "maybe": [1]}, r"c.maybe: \[1\] is a list, wanted float"),
        ({"name": "n", "mode": "c"}, "c.mode: 'c' is not allowed.*; allowed: a, b, 2"),
        ({"name": "n", "mode": True}, "c.mode: True is not allowed"),
        ({"name": "n", "values": 3}, "c.values: 3 is a int, wanted a list"),
        ({"name": "n", "values": "1:2"}, "c.values: '1:2' is not a grid"),
        ({"name": "n", "numbers": [1, "2"]}, r"c.numbers\[1\]: '2' is a str, wanted int"),
        ({"name": "n", "inner": {"y": 1}}, "c.inner: unknown key 'y'; allowed: x"),
        ({"name": "n", "inner": 3}, "c.inner: 3 is a int, wanted a mapping"),
        ({"name": "n", "free": [1]}, r"c.free: \[1\] is a list, wanted a mapping"),
        ({"name": "n", "count": -1}, "c: count is -1, must not be negative"),
        ([1], r"c: \[1\] is a list, wanted a mapping"),
    ],
)
def test_what_is_wrong_is_said(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Outer, settings, "c")


def test_keys_are_checked_without_building() -> None:
    assert check_keys(Outer, {"rate": 1}, "c") == {"rate": 1.0}
    with pytest.raises(ConfigError, match="unknown key 'ratee'"):
        check_keys(Outer, {"ratee": 1}, "c")


# --- grids ---------------------------------------------------------------------------------------------------------


def test_grids() -> None:
    assert parse_grid("-20:20:41") == tuple(float(m) for m in range(-20, 21))
    assert parse_grid("0.2:2.0:10") == (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
    assert parse_grid("-4, 0,4") == (-4.0, 0.0, 4.0)
    assert parse_grid("3:3:1") == (3.0,)
    assert parse_grid("2:-2:3") == (2.0, 0.0, -2.0)


@pytest.mark.parametrize("end", [0.7, 1 / 3, 13.1, 20.0])
@pytest.mark.parametrize("count", [3, 7, 41, 101])
def test_the_middle_of_a_symmetric_grid_is_zero(end: float, count: int) -> None:
    grid = parse_grid(f"{-end}:{end}:{count}")
    assert grid[count // 2] == 0.0
    assert str(grid[count // 2]) == "0.0", "and not -0.0"
    assert [-m for m in reversed(grid)] == list(grid)
    assert len(set(grid)) == count


def test_numbers_stay_as_they_are_written() -> None:
    assert parse_grid("1e-13,-0.0,0.1234567890123456") == (1e-13, 0.0, 0.1234567890123456)
    assert parse_grid("1e-13") == (1e-13,)
    assert parse_grid("0:4e-13:5") == (0.0, 1e-13, 2e-13, 3e-13, 4e-13)
    assert parse_grid("-2e-200:1e-200:4") == (-2e-200, -1e-200, 0.0, 1e-200)
    assert parse_grid("0.1234567890123456:1e15:2") == (0.1234567890123456, 1e15)
    assert parse_grid("0.5:0.5:2") == (0.5, 0.5)
    assert parse_grid("-1e300:2e300:4") == (-1e300, 0.0, 1e300, 2e300)


@pytest.mark.parametrize("text", ["-0.3:0.6:4", "-0.1:0.2:4", "-20:10:31", "-7:0.7:12", "-3e-9:1e-9:5"])
def test_a_grid_through_zero_holds_it(text: str) -> None:
    grid = parse_grid(text)
    assert 0.0 in grid
    assert [abs(m) for m in grid if m and abs(m) < 1e-3 * grid[-1]] == []


def test_a_grid_too_large_is_refused_before_it_is_made() -> None:
    for count in (100_001, 10**12):
        with pytest.raises(ConfigError, match=f"--m: '0:1:{count}' asks for {count} points; allowed are up to 100000"):
            parse_grid(f"0:1:{count}", "--m")
    assert len(parse_grid("0:1:100000")) == 100_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:2",
        "1:2:0",
        "1:2:x",
        "1;2",
        "1,,2",
        "nan,1",
        "0:inf:3",
        "1:2:3:4",
        "1:2:2.5",
        "3:9:1",
        "-1.7e308:1.7e308:3",
    ],
)
def test_what_is_no_grid(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--m: {text!r} is not a grid; write start:stop:count")):
        parse_grid(text, "--m")


# --- the shipped configurations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (TokenConfig, {"max_length": 1}, "max_length is 1, must be at least 2"),
        (TokenConfig, {"chat_template": "yes"}, "'yes' is not allowed.*allowed: auto, on, off"),
        (TrainConfig, {"epochs": 0}, "epochs is 0, must be at least 1"),
        (TrainConfig, {"batch_size": 0}, "batch_size is 0"),
        (TrainConfig, {"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is 0"),
        (TrainConfig, {"lr": 0}, "lr is 0.0, must be positive"),
        (TrainConfig, {"max_grad_norm": 0}, "max_grad_norm is 0.0"),
        (TrainConfig, {"weight_decay": -1}, "weight_decay is -1.0"),
        (TrainConfig, {"warmup_steps": -1}, "warmup_steps is -1"),
        (TrainConfig, {"dropout": 1}, r"dropout is 1.0, must be in \[0, 1\)"),
        (TrainConfig, {"seed": -1}, "seed is -1"),
        (TrainConfig, {"steering_factors": []}, "steering_factors is empty"),
        (TrainConfig, {"steering_factors": [1, 0]}, r"steering_factors holds \[0.0\], must be positive"),
        (TrainConfig, {"directions": "all"}, "'all' is not allowed.*allowed: add, both"),
    ],
)
def test_values_out_of_range_are_refused(cls: type[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(cls, settings, "c")
    assert build(cls, {}, "c") == cls(), "control: the defaults are fine"


@pytest.mark.parametrize("config", [TokenConfig(), TrainConfig(), TrainConfig(lr=0.01, steering_factors=(2.0, 4.0))])
def test_plain_values_lead_back_to_the_same_config(config: Any) -> None:
    assert build(type(config), dataclasses.asdict(config), "c") == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)
