"""Commands from end to end: train, sweep, inspect, apply, demo, steer; each with help and an example."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from easyedit_split.cli import main as cli
from easyedit_split.cli.commands import sweep
from easyedit_split.cli.console import set_up_logging
from easyedit_split.cli.lazy import COMMANDS
from easyedit_split.easyedit import commands as bridge
from easyedit_split.easyedit.host import startup
from easyedit_split.scoring import sweep_pairs
from easyedit_split.steering.artifact import Artifact
from easyedit_split.sweep_table import read_sweep

from .shared import ROWS, Run, write_rows
from .training_commands import trained


def test_train_sweep_inspect_apply_from_end_to_end(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    artifact = trained(run, model, data, tmp_path / "vector")
    assert {f.name for f in artifact.iterdir()} == {"steering_config.json", "steering.safetensors", "history.jsonl"}
    for name in ("s.parquet", "s.csv", "s.json"):
        code, out, err = run(
            "sweep",
            "--model",
            model,
            "--data",
            data,
            "--intervention",
            artifact,
            "--m",
            "-4:4:5",
            "--out",
            tmp_path / name,
        )
        assert code == 0, err
    assert "preference (nats)" in out
    tables = [read_sweep(tmp_path / name) for name in ("s.parquet", "s.csv", "s.json")]
    assert sorted(tables[0].m1.unique()) == [-4, -2, 0, 2, 4]
    assert len(tables[0]) == 30
    for other in tables[1:]:
        assert (other.pref == tables[0].pref).all()
    code, out, err = run("inspect", artifact, "--model", model)
    assert code == 0, err
    assert "model.layers.1" in out
    code, out, err = run(
        "apply",
        "--model",
        model,
        "--intervention",
        artifact,
        "--m",
        "30",
        "--prompt",
        "Would you?",
        "--max-new-tokens",
        5,
    )
    assert code == 0, err
    assert "unsteered" in out
    assert "m = 30" in out


def test_apply_writes_answers_and_a_second_run_of_a_finished_file_is_refused(
    run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    artifact = trained(run, model, data, tmp_path / "vector", "--objective", "diff_mean")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Would you?\n\nAnd now?\n")
    to = tmp_path / "answers.jsonl"
    arguments = ("apply", "--model", model, "--intervention", artifact, "--m", "2,4", "--prompts", prompts, "--out", to)
    assert run(*arguments, "--max-new-tokens", 4)[0] == 0
    rows = [json.loads(line) for line in to.read_text().splitlines()]
    assert [(row["index"], row["m"]) for row in rows] == [(0, 0), (1, 0), (0, 2), (1, 2), (0, 4), (1, 4)]
    code, _, err = run(*arguments)
    assert code == 2
    assert "exists already" in err
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


def test_every_command_has_help_with_an_example(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    names = list(COMMANDS)
    assert {"train", "sweep", "apply", "inspect", "doctor"} <= set(names)
    for name in names:
        code, out, _ = run(name, "--help")
        assert code == 0
        assert f"easyedit-split {name}" in out, name


def test_doctor_says_what_is_here(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "transformers", "split", "local_weight", "eager"):
        assert word in out


def test_show_prints_settings_with_their_origin_and_does_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "train", "--model", "testbed:qwen2", "--data", "testbed:power", "--out", tmp_path / "x", "--show"
    )
    assert code == 0
    assert "train.lr" in out
    assert not (tmp_path / "x").exists()


def test_make_demo_can_be_repeated() -> None:
    lines = (Path(__file__).parents[2] / "Makefile").read_text().splitlines()
    (line,) = [line for line in lines if "easyedit-split demo" in line]
    name, *options = shlex.split(line)[1:]
    assert "--overwrite" in options
    command = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    assert {word for word in options if word.startswith("--")} <= {o for p in command.params for o in p.opts}


def test_steer_compares_objectives_from_a_file_and_says_how_to_use_it(
    run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    write_rows(data, [{**row, "prompt": f"{row['prompt']} {i}"} for i in range(3) for row in ROWS])
    fast = ("--set", "train.epochs=1", "--neutral", 2, "--texts", 1, "--max-new-tokens", 3, "--m", "r:-0.5:0.5:3")
    line = ("steer", "--model", model, "--data", data, "--form", "vector", "--objective", "all", *fast)
    code, out, err = run(*line, "--out", tmp_path / "out")
    assert code == 0, err
    for objective in ("split", "sft", "reps", "diff_mean"):
        assert f"vector x {objective}" in out
    assert "es.Steering.from_pretrained" in out
    assert "easyedit-split chat --model" in out
    assert (tmp_path / "out" / "report.md").is_file()
    assert "exists already" in run(*line, "--out", tmp_path / "out")[2]


def test_a_model_without_a_recipe_is_scanned_for_its_layer(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    line = ("train", "--model", model, "--data", data, "--set", "train.epochs=1")
    code, _, err = run(*line, "--out", tmp_path / "scanned")
    assert code == 0, err
    assert "layer" in err
    assert "is steered: it gains most preference" in err
    found = Artifact.from_pretrained(tmp_path / "scanned")
    assert found.record["run"]["train"]["unit"] == "r"
    assert found.unit is not None
    code, _, err = run(*line, "--layer", "one", "--out", tmp_path / "x")
    assert code == 2
    assert "or auto" in err


def test_strengths_in_r_are_applied_where_m_1_is_known(
    run: Run, model: Path, data: Path, artifact: Path, tmp_path: Path, sentence: Sentence
) -> None:
    train = ("train", "--model", model, "--data", data, "--layer", 1, "--set", "train.epochs=1")
    assert run(*train, "--out", tmp_path / "v")[0] == 0
    unit = Artifact.from_pretrained(tmp_path / "v").unit
    assert unit is not None
    line = ("apply", "--model", model, "--prompt", "Is it?", "--max-new-tokens", 2, "--m", "r:0.2")
    code, out, err = run(*line, "--intervention", tmp_path / "v")
    assert code == 0, err
    assert f"m = {0.2 / unit.r_per_m:g}" in out
    assert "has no record of r at m = 1" in sentence(*line, "--intervention", artifact)


def test_a_sweep_in_r_with_side_effects_and_texts(
    run: Run, model: Path, data: Path, artifact: Path, tmp_path: Path
) -> None:
    known = ("sweep", "--model", model, "--data", data, "--intervention", artifact)
    code, out, err = run(*known, "--m", "r:0.1:0.4:2", "--collateral", "--texts", 1, "--out", tmp_path / "s.csv")
    assert code == 0, err
    table = read_sweep(tmp_path / "s.csv")
    assert sorted(table["r"].unique()) == pytest.approx([0.0, 0.1, 0.4])
    assert "KL (nats per token)" in out
    assert "unsteered" in out
    assert (tmp_path / "s.collateral.csv").is_file()
    assert (tmp_path / "s.texts.json").is_file()
    again = run(*known, "--m", "1", "--texts", 1, "--out", tmp_path / "other.csv")
    assert again[0] == 0, again[2]
    assert "exists already" in run(*known, "--m", "1", "--texts", 1, "--out", tmp_path / "s.csv")[2]


def test_easyedit_hands_everything_behind_the_script_to_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(bridge, "easyedit", lambda *args, **kwargs: seen.append((*args, kwargs)))
    arguments = ("vectors_generate.py", "a.b=1", "--config-name", "x", "--prefer")
    code, _, err = run("easyedit", "--prefer", "ours", "--easyedit-home", "clone", *arguments)
    assert code == 0, err
    assert seen == [("vectors_generate.py", list(arguments[1:]), {"home": "clone", "prefer": "ours"})]
    code, _, err = run("easyedit", "--prefer", "mine", "vectors_generate.py")
    assert code == 2
    assert "allowed are ours and theirs" in err
    assert len(seen) == 1


def test_activate_and_deactivate_and_doctors_word_on_them(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(startup, "path", lambda: tmp_path / "hook.pth")
    assert "not active" in run("doctor")[1]
    assert "activated" in run("activate")[1]
    assert (tmp_path / "hook.pth").is_file()
    assert "active: " in run("doctor")[1]
    assert "is removed" in run("deactivate")[1]
    assert not (tmp_path / "hook.pth").exists()
    assert "was not activated" in run("deactivate")[1]


def test_in_a_pipe_nothing_is_cut_and_on_a_terminal_the_digest_is_whole(run: Run, artifact: Path) -> None:
    digest = Artifact.from_pretrained(artifact).digest()
    assert digest in run("inspect", artifact)[1]
    narrow = run("inspect", artifact, width=40)[1]
    assert digest not in narrow, "control: it does not fit a line"
    assert digest in "".join(narrow.split()).replace("concept", " concept")


def test_a_log_line_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    text = "a long line, " * 30 + "[/b] :smile:"
    logging.getLogger("easyedit_split.anything").warning(text)
    assert capsys.readouterr().err == f"WARNING  {text}\n"


@pytest.mark.parametrize("stopped_at", ["measure_collateral", "write_texts"])
def test_a_sweep_stopped_at_its_side_files_goes_on(
    stopped_at: str, run: Run, model: Path, data: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, names = tmp_path / "s.csv", ("s.csv", "s.collateral.csv", "s.texts.json")
    line = ("sweep", "--model", model, "--data", data, "--intervention", artifact, "--m", "-1:1:3")
    line = (*line, "--collateral", "--texts", 1, "--out", to)
    assert run(*line)[0] == 0
    whole = [(tmp_path / name).read_bytes() for name in names]
    for name in names:
        (tmp_path / name).unlink()

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sweep, stopped_at, stop)
        code, _, err = run(*line)
    assert code == 130
    assert "run the same command again to resume" in err
    assert not to.exists(), "the table is written last"
    scored: list[object] = []
    real = sweep_pairs.scores_over_m
    monkeypatch.setattr(sweep_pairs, "scores_over_m", lambda *args, **more: scored.append(args) or real(*args, **more))
    assert run(*line)[0] == 0
    assert not scored, "nothing is scored again"
    assert [(tmp_path / name).read_bytes() for name in names] == whole
    assert "exists already" in run(*line)[2], "control"
    to.unlink()
    assert "s.collateral.csv exists already" in run(*line)[2], "control: not of a run that was stopped"
