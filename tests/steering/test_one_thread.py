"""Two threads that steer one model: the second is refused; one batch with an m per row gives what each wanted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from easyedit_split.steering.attach import attach
from easyedit_split.types import ConfigError

from ..attached import made
from ..tiny import tiny_model

IDS = torch.tensor([[1, 4, 11, 12, 13]])


def test_another_thread_is_refused_and_told_of_an_m_per_row() -> None:
    model = tiny_model("llama")
    intervention = made(model, "lora", skip_prefix=False)
    gone, held = threading.Event(), threading.Event()

    def alone(m: float) -> torch.Tensor:
        with torch.no_grad(), attach(model, intervention, m):
            found: torch.Tensor = model(IDS).logits
        return found

    def hold() -> torch.Tensor:
        with torch.no_grad(), attach(model, intervention, 3.0), attach(model, intervention, 0.0):  # its own may stack
            held.set()
            assert gone.wait(20)
            found: torch.Tensor = model(IDS).logits
        return found

    wanted = {m: alone(m) for m in (3.0, -3.0)}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hold)
        assert held.wait(20)
        with pytest.raises(ConfigError, match=r"another thread steers this model .* m for each row.*m=torch.tensor"):
            alone(-3.0)
        other = tiny_model("llama", seed=1)  # control: another model is free
        with attach(other, made(other, "lora", skip_prefix=False), 1.0):
            other(IDS)
        gone.set()
        assert torch.equal(first.result(), wanted[3.0])
        assert torch.equal(pool.submit(alone, -3.0).result(), wanted[-3.0])  # and it is free again
    with torch.no_grad(), attach(model, intervention, torch.tensor([3.0, -3.0], dtype=torch.float64)):
        together = model(IDS.expand(2, -1)).logits
    torch.testing.assert_close(together, torch.cat([wanted[3.0], wanted[-3.0]]))


def test_text_may_be_streamed_from_another_thread() -> None:
    model = tiny_model("llama")
    with torch.no_grad(), attach(model, made(model, "lora", skip_prefix=False), 3.0), ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(lambda: model(IDS).logits).result(), model(IDS).logits)


def test_a_refused_or_failed_steering_gives_the_model_free() -> None:
    model = tiny_model("llama")
    intervention = made(model, "lora", skip_prefix=False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), attach(model, intervention, 1.0):
            raise KeyboardInterrupt
        with pytest.raises(ConfigError), attach(model, intervention, float("nan")):
            pass
    with ThreadPoolExecutor(1) as pool:

        def use() -> int:
            with attach(model, intervention, 1.0) as attached:
                model(IDS)
            return attached.report()[0].calls

        assert pool.submit(use).result() == 1
