"""Did it apply? The report counts what was touched, and nothing touched is an error or a warning."""

from __future__ import annotations

import pytest
import torch

from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import Site
from easyedit_split.steering.attach import attach
from easyedit_split.types import ConfigError

from ..attached import IDS, logits, made
from ..tiny import tiny_model


def test_the_report_says_what_was_touched_and_how_much() -> None:
    model = tiny_model("gemma2")
    intervention = made(model, "vector", (0, 2), skip_prefix=True, bos_id=int(IDS[0, 0]))
    site = Site(0, "residual")
    with activations(model, [site]) as bare:
        logits(model)
    with attach(model, intervention, 2.0, check=True) as attached:
        logits(model)
    first, second = attached.report()
    assert (first.site, first.module, second.site) == ("0.residual", "model.layers.0", "2.residual")
    assert (first.calls, first.tokens_seen, first.tokens_touched) == (1, 22, 21)
    v = intervention[site].bias_delta()
    assert v is not None
    h = bare[site].reshape(-1, bare[site].shape[-1])[1:]
    assert first.relative_norm == pytest.approx(float((2 * v.detach().double().norm() / h.norm(dim=-1)).mean()))


@pytest.mark.parametrize("check", [False, True])
def test_an_attachment_that_steers_no_token_of_any_call_is_an_error(check: bool) -> None:
    model = tiny_model("llama")
    intervention = made(model, "vector", skip_prefix=True, prefix_ids=tuple(IDS[0].tolist()))
    for m in (1.0, (0.0, 2.0), torch.tensor([-1.0])):
        with (
            pytest.raises(ConfigError, match=r"no token .* was steered .positions all, skip_prefix True.* 1.residual"),
            attach(model, intervention, m, check=check),
        ):
            logits(model, IDS[:1])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for m in (0.0, torch.tensor([0.0])):  # nothing was to be steered
        with attach(model, intervention, m, check=check):
            logits(model, IDS[:1])
    with attach(model, intervention, 1.0, check=check):  # one row of two is steered, or one call of two
        logits(model)
    with attach(model, intervention, 1.0, check=check):
        logits(model, IDS[:1])
        logits(model, IDS[1:])
    with pytest.raises(ZeroDivisionError), attach(model, intervention, 1.0, check=check):
        logits(model, IDS[:1])
        raise ZeroDivisionError  # the first error is the one that is seen


def test_no_call_at_all_is_an_error_under_check() -> None:
    model = tiny_model("llama")
    intervention = made(model, "vector")
    with pytest.raises(ConfigError, match="never called"), attach(model, intervention, 1.0, check=True):
        pass
    with attach(model, intervention, 1.0):
        pass


def test_a_change_of_nothing_is_said_under_check(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("llama")
    zero, some = made(model, "vector", scale=0.0, skip_prefix=False), made(model, "vector", skip_prefix=False)
    for intervention, m, changed in ((some, 1.0, 22), (zero, 1.0, 0), (some, 0.0, 0)):
        caplog.clear()
        with attach(model, intervention, m, check=True) as attached:
            logits(model)
        (applied,) = attached.report()
        assert applied.tokens_changed == changed
        assert ("22 tokens were steered and no value changed" in caplog.text) == (intervention is zero)
    with attach(model, zero, 1.0):
        logits(model)
    assert not caplog.text
