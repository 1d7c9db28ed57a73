"""Every registered file format keeps the contract, and every check of it catches one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from easyedit_split.interop.base import FORMATS, Format, Incoming, Outgoing
from easyedit_split.interop.vectors import read_tensors_alone, vector_artifact, vectors_of
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ConfigError

from . import formats
from .temporary import caught, registered


@pytest.mark.parametrize("name", FORMATS.names())
@pytest.mark.parametrize("check", formats.CHECKS)
def test_format(name: str, check: Callable[[str], None]) -> None:
    check(name)


# --- what the checks are good for ----------------------------------------------------------------------------------


class Wrong(Format):
    """A mapping of blocks to vectors; right in everything but what a subclass spoils."""

    name: ClassVar[str] = "wrong"
    writes: ClassVar[Any] = "file"
    reads: ClassVar[bool] = True

    def write(self, outgoing: Outgoing, place: Path) -> None:
        torch.save(vectors_of(outgoing), place)

    def read(self, incoming: Incoming) -> Artifact:
        return vector_artifact(incoming, {"default": self.held(incoming)}, self.name)

    def held(self, incoming: Incoming) -> dict[int, torch.Tensor]:
        found = read_tensors_alone(incoming.path)
        if not isinstance(found, dict):
            raise ConfigError(f"{incoming.path}: not a mapping")
        return found


class OffByOne(Wrong):
    def held(self, incoming: Incoming) -> dict[int, torch.Tensor]:
        return {block - 1: v for block, v in super().held(incoming).items()}


class DropsM(Wrong):
    def held(self, incoming: Incoming) -> dict[int, torch.Tensor]:
        return {block: v / formats.M[1] for block, v in super().held(incoming).items()}


class LeavesHalf(Wrong):
    def write(self, outgoing: Outgoing, place: Path) -> None:
        (place.parent / "half").write_text("half", "utf-8")
        super().write(outgoing, place)


class TakesNothing(Wrong):
    def write(self, outgoing: Outgoing, place: Path) -> None:
        raise ConfigError("nothing can be said")


class ReadsAnything(Wrong):
    def held(self, incoming: Incoming) -> dict[int, torch.Tensor]:
        return {1: torch.ones(32)}


class Trips(Wrong):
    def held(self, incoming: Incoming) -> dict[int, torch.Tensor]:
        return {1: torch.frombuffer(incoming.path.read_bytes(), dtype=torch.float32)}


class UnknownSetting(Wrong):
    export_reads: ClassVar[tuple[str, ...]] = ("colour",)


class ChangesTheModel(Wrong):
    def write(self, outgoing: Outgoing, place: Path) -> None:
        super().write(outgoing, place)
        with torch.no_grad():
            next(outgoing.model.parameters()).add_(1e-3)


CAUGHT = [
    (UnknownSetting, formats.check_what_it_says_of_itself),
    (OffByOne, formats.check_a_round_trip_keeps_what_is_steered),
    (DropsM, formats.check_a_round_trip_keeps_what_is_steered),
    (LeavesHalf, formats.check_a_round_trip_keeps_what_is_steered),
    (TakesNothing, formats.check_a_round_trip_keeps_what_is_steered),
    (ReadsAnything, formats.check_other_files_are_refused),
    (Trips, formats.check_other_files_are_refused),
]


@pytest.mark.parametrize(("wrong", "check"), CAUGHT)
def test_control(wrong: type[Format], check: Callable[[str], None]) -> None:
    with registered(FORMATS, "wrong", wrong) as name, caught():
        check(name)


def test_control_another_name() -> None:
    with registered(FORMATS, "another", Wrong) as name, caught():
        formats.check_what_it_says_of_itself(name)


def test_control_a_changed_model_is_seen() -> None:
    formats._here.cache_clear()
    with registered(FORMATS, "wrong", ChangesTheModel) as name, caught():
        formats.check_the_model_is_left_alone(name)
    formats._here.cache_clear()


def test_control_spared_tokens_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that says its readers steer every token, on an export that would not ask."""
    monkeypatch.setattr("easyedit_split.interop.exporting.every_token", lambda outgoing: outgoing)
    with registered(FORMATS, "wrong", Wrong) as name, pytest.raises(AssertionError, match="spares tokens"):
        formats.check_spared_tokens_are_not_steered_silently(name)


def test_control_a_replaced_file_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyedit_split.interop.exporting._check_place", lambda *args: None)
    with registered(FORMATS, "wrong", Wrong) as name, pytest.raises(AssertionError, match="replaced"):
        formats.check_what_is_there_is_not_replaced(name)


@pytest.mark.parametrize("check", formats.CHECKS)
def test_control_what_the_wrong_ones_are_made_from_is_right(check: Callable[[str], None]) -> None:
    with registered(FORMATS, "wrong", Wrong) as name:
        check(name)
