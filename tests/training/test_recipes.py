"""Recipes: the paper's settings row by row, nothing written twice, every mistake named with its file."""

from __future__ import annotations

import configparser
import copy
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import easyedit_split.training.recipes as recipes
from easyedit_split.config import parse_grid
from easyedit_split.training.objectives.base import OBJECTIVES
from easyedit_split.training.recipes import Recipe, compose, dataset_recipe, hparams_folder, model_recipe
from easyedit_split.types import ConfigError

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "reference" / "hyperparameters.csv"
FORMS = ("vector", "lora", "local_weight")
RUNS = [
    (form, objective)
    for form, objective in itertools.product(FORMS, ("split", "sft", "reps", "diff_mean"))
    if form in (OBJECTIVES[objective].forms or FORMS)
]


def reference() -> list[dict[str, str]]:
    if not REFERENCE.is_file():
        return []
    with REFERENCE.open(newline="") as file:
        return list(csv.DictReader(file))


def effective(recipe: Recipe) -> dict[str, Any]:
    return {line.key: line.value for line in recipe.lines()}


# --- the paper's settings ------------------------------------------------------------------------------------------


def in_reference(row: dict[str, str], values: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the row states and what was composed, by column, for every column that has a meaning under the objective."""
    pairs: dict[str, tuple[Any, Any]] = {
        "layer": ((int(row["layer"]),), values["layers"]),
        "directions": (row["directions"], values["train.directions"]),
        "steering_factors": (parse_grid(row["steering_factors"]), values["train.steering_factors"]),
        "max_length": (int(row["max_length"]), values["tokens.max_length"]),
        "positions": (row["positions"], values["positions"]),
    }
    for name in ("batch_size", "gradient_accumulation_steps", "epochs"):
        pairs[name] = (int(row[name]), values[f"train.{name}"])
    for name in ("lr", "dropout", "weight_decay"):
        pairs[name] = (float(row[name]), values[f"train.{name}"])
    if row["form"] == "lora":
        pairs["rank"] = (int(row["rank"]), values["form.rank"])
        pairs["scale_in_effect"] = (float(row["scale_in_effect"]), 1.0 if not values["form.apply_alpha"] else None)
    if row["objective"] == "split":
        for name, default in (("lambda_p", 1.0), ("lambda_n", 0.0), ("gamma", 0.0), ("theta", 0.5)):
            pairs[name] = (float(row[name] or default), values[f"objective.{name}"])
    if row["objective"] == "sft":  # SPLIT's weights that make it SFT
        pairs["weights"] = ((1.0, 0.0, 0.0), tuple(float(row[n]) for n in ("lambda_p", "lambda_n", "gamma")))
    if row["objective"] == "reps":
        pairs["subtraction"] = (row["subtraction"], values["objective.subtraction"])
    return pairs


@pytest.mark.parametrize(
    "row", reference(), ids=lambda r: "-".join([r["dataset"], r["model"], r["objective"], r["form"]])
)
def test_composes_to_the_papers_row(row: dict[str, str]) -> None:
    recipe = compose(row["form"], row["objective"], model=row["model"], dataset=row["dataset"])
    for column, (stated, composed) in in_reference(row, effective(recipe)).items():
        assert composed == stated, column


def test_every_row_of_the_reference_is_held() -> None:
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE.name} is not beside this checkout")
    rows = reference()
    assert len(rows) == 54
    assert len({(r["dataset"], r["model"], r["objective"], r["form"]) for r in rows}) == 54


def test_control_a_wrong_recipe_is_seen() -> None:
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE.name} is not beside this checkout")
    row = next(r for r in reference() if (r["dataset"], r["objective"], r["form"]) == ("axbench", "split", "lora"))
    recipe = compose("lora", "split", model=row["model"], dataset="psychopathy")
    assert any(stated != composed for stated, composed in in_reference(row, effective(recipe)).values())


def test_placement_follows_the_norm_after_the_mlp() -> None:
    for form in FORMS:
        gemma = effective(compose(form, "split", model="google/gemma-2-9b-it"))
        qwen = effective(compose(form, "split", model="Qwen/Qwen2.5-7B-Instruct"))
        assert gemma["placement"] == ("site" if form == "vector" else "block_output")
        assert qwen["placement"] == "site"
        assert gemma["skip_prefix"] is (form == "vector")
        assert gemma["site"] == ("residual" if form == "vector" else "mlp.down_proj")


# --- composed, not copied ------------------------------------------------------------------------------------------


def every_run() -> Iterator[tuple[str, str, str, str | None]]:
    models = [path.stem for path in sorted((hparams_folder() / "models").glob("*.yaml"))]
    datasets = [path.stem for path in sorted((hparams_folder() / "datasets").glob("*.yaml"))]
    for (form, objective), model, dataset in itertools.product(RUNS, models, [None, *datasets]):
        yield form, objective, model, dataset


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in ("for", "names"):
                yield from leaves(value, (*path, key))
    elif isinstance(content, list) and path[-1:] == ("cases",):
        for number, value in enumerate(content):
            yield from leaves(value, (*path, number))
    else:
        yield path


def without(content: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    thinner = copy.deepcopy(content)
    place: Any = thinner
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return thinner


def settings_of(run: tuple[str, str, str, str | None]) -> dict[str, Any]:
    form, objective, model, dataset = run
    return effective(compose(form, objective, model=model, dataset=dataset))


def test_no_value_repeats_a_more_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {path: recipes.read_yaml(path) for path in hparams_folder().glob("*/*.yaml")}
    contents = dict(files)
    monkeypatch.setattr(recipes, "read_yaml", lambda path: contents[path])
    full = {run: settings_of(run) for run in every_run()}

    def matters(path: Path, content: dict[str, Any]) -> bool:
        contents[path] = content
        try:
            return any(attempt(run) != full[run] for run in full if path.stem in run)
        finally:
            contents[path] = files[path]

    def attempt(run: tuple[str, str, str, str | None]) -> dict[str, Any] | None:
        try:
            return settings_of(run)
        except ConfigError:  # a model file without its layers
            return None

    cases = [(path, leaf) for path, content in files.items() for leaf in leaves(content)]
    assert len(cases) > 50
    for path, leaf in cases:
        assert matters(path, without(files[path], leaf)), f"{path.name}: {leaf} changes nothing"
    axbench = hparams_folder() / "datasets" / "axbench.yaml"
    repeated = {"train": {"dropout": 0.1}, **files[axbench]}
    assert not matters(axbench, repeated), "control: a repeated default would be found"


def test_every_shipped_file_is_read_and_reaches_a_wheel() -> None:
    files = {path.relative_to(hparams_folder()).as_posix() for path in hparams_folder().rglob("*.yaml")}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["easyedit_split"].split()
    packaged = {
        path.relative_to(ROOT / "easyedit_split" / "hparams").as_posix()
        for pattern in patterns
        for path in (ROOT / "easyedit_split").glob(pattern)
        if path.suffix == ".yaml"
    }
    assert files == packaged
    assert {name.split("/")[0] for name in files} == {"methods", "datasets", "models"}


def test_recipes_are_found_in_a_package_and_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "easyedit_split").mkdir()
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "easyedit_split" / "training" / "recipes.py"))
    with pytest.raises(ConfigError, match="hparams"):
        hparams_folder()
    (tmp_path / "hparams" / "methods").mkdir(parents=True)
    assert hparams_folder() == tmp_path / "hparams"
    (tmp_path / "easyedit_split" / "hparams" / "methods").mkdir(parents=True)
    assert hparams_folder() == tmp_path / "easyedit_split" / "hparams"


# --- precedence and origins ----------------------------------------------------------------------------------------


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


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trian: {lr: 1}", r"mine.yaml: unknown key 'trian' \(did you mean 'train'\?\)"),
        ("train: {learning_rate: 1}", "mine.yaml: train: unknown key 'learning_rate'"),
        ("train: {lr: fast}", "mine.yaml: train.lr: 'fast' is a str, wanted float"),
        ("objective: {thetta: 1}", r"mine.yaml: objective: unknown key 'thetta' \(did you mean 'theta'\?\)"),
        ("form: {alpha: 1}", "mine.yaml: form: unknown key 'alpha'; allowed: none"),
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
        ("train: {lr: 1}\ntrain: {lr: 2}", "mine.yaml, line 2: key 'train' stands twice"),
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


def test_shipped_files_hold_no_copy_of_another() -> None:
    texts = [path.read_text() for path in hparams_folder().rglob("*.yaml")]
    assert len(set(texts)) == len(texts)
    assert all(isinstance(yaml.safe_load(text), dict | None) for text in texts)


PAPER = [
    (model, dataset, form, objective)
    for model in ("google/gemma-2-9b-it", "Qwen/Qwen2.5-7B-Instruct")
    for dataset in ("psychopathy", "powerseeking", "axbench")
    for form in FORMS
    for objective in ("split", "sft", "reps", "diff_mean")
    if form == "vector" or objective != "diff_mean"
]


@pytest.mark.parametrize(("model", "dataset", "form", "objective"), PAPER)
def test_each_of_the_papers_sixty_recipes_loads(model: str, dataset: str, form: str, objective: str) -> None:
    run = compose(form, objective, model=model, dataset=dataset).run_config()
    assert run.layers == ((20,) if "gemma" in model else (14,))


def test_there_are_sixty_of_them() -> None:
    assert len(PAPER) == 60
