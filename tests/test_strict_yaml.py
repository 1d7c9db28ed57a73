"""YAML: nothing is executed, no key stands twice, and a grid, a leading zero and `off` are the text they look like."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.strict_yaml import read_value, read_yaml
from easyedit_split.training.recipes import compose
from easyedit_split.types import ConfigError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\na: 2\n", r"c.yaml, line 2: key 'a' appears twice: remove one"),
        (b"a: {b: 1, b: 2}\n", r"c.yaml, line 1: key 'b' appears twice"),
        (b"? [1]\n: 2\n", r"c.yaml, line 1: \[1\] cannot be a key"),
        (b"- 1\n", "c.yaml: holds a list, wanted a mapping"),
        (b"a: [1\n", "c.yaml: not readable as YAML"),
        (b"\xff\xfe\x00", "c.yaml: not readable as YAML"),
        (b"a: \x07\n", "c.yaml: not readable as YAML"),
        (b"a: 2001-13-45\n", "c.yaml: not readable as YAML: month must be in 1..12"),
        (b"a: " + b"[" * 5000, "c.yaml: nested deeper than 50 levels"),
        (
            b"a: !!python/object/apply:os.system ['true']\n",
            "c.yaml: not readable as YAML: could not determine a constr",
        ),
    ],
)
def test_yaml_is_strict_and_executes_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(tmp_path / "c.yaml")


def test_good_yaml(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 1\nb: {a: 2}\n")
    assert read_yaml(tmp_path / "c.yaml") == {"a": 1, "b": {"a": 2}}
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "c.yaml") == {}
    with pytest.raises(ConfigError, match=r"absent.yaml: no such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        read_yaml(tmp_path)


def test_one_value() -> None:
    assert [read_value(text, "--set") for text in ("0.5", "true", "[1, 2]", "null", "a b", "")] == [
        0.5,
        True,
        [1, 2],
        None,
        "a b",
        None,
    ]
    with pytest.raises(ConfigError, match=r"--set x=\[1: '\[1' is not a YAML value"):
        read_value("[1", "--set x=[1")


@pytest.mark.parametrize("text", ["a\x07b", "2001-13-45", "[" * 5000, "'", "{"])
def test_no_value_is_a_traceback(text: str) -> None:
    with pytest.raises(ConfigError, match="nested deeper" if len(text) > 100 else "is not a YAML value"):
        read_value(text, "--set x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2:20:10", "2:20:10"), ("1:30", "1:30"), ("1:30.5", "1:30.5"), ("010", "010"), ("0b11", "0b11"),
        ("on", "on"), ("off", "off"), ("1e-4", "1e-4"),
        ("true", True), ("No", False), ("yes", True), ("FALSE", False), ("~", None), ("12", 12), ("-3", -3), ("0", 0),
        ("0x1F", 31), ("1_000", 1000),
        ("0.5", 0.5), ("-.5", -0.5), ("1.", 1.0), ("1.5e-4", 1.5e-4), ("-.inf", -math.inf),
    ],
)  # fmt: skip
def test_a_plain_value_is_what_it_looks_like(tmp_path: Path, text: str, value: Any) -> None:
    (tmp_path / "c.yaml").write_text(f"a: {text}\nb: [{text}]\n")
    found = (read_value(text, "--set"), *read_yaml(tmp_path / "c.yaml").values())
    assert found == (value, value, [value])
    assert type(found[0]) is type(value)


def test_a_grid_is_set_as_the_table_of_settings_writes_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("train: {steering_factors: 2:20:10}\ntokens: {chat_template: off}\n")
    line = "train.steering_factors=2:20:10"
    for settings in ({"config": tmp_path / "c.yaml"}, {"overrides": [line, "tokens.chat_template=off"]}):
        run = compose("vector", "split", model="testbed:gemma2", **settings).run_config()
        assert run.train.steering_factors == (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
        assert run.tokens.chat_template == "off"
    with pytest.raises(ConfigError, match="'1:30' is a str, wanted int"):
        compose("vector", "split", model="testbed:gemma2", overrides=["train.epochs=1:30"])


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize("text", [BOMB, "a: &a {b: 1}\nc: *a\n", "a: &a {b: 1}\nc:\n  <<: *a\n"])
def test_nothing_is_repeated_by_alias(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c.yaml, line \d: \*a repeats an earlier part: write it out") as caught:
        read_yaml(tmp_path / "c.yaml")
    assert len(str(caught.value)) < 300


def test_a_pipe_and_half_a_character_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no ordinary file"):
        read_yaml(tmp_path / "pipe")
    (tmp_path / "c.yaml").write_text('a: "\\ud83d"\n')
    with pytest.raises(ConfigError, match="half of a character"):
        read_yaml(tmp_path / "c.yaml")
