"""What a figure calls its curves and panels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from easyedit_split.analysis.figures.naming import curve_names, panel_layout
from easyedit_split.sweep_curves import CurveKey

KEY = CurveKey("google/gemma", "testbed:power", "test", "vector", "split", "3.residual", "block_output", "0")


def names(*keys: CurveKey, labels: list[str | None] | None = None, sources: list[str] | None = None) -> list[str]:
    return curve_names(keys, labels or [None] * len(keys), sources or [""] * len(keys))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ["SPLIT (1)", "SPLIT (2)"]),
        ({"objective": "sft"}, ["SPLIT", "SFT"]),
        ({"split": "train"}, ["SPLIT, test", "SPLIT, train"]),
        ({"seed": "1"}, ["SPLIT, seed 0", "SPLIT, seed 1"]),
        ({"placement": "site"}, ["SPLIT, at the block output", "SPLIT, at the site"]),
        ({"site": "4.residual"}, ["SPLIT, 3.residual", "SPLIT, 4.residual"]),
        ({"split": "train", "seed": "1"}, ["SPLIT, test, seed 0", "SPLIT, train, seed 1"]),
        ({"model": "Qwen/Qwen2.5"}, ["SPLIT", "SPLIT"]),  # panels of their own
        ({"form": "lora", "site": "3.mlp.down_proj"}, ["SPLIT", "SPLIT"]),  # the panel settles the site
        ({"form": "lora", "split": "train"}, ["SPLIT", "SPLIT"]),  # said in the titles
    ],
)
def test_names_say_what_differs_inside_a_panel(change: dict[str, str], expected: list[str]) -> None:
    assert names(KEY, replace(KEY, **change)) == expected


def test_a_site_is_named_only_in_the_panel_that_has_two() -> None:
    lora = [replace(KEY, form="lora", site=site) for site in ("3.mlp.down_proj", "4.mlp.down_proj")]
    assert names(KEY, *lora) == ["SPLIT", "SPLIT, 3.mlp.down_proj", "SPLIT, 4.mlp.down_proj"]


def test_files_are_named_where_keys_say_nothing() -> None:
    assert names(CurveKey(), CurveKey(), sources=["a.csv", "b.csv"]) == ["a.csv", "b.csv"]
    assert names(KEY, KEY, sources=["a.csv", "b.csv"]) == ["SPLIT, a.csv", "SPLIT, b.csv"]
    assert names(KEY, sources=["a.csv"]) == ["SPLIT"]
    assert names(CurveKey()) == ["curve"]
    assert names(KEY, KEY, labels=["mine", None], sources=["a.csv", "b.csv"]) == ["mine", "SPLIT"]
    assert names(KEY, KEY, labels=["mine", "mine"]) == ["mine (1)", "mine (2)"]


@pytest.mark.parametrize(
    ("change", "titles", "shape"),
    [
        ({}, ["Vector", "Vector"], (1, 1)),
        ({"form": "lora"}, ["Vector", "LoRA"], (1, 2)),
        ({"model": "Qwen/Qwen2.5"}, ["gemma, Vector", "Qwen2.5, Vector"], (1, 2)),
        ({"model": "other/gemma"}, ["google/gemma, Vector", "other/gemma, Vector"], (1, 2)),
        ({"dataset": "psychopathy"}, ["power, Vector", "psychopathy, Vector"], (1, 2)),
        ({"form": "lora", "split": "train"}, ["Vector, test", "LoRA, train"], (1, 2)),
        ({"form": "lora", "model": "b"}, ["gemma, Vector", "b, LoRA"], (1, 2)),  # a grid would be half empty
    ],
)
def test_titles_and_panels(change: dict[str, str], titles: list[str], shape: tuple[int, int]) -> None:
    keys = [KEY, replace(KEY, **change)]
    layout = panel_layout(keys)
    assert [layout.title(key) for key in keys] == titles
    assert (len(layout.rows), len(layout.columns)) == shape
    assert layout.cell(keys[0]) == (0, 0)
    assert layout.cell(keys[1]) == (0, shape[1] - 1)


def test_three_facets_make_a_grid_in_the_papers_order_of_forms() -> None:
    keys = [
        replace(KEY, model=model, dataset=data, form=form)
        for model in ("a", "b")
        for data in ("c", "d")
        for form in ("local_weight", "lora", "vector")
    ]
    layout = panel_layout(keys)
    assert layout.columns == (("vector",), ("lora",), ("local_weight",))
    assert layout.rows == (("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"))
    assert layout.title(keys[-1]) == "b, d, Vector"
