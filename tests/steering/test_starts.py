"""How forms start: ours at the bare model; as EasyEdit2 draws them where a setting says so."""

from __future__ import annotations

import math

import torch

from easyedit_split.steering.forms.lora import Lora, LoraConfig
from easyedit_split.steering.forms.vector import Vector, VectorConfig

D_IN, D_OUT, RANK = 4096, 64, 4


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_loras_start_is_bounded_by_input_or_rank() -> None:
    bounds = {}
    for start in ("input", "rank"):
        form = Lora(LoraConfig(RANK, start=start), D_IN, D_OUT, generator())
        bounds[start] = float(form.lora_A.detach().abs().max())
        assert not form.weight_delta().any()  # the bare model
    assert 0.98 / math.sqrt(D_IN) < bounds["input"] <= 1 / math.sqrt(D_IN)
    assert 0.98 / math.sqrt(RANK) < bounds["rank"] <= 1 / math.sqrt(RANK)


def test_a_vector_starts_at_zero_or_at_random() -> None:
    assert not Vector(VectorConfig(), D_IN, D_OUT, generator()).v.any()
    v = Vector(VectorConfig(start="random"), D_IN, D_OUT, generator()).v
    assert 0.8 / math.sqrt(D_OUT) < float(v.detach().abs().max()) <= 1 / math.sqrt(D_OUT)


def test_the_learnt_shift_of_m_acts_in_training_alone() -> None:
    form = Vector(VectorConfig(start="random", m_shift=True), 8, 8, generator())
    x, m = torch.zeros(2, 3, 8), torch.tensor([1.0, 2.0])
    assert torch.equal(form.training_delta(x, m), form.delta(x, m))  # it starts at 0
    with torch.no_grad():
        form.c.fill_(0.5)
    assert torch.allclose(form.training_delta(x, m), form.delta(x, m + 0.5))
    assert torch.allclose(form.delta(x, m)[0], form.v.expand(3, 8))
    form.training_delta(x, m).sum().backward()
    assert form.c.grad is not None
    assert float(form.c.grad) != 0
