"""Every registered family keeps the contract, and every check of it catches one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from easyedit_split.model.sites import FAMILIES, Family

from . import families
from .temporary import caught, registered

CHECKS = (
    families.check_no_other_family_covers_it,
    families.check_blocks,
    families.check_the_decoder_is_given_the_tokens,
    families.check_linear_maps,
    families.check_norms_behind_the_maps,
)
EVERY_TYPE = pytest.mark.parametrize("model_type", families.model_types())


@EVERY_TYPE
@pytest.mark.parametrize("check", CHECKS)
def test_model_type(model_type: str, check: Callable[[str], None]) -> None:
    check(model_type)


@EVERY_TYPE
def test_it_loads(model_type: str, tmp_path: Path) -> None:
    families.check_it_loads(model_type, tmp_path / "model")


# --- what the checks are good for ----------------------------------------------------------------------------------

MLP = {name: name for name in ("mlp.down_proj", "mlp.up_proj", "mlp.gate_proj")}
CAUGHT = [
    ("llama", Family(("llama",)), families.check_no_other_family_covers_it),
    ("llama", Family(("llama",), blocks="model"), families.check_blocks),
    ("llama", Family(("llama",), blocks="model.blocks"), families.check_blocks),
    ("llama", Family(("llama",), decoder="model.layers.0"), families.check_the_decoder_is_given_the_tokens),
    ("llama", Family(("llama",), decoder="decoder"), families.check_the_decoder_is_given_the_tokens),
    ("llama", Family(("llama",), linears={"mlp.down_proj": "mlp.up_proj"}), families.check_linear_maps),
    ("llama", Family(("llama",), linears={"mlp.down_proj": "self_attn.o_proj"}), families.check_linear_maps),
    ("llama", Family(("llama",), linears={"mlp.down_proj": "mlp.c_proj"}), families.check_linear_maps),
    ("llama", Family(("llama",), linears={"attn.o_proj": "self_attn.o_proj"}), families.check_linear_maps),
    ("llama", Family(("llama",), linears={**MLP, "mlp.gate_proj": "mlp.up_proj"}), families.check_linear_maps),
    ("llama", Family(("llama",), linears={**MLP, "mlp.fc": "mlp.up_proj"}), families.check_linear_maps),
]


@pytest.mark.parametrize(("model_type", "wrong", "check"), CAUGHT)
def test_control(model_type: str, wrong: Family, check: Callable[[str], None]) -> None:
    with registered(FAMILIES, "wrong", wrong), caught():  # of two families for a type, the last by name counts
        check(model_type)


def test_control_an_attention_backend_that_is_not_used_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registered(FAMILIES, "wrong", Family(("llama",), attention="eager")):
        families.check_it_loads("llama", tmp_path / "eager")
    sdpa = Family(("llama",), attention="sdpa")
    monkeypatch.setattr("easyedit_split.model.load._defined_attention", lambda config: "eager")
    with registered(FAMILIES, "wrong", sdpa), caught():
        families.check_it_loads("llama", tmp_path / "other")
