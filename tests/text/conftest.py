"""Tokenizers of every habit."""

from __future__ import annotations

from typing import Any

import pytest

from ..toy_tokenizers import ALL


@pytest.fixture(params=sorted(ALL))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return ALL[request.param]()
