"""A hub that does not answer: a cached model starts at once, any other ends in a sentence within seconds."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from easyedit_split.model import hub
from easyedit_split.model.hub import cache_only
from easyedit_split.model.load import load_model
from easyedit_split.steering.hub_files import folder_of
from easyedit_split.types import ArtifactError, ConfigError

NAME = "someone/steered"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that takes the connection and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "PATIENCE_S", 0.3)
        yield


def cached(monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args, **kwargs: file)


def test_what_is_not_cached_is_a_sentence_in_seconds(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch, None)
    began = time.monotonic()
    with pytest.raises(ConfigError, match="does not answer, nor is it in the local cache"):
        load_model(NAME)
    with pytest.raises(ArtifactError, match="does not answer, nor is it in the local cache"):
        folder_of(NAME)
    assert time.monotonic() - began < 5


def test_what_is_cached_is_read_without_the_hub(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch, "config.json")
    assert cache_only(NAME)
    asked = {}
    monkeypatch.setattr(
        "transformers.AutoConfig.from_pretrained", lambda *args, **settings: asked.update(settings) or 1 / 0
    )
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_model(NAME)
    assert asked["local_files_only"] is True
    assert asked["trust_remote_code"] is False


def test_a_hub_that_answers_is_asked_as_always(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch, None)
    monkeypatch.setattr(hub, "_answers", lambda address: True)
    assert not cache_only(NAME)


def test_folders_and_what_is_no_name_are_not_looked_up(
    silent: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answers(address: str) -> bool:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_answers", answers)
    assert not cache_only(str(tmp_path))
    assert not cache_only(str(tmp_path / "nowhere"))
    with pytest.raises(AssertionError):
        cache_only(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not cache_only(NAME)
