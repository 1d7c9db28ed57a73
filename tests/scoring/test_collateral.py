"""Side effects: KL and changed answers equal what the models' own probabilities and greedy texts say."""

from __future__ import annotations

import pytest
import torch

from easyedit_split.scoring.collateral import COLUMNS, bare_answers, collateral, collateral_means
from easyedit_split.steering.attach import attach
from easyedit_split.steering.generate import GenerateConfig, generate_texts, greedy_rows
from easyedit_split.types import ConfigError, DataError

from ..small import World, made, world

PROMPTS = ("Would you lead?", "Answer.", "Is it yours, or is it not?", "Write a list.")
FORMS = ("vector", "lora", "local_weight")


def by_hand(here: World, form: str, m: float) -> tuple[list[float], list[bool]]:
    """Of each prompt: KL summed over the bare answer, one row at a time, and whether the text written changes."""
    intervention = made(here, form)
    sums = []
    for row in greedy_rows(here.model, here.template, PROMPTS, GenerateConfig(max_new_tokens=6)):
        ids = torch.tensor([row.prompt + row.answer])
        found = []
        for strength in (0.0, m):
            with torch.no_grad(), attach(here.model, intervention, strength):
                found.append(here.model(ids).logits[0, len(row.prompt) - 1 : -1].double().log_softmax(-1))
        bare, steered = found
        sums.append(float((bare.exp() * (bare - steered)).sum()))
    answers = generate_texts(
        here.model, here.template, PROMPTS, intervention, (0.0, m), config=GenerateConfig(max_new_tokens=6)
    )
    texts = [answer.text for answer in answers]
    n = len(PROMPTS)
    return sums, [texts[i] != texts[n + i] for i in range(n)]


@pytest.mark.parametrize("form", FORMS)
def test_kl_and_changes_are_those_of_the_models_own_words(form: str) -> None:
    here = world("llama")
    table = collateral(here.model, here.template, PROMPTS, made(here, form), (0.0, 0.4), tokens=6)
    assert tuple(table.columns) == COLUMNS
    sums, changed = by_hand(here, form, 0.4)
    at = table[table.m1 == 0.4]
    assert at.kl.tolist() == pytest.approx(sums, rel=1e-9)
    assert at.changed.tolist() == changed
    assert max(sums) > 1e-3


def test_m_0_has_no_side_effects_at_all() -> None:
    here = world()
    table = collateral(here.model, here.template, PROMPTS, made(here), (0.0, 3.0), tokens=6)
    bare, strong = (table[table.m1 == value] for value in (0.0, 3.0))
    assert (bare.kl == 0).all()
    assert not bare.changed.any()
    assert (strong.kl > 0).all()
    assert strong.changed.any()


def test_means_weigh_every_token_alike_and_count_prompts() -> None:
    here = world()
    table = collateral(here.model, here.template, PROMPTS, made(here), (1.0, (1.0, 0.0)), tokens=6)
    means = collateral_means(table)
    assert means[["m1", "m2"]].to_numpy().tolist() == [[1.0, 0.0], [1.0, 1.0]]
    rows = table[(table.m1 == 1.0) & (table.m2 == 1.0)]
    assert means.kl[1] == pytest.approx(rows.kl.sum() / rows.tokens.sum())
    assert means.changed[1] == pytest.approx(rows.changed.mean())
    assert means.prompts.tolist() == [4, 4]


def test_bad_requests_are_one_sentence() -> None:
    here = world()
    with pytest.raises(ConfigError, match="no m"):
        collateral(here.model, here.template, PROMPTS, made(here), ())
    with pytest.raises(DataError, match="no prompts"):
        collateral(here.model, here.template, (), made(here), (1.0,))


def test_answers_made_before_give_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    wanted = collateral(here.model, here.template, PROMPTS, made(here), (0.0, 0.4), tokens=6)
    known = bare_answers(here.model, here.template, PROMPTS, 6)
    monkeypatch.setattr("easyedit_split.scoring.collateral.greedy_rows", None)  # not made again
    found = collateral(here.model, here.template, PROMPTS, made(here), (0.0, 0.4), bare=known)
    assert found.equals(wanted)
    with pytest.raises(ConfigError, match="3 bare answers for 4 prompts"):
        collateral(here.model, here.template, PROMPTS, made(here), (0.4,), bare=known[:3])
