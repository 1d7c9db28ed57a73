"""Digests of weights: the same value everywhere, and another for another weight."""

from __future__ import annotations

import torch

from easyedit_split.model.digests import model_digests, weights_digest
from easyedit_split.model.load import load_model

TESTBED = "8fcd0862a7bc747b555627142d247fbe8e59fb0272b9a8b39aaafe7ff733f36d"
"""Of ``testbed:gemma2``: artifacts, journals and studies that are kept know it by this."""


def test_the_digest_of_shipped_weights_stays_what_files_know() -> None:
    model, _ = load_model("testbed:gemma2", device="cpu")
    assert model_digests(model)["weights"] == TESTBED
    with torch.no_grad():
        next(model.parameters()).view(-1)[5] += 1e-3
    assert model_digests(model)["weights"] != TESTBED


def test_tensors_of_several_devices_and_sizes_are_read_at_once_and_one_by_one_alike() -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.empty(0)}
    there = {**tensors, "d": torch.empty(3, 3, device="meta")}
    assert weights_digest(there.items()) == weights_digest(reversed(list(there.items())))
    assert weights_digest(there.items()) != weights_digest(tensors.items())
    for name in ("a", "b"):
        other = {**there, name: there[name].flip(0) if name == "a" else 2 * there[name]}
        assert weights_digest(other.items()) != weights_digest(there.items())
