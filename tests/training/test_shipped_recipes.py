"""The shipped recipes compose to the paper's settings, and none repeats another."""

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
from easyedit_split.training.recipes import Recipe, compose, hparams_folder
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


# --- the paper's settings --------------------------------------------------------------------------------------------


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


# --- composed, not copied --------------------------------------------------------------------------------------------


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
    overrides = ["layers=[0]"] if model == recipes.UNTUNED else []
    return effective(compose(form, objective, model=model, dataset=dataset, overrides=overrides))


def test_no_value_repeats_a_more_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("methods", "datasets", "models")
    files = {path: recipes.read_yaml(path) for part in parts for path in (hparams_folder() / part).glob("*.yaml")}
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
    assert {name.split("/")[0] for name in files} == {"methods", "datasets", "models", "easyedit2", "studies"}


# --- mistakes --------------------------------------------------------------------------------------------------------


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
