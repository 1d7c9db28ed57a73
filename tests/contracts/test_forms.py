"""Every registered form keeps the contract, and every check of it catches a form that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from easyedit_split.model.sites import FAMILIES, PLACEMENTS, Placement
from easyedit_split.steering.forms.base import FORMS, Form
from easyedit_split.steering.forms.lora import Lora, LoraConfig
from easyedit_split.text.positions import POLICIES, Positions
from easyedit_split.training.train_pairs import train_artifact

from ..small import PAIRS, run_config, world
from . import forms
from .temporary import caught, registered

MODEL_TYPES = tuple(FAMILIES[name].model_types[0] for name in FAMILIES)
EVERY_FORM = pytest.mark.parametrize("name", FORMS.names())
ALONE = (
    forms.check_delta_is_equation_5,
    forms.check_training_starts_at_the_bare_model,
    forms.check_dtypes,
    forms.check_each_token_counts_alone,
    forms.check_what_it_says_of_itself,
    forms.check_nothing_is_read_back_from_the_device,
    forms.check_gradients_reach_the_intervention_only,
)


@EVERY_FORM
@pytest.mark.parametrize("check", ALONE)
def test_alone(name: str, check: Callable[[str], None]) -> None:
    check(name)


@EVERY_FORM
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_hooked_is_merged(name: str, model_type: str) -> None:
    forms.check_hooked_is_merged(name, model_type)


@EVERY_FORM
@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_m_is_the_bare_model(name: str, model_type: str, dtype: torch.dtype) -> None:
    forms.check_zero_m_is_the_bare_model(name, model_type, dtype)


@EVERY_FORM
@pytest.mark.parametrize("policy", POLICIES)
def test_only_the_policys_tokens_move(name: str, policy: Positions) -> None:
    forms.check_only_the_policys_tokens_move(name, policy)


@EVERY_FORM
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_generation(name: str, model_type: str) -> None:
    forms.check_generation(name, model_type, "all")


@EVERY_FORM
@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "all"])
def test_generation_under_the_other_policies(name: str, policy: Positions) -> None:
    forms.check_generation(name, "llama", policy)


@EVERY_FORM
@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_scorer_agrees(name: str, model_type: str, placement: Placement) -> None:
    forms.check_every_scorer_agrees(name, model_type, placement)


@EVERY_FORM
def test_saved_is_loaded(name: str, tmp_path: Path) -> None:
    forms.check_saved_is_loaded(name, tmp_path / "out")


# --- what the checks are good for ----------------------------------------------------------------------------------


class Wrong(Lora):
    """LoRA, right in everything but what a subclass spoils."""

    name = "wrong"


class SquareOfM(Wrong):
    def delta(self, x: Any, m: Any) -> Any:
        return super().delta(x, m * m if not isinstance(m, tuple) else (m[0] * m[0], m[1]))


class StartsSomewhere(Wrong):
    def __init__(self, config: LoraConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        nn.init.ones_(self.lora_B)


class NeverMoves(Wrong):
    def weight_product(self, x: Any) -> Any:
        return super().weight_product(x).detach()


class HalfPrecision(Wrong):
    def __init__(self, config: LoraConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        self.bfloat16()


class LooksAround(Wrong):
    def weight_product(self, x: Any) -> Any:
        return super().weight_product(x + x.mean(1, keepdim=True))


class MergesAnother(Wrong):
    def weight_delta(self) -> Any:
        return 2 * super().weight_delta()


class AddsNothingAtZero(Wrong):
    """Adds a constant, whatever m is, so that a row with m = 0 moves."""

    def delta(self, x: Any, m: Any) -> Any:
        return super().delta(x, m) + 1e-3


class ForgetsAPart(Wrong):
    """Holds a number that no file holds."""

    def __init__(self, config: LoraConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        self.part = 1.0

    def weight_product(self, x: Any) -> Any:
        self.part *= 1.01
        return self.part * super().weight_product(x)


class ReadsAMapUnasked(Wrong):
    def weight_product(self, x: Any) -> Any:
        return super().weight_product(x) + 0 * self.linear.product(x)


class ClaimsToBeConstant(Wrong):
    constant = True


class WaitsForTheDevice(Wrong):
    def weight_product(self, x: Any) -> Any:
        return super().weight_product(x) if bool(torch.isfinite(x).all()) else x


class TrainsTheModel(Wrong):
    """Writes a gradient into the map that it reads."""

    reads_map = True

    def weight_product(self, x: Any) -> Any:
        assert self.linear.module is not None
        weight: Any = self.linear.module.weight
        weight.requires_grad_(True)
        return super().weight_product(x) + 0.1 * (x.to(weight.dtype) @ weight.T)


class RemembersItsModel(Wrong):
    """Keeps what it read of a model at first, in a buffer that is saved nowhere, and so cannot be loaded."""

    reads_map = True
    kept: Tensor | None = None

    def weight_product(self, x: Any) -> Any:
        kept = self.__dict__.setdefault("kept", torch.rand((), dtype=x.dtype))
        return kept * super().weight_product(x)


CAUGHT_ALONE = [
    (SquareOfM, forms.check_delta_is_equation_5),
    (MergesAnother, forms.check_delta_is_equation_5),
    (StartsSomewhere, forms.check_training_starts_at_the_bare_model),
    (NeverMoves, forms.check_training_starts_at_the_bare_model),
    (HalfPrecision, forms.check_dtypes),
    (LooksAround, forms.check_each_token_counts_alone),
    (ClaimsToBeConstant, forms.check_what_it_says_of_itself),
    (ReadsAMapUnasked, forms.check_what_it_says_of_itself),
    (Lora, forms.check_what_it_says_of_itself),  # under a name that is not its own
    (WaitsForTheDevice, forms.check_nothing_is_read_back_from_the_device),
    (TrainsTheModel, forms.check_gradients_reach_the_intervention_only),
    (NeverMoves, forms.check_gradients_reach_the_intervention_only),
]


@pytest.mark.parametrize(("wrong", "check"), CAUGHT_ALONE)
def test_control_alone(wrong: type[Form], check: Callable[[str], None]) -> None:
    with registered(FORMS, "wrong", wrong) as name, caught():
        check(name)


@pytest.mark.parametrize("check", ALONE)
def test_control_what_the_wrong_ones_are_made_from_is_right(check: Callable[[str], None]) -> None:
    with registered(FORMS, "wrong", Wrong) as name:
        check(name)


@pytest.mark.parametrize("wrong", [MergesAnother, SquareOfM])
def test_control_hooked_is_merged(wrong: type[Form]) -> None:
    with registered(FORMS, "wrong", wrong) as name, caught():
        forms.check_hooked_is_merged(name, "llama")


def test_control_positions_and_generation() -> None:
    with registered(FORMS, "wrong", LooksAround) as name, caught():
        forms.check_generation(name, "llama", "all")


def test_control_every_scorer_agrees() -> None:
    with registered(FORMS, "wrong", ForgetsAPart) as name, caught():
        forms.check_every_scorer_agrees(name, "llama", "site")


@pytest.mark.parametrize("wrong", [ForgetsAPart, RemembersItsModel])
def test_control_saved_is_loaded(wrong: type[Form], tmp_path: Path) -> None:
    with registered(FORMS, "wrong", wrong) as name, caught():
        forms.check_saved_is_loaded(name, tmp_path / "out")


@EVERY_FORM
def test_training_from_texts_ends_in_an_artifact_that_knows_its_unit(name: str) -> None:
    """Also for a form that reads its map: what m = 1 is worth is measured where the map is."""
    here = world()
    artifact = train_artifact(here.model, here.tokenizer, PAIRS, run_config(name, epochs=2, lr=0.3))
    assert artifact.unit is not None
    assert artifact.unit.r_per_m > 0
