"""A steering: an intervention at a chosen m that is applied, scaled, added and saved, and never changes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.steering.steering import Steering
from easyedit_split.types import ArtifactError, ConfigError

from ..tiny import tiny_model
from .test_attach import made

MODEL = tiny_model("llama")
IDS = torch.arange(1, 9)[None]


def artifact(form: str = "lora", **settings: object) -> Artifact:
    record = {"objective": "split", "data": {"name": "power", "split": "train", "pairs": 8}, "model": {"id": "tiny"}}
    return Artifact({"default": made(MODEL, form, **settings)}, record)


def logits() -> Tensor:
    with torch.no_grad():
        found: Tensor = MODEL(IDS).logits
    return found


def under(steering: Steering) -> Tensor:
    with steering(MODEL):
        return logits()


def test_it_steers_as_attach_does_and_leaves_the_model_as_it_was() -> None:
    kept, bare = artifact(), logits()
    with attach(MODEL, kept.only(), 3.0):
        wanted = logits()
    assert torch.equal(under(Steering(kept, 3.0)), wanted)
    assert torch.equal(logits(), bare)
    assert torch.equal(under(Steering(kept, 0.0)), bare)
    assert not torch.equal(wanted, bare)


def test_scaling_scales_m_and_gives_a_new_one() -> None:
    one = Steering(artifact(), 1.5)
    assert ((2 * one).m, (one * 2).m, (-one).m, one.at(4.0).m, one.m) == (3.0, 3.0, -1.5, 4.0, 1.5)
    assert (2 * one.at((1.0, 3.0))).m == (2.0, 6.0)
    assert torch.equal(under(2 * one), under(one.at(3.0)))
    assert not torch.equal(under(2 * one), under(one))


def test_a_sum_applies_each_part_at_its_own_m() -> None:
    first, second = artifact("lora", site="mlp.down_proj"), artifact("local_weight", site="mlp.up_proj")
    both = Steering(first, 2.0) + Steering(second, -1.0)
    with attach(MODEL, first.only(), 2.0), attach(MODEL, second.only(), -1.0):
        wanted = logits()
    assert torch.equal(under(both), wanted)
    assert not torch.equal(under(both), under(Steering(first, 2.0)))
    with (2 * both)(MODEL, check=True) as steered:
        logits()
    assert [row.site for row in steered.report()] == ["1.mlp.down_proj", "1.mlp.up_proj"]
    assert [attachment.m for attachment in steered.attachments] == [(4.0, 4.0), (-2.0, -2.0)]


def test_a_sum_has_no_one_m(tmp_path: Path) -> None:
    both = Steering(artifact()) + Steering(artifact("vector"))
    for ask in (
        lambda: both.m,
        lambda: both.at(2.0),
        lambda: both.artifact,
        lambda: both.save_pretrained(tmp_path / "x"),
    ):
        with pytest.raises(ConfigError, match="sum"):
            ask()


def test_the_chosen_m_is_saved_with_its_evidence_and_loaded(tmp_path: Path) -> None:
    steering = Steering(artifact()).at(2.5, evidence={"aim": "answer", "gain": 3.25})
    folder = steering.save_pretrained(tmp_path / "a")
    again = Steering.from_pretrained(folder)
    assert again.m == 2.5
    assert again.artifact.chosen["default"].evidence == {"aim": "answer", "gain": 3.25}
    assert torch.equal(under(again), under(steering))
    assert Steering.from_pretrained(folder, m=-1.0).m == -1.0
    with pytest.raises(ArtifactError, match="exists already"):
        steering.save_pretrained(folder)
    assert steering.at((1.0, 2.0)).save_pretrained(folder, overwrite=True) == folder
    assert Steering.from_pretrained(folder).m == (1.0, 2.0)


def test_an_artifact_without_a_chosen_m_is_at_one_and_its_file_is_what_it_was(tmp_path: Path) -> None:
    kept = artifact()
    assert Steering(kept).m == 1.0
    kept.save_pretrained(tmp_path / "plain")
    assert "chosen_m" not in (tmp_path / "plain" / "steering_config.json").read_text("utf-8")
    assert kept.with_m(4.0).identity() == kept.identity() == kept.digest()
    assert kept.with_m(4.0).digest() != kept.digest()


def test_only_an_m_that_was_named_is_written(tmp_path: Path) -> None:
    unnamed = Steering(artifact())
    assert Steering.from_pretrained(unnamed.save_pretrained(tmp_path / "a")).artifact.chosen == {}
    several = Artifact({name: made(MODEL, "lora") for name in ("fear", "joy")})
    saved = Steering.from_pretrained(Steering(several, m=8.0).save_pretrained(tmp_path / "b"))
    assert {concept: chosen.m1 for concept, chosen in saved.artifact.chosen.items()} == {"fear": 8.0, "joy": 8.0}


@dataclass
class Answer:
    """What a recommendation says."""

    m: float | None
    reason: str


def test_a_recommendation_is_taken_with_its_reason_and_none_is_refused_with_it() -> None:
    steering = Steering(artifact()).at(Answer(2.5, "the wanted answers are likeliest here"))
    assert (steering.m, steering.parts[0].chosen.evidence) == (2.5, {"reason": "the wanted answers are likeliest here"})
    with pytest.raises(ConfigError, match="no usable m: too few pairs: choose m yourself"):
        steering.at(Answer(None, "no usable m: too few pairs"))


@pytest.mark.parametrize("damage", ['"m1": 2.5', '"gain": 3.25'])
def test_a_chosen_m_that_was_edited_is_found(tmp_path: Path, damage: str) -> None:
    folder = Steering(artifact()).at(2.5, evidence={"gain": 3.25}).save_pretrained(tmp_path / "a")
    file = folder / "steering_config.json"
    text = file.read_text("utf-8")
    assert damage in text
    file.write_text(text.replace(damage, damage[:-1] + "9"), "utf-8")
    with pytest.raises(ArtifactError, match="digest"):
        Steering.from_pretrained(folder)


def test_concepts_are_chosen_by_name_and_each_keeps_its_m() -> None:
    parts: dict[str, Intervention] = {
        name: made(MODEL, "lora", scale=scale) for name, scale in (("fear", 0.3), ("joy", 0.5))
    }
    several = Steering(Artifact(parts).with_m(3.0, "joy"))
    assert (several["joy"].m, several["fear"].m) == (3.0, 1.0)
    assert (several.at(7.0)["fear"].m, several.at(7.0)["joy"].m) == (7.0, 7.0)
    assert Steering(several.artifact, m=8)["joy"].m == 8.0
    with attach(MODEL, parts["joy"], 3.0):
        wanted = logits()
    assert torch.equal(under(several["joy"]), wanted)
    with pytest.raises(ConfigError, match="name one of fear, joy"):
        under(several)
    with pytest.raises(ConfigError, match=r"no concept 'jot'.*'joy'"):
        several["jot"]


def test_m_must_be_finite_and_the_model_the_right_one() -> None:
    with pytest.raises(ConfigError, match="must be finite"):
        Steering(artifact(), float("nan"))
    other = Artifact({"default": made(MODEL, "lora")}, {"model": {"hidden_size": 8, "id": "other"}})
    with pytest.raises(ArtifactError, match="hidden_size 8"):
        under(Steering(other))


def test_it_says_what_it_is_and_nothing_in_it_is_markup() -> None:
    steering = Steering(artifact(), 2.0)
    assert repr(steering) == (
        "Steering(what=lora x split, where=1.mlp.down_proj (site), m=2, data=power (train, 8 pairs), model=tiny)"
    )
    named = Steering(Artifact({"<b>": made(MODEL, "lora")}))
    assert "&lt;b&gt;" in named._repr_html_()
    assert "<b>" not in named._repr_html_()
