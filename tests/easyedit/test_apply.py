"""Applied in the host, an intervention is the core's, and acts while the host says so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.config import TokenConfig
from easyedit_split.easyedit.apply import apply_to_host_model, single_layer
from easyedit_split.easyedit.fields import ApplyFields
from easyedit_split.easyedit.live import live_on
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import ArtifactError, ConfigError

from .flows import applier, bare_model, logits, prompt_ids, train_in_host
from .hosts import CONCEPTS, FORMS, ROWS, HostUnderTest

M = {"layers": [1, 2], "multipliers": [3.0, -2.0]}
QUESTION = [{"input": "What is item 3?"}]
Trained = Callable[..., tuple[Path, Any]]


@pytest.mark.parametrize(("form", "model"), [*((form, "qwen2.5-tiny") for form in FORMS), ("lora", "gemma-2-tiny")])
@pytest.mark.parametrize("in_memory", [False, True])
def test_applied_is_what_the_core_attaches(
    host: HostUnderTest, trained: Trained, models: Path, tmp_path: Path, form: str, model: str, in_memory: bool
) -> None:
    path = models / model
    place, vectors = trained(form, model)
    wrapper = applier(
        host,
        tmp_path,
        path,
        {"SPLIT": M},
        {"SPLIT": place},
        vectors={"SPLIT": vectors} if in_memory else None,
    ).model
    bare, tokenizer = bare_model(path)
    ids = prompt_ids(tokenizer)
    with ExitStack() as stack:
        for layer, m in zip(M["layers"], M["multipliers"], strict=True):
            stack.enter_context(attach(bare, single_layer(vectors.artifact.only(), layer, "x"), m))
        wanted = logits(bare, ids)
    assert torch.equal(logits(wrapper.model, ids), wanted)
    assert not torch.allclose(wanted, logits(bare, ids))


def test_unsteered_text_is_unsteered_and_steered_text_is_not(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    found = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]})
    (result,) = found.generate({"toy": QUESTION})
    bare, tokenizer = bare_model(qwen)
    ids = prompt_ids(tokenizer)
    output = bare.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    assert result["orig_pred"] == [tokenizer.decode(output[0][ids.shape[1] :], skip_special_tokens=True)]
    assert result["pred"] != result["orig_pred"]


@pytest.mark.parametrize("how", ["reset", "reset lower", "reset_all", "block", "m = 0"])
def test_what_the_host_takes_away_is_gone_to_the_bit(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path, how: str
) -> None:
    m = {**M, "multipliers": [0.0, 0.0]} if how == "m = 0" else M
    wrapper = applier(host, tmp_path, qwen, {"SPLIT": m}, {"SPLIT": trained()[0]}).model
    bare, tokenizer = bare_model(qwen)
    ids = prompt_ids(tokenizer)
    if how != "m = 0":
        assert not torch.equal(logits(wrapper.model, ids), logits(bare, ids))
    if how == "reset":
        wrapper.reset("SPLIT")
    elif how == "reset lower":
        wrapper.reset("split")
    elif how == "reset_all":
        wrapper.reset_all()
    elif how == "block":
        for layer in M["layers"]:
            wrapper.model.model.layers[layer].reset("all")
    assert torch.equal(logits(wrapper.model, ids), logits(bare, ids))
    assert how == "m = 0" or live_on(wrapper) == []


def test_reset_of_another_name_is_the_hosts_affair(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    wrapper = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]}).model
    wrapper.reset("caa")
    assert len(live_on(wrapper)) == 2
    with pytest.raises(ValueError, match="not supported to reset"):
        wrapper.reset("no_such_method")


def test_reapplication_replaces_and_leaves_no_hooks_behind(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    found = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]})
    ids = prompt_ids(found.tokenizer)
    once, hooks = logits(found.model.model, ids), count_hooks(found.model.model)
    for _ in range(3):
        found.apply_vectors()
    assert torch.equal(logits(found.model.model, ids), once)
    assert count_hooks(found.model.model) == hooks
    found.hparams_dict["SPLIT"].multipliers = [6.0, -2.0]
    found.apply_vectors()
    assert not torch.equal(logits(found.model.model, ids), once)
    found.model.reset_all()
    found.apply_vectors()
    assert count_hooks(found.model.model) == hooks


def count_hooks(model: Any) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_several_methods_add_up(host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path) -> None:
    """Ours in one block and upstream's caa in another and in the same."""
    diff_mean = trained(alg_name="DiffMean")[0]
    caa = torch.randn(32, generator=torch.Generator().manual_seed(0))
    torch.save(caa, tmp_path / "layer_1.pt")
    theirs = {"layers": [1], "multipliers": [2.0]}
    dirs = {"SPLIT": trained()[0], "DiffMean": diff_mean, "caa": tmp_path}
    both = applier(host, tmp_path, qwen, {"SPLIT": M, "DiffMean": M, "caa": theirs}, dirs).model
    ids = prompt_ids(both.tokenizer)
    outputs = {}
    for key in ("SPLIT", "DiffMean", "caa"):
        method = theirs if key == "caa" else M
        wrapper = applier(host, tmp_path, qwen, {key: method}, dirs).model
        outputs[key] = blocks(wrapper, ids)
    bare = blocks_of_bare(qwen, ids)
    change = sum(outputs[key][1] - bare[1] for key in outputs)
    assert torch.allclose(blocks(both, ids)[1] - bare[1], change, atol=1e-5)
    both.reset("DiffMean")
    left = (outputs["SPLIT"][1] - bare[1]) + (outputs["caa"][1] - bare[1])
    assert torch.allclose(blocks(both, ids)[1] - bare[1], left, atol=1e-5)


@torch.no_grad()
def blocks(wrapper: Any, ids: torch.Tensor) -> list[torch.Tensor]:
    return list(wrapper.model(ids, output_hidden_states=True).hidden_states[1:])


def blocks_of_bare(path: Path, ids: torch.Tensor) -> list[torch.Tensor]:
    model, _ = bare_model(path)
    with torch.no_grad():
        return list(model(ids, output_hidden_states=True).hidden_states[1:])


def test_steering_starts_at_the_hosts_position(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    wrapper = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]}).model
    ids = prompt_ids(wrapper.tokenizer)
    start = ids.shape[1] - 3
    wrapper.set_from_positions(start)
    steered, bare = blocks(wrapper, ids)[1], blocks_of_bare(qwen, ids)[1]
    assert torch.allclose(steered[:, :start], bare[:, :start], atol=1e-7)
    assert bool(((steered - bare)[:, start:].norm(dim=-1) > 1e-3).all())


def test_steer_from_end_position_in_generation(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    found = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]}, steer_from_end_position=True)
    (result,) = found.generate({"toy": QUESTION})
    plain = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]}).generate({"toy": QUESTION})
    assert result["orig_pred"] == plain[0]["orig_pred"]
    assert result["pred"] != result["orig_pred"]


@pytest.mark.parametrize("form", FORMS)
def test_each_concept_gets_its_own(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path, form: str
) -> None:
    place, vectors = trained(form, dataset=CONCEPTS)
    seen = []
    for concept_id in (0, 1):
        values = {"layers": [1], "multipliers": [1.0], "concept_id": concept_id}
        wrapper = applier(host, tmp_path, qwen, {"SPLIT": values}, {"SPLIT": place}).model
        seen.append(logits(wrapper.model, prompt_ids(wrapper.tokenizer)))
        (live,) = live_on(wrapper)
        want = vectors.artifact[f"concept {concept_id}"]["1.residual" if form == "vector" else "1.mlp.down_proj"]
        for (name, a), (_, b) in zip(live.intervention.named_parameters(), want.named_parameters(), strict=True):
            assert torch.equal(a, b), name
    assert not torch.equal(seen[0], seen[1])
    with pytest.raises(ConfigError, match="no concept_id 5"):
        applier(host, tmp_path, qwen, {"SPLIT": {**values, "concept_id": 5}}, {"SPLIT": place})


def test_the_recommended_m_is_the_one_that_the_artifact_stores(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    values = {"layers": [1, 2], "multipliers": "recommended"}
    place, vectors = trained()
    with pytest.raises(ConfigError, match="stores no m: choose one with `easyedit-split recommend"):
        applier(host, tmp_path, qwen, {"SPLIT": values}, {"SPLIT": place})
    own = tmp_path / "chosen" / "steering"
    vectors.artifact.with_m(2.5).save_pretrained(own)
    stored, plain = (
        applier(host, tmp_path, qwen, {"SPLIT": {**values, "multipliers": m}}, {"SPLIT": own.parent}).model
        for m in ("recommended", [2.5, 2.5])
    )
    ids = prompt_ids(plain.tokenizer)
    assert torch.equal(logits(stored.model, ids), logits(plain.model, ids))
    assert [live.m for live in live_on(stored)] == [2.5, 2.5]
    vectors.artifact.with_m((2.0, 3.0)).save_pretrained(own, overwrite=True)
    with pytest.raises(ConfigError, match="m1 and m2 differ"):
        applier(host, tmp_path, qwen, {"SPLIT": values}, {"SPLIT": own.parent})


def test_a_layer_that_was_not_trained_is_refused(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="0 interventions for layer 0; its layers: 1, 2"):
        applier(host, tmp_path, qwen, {"SPLIT": {"layers": [0], "multipliers": [1.0]}}, {"SPLIT": trained()[0]})


def test_vectors_of_another_model_are_refused(
    host: HostUnderTest, trained: Trained, qwen: Path, gemma: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="made for a model with model_type qwen2"):
        applier(host, tmp_path, gemma, {"SPLIT": M}, {"SPLIT": trained()[0]})


def test_another_tokenizer_is_named_and_the_same_one_is_not(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrapper = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]}).model
    assert "model differs" not in caplog.text
    wrapper.tokenizer.chat_template += "{# another #}"
    apply_to_host_model(ApplyFields(alg_name="SPLIT", **M, steer_vector_load_dir=str(trained()[0])), wrapper)
    assert "tokenizer or its chat template is not the one" in caplog.text


def test_several_layers_read_the_artifact_once(
    host: HostUnderTest, trained: Trained, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, checked = [], []
    reader, checker = Artifact.from_pretrained, Artifact.check_model
    monkeypatch.setattr(Artifact, "from_pretrained", lambda folder: read.append(folder) or reader(folder))
    monkeypatch.setattr(Artifact, "check_model", lambda *args, **kw: checked.append(kw) or checker(*args, **kw))
    applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": trained()[0]})
    assert len(M["layers"]) == 2
    assert (len(read), len(checked)) == (1, 1)


@pytest.mark.parametrize("top", [{"use_chat_template": False}, {"system_prompt": "Be brief."}])
def test_skip_prefix_means_the_prefix_of_the_artifacts_own_tokens(
    host: HostUnderTest, qwen: Path, tmp_path: Path, top: dict[str, Any]
) -> None:
    vectors = train_in_host(host, tmp_path, qwen, ROWS, top=top, skip_prefix=False)
    artifact = vectors.artifact
    values = {**M, "skip_prefix": True}
    wrapper = applier(host, tmp_path, qwen, {"SPLIT": values}, vectors={"SPLIT": vectors}).model
    found = {live.intervention.config.prefix_ids for live in live_on(wrapper)}
    assert found == {Template(wrapper.tokenizer, artifact.tokens).prefix_ids}
    assert found != {Template(wrapper.tokenizer, TokenConfig()).prefix_ids}, "control: the default template's"


def test_vllm_is_refused_in_one_sentence(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    class Wrapper:
        model = None

    with pytest.raises(ConfigError, match="set vllm_enable: false"):
        apply_to_host_model(ApplyFields(alg_name="SPLIT", layers=[1], multipliers=[1.0]), Wrapper())
