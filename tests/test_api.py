"""The front door: seven lines from a model to steered text, and a record that names everything on this path too."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

import easyedit_split as es
from easyedit_split import api
from easyedit_split.config import TokenConfig
from easyedit_split.steering.generate import generate_texts

from .small import PAIRS, run_config, world


def test_seven_lines_and_the_record(tmp_path: Any) -> None:
    here = world()
    model, tokenizer = here.model, here.tokenizer
    rows = [{"prompt": p.prompt, "positive": p.positive, "negative": p.negative} for p in PAIRS]
    steering = es.train(model, tokenizer, rows, run=run_config(epochs=8, lr=0.3), progress=False)
    others = [{**row, "prompt": f"{row['prompt']} Now?"} for row in rows]
    table = es.sweep(model, tokenizer, others, steering, "-2:2:5", progress=False)
    assert isinstance(es.recommend(table), es.Recommendation)
    steering = steering.at(2.0)
    ids = torch.tensor([here.template.prompt("Is it so?")])
    with steering(model), torch.no_grad():
        steered = model(ids).logits
    with torch.no_grad():
        assert not torch.equal(steered, model(ids).logits)
    data = steering.artifact.record["data"]
    assert (data["name"], data["pairs"]) == ("pairs", len(PAIRS))
    assert data["sha256"] == data["pairs_sha256"] == es.as_pairs(PAIRS).sha256


def test_generation_takes_the_steerings_own_m_or_a_list() -> None:
    here = world()
    steering = es.train(here.model, here.tokenizer, PAIRS, run=run_config(epochs=4, lr=0.3), progress=False)
    config = es.GenerateConfig(max_new_tokens=4)
    ask = lambda *args: es.generate(here.model, here.tokenizer, "Is it so?", *args, config=config)  # noqa: E731
    own, both, bare = ask(steering.at(2.0)), ask(steering, [0.0, 2.0]), ask()
    assert [answer.m for answer in both] == [0.0, 2.0]
    assert (own[0].m, own[0].text) == (2.0, both[1].text)
    assert bare[0].text == both[0].text
    with pytest.raises(es.ConfigError, match="m1 and m2 differ"):
        ask(steering.at((1.0, 2.0)))


def test_a_sum_of_steerings_writes_what_its_parts_attached_write() -> None:
    here = world()
    config = es.GenerateConfig(max_new_tokens=5)
    asked = ["Is it so?", "Would you lead?"]
    trained = [
        es.train(here.model, here.tokenizer, PAIRS, run=run_config(form, epochs=4, lr=0.3), progress=False)
        for form in ("vector", "local_weight")
    ]
    one, other = trained[0].at(2.0), trained[1].at(-3.0)
    ask = lambda *args: es.generate(here.model, here.tokenizer, asked, *args, config=config)  # noqa: E731
    found = ask(one + other)
    assert [(a.index, a.m) for a in found] == [(0, (2.0, -3.0)), (1, (2.0, -3.0))]
    interventions = [part.intervention for part in (one + other).parts]
    lower = generate_texts(here.model, here.template, asked, interventions, [(2.0, -3.0)], config=config)
    assert found == lower, "as `apply --intervention A --intervention B --m 2 --m=-3`"
    with (one + other)(here.model), torch.no_grad():
        ids = torch.tensor([here.template.prompt(asked[0])])
        assert found[0].text.startswith(here.template.decode([int(here.model(ids).logits[0, -1].argmax())]))
    assert [a.text for a in ask(one + other.at(0.0))] == [a.text for a in ask(one)]
    assert [a.text for a in ask(one + other)] != [a.text for a in ask(one)], "control"
    listed = ask(one + other, [0.0, 2.0, (2.0, -3.0)])
    assert [a.m for a in listed] == [0.0, 0.0, 2.0, 2.0, (2.0, -3.0), (2.0, -3.0)]
    assert [a.text for a in listed[:2]] == [a.text for a in ask()]
    assert listed[4:] == found
    assert [a.text for a in ask(one + other, 2.0)] == [a.text for a in listed[2:4]]


def test_a_sum_that_cannot_be_meant_is_refused() -> None:
    here = world()
    make = lambda **tokens: es.train(  # noqa: E731
        here.model, here.tokenizer, PAIRS, run=run_config(epochs=1, tokens=TokenConfig(**tokens)), progress=False
    )
    one, other = make(), make(system="Be brief.")
    ask = lambda *args: es.generate(here.model, here.tokenizer, "Is it so?", *args)  # noqa: E731
    with pytest.raises(es.ConfigError, match=r"part 0 and part 1 write prompts differently: tokens.system is None"):
        ask(one + other)
    with pytest.raises(es.ConfigError, match="m1 and m2 differ"):
        ask(one + one.at((1.0, 2.0)))
    with pytest.raises(es.ConfigError, match=r"3 strengths .* for 2 interventions"):
        ask(one + one, [(1.0, 2.0, 3.0)])


def test_settings_layers_and_names_reach_the_run() -> None:
    model, tokenizer = es.load_model("testbed:qwen2")
    pairs = es.load_dataset("testbed:power", split="train", limit=4)
    settings = {"train.epochs": 1, "train.steering_factors": [1.0, 3.0], "form.rank": 2}
    steering = es.train(model, tokenizer, pairs, form="lora", layers=[2], settings=settings, progress=False)
    run = steering.artifact.record["run"]
    assert (run["layers"], run["train"]["steering_factors"], run["form_config"]["rank"]) == ([2], [1.0, 3.0], 2)
    assert steering.artifact.record["data"]["name"] == "testbed:power"
    assert steering.artifact.record["data"]["split"] == "train"
    with pytest.raises(es.ConfigError, match="unknown key 'epoch'"):
        es.train(model, tokenizer, pairs, settings={"train.epoch": 1})


def test_rows_that_were_trained_on_choose_no_m(tmp_path: Any) -> None:
    here = world()
    steering = es.train(here.model, here.tokenizer, PAIRS[:3], run=run_config(), progress=False)
    assert len(set(steering.artifact.record["data"]["pair_ids"])) == 3
    m = (-1.0, 0.0, 1.0)
    mixed = es.sweep(here.model, here.tokenizer, PAIRS, steering, m, progress=False)
    assert set(mixed.loc[mixed["trained_on"] == 1, "pair"]) == {0, 1, 2}
    for suffix in (".parquet", ".csv", ".json"):
        es.write_table(mixed, tmp_path / f"mixed{suffix}")
        with pytest.raises(es.DataError, match=f"3 of {len(PAIRS)} pairs are pairs that the artifact was trained on"):
            es.recommend(tmp_path / f"mixed{suffix}")
    held_out = es.sweep(here.model, here.tokenizer, PAIRS[3:], steering, m, progress=False)
    assert "trained_on" not in held_out
    assert isinstance(es.recommend(held_out), es.Recommendation)


def test_recommend_wants_one_intervention() -> None:
    here = world()
    steering = es.train(here.model, here.tokenizer, PAIRS, run=run_config(), progress=False)
    table = es.sweep(here.model, here.tokenizer, PAIRS, steering, (-1.0, 0.0, 1.0), progress=False)
    both = table.assign(seed=1)
    with pytest.raises(es.DataError, match="holds 2 interventions"):
        es.recommend(pd.concat([table, both]))


def test_every_public_name_exists_and_is_said_once() -> None:
    for name in es.__all__:
        assert getattr(es, name) is not None
    assert set(es.__all__) == {*es._HOMES, "__version__"}
    assert api.train is es.train
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        es.trane  # noqa: B018
