"""Many concepts in one run: each is what it is alone, a killed run goes on, and every command takes the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.concept_folders import INDEX, folder_names
from easyedit_split.training import each_concept
from easyedit_split.training.each_concept import train_each_concept
from easyedit_split.training.train_pairs import RunStopped, TrainingStopped, train_artifact
from easyedit_split.types import ArtifactError, ConfigError, Pair

from ..small import PAIRS, equal, run_config, world
from .shared import Run, Sentence, sweep_line, train_line, write_rows

CONCEPTS = ("Rain, in spring", "rain in spring", "日本")
TABLE = as_pairs([Pair(p.prompt, p.positive, p.negative, concept) for concept in CONCEPTS for p in PAIRS[:3]])


def trained(to: Path, **settings: Any) -> each_concept.EachConcept:
    here = world(dtype=torch.float32)
    return train_each_concept(here.model, here.tokenizer, TABLE, run_config(), to, **settings)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> each_concept.EachConcept:
    """The concepts trained, in one folder."""
    return trained(tmp_path_factory.mktemp("concepts") / "many")


def folder_of(made: each_concept.EachConcept) -> Path:
    return next(iter(made.folders.values())).parent


def test_each_concept_is_what_it_is_alone(many: each_concept.EachConcept) -> None:
    here = world(dtype=torch.float32)
    whole = Artifact.from_pretrained(folder_of(many))
    assert whole.concepts == CONCEPTS
    for place, concept in enumerate(CONCEPTS):
        alone = train_artifact(here.model, here.tokenizer, TABLE[3 * place : 3 * place + 3], run_config())
        own = Artifact.from_pretrained(many.folders[concept])
        assert equal(own[concept], alone[concept])
        assert equal(whole[concept], alone[concept])
        assert own.record == alone.record
    assert not equal(whole[CONCEPTS[0]], whole[CONCEPTS[1]]), "control: they differ"
    assert whole.record["data"]["pair_ids"] == list(TABLE.pair_ids)
    assert whole.unit is not None


def test_a_killed_run_goes_on_with_the_concept_that_it_was_at(
    many: each_concept.EachConcept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(model: Any, tokenizer: Any, part: Any, run: Any, **settings: Any) -> Artifact:
        calls.append(part.pairs[0].concept)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_artifact(model, tokenizer, part, run, **settings)

    monkeypatch.setattr(each_concept, "train_artifact", counted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "many")
    with pytest.raises(ArtifactError, match="2 of 3 concepts are not trained, the first 'rain in spring'"):
        Artifact.from_pretrained(tmp_path / "many")
    again = trained(tmp_path / "many")
    assert calls == [CONCEPTS[0], CONCEPTS[1], CONCEPTS[1], CONCEPTS[2]]
    assert again.found == CONCEPTS[:1]
    for concept, folder in again.folders.items():
        assert Artifact.from_pretrained(folder).digest() == Artifact.from_pretrained(many.folders[concept]).digest()


def test_what_is_there_of_another_run_is_refused(many: each_concept.EachConcept, tmp_path: Path) -> None:
    shutil.copytree(folder_of(many), tmp_path / "many")
    here = world(dtype=torch.float32)
    with pytest.raises(ConfigError, match=r"is of another run \(its run differ\)"):
        train_each_concept(here.model, here.tokenizer, TABLE, run_config(lr=0.01), tmp_path / "many")
    with pytest.raises(ConfigError, match=r"concepts.json holds other concepts than these 1"):
        train_each_concept(here.model, here.tokenizer, TABLE[:3], run_config(), tmp_path / "many")
    swapped = as_pairs([Pair(p.prompt, p.negative, p.positive, p.concept) for p in TABLE.pairs])
    with pytest.raises(ConfigError, match=r"\(its data differ\)"):
        train_each_concept(here.model, here.tokenizer, swapped, run_config(), tmp_path / "many")
    with pytest.raises(ConfigError, match="row 0: has no concept"):
        train_each_concept(here.model, here.tokenizer, as_pairs(PAIRS), run_config(), tmp_path / "x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something that is not a run of many concepts"):
        trained(tmp_path / "other")
    index = tmp_path / "many" / INDEX
    index.write_text(json.dumps({"concepts": {"a": "../elsewhere"}}))
    with pytest.raises(ArtifactError, match="is not in a folder beside the index"):
        Artifact.from_pretrained(tmp_path / "many")


def test_a_concept_that_diverges_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(model: Any, tokenizer: Any, part: Any, run: Any, **settings: Any) -> Artifact:
        made = train_artifact(model, tokenizer, part, run, **settings)
        if part.pairs[0].concept == CONCEPTS[1]:
            raise RunStopped(TrainingStopped("step 2: loss is nan", made.only(), ()), made)
        return made

    monkeypatch.setattr(each_concept, "train_artifact", diverging)
    made = trained(tmp_path / "many")
    assert set(made.folders) == {CONCEPTS[0], CONCEPTS[2]}
    assert made.stopped == {CONCEPTS[1]: "step 2: loss is nan"}
    assert len(list((tmp_path / "many").glob("*-last-good"))) == 1


def test_folders_have_names_of_their_own() -> None:
    names = folder_names([*CONCEPTS, "x" * 300, "..", "a/b", ""])
    assert len(set(names.values())) == len(names)
    assert names["a/b"] == "a-b"
    assert all(name and "/" not in name and not name.startswith(".") and len(name) < 80 for name in names.values())


def test_the_command_line_from_training_to_an_m_for_each(
    run: Run, sentence: Sentence, model: Path, tmp_path: Path
) -> None:
    rows = [
        {"prompt": f"Is {i} so?", "positive": f"Yes, {i}.", "negative": f"No {i}", "concept": concept}
        for concept in ("kind", "terse")
        for i in range(4)
    ]
    train, test = (write_rows(tmp_path / f"{name}.jsonl", rows[k::2]) for k, name in enumerate(("a", "b")))
    many = tmp_path / "many"
    code, _, err = run(*train_line(model, train, many, "--each-concept"))
    assert code == 0, err
    assert "2 concept(s)" in err
    code, _, err = run(*train_line(model, train, many, "--each-concept"))
    assert "2 concept(s) were there already and are kept" in err
    code, _, err = run(*sweep_line(model, test, many, tmp_path / "s.csv"))
    assert code == 0, err
    assert set(pd.read_csv(tmp_path / "s.csv")["concept"]) == {"kind", "terse"}
    code, _, err = run("recommend", tmp_path / "s.csv", "--each-concept", "--save", many)
    assert code == 0, err
    assert "an m is stored for" in err
    stored = Artifact.from_pretrained(many).chosen
    assert set(stored) <= {"kind", "terse"}
    shutil.rmtree(many / "terse")
    assert "1 of 2 concepts are not trained" in sentence(*sweep_line(model, test, many, tmp_path / "t.csv"))
