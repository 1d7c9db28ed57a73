"""The package's recipes as YAML files for EasyEdit2: what ``hparams/easyedit2`` holds.

    python -m easyedit_split.easyedit.yaml_files        # writes them anew

One ``generate`` file for each model, dataset, objective and form, in ``MODEL/DATASET/``, and a model's ``apply`` files
above them. They are flat, in EasyEdit2's own names where it has them, so that every commit of it loads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..training.recipes import compose, hparams_folder
from .settings import COMPAT

FOLDER = "easyedit2"
MODELS = {
    "gemma-2-9b-it": ("psychopathy", "powerseeking", "axbench"),
    "qwen2.5-7b-it": ("psychopathy", "powerseeking", "axbench"),
    "smollm2": ("everyday",),
    "testbed-gemma2": ("testbed:power",),
    "testbed-qwen2": ("testbed:power",),
}
PAPER = ("gemma-2-9b-it", "qwen2.5-7b-it")
"""The paper's models: their files train as EasyEdit2's own loop did (``compat: easyedit2``), for the paper's curves."""

LAYERS = {"smollm2": (15,)}
"""Blocks of models that have no recipe of their own."""

CASES = (("split", "vector"), ("split", "lora"), ("split", "local_weight"), ("diff_mean", "vector"))
ALG_NAMES = {"split": "SPLIT", "diff_mean": "DiffMean"}
_NAMES = {
    "epochs": "n_epochs",
    "rank": "low_rank_dimension",
    "lambda_p": "pos_loss_weight",
    "lambda_n": "neg_loss_weight",
    "gamma": "margin_penalty_weight",
    "theta": "margin_threshold",
}
_PAIRS = {"add": ["orig_add"], "both": ["orig_add", "orig_sub"]}
_TRAIN = (
    "lr", "unit", "epochs", "batch_size", "gradient_accumulation_steps", "weight_decay", "dropout", "steering_factors",
)  # fmt: skip


def generate_settings(objective: str, form: str, model: str, dataset: str) -> dict[str, Any]:
    """Settings of a ``generate`` file, from the recipe.

    Args:
        objective: registered name.
        form: registered name.
        model: a file of ``hparams/models``, or a model without one.
        dataset: a file of ``hparams/datasets``, or ``testbed:NAME``.
    """
    recipe = compose(form, objective, model=model.replace("testbed-", "testbed:"), dataset=dataset)
    recipe = recipe.with_layers(LAYERS[model], "here") if recipe.needs_layers else recipe
    lines = {line.key: line.value for line in recipe.lines()}
    found: dict[str, Any] = {"alg_name": ALG_NAMES[objective], "layers": list(lines["layers"])}
    if objective == "diff_mean":
        return found
    found["intervention_method"] = form
    if form == "lora":
        found["low_rank_dimension"] = lines["form.rank"]
    for name in ("lambda_p", "lambda_n", "gamma", "theta"):
        found[_NAMES[name]] = lines[f"objective.{name}"]
    for name in _TRAIN:
        value = lines[f"train.{name}"]
        if name != "unit" or value != "m":
            found[_NAMES.get(name, name)] = list(value) if isinstance(value, tuple) else value
    found["preference_pairs"] = _PAIRS[lines["train.directions"]]
    return {**found, "compat": COMPAT} if model in PAPER else found


def files() -> Iterator[tuple[Path, str]]:
    """Path below ``hparams/easyedit2`` and content of every file."""
    for model, datasets in MODELS.items():
        for dataset in datasets:
            folder = Path(model) / dataset.removeprefix("testbed:")
            for objective, form in CASES:
                settings = generate_settings(objective, form, model, dataset)
                yield folder / f"{objective}_{form}.yaml", _text(settings, f"{objective} x {form}", model, dataset)
        for objective, name in ALG_NAMES.items():
            layers = generate_settings(objective, "vector", model, datasets[0])["layers"]
            settings = {"alg_name": name, "layers": layers, "multipliers": [1.0] * len(layers)}
            comment = "# m of each layer; `recommended` takes the m that `easyedit-split recommend --save` stored.\n"
            yield Path(model) / f"apply_{name}.yaml", comment + _dump(settings)


def _text(settings: dict[str, Any], case: str, model: str, dataset: str) -> str:
    return f"# {case}, {model}, {dataset}: as hparams/models and hparams/datasets have it.\n{_dump(settings)}"


def _dump(settings: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)
    return text


def main() -> None:
    """Write every file."""
    for path, text in files():
        target = hparams_folder() / FOLDER / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
