"""The public datasets, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def real() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the public datasets are not beside this checkout (../shared/data)")
    return SHARED
