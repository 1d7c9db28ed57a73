"""A slice of the zoo: one architecture of each kind that needs something of its own. ``make zoo`` runs them all."""

from __future__ import annotations

from typing import Any

import pytest

from . import checks
from .verdicts import judge

SLICE = {
    "gpt2": ("exact", True),  # transposed weights
    "opt, normed after": ("exact", False),  # a decoder inside the decoder; the norm stands behind the MLP
    "phi3": ("exact", True),  # fused maps
    "qwen2_moe": ("exact", None),  # a shared expert that is given [b s, d]
    "granite": ("exact", False),  # a multiplier behind the maps
    "gemma3": ("exact", False),  # reads images besides
    "mamba": ("exact, rest refused", None),  # a weight that is read past its map, a cache without length
    "recurrent_gemma": ("exact, rest refused", None),  # wrong by itself under left padding
}


@pytest.mark.parametrize("name", SLICE)
def test_architecture(name: str) -> None:
    word, same = SLICE[name]
    verdict = judge(name)
    assert verdict.wrong == {}
    assert verdict.right
    assert (verdict.word, verdict.same) == (word, same)


def test_control_a_wrong_m_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checks.attach

    def slightly_stronger(model: Any, intervention: Any, m: Any, **settings: Any) -> Any:
        wrong = (m[0] * (1 + 1e-6), m[1]) if isinstance(m, tuple) else m
        return real(model, intervention, wrong, **settings)

    monkeypatch.setattr(checks, "attach", slightly_stronger)
    verdict = judge("gpt2")
    assert verdict.word == "WRONG"
    assert set(verdict.wrong) == {"map attn.c_attn", "map attn.c_proj", "map mlp.c_fc", "map mlp.c_proj"}
