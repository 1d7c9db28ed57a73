"""The conversation in the terminal: turns are remembered, strengths change on the way, mistakes end nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from easyedit_split.cli.commands.chat import Session, parse_strength
from easyedit_split.types import ConfigError, DataError

from .shared import Run

Earlier = tuple[tuple[str, str], ...]


def echo(text: str, earlier: Earlier, m: float) -> str:
    if "<bad>" in text:
        raise DataError("holds text that the tokenizer reads as the special token")
    return f"{text}|{len(earlier)}|{m:g}"


def session(**changes: object) -> Session:
    return dataclasses.replace(Session(echo, 0.5, 2.0), **changes)  # type: ignore[arg-type]


def test_a_turn_is_answered_at_m_and_remembered() -> None:
    first, shown = session().said("Hello")
    assert shown == [("m = 2 (r = 1)", "Hello|0|2")]
    second, shown = first.said("And?")
    assert shown == [("m = 2 (r = 1)", "And?|1|2")]
    assert second.turns == (("Hello", "Hello|0|2"), ("And?", "And?|1|2"))


def test_the_bare_answer_stands_beside_and_is_not_remembered() -> None:
    after, shown = session(bare=True).said("Hello")
    assert shown == [("unsteered", "Hello|0|0"), ("m = 2 (r = 1)", "Hello|0|2")]
    assert after.turns == (("Hello", "Hello|0|2"),)
    assert session(bare=True, m=0.0).said("Hello")[1] == [("unsteered", "Hello|0|0")]


def test_commands_change_strength_bare_and_conversation() -> None:
    start, _ = session().said("Hello")
    stronger, news = start.told("/m 4")
    assert stronger is not None
    assert (stronger.m, stronger.turns, news) == (4.0, start.turns, "m = 4 (r = 2)")
    natural, _ = start.told("/m r:0.25")
    assert natural is not None
    assert natural.m == 0.5
    bare, news = start.told("/bare")
    assert bare is not None
    assert bare.bare
    assert news == "unsteered answers on"
    fresh, _ = start.told("/new")
    assert fresh is not None
    assert fresh.turns == ()
    assert start.told("/quit")[0] is None
    assert "/bare" in start.told("/help")[1]


@pytest.mark.parametrize(
    ("line", "sentence"), [("/mm 4", "did you mean"), ("/m 1,2", "one strength"), ("/m x", "grid")]
)
def test_a_wrong_command_is_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        session().told(line)


def test_r_needs_a_measured_unit() -> None:
    assert parse_strength("3", None, "--m") == 3.0
    with pytest.raises(ConfigError, match="has no record of r at m = 1"):
        parse_strength("r:0.4", None, "--m")


def test_a_whole_conversation_with_a_real_artifact(
    run: Run, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("train", "--model", model, "--data", data, "--layer", 1, "--out", tmp_path / "v", "--set", "train.epochs=1")
    assert run(*line)[0] == 0
    lines = iter(["Is it?", "", "/m 6", "And now?", "/nonsense", "Is <|im_end|> fine?", "/bare", "Both?"])

    def answer(*_: object, **__: object) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("easyedit_split.cli.console.console.input", answer)
    code, out, err = run("chat", "--model", model, "--intervention", tmp_path / "v", "--m", "2", "--max-new-tokens", 3)
    assert code == 0, err
    assert sum("m = 6" in row for row in out.splitlines()) == 2
    assert sum("m = 2" in row for row in out.splitlines()) == 1
    assert sum("unsteered" in row for row in out.splitlines()) == 1
    assert "there is no /nonsense" in err
    assert "special token" in err
