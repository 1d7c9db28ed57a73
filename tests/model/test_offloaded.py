"""Output embeddings that are more than a weight at hand, and weights that are on disk: the same logits and losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from easyedit_split.model.hooks import full_precision_head
from easyedit_split.model.linear_map import linear_map
from easyedit_split.model.load import load_model
from easyedit_split.model.sites import Site
from easyedit_split.scoring.score import score
from easyedit_split.steering.generate import generate_texts
from easyedit_split.types import ConfigError

from ..small import made, world

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
IDS = torch.tensor([[11, 5, 7, 20]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


def half(folder: Path, **settings: Any) -> Any:
    return load_model(str(folder), dtype="bfloat16", **({"device": "cpu"} | settings))[0]


@pytest.mark.parametrize("kind", ["plain", "adapted", "offloaded", "of another type", "replaced"])
def test_a_head_that_is_more_than_its_weight_computes_its_own_logits(
    kind: str, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = half(folder)
    head = model.lm_head
    if kind == "adapted":
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["lm_head"]))
        torch.nn.init.normal_(model.base_model.model.lm_head.lora_B.default.weight)
    elif kind == "offloaded":
        places = {name: "cpu" for name, _ in model.named_children()} | {"model": "cpu", "lm_head": "disk"}
        model = accelerate.dispatch_model(model, places, offload_dir=str(tmp_path))
    elif kind == "of another type":
        model.lm_head = type("Other", (torch.nn.Linear,), {"forward": lambda self, h: -h @ self.weight.T})(1, 1)
        model.lm_head.weight = head.weight
    elif kind == "replaced":
        head.forward = lambda h: -h @ head.weight.T
    own = logits(model)
    for _ in range(2):
        with full_precision_head(model):
            found = logits(model)
        assert found.dtype == (torch.float32 if kind == "plain" else torch.bfloat16)
        torch.testing.assert_close(found.float(), own.float(), rtol=0.02, atol=0.05)
    assert caplog.text.count("not recomputed in fp32") == (kind != "plain")


@pytest.mark.parametrize("disk", [["lm_head"], ["model.layers.1"], ["model.embed_tokens", "lm_head"]])
def test_offloaded_weights_give_the_same_losses(disk: list[str], folder: Path, tmp_path: Path) -> None:
    here, model = world(), half(folder)
    lora = made(here, "lora", site="mlp.down_proj").float()
    wanted = score(model, here.rows, lora, 0.5)
    plain = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    places = {**plain, **{f"model.layers.{i}": "cpu" for i in range(3)}, **dict.fromkeys(disk, "disk")}
    moved = accelerate.dispatch_model(half(folder), places, offload_dir=str(tmp_path))
    found = score(moved, here.rows, lora, 0.5)
    np.testing.assert_allclose(found.L_p, wanted.L_p, rtol=0.02)
    texts = [generate_texts(network, here.template, ["Would you?"], lora, (0.5,)) for network in (model, moved)]
    assert texts[0] == texts[1]
    if "model.layers.1" in disk:
        with pytest.raises(ConfigError, match="it is offloaded: load the model on a device that holds it"):
            _ = linear_map(moved, Site(1, "mlp.down_proj")).weight
