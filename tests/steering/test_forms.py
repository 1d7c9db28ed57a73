"""The forms of Table 1, what is special to each; what all forms share is in ``contracts``."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from easyedit_split.steering.forms import base
from easyedit_split.steering.forms.base import FORMS, factors
from easyedit_split.steering.forms.local_weight import LocalWeightConfig
from easyedit_split.steering.forms.lora import LoraConfig
from easyedit_split.types import ConfigError

from ..contracts.forms import X
from ..contracts.forms import standalone as made


def test_a_built_in_form_is_one_file_of_its_name() -> None:
    folder = Path(base.__file__).parent
    built_in = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    assert built_in == {name for name in FORMS if Path(inspect.getfile(FORMS[name])).parent == folder}
    assert len(built_in) >= 3


def test_lora_applies_alpha_only_when_told_to() -> None:
    shown = made("lora", rank=2, alpha=8.0)
    applied = made("lora", rank=2, alpha=8.0, apply_alpha=True)
    torch.testing.assert_close(applied.delta(X, 1.0), 4 * shown.delta(X, 1.0))
    assert LoraConfig(rank=2, alpha=8.0).scale == 1.0


def test_local_weight_without_bias_has_no_db() -> None:
    form = made("local_weight", bias=False)
    assert form.bias_delta() is None
    torch.testing.assert_close(form.delta(X, (2.0, 99.0)), form.delta(X, (2.0, 0.0)))
    assert LocalWeightConfig().bias


@pytest.mark.parametrize(
    ("m", "words"),
    [
        (float("nan"), "must be finite"),
        ((1.0, float("inf")), "must be finite"),
        (torch.tensor([1.0, float("nan")]), "not finite"),
    ],
)
def test_a_bad_m_is_refused(m: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        factors(m)  # type: ignore[arg-type]


def test_a_rank_beyond_the_map_and_alpha_without_value_are_refused() -> None:
    with pytest.raises(ConfigError, match="rank 6 exceeds"):
        made("lora", rank=6)
    with pytest.raises(ConfigError, match="apply_alpha"):
        LoraConfig(apply_alpha=True)
    with pytest.raises(ConfigError, match="rank is 0"):
        LoraConfig(rank=0)
