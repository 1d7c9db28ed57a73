"""What every family keeps: its paths lead to what they name, norms behind maps show, its models load and steer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from easyedit_split.model.describe import describe
from easyedit_split.model.hooks import activations
from easyedit_split.model.load import load_model
from easyedit_split.model.maps import map_widths
from easyedit_split.model.sites import (
    FAMILIES,
    RESIDUAL,
    Site,
    attention_of,
    blocks_of,
    decoder_of,
    find_linear,
    hidden_size,
    short_names,
)
from easyedit_split.steering.attach import attach
from easyedit_split.steering.self_check import is_block_output, map_error

from ..attached import IDS, logits, made
from ..tiny import BLOCKS, tiny_model
from ..toy_tokenizers import gemma

READS_THE_STREAM = ("mlp.up_proj", "mlp.gate_proj", "attn.q_proj", "attn.k_proj", "attn.v_proj")
WRITES_THE_STREAM = ("mlp.down_proj", "attn.o_proj")


def model_types() -> tuple[str, ...]:
    """Every model type of every registered family."""
    return tuple(model_type for name in FAMILIES for model_type in FAMILIES[name].model_types)


def check_no_other_family_covers_it(model_type: str) -> None:
    """One family for a model type: else the alphabet would decide."""
    assert model_types().count(model_type) == 1


def check_blocks(model_type: str) -> None:
    """As many as the configuration says, and each one's output is the hidden state behind it."""
    model = tiny_model(model_type)
    blocks = blocks_of(model)
    assert len(blocks) == model.config.num_hidden_layers == BLOCKS
    sites = [Site(block, RESIDUAL) for block in range(BLOCKS)]
    with torch.no_grad(), activations(model, sites) as found:
        states = model(IDS, output_hidden_states=True).hidden_states
    for block in range(BLOCKS - 1):  # the last one's is normed in ``hidden_states``
        assert torch.equal(found[sites[block]], states[block + 1])
    assert found[sites[-1]].shape == (*IDS.shape, hidden_size(model))


def check_the_decoder_is_given_the_tokens(model_type: str) -> None:
    """Once a call of the model, as ``input_ids``."""
    model = tiny_model(model_type)
    seen: list[Any] = []
    decoder_of(model).register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs.get("input_ids", args[0] if args else None)), with_kwargs=True
    )
    logits(model)
    assert len(seen) == 1
    assert torch.equal(seen[0], IDS)


def check_linear_maps(model_type: str) -> None:
    """Each name leads to one map of its own in each block, of the widths that the name implies."""
    model = tiny_model(model_type)
    names, d = short_names(model, 1), hidden_size(model)
    assert set(names) <= {*READS_THE_STREAM, *WRITES_THE_STREAM}
    assert "mlp.down_proj" in names, "the default site of most forms"
    found = [find_linear(model, Site(block, name)) for block in range(BLOCKS) for name in names]
    assert len({id(module) for module in found}) == len(found), "two names for one map"
    for name in names:
        d_in, d_out = map_widths(find_linear(model, Site(1, name))) or (0, 0)
        assert (d_in if name in READS_THE_STREAM else d_out) == d, name
        assert map_error(model, Site(1, name)) <= 1e-4, name  # type: ignore[operator]
    d_in, _ = map_widths(find_linear(model, Site(1, "mlp.down_proj"))) or (0, 0)
    assert d_in != d, "down_proj reads the MLP's own width"


def check_norms_behind_the_maps(model_type: str) -> None:
    """A change at the map is measured to be another than at the block's output exactly where a norm bounds it."""
    model = tiny_model(model_type)
    for name in ("mlp.down_proj", "attn.o_proj"):
        parallel = name.startswith("mlp") or model_type == "toy_neox"  # else the MLP sees what attention adds
        differs = not is_block_output(model, Site(1, name))
        assert differs == (_bounded(model, name) or not parallel), name


def _bounded(model: Any, name: str) -> bool:
    """Whether adding twice a very large vector at a map leaves the block's output as far from where it was as once."""
    place, vector = Site(1, RESIDUAL), made(model, "vector", site=name, skip_prefix=False)
    found = []
    for m in (0.0, 1e6, 2e6):
        with attach(model, vector, m), activations(model, [place]) as states:
            logits(model)
        found.append(states[place])
    once, twice = ((state - found[0]).norm() for state in found[1:])
    return float(twice) < 1.5 * float(once)


def check_it_loads(model_type: str, folder: Path) -> None:
    """From an ordinary folder, under the attention backend that the family asks for."""
    tokenizer = gemma()
    model = tiny_model(model_type, torch.float32, vocab_size=len(tokenizer))
    model.config._attn_implementation = "eager"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    loaded, _ = load_model(str(folder), device="cpu")
    wanted = attention_of(model)
    assert wanted is None or describe(loaded, "tiny")["attention"] == wanted
    loaded.set_attn_implementation("eager")
    assert torch.allclose(logits(loaded), logits(model), atol=1e-5)
