"""Recipes: later files win, every value knows its origin, every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import easyedit_split.training.recipes as recipes
from easyedit_split.training.recipes import compose, dataset_recipe, hparams_folder, model_recipe
from easyedit_split.types import ConfigError

# --- composed, not copied --------------------------------------------------------------------------------------------


def test_recipes_are_found_in_a_package_and_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "easyedit_split").mkdir()
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "easyedit_split" / "training" / "recipes.py"))
    with pytest.raises(ConfigError, match="hparams"):
        hparams_folder()
    (tmp_path / "hparams" / "methods").mkdir(parents=True)
    assert hparams_folder() == tmp_path / "hparams"
    (tmp_path / "easyedit_split" / "hparams" / "methods").mkdir(parents=True)
    assert hparams_folder() == tmp_path / "easyedit_split" / "hparams"


# --- precedence and origins ------------------------------------------------------------------------------------------


def test_later_wins_and_every_value_knows_its_origin(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        """
train: {lr: 0.5, epochs: 7}
form: {rank: 8}
cases:
  - for: {form: [lora], dataset: [psychopathy]}
    train: {epochs: 9}
  - for: {form: [vector]}
    train: {epochs: 11}
"""
    )
    recipe = compose(
        "lora", "split", model="gemma-2-9b-it", dataset="psychopathy", config=config, overrides=["train.lr=1e-3"]
    )
    lines = {line.key: line for line in recipe.lines()}
    assert (lines["train.lr"].value, lines["train.lr"].origin) == (0.001, "--set")
    assert (lines["train.epochs"].value, lines["train.epochs"].origin) == (9, str(config))
    assert (lines["form.rank"].value, lines["form.rank"].origin) == (8, str(config))
    assert lines["layers"].origin == "hparams/models/gemma-2-9b-it.yaml"
    assert lines["objective.theta"].origin == "hparams/methods/split.yaml"
    assert lines["train.dropout"].origin == "default"
    run = recipe.run_config()
    assert (run.form, run.objective, run.layers, run.placement) == ("lora", "split", (20,), "block_output")
    assert run.train.epochs == 9
    assert run.form_config == {"rank": 8}


def test_a_variant_takes_the_recipes_of_its_objective_and_its_own(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("cases:\n  - for: {objective: [split_across]}\n    objective: {kappa: 3}\n")
    where = {"model": "google/gemma-2-9b-it", "dataset": "psychopathy", "config": config}
    for form in ("vector", "lora", "local_weight"):
        split, across = (compose(form, name, **where).run_config() for name in ("split", "split_across"))
        assert across.train == split.train
        assert across.objective_config == {**split.objective_config, "kappa": 3.0}
    assert compose("lora", "split_across", **where).origins["objective.theta"] == "hparams/methods/split.yaml"
    plain = compose("lora", "sft", **where)
    assert "objective.theta" not in plain.origins, "control: no variant of split"


def test_a_model_is_recognised_by_id_folder_or_name() -> None:
    for model in ("google/gemma-2-9b-it", "/models/gemma-2-9b-it/", "gemma-2-9b-it"):
        assert model_recipe(model) == "gemma-2-9b-it"
    assert model_recipe("Qwen/Qwen2.5-7B-Instruct") == "qwen2.5-7b-it"
    assert model_recipe("testbed:gemma2") == "testbed-gemma2"
    assert model_recipe("meta-llama/Llama-3.1-8B-Instruct") is None


def test_a_dataset_is_recognised_as_it_is_loaded() -> None:
    assert dataset_recipe("psychopathy") == dataset_recipe("psychopathy:some/where.jsonl") == "psychopathy"
    assert dataset_recipe("testbed:power") == "testbed"
    assert dataset_recipe("mine.csv") is None
    assert dataset_recipe(None) is None


def test_an_unknown_model_needs_layers() -> None:
    recipe = compose("vector", "split", model="some/other-model", dataset="psychopathy")
    with pytest.raises(ConfigError, match="no recipe names layers"):
        recipe.run_config()
    given = compose("vector", "split", model="some/other-model", overrides=["layers=[10, 12]"])
    assert given.run_config().layers == (10, 12)


def test_impossible_pairing_is_refused_when_read() -> None:
    with pytest.raises(ConfigError, match="'diff_mean' cannot train form 'lora'"):
        compose("lora", "diff_mean", model="gemma-2-9b-it").run_config()
    assert compose("vector", "diff_mean", model="gemma-2-9b-it").run_config().objective == "diff_mean"


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trian: {lr: 1}", r"mine.yaml: unknown key 'trian' \(did you mean 'train'\?\)"),
        ("train: {learning_rate: 1}", "mine.yaml: train: unknown key 'learning_rate'"),
        ("train: {lr: fast}", "mine.yaml: train.lr: 'fast' is a str, wanted float"),
        ("objective: {thetta: 1}", r"mine.yaml: objective: unknown key 'thetta' \(did you mean 'theta'\?\)"),
        ("form: {alpha: 1}", "mine.yaml: form: unknown key 'alpha'; allowed: start, m_shift"),
        ("layers: 3", "mine.yaml.layers: 3 is a int, wanted a list"),
        ("placement: outside", "mine.yaml.placement: 'outside' is not allowed"),
        ("train: 3", "mine.yaml: train: 3 is a int, wanted a mapping"),
        ("- 1", "mine.yaml: holds a list, wanted a mapping"),
        ("cases: 3", "mine.yaml: cases is a int, wanted a list"),
        ("cases: [{train: {lr: 1}}]", r"mine.yaml, cases\[0\]: wanted a mapping with 'for'"),
        ("cases: [{for: {}, train: {lr: 1}}]", r"mine.yaml, cases\[0\].for: wanted a mapping with any of form"),
        ("cases: [{for: {forms: [vector]}}]", r"cases\[0\].for: unknown key 'forms' \(did you mean 'form'\?\)"),
        ("cases: [{for: {form: [vektor]}}]", r"cases\[0\].for.form: unknown form 'vektor' \(did you mean 'vector'"),
        ("cases: [{for: {form: vector}}]", r"cases\[0\].for.form: 'vector' is a str, wanted a list"),
        ("cases: [{for: {form: [vector]}, cases: []}]", r"cases\[0\]: unknown key 'cases'"),
        ("train: {lr: 1}\ntrain: {lr: 2}", "mine.yaml, line 2: key 'train' appears twice"),
    ],
)
def test_a_mistake_in_a_users_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(content)
    with pytest.raises(ConfigError, match=message):
        compose("vector", "split", model="gemma-2-9b-it", config=config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", "--set train.lr: write key=value"),
        ("train.lrr=1", r"--set train.lrr=1: train: unknown key 'lrr' \(did you mean 'lr'\?\)"),
        ("trainn.lr=1", r"--set trainn.lr=1: unknown key 'trainn' \(did you mean 'train'\?\)"),
        ("train.lr=[1", "--set train.lr=.* is not a YAML value"),
        ("train.lr=true", "train.lr: True is a bool, wanted float"),
        ("cases=[]", "--set cases=.*: unknown key 'cases'"),
    ],
)
def test_a_mistake_in_an_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("vector", "split", model="gemma-2-9b-it", overrides=[override])


def test_a_value_out_of_range_is_refused_when_the_run_is_read() -> None:
    with pytest.raises(ConfigError, match=r"settings.train: lr is -1.0, must be positive"):
        compose("vector", "split", model="gemma-2-9b-it", overrides=["train.lr=-1"]).run_config()


def test_unknown_form_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown form 'vektor'"):
        compose("vektor", "split", model="gemma-2-9b-it")
    with pytest.raises(ConfigError, match=r"absent.yaml: no such file"):
        compose("vector", "split", model="gemma-2-9b-it", config=tmp_path / "absent.yaml")
