"""One call from pairs to a steered model: decisions follow from what they rest on, and what is written can be used."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.analysis import recommend
from easyedit_split.datasets.base import PairTable
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.steering.generate import GenerateConfig, generate_texts
from easyedit_split.steering.steering import Steering
from easyedit_split.study.choose import side_effects
from easyedit_split.study.plan import SteerData, SteerPlan, data_for, epochs_for
from easyedit_split.study.report import report, usage, verdict, write_result
from easyedit_split.study.steer import SteerResult, on_pairs, steer
from easyedit_split.sweep_table import read_sweep
from easyedit_split.training.layer_scan import best_layer
from easyedit_split.types import DataError

from ..small import PAIRS, world

PLAN = SteerPlan(
    form="vector",
    objectives=("split", "diff_mean"),
    scan=True,
    overrides=("train.epochs=1",),
    m="r:+-0.1:1:3",
    judged=0,
    neutral=2,
    texts=2,
    max_new_tokens=4,
)


class Listener:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.bars: dict[str, list[tuple[int, int]]] = {}

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def bar(self, label: str) -> Iterator[Callable[..., None]]:
        steps = self.bars.setdefault(label, [])
        yield lambda done, total, note="": steps.append((done, total))


def table(split: str, start: int, count: int) -> PairTable:
    pairs = [
        dataclasses.replace(PAIRS[i % 5], prompt=f"{i}? {PAIRS[i % 5].prompt}") for i in range(start, start + count)
    ]
    return dataclasses.replace(as_pairs(pairs), split=split)


@pytest.fixture(scope="module")
def found() -> tuple[SteerResult, Listener, Any]:
    here = world("llama")
    data = SteerData(table("train", 0, 10), table("dev", 10, 6), table("test", 16, 6))
    listener = Listener()
    return steer(here.model, here.tokenizer, data, PLAN, model_name="tiny", tell=listener), listener, here


Found = tuple[SteerResult, Listener, Any]


def test_the_layer_is_the_scans_and_every_objective_is_trained_there(found: Found) -> None:
    result, listener, _ = found
    assert result.scan is not None
    layer = best_layer(result.scan)
    assert [item.run.objective for item in result.trained] == ["split", "diff_mean"]
    assert all(item.run.layers == (layer,) for item in result.trained)
    assert any(f"layer {layer}" in line for line in listener.said)
    for steps in listener.bars.values():
        assert all(done <= total for done, total in steps)


def test_every_sweep_holds_the_grid_in_r(found: Found) -> None:
    for item in found[0].trained:
        r = sorted(item.table["r"].unique())
        assert r == pytest.approx([-1, -(0.1**0.5), -0.1, 0, 0.1, 0.1**0.5, 1], rel=1e-4)
        assert item.table["pair"].nunique() == 6
    a, b = (item.table["m1"].max() for item in found[0].trained)
    assert a != pytest.approx(b, rel=0.01)  # m differs where r does not


def test_the_best_objective_is_that_of_the_likeliest_answers(found: Found) -> None:
    result = found[0]
    assert result.best.wanted == max(item.wanted for item in result.trained)
    assert len({item.wanted for item in result.trained}) == 2


def test_texts_and_side_effects_are_at_the_chosen_m(found: Found) -> None:
    result, _, here = found
    m = result.best.m
    assert sorted(result.texts["m1"].unique()) == sorted([0.0, m, 3 * m, -m])
    prompts = [pair.prompt for pair in result.data.test[:2]]
    bare = generate_texts(here.model, here.template, prompts, config=GenerateConfig(max_new_tokens=4))
    assert result.texts[result.texts.m1 == 0]["text"].tolist() == [answer.text for answer in bare]
    assert result.side_effects is not None
    assert sorted(result.side_effects["m1"].unique()) == sorted([m / 2, m, 2 * m])


@pytest.mark.parametrize("recommended", [True, False])
def test_an_m_is_kept_only_where_one_was_recommended(found: Found, tmp_path: Path, recommended: bool) -> None:
    result, m = found[0], found[0].best.m
    choice = dataclasses.replace(result.best.choice, m=m if recommended else None, gain=1.0, paid=0.5, helped=(3, 4))
    trained = (dataclasses.replace(result.best, choice=choice),)
    result = dataclasses.replace(result, trained=trained)
    write_result(result, tmp_path / "out")
    assert set(Steering.from_pretrained(tmp_path / "out" / "artifact").artifact.chosen) == (
        {"default"} if recommended else set()
    )
    python, command = usage(result, tmp_path / "out")
    assert (f".at({m:.3g})" in python, f"--m {m:.3g}" in command) == (not recommended, not recommended)
    page = report(result, tmp_path / "out")
    assert ("Recommended" in page) == recommended


def test_what_is_written_can_be_read_back_and_says_the_same(found: Found, tmp_path: Path) -> None:
    result = found[0]
    write_result(result, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files = {
        "report.md",
        "sweep.parquet",
        "sweep-dev.parquet",
        "curves.png",
        "layers.csv",
        "collateral.csv",
        "texts.json",
    }
    assert names == {"artifact", *files}
    kept = Steering.from_pretrained(tmp_path / "out" / "artifact")
    assert kept.m == (1.0 if result.best.choice.m is None else pytest.approx(result.best.m))
    assert len(read_sweep(tmp_path / "out" / "sweep.parquet")) == sum(len(item.table) for item in result.trained)
    written = pd.DataFrame(json.loads((tmp_path / "out" / "texts.json").read_text()))
    assert written["text"].tolist() == result.texts["text"].tolist()
    page = (tmp_path / "out" / "report.md").read_text()
    assert page == report(result, tmp_path / "out")
    for part in ("## Sample answers", "## Comparison of objectives", "## Layer scan", "## Side effects", "diff_mean"):
        assert part in page
    assert all(prompt in page for prompt in result.texts["prompt"])
    write_result(result, tmp_path / "out", overwrite=True)


def test_the_lines_that_use_it_do(found: Found, tmp_path: Path) -> None:
    result, _, here = found
    folder = tmp_path / "model"
    here.model.config._attn_implementation = "eager"
    here.model.save_pretrained(folder)
    here.tokenizer.save_pretrained(folder)
    result = dataclasses.replace(result, model=str(folder))
    write_result(result, tmp_path / "out")
    python, line = usage(result, tmp_path / "out")
    assert len(python.splitlines()) == 3
    exec(compile(python, "usage", "exec"), {})
    assert line == f"easyedit-split chat --model {folder} --intervention {tmp_path / 'out' / 'artifact'}"


def test_dev_pairs_choose_and_test_pairs_say_what_it_is_worth(tmp_path: Path) -> None:
    here = world("llama")
    data = SteerData(table("train", 0, 10), table("dev", 10, 10), table("test", 20, 10))
    settings = ("train.epochs=15", "train.lr=0.3", "train.steering_factors=[1.0]")
    plan = dataclasses.replace(
        PLAN, objectives=("sft",), scan=False, layers=(1,), overrides=settings, m="-2:2:9", judged=3, neutral=0
    )
    result = steer(here.model, here.tokenizer, data, plan, model_name="tiny", tell=Listener())
    best = result.best
    assert best.dev_table is not None
    assert set(best.dev_table["split"]) == {"dev"}
    assert set(best.table["split"]) == {"test"}
    assert sorted(best.table["m1"].unique()) == sorted(best.dev_table["m1"].unique())
    assert best.judged is not None
    assert {0.0} < set(best.judged["m1"])
    assert best.judged["prompt"].nunique() == 3
    by_pairs = recommend(best.dev_table)
    assert by_pairs.m is not None, "control: the pairs alone show a gain"
    trained = dataclasses.replace(best, choice=by_pairs, m=by_pairs.m, test=on_pairs(best.fit, by_pairs.m))
    assert trained.test is not None
    assert trained.test.pairs == 10
    said = verdict(trained)
    assert f"On the test pairs: preference {trained.test.preference.mean:+.2f} nats" in said
    own = best.table[best.table["m1"].isin([0.0, by_pairs.m])].pivot(index="pair", columns="m1", values="pref")
    gained = (own[by_pairs.m] - own[0.0]).mean() if by_pairs.m in own else None
    assert gained is None or gained == pytest.approx(trained.test.preference.mean)
    alone = steer(
        here.model,
        here.tokenizer,
        dataclasses.replace(data, dev=None),
        dataclasses.replace(plan, judged=0),
        model_name="tiny",
        tell=Listener(),
    )
    assert alone.best.dev_table is None
    assert alone.best.test is None
    assert alone.best.choice.m is None or "measured on the pairs that m was chosen on" in report(alone, tmp_path)


def test_texts_choose_unless_too_few_pairs_teach_a_judge() -> None:
    here, listener = world("llama"), Listener()
    assert SteerPlan().judged > 0
    plan = dataclasses.replace(PLAN, objectives=("diff_mean",), scan=False, layers=(1,), judged=2, neutral=0)
    data = SteerData(table("train", 0, 7), table("dev", 10, 8), table("test", 20, 2))
    few = steer(here.model, here.tokenizer, data, plan, model_name="tiny", tell=listener)
    assert few.best.judged is None
    assert any("7 training pairs teach no judge of texts" in line for line in listener.said)
    enough = dataclasses.replace(data, training=table("train", 0, 8))
    assert steer(here.model, here.tokenizer, enough, plan, model_name="tiny", tell=Listener()).best.judged is not None


def test_a_budget_below_the_first_swept_m_still_finds_one_as_the_demo_does() -> None:
    here = world("llama")
    data = SteerData(table("train", 0, 10), table("dev", 10, 10), table("test", 20, 4))
    settings = ("train.epochs=15", "train.lr=0.3", "train.steering_factors=[1.0]")
    free_plan = dataclasses.replace(
        PLAN, objectives=("sft",), scan=False, layers=(1,), overrides=settings, m="-2:2:9", neutral=2
    )
    free = steer(here.model, here.tokenizer, data, free_plan, model_name="tiny", tell=Listener())
    assert free.best.choice.m is not None, "control: without a budget there is an m"
    first = side_effects(here.model, here.tokenizer, free.best.artifact, [0.5], free_plan, Listener())
    at_first = float(first["kl"].sum() / first["tokens"].sum())
    plan = dataclasses.replace(free_plan, max_kl=at_first * 0.6)
    held = steer(here.model, here.tokenizer, data, plan, model_name="tiny", tell=Listener())
    assert held.best.choice.m is not None, held.best.choice.reason
    assert 0.2 < held.best.choice.m <= 0.3 + 1e-9, "six tenths of the way from m = 0 to the first swept m"
    assert held.best.choice.m < free.best.choice.m


# --- data and plans ------------------------------------------------------------------------------------------------


def rows_file(path: Path, count: int, **more: Any) -> Path:
    rows = [{"prompt": f"{i}?", "positive": f"Yes {i}", "negative": f"No {i}", **more} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_without_splits_keeps_a_quarter_apart(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "pairs.jsonl", 20)
    data = data_for(str(file), PLAN)
    assert (len(data.training), len(data.test), data.dev) == (15, 5, None)
    assert not set(data.training.rows) & set(data.test.rows)
    assert data_for(str(file), PLAN).test.rows == data.test.rows
    assert data_for(str(file), PLAN, seed=1).test.rows != data.test.rows


def test_enough_held_out_pairs_are_halved_into_dev_and_test(tmp_path: Path) -> None:
    data = data_for(str(rows_file(tmp_path / "pairs.jsonl", 64)), PLAN)
    assert data.dev is not None
    assert (len(data.training), len(data.dev), len(data.test)) == (48, 8, 8)
    rows = [set(part.rows) for part in (data.training, data.dev, data.test)]
    assert len(set.union(*rows)) == 64
    assert [part.split for part in (data.training, data.dev, data.test)] == ["train", "dev", "test"]


def test_declared_splits_are_taken_and_sizes_kept() -> None:
    plan = dataclasses.replace(PLAN, train_pairs=10, test_pairs=4)
    data = data_for("everyday", plan)
    assert [part.split for part in (data.training, data.dev, data.test) if part] == ["train", "dev", "test"]
    assert (len(data.training), len(data.test)) == (10, 4)


def test_too_few_pairs_and_several_concepts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        data_for(str(rows_file(tmp_path / "few.jsonl", 3)), PLAN)
    file = rows_file(tmp_path / "two.jsonl", 8)
    lines = file.read_text().splitlines()
    file.write_text(
        "".join(json.dumps({**json.loads(row), "concept": "ab"[i % 2]}) + "\n" for i, row in enumerate(lines))
    )
    with pytest.raises(DataError, match=r"2 concepts.*a file of its rows alone") as refused:
        data_for(str(file), PLAN)
    assert "--concept-id" not in str(refused.value), "a file's concepts have no numbers"


@pytest.mark.parametrize(("pairs", "epochs"), [(8, 24), (96, 2), (192, 1), (500, 1)])
def test_few_pairs_are_gone_over_more_often(pairs: int, epochs: int) -> None:
    assert epochs_for(pairs) == epochs


def test_one_of_several_concepts_is_chosen_by_number() -> None:
    with pytest.raises(DataError, match=r"holds 10 concepts.*--concept-id"):
        data_for("manners", PLAN)
    pirate, grumpy = (data_for("manners", PLAN, concept_id=number) for number in (0, 4))
    for data in (pirate, grumpy):
        parts = [part for part in (data.training, data.dev, data.test) if part is not None]
        assert len(parts) == 3
        assert len({concept for part in parts for concept in part.concepts()}) == 1
    assert pirate.training.concepts() != grumpy.training.concepts()
