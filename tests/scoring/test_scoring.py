"""The oracle scorer: Hugging Face's own logits, summed; padding, batching and order change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from easyedit_split.model.hooks import full_precision_head
from easyedit_split.scoring.score import (
    answer_losses,
    answer_rows,
    layout_of,
    row_losses,
    score,
    score_together,
)
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.encode_pairs import EncodedPair
from easyedit_split.text.positions import POLICIES, Layout
from easyedit_split.types import Pair, Scores

from ..steering.test_attach import made
from ..tiny import FAMILIES, tiny_model


def pairs(count: int = 5, seed: int = 0) -> list[EncodedPair]:
    """Pairs of unequal lengths, their ids drawn at random; pad id 0 occurs inside them on purpose."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        n = int(torch.randint(low, high, (1,), generator=generator))
        return tuple(torch.randint(0, 97, (n,), generator=generator).tolist())

    return [
        EncodedPair(Pair("q", "a", "b"), (1, 4, *ids(1, 9)), ids(1, 7), ids(1, 7), 2, index) for index in range(count)
    ]


def by_hand(
    model: Any, pair: EncodedPair, answer: tuple[int, ...], intervention: Intervention | None, m: float
) -> float:
    """Eq. 28 from Hugging Face's own logits: one unpadded row, float64 log-softmax, a sum over tokens."""
    ids, P = torch.tensor([pair.prompt + answer]), len(pair.prompt)
    lengths = (torch.tensor([P]), torch.tensor([pair.prefix_length]), torch.tensor([ids.shape[1]]))
    layout = Layout(torch.arange(ids.shape[1])[None], *lengths)
    with torch.no_grad():
        if intervention is None:
            logits = model(input_ids=ids).logits
        else:
            with attach(model, intervention, m, layout=layout):
                logits = model(input_ids=ids).logits
    logp = logits[0].double().log_softmax(-1)
    return -sum(float(logp[P - 1 + t, token]) for t, token in enumerate(answer))


def close(found: Scores, wanted: Scores) -> bool:
    return np.allclose(found.L_p, wanted.L_p, atol=1e-9, rtol=0) and np.allclose(
        found.L_n, wanted.L_n, atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_summed_log_probabilities_of_hugging_faces_own_logits(family: str) -> None:
    model, data = tiny_model(family), pairs()
    for intervention, m in ((None, 0.0), (made(model, "local_weight", (0, 1), placement="block_output"), 0.8)):
        found = score(model, data, intervention, m)
        wanted = Scores(
            L_p=np.array([by_hand(model, p, p.positive, intervention, m) for p in data]),
            L_n=np.array([by_hand(model, p, p.negative, intervention, m) for p in data]),
            T_p=np.array([len(p.positive) for p in data]),
            T_n=np.array([len(p.negative) for p in data]),
        )
        assert close(found, wanted)
        assert found.T_p.tolist() == wanted.T_p.tolist()
        assert not close(score(model, data, made(model, "vector"), 0.7), wanted)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_padding_batches_order_and_pad_id_change_nothing(family: str, policy: Any) -> None:
    model, data = tiny_model(family), pairs(6)
    intervention = made(model, "lora", (0, 1), positions=policy, skip_prefix=policy == "all")
    plain = score(model, data, intervention, 1.3, max_rows=1)
    for settings in (
        {"max_rows": 4},
        {"max_tokens": 40},
        {"side": "left"},
        {"side": "left", "pad_id": 50},
        {"pad_id": 4},
    ):
        assert close(score(model, data, intervention, 1.3, **settings), plain), settings  # type: ignore[arg-type]
    turned = score(model, data[::-1], intervention, 1.3)
    assert close(Scores(turned.L_p[::-1], turned.L_n[::-1], turned.T_p[::-1], turned.T_n[::-1]), plain)
    assert not close(turned, plain)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_cache_fed_token_by_token_gives_the_same_losses(family: str, policy: Any) -> None:
    """Scoring under generation's own calls (prompt first, then one token at a time) equals one full pass."""
    model, pair = tiny_model(family), pairs(1, seed=3)[0]
    intervention = made(model, "local_weight", (1,), positions=policy, skip_prefix=True, prefix_ids=(1, 4), bos_id=1)
    total = 0.0
    with torch.no_grad(), attach(model, intervention, 1.1):
        step = model(input_ids=torch.tensor([pair.prompt]), use_cache=True)
        for token in pair.positive:
            total -= float(step.logits[0, -1].log_softmax(-1)[token])
            step = model(input_ids=torch.tensor([[token]]), past_key_values=step.past_key_values, use_cache=True)
    assert total == pytest.approx(float(score(model, [pair], intervention, 1.1).L_p[0]), abs=1e-9)
    assert total != pytest.approx(float(score(model, [pair], intervention, 1.0).L_p[0]), abs=1e-4)


def test_the_answers_of_a_pair_do_not_see_each_other_and_the_prompt_is_seen() -> None:
    model, (first, second) = tiny_model("llama"), pairs(2)
    swapped = EncodedPair(first.pair, first.prompt, first.positive, second.negative, 2, 0)
    other_prompt = EncodedPair(first.pair, second.prompt, first.positive, first.negative, 2, 0)
    base = score(model, [first]).L_p[0]
    assert score(model, [swapped]).L_p[0] == pytest.approx(base, abs=1e-9)
    assert score(model, [other_prompt]).L_p[0] != pytest.approx(base, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_interventions_are_scored_as_they_act_together(family: str) -> None:
    model, given = tiny_model(family), pairs()
    vector = made(model, "vector", positions="answer", skip_prefix=False)
    lora = made(model, "lora", (0, 2), positions="prompt")
    none, one, both = (
        score_together(model, given, acting) for acting in ([], [(lora, 2.0)], [(lora, 2.0), (vector, (0.5, -1.5))])
    )
    for found, wanted in ((none, score(model, given)), (one, score(model, given, lora, 2.0))):
        assert np.array_equal(found.L_p, wanted.L_p)
        assert np.array_equal(found.L_n, wanted.L_n)
    for place, pair in enumerate(given):
        row = Row(pair.prompt, pair.negative, pair.prefix_length)
        batch = collate([row], pad_id=0)
        with torch.no_grad(), attach(model, vector, (0.5, -1.5), layout=layout_of(batch)):
            alone = row_losses(model, batch, lora, 2.0)
        assert both.L_n[place] == pytest.approx(alone.item(), abs=1e-9)
    assert not close(both, one)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_half_precision_models_losses_come_from_fp32_logits(family: str) -> None:
    model, data = tiny_model(family, torch.bfloat16), pairs()
    found = score(model, data, max_rows=1).L_p
    plain = [by_hand(model, pair, pair.positive, None, 0.0) for pair in data]
    with full_precision_head(model):
        full = [by_hand(model, pair, pair.positive, None, 0.0) for pair in data]
    np.testing.assert_allclose(found, full, rtol=1e-7)
    assert not np.allclose(found, plain, rtol=1e-6)


def test_losses_by_hand_from_given_logits() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]], dtype=torch.float64))
    batch = collate([Row((0,), (1, 2), 0)], pad_id=0)
    assert float(answer_losses(logits, batch)[0]) == pytest.approx(-np.log(0.25) - np.log(0.7), abs=1e-12)
    assert float(answer_losses(logits + 3.0, batch)[0]) == pytest.approx(-np.log(0.25) - np.log(0.7), abs=1e-12)


def test_gradients_flow_to_the_intervention_and_match_finite_differences() -> None:
    model, pair = tiny_model("gemma2"), pairs(1)[0]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    intervention = made(model, "vector").double()
    batch = collate([Row(pair.prompt, pair.positive, 2)], pad_id=0)
    form = intervention[intervention.sites[0]]
    row_losses(model, batch, intervention, 1.5).sum().backward()  # type: ignore[no-untyped-call]
    (v,) = form.parameters()
    assert v.grad is not None
    for place in (0, 7, 31):
        values = []
        for step in (3e-3, -3e-3):  # the norms are fp32 inside, so no smaller
            with torch.no_grad():
                v[place] += step
                values.append(float(row_losses(model, batch, intervention, 1.5)[0]))
                v[place] -= step
        assert (values[0] - values[1]) / 6e-3 == pytest.approx(float(v.grad[place]), rel=5e-3, abs=1e-3)


def test_dropout_of_the_model_is_off_while_scoring_and_its_mode_is_kept() -> None:
    model, data = tiny_model("llama"), pairs(2)
    model.set_attn_implementation("eager")
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    model.train()
    assert close(score(model, data), score(model, data))
    assert model.training
    ids = torch.tensor([data[0].prompt])
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_no_nan_under_stock_eager_attention_in_float64(side: Any) -> None:
    """Its softmax is fp32, where float64's lowest number is minus infinity; a sliding window hides all from padding."""
    model, data = tiny_model("gemma2"), pairs(6)
    model.set_attn_implementation("eager")
    found, wanted = score(model, data, side=side), score(model, data, max_rows=1)
    np.testing.assert_allclose(found.L_p, wanted.L_p, rtol=0, atol=1e-5)
    batch = collate(answer_rows(data), pad_id=0, side=side)
    bare = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids)
    assert bool(bare.logits.isnan().any())  # what it is without
