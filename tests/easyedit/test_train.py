"""Training inside the host's flow is the core's training, to the bit, and leaves files that both sides read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from easyedit_split.easyedit.methods import SPLIT
from easyedit_split.easyedit.settings import train_settings
from easyedit_split.steering.artifact import Artifact
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import ConfigError, DataError, Pair

from .flows import bare_model, train_in_host
from .hosts import CONCEPTS, FORMS, ROWS, TRAINING, HostUnderTest

PAIRS = [Pair(row["question"], row["matching"], row["not_matching"]) for row in ROWS]


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize(("form", "model"), [*((form, "qwen2.5-tiny") for form in FORMS), ("lora", "gemma-2-tiny")])
def test_the_hosts_flow_trains_what_the_core_trains(
    host: HostUnderTest, models: Path, tmp_path: Path, form: str, model: str, chat: bool
) -> None:
    found = train_in_host(
        host, tmp_path, models / model, ROWS, intervention_method=form, top={"use_chat_template": chat}
    )
    fields = SPLIT.all_train_fields()(intervention_method=form, **TRAINING)
    fields.use_chat_template, fields.seed = chat, 42
    run = train_settings(fields, None, "split", "x").run
    wanted = train_artifact(*bare_model(models / model), PAIRS, run)
    assert found.artifact.config == wanted.config
    assert found.artifact.tensors().keys() == wanted.tensors().keys()
    for name, tensor in wanted.tensors().items():
        assert torch.equal(found.artifact.tensors()[name], tensor), name
        assert tensor.abs().max() > 0


def test_another_seed_or_objective_trains_something_else(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    """The negative control of the equality above."""
    one = train_in_host(host, tmp_path, qwen, ROWS)["layer_1"]
    assert not torch.equal(one, train_in_host(host, tmp_path, qwen, ROWS, top={"seed": 7})["layer_1"])
    other = train_in_host(host, tmp_path, qwen, ROWS, alg_name="vector", objective="sft")["layer_1"]
    assert not torch.equal(one, other)


@pytest.mark.parametrize("form", FORMS)
def test_single_concept_files(host: HostUnderTest, qwen: Path, tmp_path: Path, form: str) -> None:
    vectors = train_in_host(host, tmp_path, qwen, ROWS, intervention_method=form)
    folder = tmp_path / "vectors" / "toy" / f"SPLIT_{form}"
    assert set(vectors) == {"layer_1", "layer_2"}
    assert Artifact.from_pretrained(folder / "steering").digest() == vectors.artifact.digest()
    for layer in (1, 2):
        state = torch.load(folder / f"layer_{layer}.pt", weights_only=True)
        shapes = (
            {key: list(value.shape) for key, value in state.items() if isinstance(value, torch.Tensor)}
            if (isinstance(state, dict))
            else list(state.shape)
        )
        assert (
            shapes
            == {
                "vector": [32],
                "lora": {"lora_A": [48, 2], "lora_B": [2, 32]},
                "local_weight": {"weight": [48, 32], "bias": [32]},
            }[form]
        )
        if isinstance(state, dict):
            assert state["intervention_components"] == "mlp_mid"


@pytest.mark.parametrize("form", FORMS)
def test_multi_concept(host: HostUnderTest, qwen: Path, tmp_path: Path, form: str) -> None:
    vectors = train_in_host(host, tmp_path, qwen, CONCEPTS, intervention_method=form)
    folder = tmp_path / "vectors" / "toy" / f"SPLIT_{form}"
    assert vectors.artifact.concepts == ("concept 0", "concept 1")
    state = torch.load(folder / "layer_1.pt", weights_only=True)
    if form == "vector":
        assert state.shape == (2, 32)
        assert not torch.equal(state[0], state[1])
    else:
        assert set(state) == {0, 1}
    lines = [json.loads(line) for line in (folder / "metadata_layer_1.jsonl").read_text().splitlines()]
    assert [(line["concept_id"], line["concept"], line["ref"]) for line in lines] == [
        (0, "concept 0", "vector_index_0"),
        (1, "concept 1", "vector_index_1"),
    ]


def test_max_concepts_and_examples_are_the_hosts(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    vectors = train_in_host(host, tmp_path, qwen, CONCEPTS, max_concepts=1, max_num_of_examples=4)
    assert vectors.artifact.concepts == ("concept 0",)
    assert vectors.artifact.record["data"]["pairs"] == 2  # four answers


def test_only_positive_rows_of_a_concept_are_used(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    rows = [*CONCEPTS[0][1], {"question": "x", "matching": None, "category": "negative", "concept_id": 0}]
    vectors = train_in_host(host, tmp_path, qwen, [(0, rows)])
    assert vectors.artifact.record["data"]["pairs"] == 3


def test_diff_mean_is_fitted_without_training(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    vectors = train_in_host(host, tmp_path, qwen, ROWS, alg_name="DiffMean")
    assert vectors.artifact.record["objective"] == "diff_mean"
    assert vectors.artifact.history == {"default": []}
    assert float(vectors["layer_1"].norm()) > 0


def test_nothing_is_written_without_save_vectors(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    assert train_in_host(host, tmp_path, qwen, ROWS, top={"save_vectors": False})["layer_1"].shape == (32,)
    assert not (tmp_path / "vectors").exists()


def test_training_again_keeps_what_else_lies_in_the_folder(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    log = tmp_path / "vectors" / "toy" / "SPLIT_vector" / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("kept")
    train_in_host(host, tmp_path, qwen, ROWS)
    train_in_host(host, tmp_path, qwen, ROWS)
    assert log.read_text() == "kept"


def test_a_form_that_upstream_cannot_say_gets_no_file_of_its(host: HostUnderTest, gemma: Path, tmp_path: Path) -> None:
    """On Gemma-2 the site and the block's output are different functions."""
    train_in_host(host, tmp_path, gemma, ROWS, intervention_method="lora", placement="site")
    folder = tmp_path / "vectors" / "toy" / "SPLIT_lora"
    assert (folder / "steering").is_dir()
    assert not list(folder.glob("*.pt"))
    train_in_host(host, tmp_path, gemma, ROWS, intervention_method="lora", placement="block_output")
    assert len(list(folder.glob("*.pt"))) == 2


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "toy: no rows to train on"),
        (None, "toy: no rows to train on"),
        ([ROWS[0], {"question": "q", "matching": "a"}], "toy, row 1: not_matching is missing; the row has question"),
        ([ROWS[0], {**ROWS[1], "matching": float("nan")}], "toy, row 1: matching is missing"),
        ([ROWS[0], {**ROWS[1], "matching": 3}], "toy, row 1: matching is a int, wanted text"),
        ([ROWS[0], {**ROWS[1], "matching": "  "}], "toy, row 1"),
        ([(3, [{**ROWS[0], "category": "negative"}])], "concept_id 3 has no row of category 'positive'"),
    ],
)
def test_bad_rows_are_named(host: HostUnderTest, qwen: Path, tmp_path: Path, dataset: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train_in_host(host, tmp_path, qwen, dataset)


def test_bad_rows_are_dropped_when_asked(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"question": "q", "matching": "a"}, {**ROWS[1], "matching": "  "}]
    vectors = train_in_host(host, tmp_path, qwen, rows, drop_bad=True)
    assert vectors.artifact.record["data"]["pairs"] == len(ROWS)


def test_a_layer_the_model_has_not_is_refused(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="layer 7 does not exist"):
        train_in_host(host, tmp_path, qwen, ROWS, layers=[7])
