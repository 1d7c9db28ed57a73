"""Every command that loads a model takes the same options, and they arrive at the loader as they were given."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.cli.lazy import COMMANDS, load_command
from easyedit_split.cli.loading import OPTIONS, loads_model
from easyedit_split.model.load import load_model
from easyedit_split.model.load_options import LoadOptions

from .shared import Run, apply_line

FIELDS = [field.name for field in dataclasses.fields(LoadOptions)]
LOADS = ("apply", "chat", "train", "sweep", "steer", "judge", "inspect", "activations", "doctor", "export", "import")


def test_the_options_are_those_of_the_loader() -> None:
    parameters = inspect.signature(load_model).parameters
    assert [*OPTIONS] == FIELDS == [name for name in parameters if name not in ("name", "sites")]
    for field in dataclasses.fields(LoadOptions):
        assert parameters[field.name].default == field.default


@pytest.mark.parametrize("name", LOADS)
def test_every_command_that_loads_a_model_has_them_all(name: str) -> None:
    assert name in COMMANDS
    assert set(FIELDS) <= {parameter.name for parameter in load_command(name).params}


def test_they_stand_in_the_place_of_one_parameter() -> None:
    seen: list[Any] = []

    def command(a: int, loading: LoadOptions = LoadOptions(), b: str = "b") -> None:  # noqa: B008
        seen.append((a, loading, b))

    changed = loads_model(command)
    assert [*inspect.signature(changed).parameters] == ["a", *FIELDS, "b"]
    given = {**dict(zip(FIELDS, "123456", strict=False)), "trust_remote_code": True}
    changed(a=1, b="c", **given)
    assert seen == [(1, LoadOptions(*"123456", True), "c")]


def test_they_arrive(run: Run, model: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    real = load_model

    def spy(name: str, **settings: Any) -> Any:
        given.append(settings)
        return real(name, dtype=settings["dtype"], device="cpu", attention=settings["attention"])

    monkeypatch.setattr("easyedit_split.model.load.load_model", spy)
    line = apply_line(model, artifact, "--prompt", "Would you?")
    options = {"dtype": "float64", "device": "auto", "attention": "eager", "offload_folder": "kept"}
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
    assert run(*line, *words, "--trust-remote-code")[0] == 0
    assert given == [{**dataclasses.asdict(LoadOptions(**options, trust_remote_code=True)), "sites": ()}]
