"""What every form keeps: Eq. 5, the bare model at the start and at m = 0, hooked = merged, saved = loaded, it learns.

Every check takes the registered name alone and comes in through the public doors.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from easyedit_split.model.hooks import activations
from easyedit_split.model.linear_map import LinearMap
from easyedit_split.model.sites import Placement, Site, short_names
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.score import layout_of, plain_scores_over_m
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.steering.forms.base import FORMS, Form
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import Layout, Positions, position_mask

from ..attached import IDS, fill, logits, made, merged
from ..small import world
from ..tiny import tiny_model

D_IN, D_OUT = 7, 5
X = torch.randn(3, 4, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PROMPTS = ((1, 4, 11, 12, 13, 14), (1, 4, 9, 10))
PREFIX = (1, 4)


def standalone(
    name: str, dtype: torch.dtype = torch.float64, *, random: bool = True, device: str = "cpu", **settings: Any
) -> Form:
    """A form on a linear map of no model, with a bias, ``D_IN`` to ``D_OUT``."""
    form_class = FORMS[name]
    form = form_class(form_class.config_class(**settings), D_IN, D_OUT, torch.Generator().manual_seed(2))
    linear = nn.Linear(D_IN, D_OUT, dtype=dtype).requires_grad_(False)
    fill(linear, 1.0, seed=3)
    if random:
        fill(form, 1.0)
    on = LinearMap("0.map", D_IN, D_OUT, torch.device(device), linear.to(device))
    return form.to(device).on(on)


def expected(form: Form, x: Tensor, m1: Tensor, m2: Tensor) -> Tensor:
    """Eq. 5 from the materialised dW and db, row by row."""
    dW, db = form.weight_delta(), form.bias_delta()
    out = torch.zeros(*x.shape[:-1], form.d_out, dtype=torch.float64)
    for row in range(len(x)):
        if dW is not None:
            out[row] += m1[row] * (x[row] @ dW.double().T)
        if db is not None:
            out[row] += m2[row] * db.double()
    return out


# --- alone ---------------------------------------------------------------------------------------------------------


def check_delta_is_equation_5(name: str) -> None:
    """For one m, a pair, one per row and both; and not for any other m."""
    form = standalone(name)
    rows, other = torch.tensor([0.5, -2.0, 0.0]).double(), torch.tensor([1.0, 3.0, -1.0]).double()
    one, two = (torch.full((3,), value, dtype=torch.float64) for value in (1.7, -4.0))
    cases = [(1.7, one, one), ((1.7, -4.0), one, two), (rows, rows, rows), ((rows, other), rows, other)]
    for m, m1, m2 in cases:
        torch.testing.assert_close(form.delta(X, m), expected(form, X, m1, m2), atol=1e-9, rtol=0)
    assert not torch.allclose(form.delta(X, 1.7), expected(form, X, 1.1 * one, 1.1 * one), atol=1e-3)
    assert torch.count_nonzero(form.delta(X, 0.0)) == 0


def check_training_starts_at_the_bare_model(name: str) -> None:
    """dy is exactly zero, and some parameter has a gradient, so that it does not stay so."""
    form = standalone(name, random=False)
    dy = form.delta(X, 3.0)
    assert torch.count_nonzero(dy) == 0, "the first step does not start at the bare model"
    (dy * torch.randn(dy.shape, generator=torch.Generator().manual_seed(3), dtype=dy.dtype)).sum().backward()
    gradients = [parameter.grad for parameter in form.parameters() if parameter.grad is not None]
    assert any(bool(gradient.norm() > 0) for gradient in gradients), "no parameter would ever move"


def check_dtypes(name: str) -> None:
    """Parameters are fp32, arithmetic is in the wider of theirs and the input's dtype."""
    assert {parameter.dtype for parameter in standalone(name).parameters()} == {torch.float32}
    assert standalone(name, torch.bfloat16).delta(X.bfloat16(), 1.0).dtype == torch.float32
    assert standalone(name).delta(X, 1.0).dtype == torch.float64


def check_each_token_counts_alone(name: str) -> None:
    """dy at a token depends on x at that token only: else padding, batches and a cache would change it."""
    form = standalone(name)
    other = X.clone()
    other[:, 1] += 1.0
    changed = (form.delta(other, 1.5) != form.delta(X, 1.5)).any(-1)
    assert not bool(changed[:, [0, 2, 3]].any())
    torch.testing.assert_close(form.delta(X[1:2, 2:], 1.5), form.delta(X, 1.5)[1:2, 2:], atol=1e-12, rtol=0)


def check_what_it_says_of_itself(name: str) -> None:
    """Registered under its own name; ``constant`` and ``reads_map`` are what it is."""
    form_class = FORMS[name]
    assert form_class.name == name
    dy = standalone(name).delta(X, 1.0)
    assert bool((dy == dy[:1, :1]).all()) == form_class.constant
    if not form_class.reads_map:  # and so it works where no map is at hand
        form = form_class(form_class.config_class(), D_IN, D_OUT)
        form.delta(X, 1.0)
        form.weight_delta()


def check_nothing_is_read_back_from_the_device(name: str) -> None:
    """Tensors of the meta device hold no values: whoever reads one raises, and would wait for a GPU at every call."""
    form = standalone(name, device="meta")
    x, rows = torch.empty(3, 4, D_IN, device="meta"), torch.empty(3, device="meta")
    for m in (1.5, rows, (rows, rows)):
        assert form.delta(x, m).shape == (3, 4, D_OUT)


# --- in a model ----------------------------------------------------------------------------------------------------


def check_hooked_is_merged(name: str, model_type: str) -> None:
    """At every linear map of a family; and merged with another m is not the same."""
    model = tiny_model(model_type)
    for site in short_names(model, 0):
        intervention = made(model, name, (0, 2), site=site, skip_prefix=False)
        with attach(model, intervention, (0.7, -1.3)):
            hooked = logits(model)
        torch.testing.assert_close(hooked, logits(merged(model, intervention, 0.7, -1.3)), atol=1e-9, rtol=0)
        assert not torch.allclose(hooked, logits(merged(model, intervention, 0.8, -1.2)), atol=1e-4), site


def check_zero_m_is_the_bare_model(name: str, model_type: str, dtype: torch.dtype) -> None:
    """Bit for bit: m = 0, rows whose own m is 0, and afterwards, also after an exception."""
    model = tiny_model(model_type, dtype)
    bare, intervention = logits(model), made(model, name, (0, 1))
    for m in (0.0, torch.zeros(2)):
        with attach(model, intervention, m):
            assert torch.equal(logits(model), bare)
    with attach(model, intervention, torch.tensor([0.0, 0.5])):
        mixed = logits(model)
    assert torch.equal(mixed[0], bare[0])
    assert not torch.equal(mixed[1], bare[1])
    try:
        with attach(model, intervention, 1.0):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert torch.equal(logits(model), bare)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def check_only_the_policys_tokens_move(name: str, policy: Positions) -> None:
    """Under left padding, in rows of unequal length."""
    model = tiny_model("llama")
    intervention = made(
        model, name, positions=policy, skip_prefix=False, placement="block_output", site="mlp.down_proj"
    )
    rows = [Row(tuple(range(3, 8)), (20, 21, 22), 1), Row(tuple(range(9, 12)), (30, 31), 1)]
    batch = collate(rows, pad_id=0, side="left")
    inputs = {"ids": batch.input_ids, "attention_mask": batch.attention_mask, "position_ids": batch.position_ids}
    layout, place = layout_of(batch), Site(1, "residual")
    with activations(model, [place]) as bare:
        logits(model, **inputs)
    with attach(model, intervention, 1.5, layout=layout), activations(model, [place]) as steered:
        logits(model, **inputs)
    assert torch.equal((steered[place] != bare[place]).any(-1), position_mask(policy, False, layout))


def check_generation(name: str, model_type: str, policy: Positions) -> None:
    """A cache and left padding steer the same tokens as a full recomputation of each unpadded row."""
    model = tiny_model(model_type)
    intervention = made(model, name, (0, 1), 2.0, positions=policy, skip_prefix=True, prefix_ids=PREFIX, bos_id=1)
    batch = collate([Row(prompt, (), len(PREFIX)) for prompt in PROMPTS], pad_id=0, side="left")
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    with attach(model, intervention, 8.0, check=True) as attached, torch.no_grad():
        cached = model.generate(**inputs, **settings)
    assert attached.report()[0].tokens_changed > 0
    for row, prompt in enumerate(PROMPTS):
        assert tuple(cached[row, len(PROMPTS[0]) :].tolist()) == greedy(model, intervention, prompt, 8.0)
    assert not torch.equal(model.generate(**inputs, **settings), cached)


def greedy(model: Any, intervention: Intervention, prompt: tuple[int, ...], m: float) -> tuple[int, ...]:
    """Greedy text with everything recomputed at every step and the layout spelled out."""
    ids = list(prompt)
    for _ in range(6):
        layout = Layout(torch.arange(len(ids))[None], torch.tensor([len(prompt)]), torch.tensor([len(PREFIX)]))
        with attach(model, intervention, m, layout=layout):
            ids.append(int(logits(model, torch.tensor([ids]), use_cache=False)[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def check_every_scorer_agrees(name: str, model_type: str, placement: Placement) -> None:
    """The engine, which enters behind the steered block, and the plain scorer, at several m at once."""
    here = world(model_type)
    intervention = made(here.model, name, placement=placement, site="mlp.down_proj")
    points = [0.0, 0.7, (1.0, -0.5)]
    fast, slow = (
        [np.concatenate([scores.L_p, scores.L_n]) for scores in scorer(here.model, here.rows, intervention, points)]
        for scorer in (scores_over_m, plain_scores_over_m)
    )
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=0)
    assert np.abs(slow[1] - slow[0]).min() > 1e-6


def check_saved_is_loaded(name: str, folder: Path) -> None:
    """What is loaded steers as what was saved, bit for bit, and every parameter is a tensor of the file."""
    model = tiny_model("qwen2", torch.float32)
    intervention = made(model, name, (0, 2))
    with attach(model, intervention, 1.3):
        steered = logits(model)  # before saving: a form may leave nothing of a model behind
    saved = Artifact({"default": intervention})
    loaded = Artifact.from_pretrained(saved.save_pretrained(folder))
    assert loaded.digest() == saved.digest()
    with attach(model, loaded.only(), 1.3):
        assert torch.equal(logits(model), steered)
    with attach(model, copy.deepcopy(loaded.only()), 1.3):
        assert torch.equal(logits(model), steered)


def check_gradients_reach_the_intervention_only(name: str) -> None:
    """Every parameter has one, the model none."""
    model = tiny_model("gemma2").requires_grad_(False)
    intervention = made(model, name, (0, 1))
    with attach(model, intervention, 1.0):
        model(input_ids=IDS).logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in intervention.parameters())
    assert all(p.grad is None for p in model.parameters())
