"""A plain Hugging Face checkpoint with the change in its weights, which ``from_pretrained`` loads without this package.

    W' = W + m1 dW,   b' = b + m2 db          added in float64, then rounded once to the checkpoint's dtype

db needs a bias at the map; Llama's configuration can switch them on (``add_bias``), most architectures have none. A
change of the block's output goes into the bias of ``mlp.down_proj``, where the block's output takes it unchanged.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import require
from ..model.describe import adapters_of, quantization_of
from ..model.linear_map import linear_map
from ..model.load_options import parse_dtype
from ..model.sites import RESIDUAL, Site, find_linear
from ..steering.intervention import Intervention, InterventionConfig
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .base import FORMATS, Format, Outgoing
from .differences import by, kl_per_token, neutral_batch
from .lora_updates import module_names
from .placement import require_in_weights

_OUT = "mlp.down_proj"
SWITCHES = {"mlp": "mlp_bias", "attn": "attention_bias"}
"""Keys of a configuration that give every map of that part of a block a bias."""


@FORMATS.register("merged")
class Merged(Format):
    """A Hugging Face checkpoint with W + m1 dW and b + m2 db, its tokenizer and chat template beside it."""

    name = "merged"
    writes = "folder"
    export_reads = ("dtype", "shard_size", "add_bias")

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write the checkpoint.

        Args:
            outgoing: what is to be written.
            place: the checkpoint's folder.
        """
        model: Any = outgoing.model
        _require_plain(model)
        require_in_weights(outgoing, bias_site=_OUT)
        dtype = parse_dtype(outgoing.options.dtype) if outgoing.options.dtype else next(model.parameters()).dtype
        changes = _changes(outgoing)
        names = module_names(model, {site: find_linear(model, site) for site in changes})
        config, added = copy.deepcopy(model.config), set[str]()
        for site, (_, db) in changes.items():
            if db is not None and linear_map(model, site).bias is None:
                added.add(_switch(config, site, outgoing))
        for key in added:
            setattr(config.get_text_config(), key, True)
        state, rounded = dict(model.state_dict()), {}
        for site, (dW, db) in changes.items():
            rounded[site] = _fold(state, names[site], outgoing, site, dW, db, dtype)
        _save(model, config, state, dtype, place, outgoing)
        if added:
            outgoing.notes.append(f"{', '.join(sorted(added))} is on: all other biases that it brings are 0")
        _state_rounding(outgoing, rounded, dtype)


def _require_plain(model: Any) -> None:
    """Raise for a model whose weights are not those of a plain checkpoint."""
    quantised, adapters = quantization_of(model), adapters_of(model)
    require(
        quantised == "none",
        f"the model is quantised ({quantised[:60]}), and a merged checkpoint holds plain weights: load it without "
        "--quantize, from a checkpoint that is not quantised",
    )
    require(
        not adapters,
        f"the model carries an adapter ({', '.join(adapters)[:80]}): merge it into the weights first "
        "(merge_and_unload, save_pretrained) and name that folder, or export to peft",
    )


def _changes(outgoing: Outgoing) -> dict[Site, tuple[Tensor | None, Tensor | None]]:
    """m1 dW and m2 db in float64, by the map that takes them."""
    m1, m2 = outgoing.m
    found: dict[Site, tuple[Tensor | None, Tensor | None]] = {}
    for site in outgoing.intervention.sites:
        form = outgoing.intervention.on(outgoing.model, site)
        dW, db = form.weight_delta(), form.bias_delta()
        at = Site(site.block, _OUT) if site.name == RESIDUAL else site
        if dW is not None and site.name == RESIDUAL:
            raise ConfigError(f"{site.key}: the block's output has no weights that could take a dW")
        before = found.get(at, (None, None))
        found[at] = (
            before[0] if dW is None or m1 == 0 else m1 * dW.detach().double().cpu(),
            _sum(before[1], None if db is None or m2 == 0 else m2 * db.detach().double().cpu()),
        )
    return found


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a + b


def _switch(config: Any, site: Site, outgoing: Outgoing) -> str:
    """The configuration's key that gives a map a bias."""
    text, kind = config.get_text_config(), config.model_type
    key = SWITCHES.get(site.name.split(".")[0], "")
    possible = key and getattr(text, key, None) is False and _has_bias_when(config, key, outgoing.model, site)
    what = f"{site.key} of {kind} has no bias, so db cannot be merged"
    if not possible:
        again = "train --form lora, or local_weight with --set form_config.bias=false"
        raise ConfigError(f"{what}: {again}; or export it to peft, gguf-vector or easyedit2 as far as they can say it")
    if not outgoing.options.add_bias:
        raise ConfigError(f"{what}: --add-bias switches {key} on in the checkpoint's configuration (the others are 0)")
    return str(key)


def _has_bias_when(config: Any, key: str, model: nn.Module, site: Site) -> bool:
    tried = copy.deepcopy(config)
    setattr(tried.get_text_config(), key, True)
    with torch.device("meta"):
        return getattr(find_linear(type(model)(tried), site), "bias", None) is not None


def _fold(
    state: dict[str, Tensor],
    name: str,
    outgoing: Outgoing,
    site: Site,
    dW: Tensor | None,
    db: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor | None, Tensor | None]:
    """Put one map's change into the state; returns what of it is left after rounding, in float64."""
    here = linear_map(outgoing.model, site)
    left: list[Tensor | None] = []
    bias = here.bias if here.bias is not None else torch.zeros(here.d_out, dtype=dtype)
    for part, old, change in (("weight", here.weight, dW), ("bias", bias, db)):
        if change is None:
            left.append(None)
            continue
        before = old.double().cpu()
        new = (before + change).to(dtype)
        require(bool(torch.isfinite(new).all()), f"{site.key}: W + m1 dW exceeds {dtype}: choose another --dtype")
        state[f"{name}.{part}"] = new
        left.append(new.double() - before)
    return left[0], left[1]


def _save(
    model: Any, config: Any, state: dict[str, Tensor], dtype: torch.dtype, place: Path, outgoing: Outgoing
) -> None:
    config.dtype = dtype
    with torch.device("meta"):
        shell = type(model)(config)
    for name, parameter in shell.named_parameters():
        if name.endswith(".bias") and name not in state:  # those that come with a switch
            state[name] = torch.zeros(parameter.shape, dtype=dtype)
    shell.load_state_dict(state, assign=True)
    shell.tie_weights()
    shell.generation_config = model.generation_config
    settings = {"max_shard_size": outgoing.options.shard_size} if outgoing.options.shard_size else {}
    shell.to(dtype).save_pretrained(place, **settings) if _all_real(shell) else None
    tokenizer = outgoing.at_hand.tokenizer
    if tokenizer is not None:
        tokenizer.save_pretrained(place)
    else:
        outgoing.notes.append("no tokenizer was at hand, so none is written")


def _all_real(shell: nn.Module) -> bool:
    missing = [name for name, parameter in shell.named_parameters() if parameter.is_meta]
    require(not missing, f"the model holds no values for {', '.join(missing[:3])} (offloaded?): load it whole")
    for name, buffer in list(shell.named_buffers()):
        if buffer.is_meta:  # computed by the model itself when it is loaded, and not saved
            module, _, key = name.rpartition(".")
            setattr(shell.get_submodule(module), key, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return True


def _state_rounding(
    outgoing: Outgoing, rounded: dict[Site, tuple[Tensor | None, Tensor | None]], dtype: torch.dtype
) -> None:
    wanted = _changes(outgoing)
    short = str(dtype).removeprefix("torch.")
    for site, parts in rounded.items():
        for what, kept, full in zip(("m1 dW", "m2 db"), parts, wanted[site], strict=True):
            if kept is not None and full is not None:
                error = float((kept - full).norm() / full.norm()) if float(full.norm()) else 0.0
                outgoing.notes.append(f"{site.key}: rounding to {short} changes {what} by {error:.1g} of its norm")
    if dtype in (torch.float32, torch.float64) or outgoing.at_hand.tokenizer is None:
        return
    batch = neutral_batch(outgoing.model, Template(outgoing.at_hand.tokenizer, outgoing.artifact.tokens))
    ours = (outgoing.model, by(outgoing.intervention, outgoing.m))
    kl = kl_per_token(batch, ours, (outgoing.model, by(_as_update(rounded), 1.0)))
    outgoing.notes.append(f"that rounding is worth KL {kl:.2g} nats per token on {len(batch.lengths)} prompts")


def _as_update(rounded: dict[Site, tuple[Tensor | None, Tensor | None]]) -> Intervention:
    shapes = []
    for dW, db in rounded.values():
        some = dW if dW is not None else torch.zeros(0 if db is None else len(db), 1)
        shapes.append((some.shape[1], some.shape[0]))
    made = Intervention(InterventionConfig("local_weight", tuple(site.key for site in rounded)), shapes)
    with torch.no_grad():
        for site, (dW, db) in rounded.items():
            parameters = dict(made[site].named_parameters())
            for name, value in (("weight", dW), ("bias", db)):
                if value is not None:
                    parameters[name].copy_(value)
    return made
