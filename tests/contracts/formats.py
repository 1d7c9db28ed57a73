"""What every file format keeps: what it writes and reads back steers as before, and what it cannot say it refuses.

A format is tried with a vector, a LoRA and a local weight update on a tiny model; it must take at least one of them.
"""

from __future__ import annotations

import dataclasses
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from easyedit_split.interop.base import FORMATS, ExportOptions, ImportOptions
from easyedit_split.interop.exporting import export_artifact
from easyedit_split.interop.importing import import_artifact
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.types import ArtifactError, ConfigError, SteeringError

from ..attached import logits
from ..small import World, made, world

M = (1.5, -0.5)
FORMS: dict[str, dict[str, Any]] = {"vector": {}, "lora": {}, "local_weight": {"rank": 32}}
"""Forms, and what an export of theirs may need."""


@cache
def _here() -> World:
    return world("llama")


def _artifact(form: str, **settings: Any) -> Artifact:
    return Artifact({"default": made(_here(), form, **{"skip_prefix": False, **settings})})


def _steered(artifact: Artifact, m: Any) -> Tensor:
    with attach(_here().model, artifact.only(), m):
        return logits(_here().model)


def _write(name: str, artifact: Artifact, place: Path, **settings: Any) -> Any:
    needed = {key: value for key, value in settings.items() if key in FORMATS[name].export_reads or key == "positions"}
    here = _here()
    return export_artifact(artifact, name, place, m=M, model=here.model, tokenizer=here.tokenizer, **needed)


def _read(name: str, place: Path) -> Artifact:
    settings: dict[str, Any] = {"layer": 1} if "layer" in FORMATS[name].import_reads else {}
    return import_artifact(place, name, model=_here().model, tokenizer=_here().tokenizer, **settings)


def _is_one_sentence(error: Exception, names: str = "") -> None:
    assert "\n" not in str(error), error
    assert names in str(error), error


def check_what_it_says_of_itself(name: str) -> None:
    """Its own name; it writes or reads; the settings that it reads exist."""
    found = FORMATS[name]
    assert found.name == name
    assert found.writes in ("file", "folder", None)
    assert found.writes or found.reads
    for reads, options in ((found.export_reads, ExportOptions), (found.import_reads, ImportOptions)):
        assert set(reads) <= {field.name for field in dataclasses.fields(options)}


def check_a_round_trip_keeps_what_is_steered(name: str) -> None:
    """Written at m and read again, m = 1 gives the logits of m; forms that it cannot say leave nothing behind."""
    found = FORMATS[name]
    if found.writes is None:
        return
    taken = 0
    for form, settings in FORMS.items():
        artifact = _artifact(form)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "written"
            try:
                done = _write(name, artifact, place, **settings)
            except ConfigError as error:
                _is_one_sentence(error)
                assert not list(Path(folder).iterdir())
                continue
            taken += 1
            assert [path.name for path in Path(folder).iterdir()] == ["written"]
            assert all("\n" not in note for note in done.notes)
            assert place.is_file() is (found.writes == "file")
            if found.reads:
                wanted, again = _steered(artifact, M), _read(name, place)
                assert float((_steered(again, 1.0) - wanted).abs().max()) < 1e-5
                assert float((_steered(again, 0.0) - wanted).abs().max()) > 1e-3
    assert taken, "it takes none of the package's own forms"


def check_spared_tokens_are_not_steered_silently(name: str) -> None:
    """An intervention that spares tokens is refused where the file's readers would steer them."""
    found = FORMATS[name]
    if found.writes is None or not found.every_token:
        return
    for form, settings in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                _write(name, _artifact(form, positions="answer"), Path(folder) / "written", **settings)
            except ConfigError:
                continue
            raise AssertionError(f"a {form} that spares tokens was written")


def check_what_is_there_is_not_replaced(name: str) -> None:
    """An existing file or folder stays as it is."""
    if FORMATS[name].writes is None:
        return
    for form, settings in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "mine"
            place.write_text("mine", "utf-8")
            try:
                _write(name, _artifact(form), place, **settings)
            except SteeringError:
                assert place.read_text("utf-8") == "mine"
                continue
            raise AssertionError("an existing file was replaced")


def check_other_files_are_refused(name: str) -> None:
    """A missing file, an empty one, a text and a folder of nothing are one sentence each."""
    if not FORMATS[name].reads:
        return
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / "missing", Path(folder) / "empty", Path(folder) / "text", Path(folder) / "folder"]
        places[1].write_bytes(b"")
        places[2].write_text("no file of any tool", "utf-8")
        places[3].mkdir()
        for place in places:
            try:
                _read(name, place)
            except (ArtifactError, ConfigError) as error:
                _is_one_sentence(error, folder)
                continue
            raise AssertionError(f"{place.name} was read")


def check_the_model_is_left_alone(name: str) -> None:
    """Writing changes no parameter of the model."""
    if FORMATS[name].writes is None:
        return
    before = {key: tensor.clone() for key, tensor in _here().model.state_dict().items()}
    check_a_round_trip_keeps_what_is_steered(name)
    assert all(torch.equal(tensor, before[key]) for key, tensor in _here().model.state_dict().items())


CHECKS = (
    check_what_it_says_of_itself,
    check_spared_tokens_are_not_steered_silently,
    check_what_is_there_is_not_replaced,
    check_other_files_are_refused,
    check_the_model_is_left_alone,
)
