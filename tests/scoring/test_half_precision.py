"""The engine's acceptance test in half precision: rounding is measured, and a wrong engine is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from easyedit_split.model import hooks
from easyedit_split.model.hooks import first_output, frozen
from easyedit_split.scoring.engine import check, launch
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.kept_keys import KeptKeys
from easyedit_split.scoring.engine.scorer import PairScorer
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows

from ..steering.test_attach import made
from ..tiny import tiny_model
from .test_scoring import pairs


def repeating(monkeypatch: pytest.MonkeyPatch, more: float = 0.0) -> None:
    """Make the plain scorer give a text the same loss in any batch, as the kernels of some CPUs do."""
    real = check._plain
    monkeypatch.setattr(
        check,
        "_plain",
        lambda engine, rows, *args: torch.cat([real(engine, [row], *args) for row in rows]) + more,
    )


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight", None])
def test_in_half_precision_rounding_is_measured_where_the_plain_scorer_repeats(
    form: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeating(monkeypatch)
    for dtype, noisy in ((torch.bfloat16, True), (torch.float32, False)):
        model, data = tiny_model("qwen2", dtype), pairs(6)
        intervention = made(model, form, (1,)) if form else None
        with frozen(model):
            engine = Engine(model)
            prepared = engine.prepare(read_texts(answer_rows(data)), intervention.config if intervention else None)
            found = check.compare(engine, prepared, intervention, check._chosen(prepared))
        assert found.agrees
        assert (found.spread > 0) is noisy


def test_control_in_half_precision_a_difference_above_rounding_is_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeating(monkeypatch, more=1.0)
    model, data = tiny_model("qwen2", torch.bfloat16), pairs(6)
    assert PairScorer.ready(model, data, made(model, "vector", (1,))) is None
    assert "the losses differ from the reference scorer's by" in caplog.text


@pytest.mark.parametrize("fault", ["masks", "keys", "entry"])
def test_control_in_half_precision_a_wrong_engine_is_refused(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny_model("qwen2", torch.bfloat16), pairs(6)
    with torch.no_grad():
        for parameter in model.parameters():  # of a random model texts hardly depend on what comes before
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    intervention = made(model, "vector", (1,), positions="answer" if fault == "keys" else "all")
    if fault == "masks":
        seen = launch._seen
        monkeypatch.setattr(launch, "_seen", lambda *args: (np.tril(np.ones_like(seen(*args)[0])), seen(*args)[1]))
    elif fault == "keys":
        real = KeptKeys.before
        monkeypatch.setattr(KeptKeys, "before", lambda self, constant, n: real(self, 0 * constant, n))
    else:
        entering = Engine.entering
        monkeypatch.setattr(Engine, "entering", lambda *args: 0.5 * entering(*args))
    with frozen(model):
        engine = Engine(model)
        prepared = engine.prepare(read_texts(answer_rows(data)), intervention.config)
        found = check.compare(engine, prepared, intervention, check._chosen(prepared))
    assert not found.agrees


@pytest.mark.parametrize("output", [[torch.zeros(1)], (None,), (), None])
def test_a_block_that_returns_no_hidden_state_leaves_the_texts_to_the_plain_scorer(
    output: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pairs(6)
    assert PairScorer.ready(tiny_model("qwen2", torch.bfloat16), data, None) is not None, "control"
    monkeypatch.setattr(hooks, "_rounded", lambda *_: first_output(output))
    assert PairScorer.ready(tiny_model("qwen2", torch.bfloat16), data, None) is None
    assert "where a hidden state was looked for" in caplog.text
