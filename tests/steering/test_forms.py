"""Forms: dy is Eq. 5, linear in m, zero at the start and at m = 0."""

from __future__ import annotations

import pytest
import torch

from easyedit_split.steering.forms.base import FORMS, Form, factors
from easyedit_split.steering.forms.local_weight import LocalWeightConfig
from easyedit_split.steering.forms.lora import LoraConfig
from easyedit_split.types import ConfigError

D_IN, D_OUT = 7, 5
X = torch.randn(3, 4, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def made(name: str, *, random: bool = True, **settings: object) -> Form:
    generator = torch.Generator().manual_seed(2)
    form_class = FORMS[name]
    form = form_class(form_class.config_class(**settings), D_IN, D_OUT, generator)
    if random:
        with torch.no_grad():
            for parameter in form.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return form


def expected(form: Form, x: torch.Tensor, m1: torch.Tensor, m2: torch.Tensor) -> torch.Tensor:
    """Eq. 5 from the materialised dW and db, row by row."""
    dW, db = form.weight_delta(), form.bias_delta()
    out = torch.zeros(*x.shape[:-1], D_OUT, dtype=torch.float64)
    for row in range(len(x)):
        if dW is not None:
            out[row] += m1[row] * (x[row] @ dW.double().T)
        if db is not None:
            out[row] += m2[row] * db.double()
    return out


def test_the_three_rows_of_table_1_are_registered() -> None:
    assert FORMS.names() == ("local_weight", "lora", "vector")


@pytest.mark.parametrize("name", FORMS.names())
def test_delta_is_equation_5_for_every_kind_of_m(name: str) -> None:
    form = made(name)
    per_row = torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64)
    other = torch.tensor([1.0, 3.0, -1.0], dtype=torch.float64)
    full = lambda value: torch.full((3,), value, dtype=torch.float64)  # noqa: E731
    for m, m1, m2 in (
        (1.7, full(1.7), full(1.7)),
        ((0.3, -4.0), full(0.3), full(-4.0)),
        (per_row, per_row, per_row),
        ((per_row, other), per_row, other),
    ):
        torch.testing.assert_close(form.delta(X, m), expected(form, X, m1, m2), atol=1e-9, rtol=0)
    wrong = (
        expected(form, X, full(1.7), full(1.8))
        if form.bias_delta() is not None
        else expected(form, X, full(1.8), full(1.8))
    )
    assert not torch.allclose(form.delta(X, 1.7), wrong, atol=1e-3)


@pytest.mark.parametrize("name", FORMS.names())
def test_training_starts_at_the_bare_model_with_a_gradient(name: str) -> None:
    form = made(name, random=False)
    dy = form.delta(X, 3.0)
    assert torch.count_nonzero(dy) == 0
    (dy * torch.randn(dy.shape, generator=torch.Generator().manual_seed(3), dtype=dy.dtype)).sum().backward()
    norms = [parameter.grad.norm().item() for parameter in form.parameters() if parameter.grad is not None]
    assert max(norms) > 0


@pytest.mark.parametrize("name", FORMS.names())
def test_parameters_are_fp32_and_arithmetic_is_the_wider_dtype(name: str) -> None:
    form = made(name)
    assert {p.dtype for p in form.parameters()} == {torch.float32}
    assert form.delta(X.bfloat16(), 1.0).dtype == torch.float32
    assert form.delta(X, 1.0).dtype == torch.float64


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
