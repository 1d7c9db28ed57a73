"""What does not go together is refused when a run is read."""

from __future__ import annotations

import pytest

from easyedit_split.training.run_config import RunConfig
from easyedit_split.types import ConfigError


def test_an_impossible_pairing_fails_when_it_is_read() -> None:
    with pytest.raises(ConfigError, match="'diff_mean' cannot train form 'lora'; it can: vector"):
        RunConfig.read({"form": "lora", "objective": "diff_mean", "layers": [1]})
    with pytest.raises(ConfigError, match=r"lambda_q.*lambda_"):
        RunConfig.read({"form": "lora", "objective": "split", "layers": [1], "objective_config": {"lambda_q": 1}})
    assert RunConfig.read({"form": "vector", "objective": "diff_mean", "layers": [1]}).form == "vector"
