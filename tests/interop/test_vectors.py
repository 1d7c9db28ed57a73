"""Vectors from elsewhere act where they acted there: block numbers, rows and tokens turned into ours; GGUF too."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.interop.base import readable_formats
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ArtifactError, ConfigError, SteeringError

from ..small import World
from .peers import IDS, M, artifact, back, exact_world, far, logits, out, refused, steered

D, BLOCKS = 32, 3
V = torch.randn(D, generator=torch.Generator().manual_seed(4))
HERE = exact_world()


def added(here: World, block: int, v: Tensor) -> Tensor:
    """Logits with v added to the output of a block by a hook of the test's own, at every token."""
    handle = here.model.model.layers[block].register_forward_hook(lambda module, args, output: output + v.double())
    found = logits(here.model)
    handle.remove()
    return found


def saved(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def write_control_vector(path: Path, directions: dict[int, Tensor], hint: str | None = "llama", arch: str = "") -> Path:
    """What repeng's ``export_gguf`` writes."""
    writer = gguf.GGUFWriter(str(path), arch or "controlvector")
    if hint is not None:
        writer.add_string("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(directions))
    for block, v in directions.items():
        writer.add_tensor(f"direction.{block}", v.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_control_vector_is_the_blocks_own_number(tmp_path: Path) -> None:
    held = artifact(HERE, "vector", layers=(1, 2))
    out(HERE, held, "gguf_vector", tmp_path / "v.gguf")
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert sorted(tensors) == ["direction.1", "direction.2"]
    for block in (1, 2):
        wanted = M * held.tensors()[f"default/{block}.residual.v"].double()
        assert np.array_equal(tensors[f"direction.{block}"], wanted.float().numpy())
    field = reader.get_field("controlvector.model_hint")
    assert field is not None
    assert field.contents() == "llama"
    again = back(HERE, "gguf_vector", tmp_path / "v.gguf")
    assert far(steered(HERE, again, 1.0), steered(HERE, held)) < 1e-6
    assert far(steered(HERE, back(HERE, "repeng", tmp_path / "v.gguf"), 1.0), steered(HERE, again, 1.0)) == 0


def test_block_0_has_no_control_vector(tmp_path: Path) -> None:
    with refused(tmp_path / "v.gguf", "block 0", of=ConfigError):
        out(HERE, artifact(HERE, "vector", layers=(0, 1)), "gguf_vector", tmp_path / "v.gguf")
    with refused(tmp_path / "v.gguf", "1.mlp.down_proj", "peft", of=ConfigError):
        out(HERE, artifact(HERE), "gguf_vector", tmp_path / "v.gguf")


def test_spared_tokens_are_refused_or_their_cost_is_measured(tmp_path: Path) -> None:
    spared = artifact(HERE, "vector", skip_prefix=True)
    with refused(tmp_path / "v.gguf", "without the constant opening", "--positions all", of=ConfigError):
        out(HERE, spared, "gguf_vector", tmp_path / "v.gguf")
    done = out(HERE, spared, "gguf_vector", tmp_path / "v.gguf", positions="all")
    kl = float(done.notes[0].split("KL ")[1].split()[0])
    assert kl > 1e-6
    again = back(HERE, "gguf_vector", tmp_path / "v.gguf")
    assert far(steered(HERE, again, 1.0), steered(HERE, artifact(HERE, "vector"))) < 1e-6


@pytest.mark.parametrize("from_", ["gguf_vector", "repeng"])
def test_a_control_vector_of_repeng_is_played_as_there(from_: str, tmp_path: Path) -> None:
    path = write_control_vector(tmp_path / "v.gguf", {1: V, 2: -V})
    read = back(HERE, from_, path, layer=1)
    assert read.config.sites == ("1.residual",)
    assert far(steered(HERE, read, 1.0), added(HERE, 1, V)) < 1e-9
    assert far(steered(HERE, read, 1.0), added(HERE, 2, V)) > 1e-2
    assert back(HERE, from_, path).config.sites == ("1.residual", "2.residual")
    with refused(tmp_path / "x", "block 0", "it holds 1, 2", of=ConfigError):
        back(HERE, from_, path, layer=0)


def test_files_of_llama_cpps_generator_are_shifted_where_asked(tmp_path: Path) -> None:
    """It names what it measured behind block l ``direction.{l + 1}``."""
    path = write_control_vector(tmp_path / "v.gguf", {1: V, 2: -V})
    read = back(HERE, "gguf_vector", path, shift=-1)
    assert read.config.sites == ("0.residual", "1.residual")
    assert far(steered(HERE, back(HERE, "gguf_vector", path, shift=-1, layer=0), 1.0), added(HERE, 0, V)) < 1e-9
    with refused(tmp_path / "x", "block -1", of=ConfigError):
        back(HERE, "gguf_vector", path, shift=-2)


def test_other_gguf_files_are_refused(tmp_path: Path) -> None:
    for path, words in (
        (write_control_vector(tmp_path / "a.gguf", {1: V}, arch="llama"), "general.architecture"),
        (write_control_vector(tmp_path / "b.gguf", {1: V[:5]}), "width 32"),
        (write_control_vector(tmp_path / "c.gguf", {1: V * float("inf")}), "not finite"),
    ):
        with refused(tmp_path / "x", words, of=ArtifactError):
            back(HERE, "gguf_vector", path)
    path = write_control_vector(tmp_path / "d.gguf", {1: V}, hint=None)
    with refused(tmp_path / "x", "model_hint", of=ArtifactError):
        back(HERE, "repeng", path)


def test_a_plain_tensor_needs_its_block(tmp_path: Path) -> None:
    held = artifact(HERE, "vector", skip_prefix=True)
    done = out(HERE, held, "vector_pt", tmp_path / "v.pt")
    assert "block 1 (from 0)" in done.notes[0]
    assert torch.load(tmp_path / "v.pt", weights_only=True).shape == (D,)
    with refused(tmp_path / "x", "--layer", of=ConfigError):
        back(HERE, "vector_pt", tmp_path / "v.pt")
    assert (
        far(steered(HERE, back(HERE, "vector_pt", saved(tmp_path / "w.pt", V), layer=2), 1.0), added(HERE, 2, V)) < 1e-9
    )
    both = artifact(HERE, "vector", layers=(0, 2))
    out(HERE, both, "vector_pt", tmp_path / "both.pt")
    assert far(steered(HERE, back(HERE, "vector_pt", tmp_path / "both.pt"), 1.0), steered(HERE, both)) < 1e-6


def test_caa_says_its_layer_in_the_name_and_steers_from_the_prompts_end(tmp_path: Path) -> None:
    path = saved(tmp_path / "vec_layer_2_Llama-2-7b-chat-hf.pt", V)
    read = back(HERE, "caa", path)
    assert (read.config.sites, read.config.positions) == (("2.residual",), "answer")
    everywhere = back(HERE, "caa", path, positions="all")
    assert far(steered(HERE, everywhere, 1.0), added(HERE, 2, V)) < 1e-9
    before, after = logits(HERE.model), steered(HERE, read, 1.0)
    assert torch.equal(before[:, :-1], after[:, :-1])  # a call without cache is a prompt: its last token alone
    assert far(before[:, -1], after[:, -1]) > 1e-2
    path = saved(tmp_path / "vector.pt", V)
    with refused(tmp_path / "x", "--layer", of=ConfigError):
        back(HERE, "caa", path)


def test_row_0_of_persona_vectors_is_of_the_embeddings(tmp_path: Path) -> None:
    table = torch.stack([torch.full((D,), float("nan")), -V, V, -V])
    path = saved(tmp_path / "evil_response_avg_diff.pt", table)
    read = back(HERE, "persona_vectors", path, layer=1)
    assert far(steered(HERE, read, 1.0), added(HERE, 1, V)) < 1e-9
    assert "row 2" in read.record["imported"]["notes"][0]
    with refused(tmp_path / "x", "--layer", of=ConfigError):
        back(HERE, "persona_vectors", path)
    with refused(tmp_path / "x", "blocks 0 to 2", of=ConfigError):
        back(HERE, "persona_vectors", path, layer=3)
    saved(path, table[1:])
    with refused(tmp_path / "x", "wanted 4", of=ArtifactError):
        back(HERE, "persona_vectors", path, layer=1)


def test_axbench_has_a_concept_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    saved(folder / "DiffMean_weight.pt", torch.stack([V, -V]))
    saved(folder / "DiffMean_bias.pt", torch.zeros(2))
    rows = [{"concept_id": 0, "concept": "rivers"}, {"concept_id": 1, "concept": "poems"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    read = back(HERE, "axbench", folder, layer=1)
    assert read.concepts == ("rivers", "poems")
    assert read.chosen_m("poems") == 1.0
    one = back(HERE, "axbench", folder / "DiffMean_weight.pt", layer=1, concept_id=1)
    assert one.concepts == ("poems",)
    max_act, factor = 3.0, 0.5
    assert far(steered(HERE, one, max_act * factor), added(HERE, 1, -max_act * factor * V.double())) < 1e-9
    assert "max_act" in read.record["imported"]["notes"][0]
    with refused(tmp_path / "x", "--layer", of=ConfigError):
        back(HERE, "axbench", folder)
    with refused(tmp_path / "x", "2 concepts", of=ConfigError):
        back(HERE, "axbench", folder, layer=1, concept_id=2)


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_easyedit2s_files_go_both_ways(form: str, family: str, tmp_path: Path) -> None:
    here = exact_world(family)
    held = artifact(here, form, layers=(0, 2), placement="block_output")
    m = M if form == "lora" else (1.5, -0.5)
    done = out(here, held, "easyedit2", tmp_path / "vectors", m=m)
    assert "block_output" in done.notes[0]
    assert {path.name for path in (tmp_path / "vectors").glob("*.pt")} == {"layer_0.pt", "layer_2.pt"}
    again = back(here, "easyedit2", tmp_path / "vectors")
    assert far(steered(here, again, 1.0), steered(here, held, m)) < 1e-5
    assert far(steered(here, again, 1.1), steered(here, held, m)) > 1e-3
    single = back(here, "easyedit2", tmp_path / "vectors" / "layer_2.pt")
    assert [key.split(".")[0] for key in single.config.sites] == ["2"]


def test_easyedit2_cannot_say_a_change_at_the_site_behind_a_norm(tmp_path: Path) -> None:
    gemma = exact_world("gemma2")
    with refused(tmp_path / "x", "--placement block_output", of=ConfigError):
        out(gemma, artifact(gemma), "easyedit2", tmp_path / "x")
    with refused(tmp_path / "x", "no layer_L.pt", of=ArtifactError):
        back(HERE, "easyedit2", tmp_path)


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, to: Path) -> None:
        self.to = to

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.to, "executed"))


@pytest.mark.parametrize("from_", [name for name in readable_formats() if "gguf" not in name and name != "peft"])
def test_nothing_in_a_file_is_executed(from_: str, tmp_path: Path) -> None:
    path = tmp_path / "layer_1.pt"
    trap = tmp_path / "trap"
    torch.save({1: Trap(trap)}, path)
    layer = {} if from_ in ("repeng", "text_vector") else {"layer": 1}
    with pytest.raises(SteeringError):
        back(HERE, from_, path, **layer)
    path.write_bytes(pickle.dumps(Trap(trap), protocol=2))
    with pytest.raises(SteeringError):
        back(HERE, from_, path, **layer)
    assert not trap.exists()
    pickle.loads(path.read_bytes())  # control: the trap works
    assert trap.read_text("utf-8") == "executed"


def test_what_was_imported_is_an_ordinary_artifact(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.pt", V)
    read = back(HERE, "vector_pt", path, layer=1)
    again = Artifact.from_pretrained(read.save_pretrained(tmp_path / "artifact"))
    assert again.digest() == read.digest()
    assert again.chosen_m() == 1.0
    assert list(again.record["imported"]["files"]) == ["v.pt"]
    assert torch.equal(logits(HERE.model), steered(HERE, again, 0.0))
    assert IDS.shape[0] == 2
