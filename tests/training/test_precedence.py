"""Where two files set the same key, the later one in the documented order wins, for every pair of neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

import easyedit_split.training.recipes as recipes
from easyedit_split.training.recipes import compose

ORDER = (
    "methods/lora.yaml",
    "methods/split.yaml",
    "datasets/psychopathy.yaml",
    "models/gemma-2-9b-it.yaml",
    "mine.yaml",
    "--set",
)


@pytest.mark.parametrize("first", range(len(ORDER)))
@pytest.mark.parametrize("in_case", [False, True])
def test_what_comes_later_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, in_case: bool) -> None:
    folder = tmp_path / "hparams"
    for name in ("methods", "datasets", "models"):
        (folder / name).mkdir(parents=True)
    for epochs, place in enumerate(ORDER[:-1], start=1):
        path = (folder if "/" in place else tmp_path) / place
        setting = f"train: {{epochs: {epochs}}}"
        path.write_text(f"cases:\n- for: {{form: [lora]}}\n  {setting}\n" if in_case else f"{setting}\n")
    for place in ORDER[first + 1 : -1]:  # the later ones say nothing
        ((folder if "/" in place else tmp_path) / place).write_text("{}\n")
    monkeypatch.setattr(recipes, "hparams_folder", lambda: folder)
    recipe = compose(
        "lora",
        "split",
        model="gemma-2-9b-it",
        dataset="psychopathy",
        config=tmp_path / "mine.yaml",
        overrides=[f"train.epochs={len(ORDER)}"] if first == len(ORDER) - 1 else [],
    )
    assert recipe.settings["train"] == {"epochs": first + 1}
    assert ORDER[first] in recipe.origins["train.epochs"]
