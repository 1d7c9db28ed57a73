"""A compiled model is steered as the model itself is, whenever it was compiled, and bare again afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.steering import site_hooks
from easyedit_split.steering.attach import attach
from easyedit_split.steering.compiled import uncompiled

from ..attached import made
from ..tiny import tiny_model

IDS = torch.tensor([[1, 4, 11, 12, 13]])


def compiled(model: Any, how: str) -> Any:
    if how == "wrapped":
        return torch.compile(model, backend="eager")
    if how == "in place":
        model.compile(backend="eager")
    else:
        model.forward = torch.compile(model.forward, backend="eager")
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["wrapped", "in place", "forward"])
def test_a_compiled_model_is_steered(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    plain = tiny_model("llama", torch.float32)
    intervention = made(plain, "lora", skip_prefix=False)
    bare = logits(plain)
    with attach(plain, intervention, 3.0):
        steered = logits(plain)
    model = compiled(tiny_model("llama", torch.float32), how)
    torch.testing.assert_close(logits(model), bare)  # the first call compiles
    for _ in range(2):
        with attach(model, intervention, 3.0, check=True):
            torch.testing.assert_close(logits(model), steered)
        torch.testing.assert_close(logits(model), bare)
    if how == "forward":  # control: without it the compiled call knows no hook inside it
        with monkeypatch.context() as patch:
            patch.setattr(site_hooks, "uncompiled", lambda: torch.no_grad())
            with attach(model, intervention, 3.0):
                torch.testing.assert_close(logits(model), bare)
        return
    late = tiny_model("llama", torch.float32)
    with attach(late, intervention, 3.0):
        late = compiled(late, how)
        torch.testing.assert_close(logits(late), steered)
    torch.testing.assert_close(logits(late), bare)  # nothing was compiled with the hooks in it


def test_steerings_that_end_in_another_order_leave_the_setting_as_it_was() -> None:
    def stance() -> str:
        return str(torch._dynamo.eval_frame._stance.stance)

    before = stance()
    first, second = uncompiled(), uncompiled()
    first.__enter__()
    second.__enter__()
    assert stance() == "force_eager"
    first.__exit__(None, None, None)
    assert stance() == "force_eager"
    second.__exit__(None, None, None)
    assert stance() == before != "force_eager"
