"""Several interventions on a command line: all act, each at its m; an option of which one counts is refused twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from easyedit_split.cli.commands.chat import Session
from easyedit_split.config import TokenConfig
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.finite_logits import Strengths
from easyedit_split.types import ConfigError

from ..small import made, world
from .shared import Run, Sentence, apply_line, read_rows, sweep_line


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lora = made(world(), "lora", site="mlp.down_proj", seed=3)
    return Artifact({"default": lora}).save_pretrained(tmp_path_factory.mktemp("artifacts") / "lora")


def answers(run: Run, line: tuple[object, ...], to: Path) -> dict[str, str]:
    code, _, err = run(*line, "--prompt", "Would you?", "--out", to, "--overwrite", "--dtype", "float64")
    assert code == 0, err
    return {json.dumps(row["m"]): row["text"] for row in read_rows(to)}


def test_both_act_each_at_its_strength(run: Run, model: Path, artifact: Path, second: Path, tmp_path: Path) -> None:
    line, both = apply_line(model, artifact), apply_line(model, artifact, "--intervention", second)
    to = tmp_path / "a.jsonl"
    alone = answers(run, (*line, "--m", "3"), to)
    once = answers(run, (*both, "--m", "3"), to)
    each = answers(run, (*both, "--m", "3,0", "--m", "0,-2"), to)
    assert [*once] == ["0.0", "[3.0, 3.0]"]
    assert [*each] == ["0.0", "[3.0, 0.0]", "[0.0, -2.0]"]
    assert each["[3.0, 0.0]"] == alone["3.0"]
    assert each["[0.0, -2.0]"] == answers(run, (*apply_line(model, second), "--m=-2"), to)["-2.0"]
    assert once["0.0"] == each["0.0"] == alone["0.0"]
    strong = answers(run, (*both, "--m", "3", "--m=-40"), to)
    assert strong["[3.0, -40.0]"] != alone["3.0"], "control: the second acts too"
    shown = run(*both, "--m", "3", "--prompt", "Would you?")
    assert "m = 3 and 3" in shown[1]


def test_what_does_not_go_together_is_refused(
    sentence: Sentence, model: Path, artifact: Path, second: Path, tmp_path: Path, no_model: None
) -> None:
    line = apply_line(model, artifact, "--intervention", second, "--prompt", "Would you?")
    assert "--m is given 3 times for 2 interventions" in sentence(*line, "--m", "1", "--m", "2", "--m", "3")
    assert "3 and 2 values: give as many for each, or one" in sentence(*line, "--m", "1,2,3", "--m", "1,2")
    assert "--m is in r" in sentence(*line, "--m", "r:0.2")
    assert "names one folder twice" in sentence(*line, "--intervention", second)
    tokens = dataclasses.asdict(TokenConfig(system="Be brief."))
    other = Artifact({"default": made(world())}, {"run": {"tokens": tokens}}).save_pretrained(tmp_path / "other")
    said = sentence(*apply_line(model, artifact, "--intervention", other, "--prompt", "Would you?"))
    assert "write prompts differently: tokens.system is None and 'Be brief.'" in said


def test_an_option_of_which_one_counts_is_refused_twice(
    sentence: Sentence, run: Run, model: Path, artifact: Path, second: Path, data: Path, tmp_path: Path, no_model: None
) -> None:
    line = sweep_line(model, data, artifact, tmp_path / "s.csv")
    assert "--intervention is given 2 times, and sweep takes one" in sentence(*line, "--intervention", second)
    assert "--m is given 2 times, and sweep takes one" in sentence(*line, "--m", "3")
    for name in ("inspect", "judge", "activations"):
        assert "--model is given 2 times" in sentence(name, "--model", model, "--model", model)
    with pytest.raises(AssertionError, match="a model was loaded"):  # control
        run(*line, "--overwrite", "--overwrite")


def test_a_conversation_with_two() -> None:
    def echo(text: str, earlier: tuple[tuple[str, str], ...], m: Strengths) -> str:
        return f"{text}|{m}"

    session = Session(echo, (0.5, None), (2.0, 1.0))
    assert session.said("Hello")[1] == [("m = 2 and 1", "Hello|(2.0, 1.0)")]
    for words, m in (("/m 4", (4.0, 4.0)), ("/m 4 -2", (4.0, -2.0)), ("/m r:0.5 0", (1.0, 0.0))):
        told, _ = session.told(words)
        assert told is not None
        assert told.m == m
    for words, match in (("/m 1 2 3", "one for each of 2 interventions"), ("/m r:1", "no record of r")):
        with pytest.raises(ConfigError, match=match):
            session.told(words)
    assert dataclasses.replace(session, m=(0.0, 0.0)).label == "unsteered"
