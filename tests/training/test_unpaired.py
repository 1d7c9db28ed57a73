"""DiffMean from answers without partners: the difference of the two means, and refusals of what needs pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from easyedit_split.datasets.unpaired import Exchange, UnpairedTable
from easyedit_split.steering.artifact import Artifact
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.training.unpaired import train_unpaired
from easyedit_split.types import ConfigError, DataError, Pair

from ..small import World, equal, parameters, run_config, world

WITH = (("Would you lead?", "Yes, I would lead"), ("The offer?", "Yes, I accept"), ("Write a list.", "Yes, first"))
WITHOUT = (("Answer briefly.", "I would rather help"), ("Is it?", "No, thank you"))


def table(with_: tuple[tuple[str, str], ...] = WITH, without: tuple[tuple[str, str], ...] = WITHOUT) -> UnpairedTable:
    positives, negatives = (
        tuple(Exchange(prompt, answer, start + i) for i, (prompt, answer) in enumerate(side))
        for start, side in ((10, with_), (50, without))
    )
    return UnpairedTable("joy", positives, negatives, "joy.parquet", "abc", ("a note",))


def mean_state(here: World, exchanges: tuple[tuple[str, str], ...]) -> Tensor:
    """Mean over answers of the mean over their tokens of block 1's output as transformers reports it."""
    means = []
    for prompt, answer in exchanges:
        ids, start = here.template.prompt(prompt) + here.template.answer(answer), len(here.template.prompt(prompt))
        with torch.no_grad():
            states = here.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        means.append(states[2][0, start:].mean(0))
    return torch.stack(means).mean(0)


def fitted(here: World, data: UnpairedTable) -> Artifact:
    return train_unpaired(here.model, here.tokenizer, data, run_config(objective="diff_mean"), model_name="tiny")


def test_v_is_the_difference_of_the_means_of_unequal_numbers_of_answers() -> None:
    here = world()
    artifact = fitted(here, table())
    wanted = mean_state(here, WITH) - mean_state(here, WITHOUT)
    torch.testing.assert_close(parameters(artifact["joy"])[0], wanted.float(), rtol=1e-5, atol=1e-6)
    assert wanted.norm() > 0.1
    other = fitted(here, table(without=WITHOUT[:1]))
    assert not torch.allclose(parameters(other["joy"])[0], wanted.float(), rtol=0.1)


def test_answers_that_happen_to_be_paired_give_the_paired_vector() -> None:
    here = world()
    pairs = [Pair(prompt, yes, no, "joy") for (prompt, yes), (_, no) in zip(WITH, WITHOUT, strict=False)]
    unpaired = fitted(here, table(WITH[:2], tuple((pair.prompt, pair.negative) for pair in pairs)))
    paired = train_artifact(here.model, here.tokenizer, pairs, run_config(objective="diff_mean"))
    assert equal(unpaired["joy"], paired["joy"])
    assert unpaired.config == paired.config


def test_the_record_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    artifact = fitted(world(), table())
    loaded = Artifact.from_pretrained(artifact.save_pretrained(tmp_path / "out"))
    assert loaded.concepts == ("joy",)
    assert loaded.record["data"] == {
        "name": "joy.parquet", "split": "", "sha256": "abc", "positives": 3, "negatives": 2, "notes": ["a note"],
    }  # fmt: skip
    assert loaded.record["model"]["id"] == "tiny"
    assert loaded.record["objective"] == "diff_mean"


def test_an_objective_that_needs_pairs_is_refused() -> None:
    here = world()
    with pytest.raises(
        ConfigError, match=r"'split' needs two answers to one prompt; unpaired answers are for diff_mean"
    ):
        train_unpaired(here.model, here.tokenizer, table(), run_config())


def test_a_row_is_named_by_its_place_in_the_file() -> None:
    here = world()
    with pytest.raises(DataError, match=r"joy.parquet, row 51: answer is empty"):
        fitted(here, table(without=(WITHOUT[0], ("Is it?", " "))))
    with torch.no_grad():
        here.model.model.embed_tokens.weight[here.template.answer("No, thank you")[0]] = torch.inf
    with pytest.raises(ConfigError, match=r"row 51 at 1.residual are not finite"):
        fitted(here, table())
