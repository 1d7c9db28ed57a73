"""EasyEdit2's own vector files: its appliers read ours, we read its own, and what does not fit is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.easyedit.live import live_on
from easyedit_split.types import ArtifactError, ConfigError

from .flows import applier, bare_model, logits, prompt_ids
from .hosts import FORMS, HostUnderTest

M = {"layers": [1, 2], "multipliers": [3.0, -2.0]}
Trained = Callable[..., tuple[Path, Any]]


def upstream(host: HostUnderTest, form: str, tmp_path: Path, model: Path, load: Path, **values: Any) -> Any:
    """The model under the host's own ``sft`` applier."""
    if form == "vector":
        host.needs_sound_vector_applier()
    m = {"layers": [1, 2], "multipliers": [3.0, -2.0], **values}
    return applier(host, tmp_path, model, {"sft": m}, {"sft": load}, intervention_method=form)


@pytest.mark.parametrize("model", ["qwen2.5-tiny", "gemma-2-tiny"])
@pytest.mark.parametrize("form", FORMS)
def test_upstreams_applier_reads_our_files(
    host: HostUnderTest, trained: Trained, models: Path, tmp_path: Path, form: str, model: str
) -> None:
    """The same file under upstream's forward and ours: equal to 1e-6 where nothing is skipped."""
    path = models / model
    place, _ = trained(form, model, skip_prefix=False)
    theirs = upstream(host, form, tmp_path, path, place).model
    ids = prompt_ids(theirs.tokenizer)
    ours = applier(host, tmp_path, path, {"SPLIT": M}, {"SPLIT": place}).model
    if hasattr(theirs.model, "set_attn_implementation"):
        theirs.model.set_attn_implementation(ours.model.config._attn_implementation)
    a, b = logits(theirs.model, ids), logits(ours.model, ids)
    assert float((a - b).abs().max()) < 1e-6 * max(1.0, float(a.abs().max()))
    bare, _ = bare_model(path)
    assert float((b - logits(bare, ids)).abs().max()) > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("in_memory", [False, True])
def test_we_read_upstreams_files(host: HostUnderTest, qwen: Path, tmp_path: Path, form: str, in_memory: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    states = {}
    for layer in (1, 2):
        states[f"layer_{layer}"] = {
            "vector": random(32),
            "lora": {"lora_A": random(48, 2), "lora_B": random(2, 32), "r": 2, "alpha": 32},
            "local_weight": {"weight": random(48, 32), "bias": random(32)},
        }[form]
        if form != "vector":
            states[f"layer_{layer}"] |= {"intervention_components": "mlp_mid", "concept_id": 0}
        torch.save(states[f"layer_{layer}"], tmp_path / f"layer_{layer}.pt")
    theirs = upstream(host, form, tmp_path, qwen, tmp_path).model
    vectors = {"SPLIT": states} if in_memory else None
    ours = applier(host, tmp_path, qwen, {"SPLIT": M}, {"SPLIT": tmp_path}, vectors=vectors).model
    ids = prompt_ids(theirs.tokenizer)
    a, b = logits(theirs.model, ids), logits(ours.model, ids)
    assert float((a - b).abs().max()) < 1e-6 * max(1.0, float(a.abs().max()))
    assert all(live.intervention.config.placement == "block_output" for live in live_on(ours))


@pytest.mark.parametrize(
    ("state", "values", "message"),
    [
        (None, {}, "holds no vectors: neither steering/ nor layer_1.pt"),
        (torch.full((32,), float("nan")), {}, "not finite"),
        (torch.zeros(31), {}, "maps 31 to 31"),
        (torch.zeros(2, 32), {"concept_id": 2}, r"concept_id 2, but the tensor is \[2, 32\]"),
        (
            {"lora_A": torch.zeros(48, 2), "lora_B": torch.zeros(2, 32), "intervention_components": "attn"},
            {},
            "mlp_mid",
        ),
        ({"something": torch.zeros(3)}, {"concept_id": 0}, "no concept_id 0"),
        ({"lora_A": torch.zeros(48, 2)}, {}, "neither a LoRA nor a local weight"),
        (torch.zeros(32), {"intervention_method": "lora"}, "form is 'lora', but .* holds 'vector'"),
        (torch.zeros(32), {"placement": "site"}, "placement is 'site'"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(
    host: HostUnderTest, qwen: Path, tmp_path: Path, state: Any, values: dict[str, Any], message: str
) -> None:
    if state is not None:
        torch.save(state, tmp_path / "layer_1.pt")
    with pytest.raises((ArtifactError, ConfigError), match=message):
        applier(host, tmp_path, qwen, {"SPLIT": {"layers": [1], "multipliers": [1.0], **values}}, {"SPLIT": tmp_path})


def test_a_file_with_code_in_it_is_not_run(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"lora_A": Trap()}, tmp_path / "layer_1.pt")
    with pytest.raises(ArtifactError, match="not a file of tensors alone"):
        applier(host, tmp_path, qwen, {"SPLIT": {"layers": [1], "multipliers": [1.0]}}, {"SPLIT": tmp_path})
    assert not (tmp_path / "sprung").exists()
