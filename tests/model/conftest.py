"""A tiny model as an ordinary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..small import saved_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2 with a chat tokenizer."""
    return saved_model(tmp_path_factory.mktemp("models") / "base")
