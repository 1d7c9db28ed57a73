"""What an intervention is as LoRA updates: A, B, a scale and a bias for each map, for the formats that hold these.

    W h + b + scale (B A h + c)          scale = m1 s (Table 1, row 2), c = m2 db / scale

A and B of a LoRA are its own numbers, bit for bit; of any other change with a dW they are its nearest LoRA of a rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import require
from ..model.sites import Site
from ..steering.forms.lora import Lora
from ..steering.intervention import Intervention, InterventionConfig
from ..text.prompt_tokens import Template
from .base import Outgoing
from .differences import by, kl_per_token, neutral_batch
from .low_rank import low_rank
from .placement import require_in_weights


@dataclass(frozen=True, eq=False)
class LoraUpdate:
    """The change of one linear map.

    Attributes:
        site: where it acts.
        A: ``[r, d_in]``, float32.
        B: ``[d_out, r]``, float32.
        scale: factor of both B A x and ``bias``.
        bias: ``[d_out]``, float32; None where the change has none.
    """

    site: Site
    A: Tensor
    B: Tensor
    scale: float
    bias: Tensor | None


def lora_updates(outgoing: Outgoing) -> list[LoraUpdate]:
    """Every site's change as a LoRA; what an approximation costs is added to the notes.

    Args:
        outgoing: what is to be written.

    Raises:
        ConfigError: a change that is no update of a map's weights, m1 = 0, or a full dW without a rank.
    """
    require_in_weights(outgoing)
    m1, m2 = outgoing.m
    require(m1 != 0, "m1 is 0, which leaves no dW: a LoRA cannot say it; export it to merged")
    found, approximated = [], False
    for site in outgoing.intervention.sites:
        form = outgoing.intervention.on(outgoing.model, site)
        if isinstance(form, Lora):
            A, B, scale = form.lora_A.detach(), form.lora_B.detach(), form.config.scale
        else:
            dW = form.weight_delta()
            require(dW is not None, f"{site.key}: a {form.name} has no dW, and a LoRA is one: export it to gguf-vector")
            assert dW is not None
            near = low_rank(dW, outgoing.options.rank, site.key)
            A, B, scale, approximated = near.A, near.B, 1.0, True
            outgoing.notes.append(
                f"{site.key}: dW as a LoRA of rank {len(A)} keeps {near.energy:.4%} of its energy; |dW - B A| / |dW| = "
                f"{near.error:.2g}"
            )
        db = form.bias_delta()
        bias = None if db is None else (m2 / (m1 * scale) * db.detach().double()).float().cpu()
        found.append(LoraUpdate(site, A.float().cpu(), B.float().cpu(), m1 * scale, bias))
    if not approximated:
        require(outgoing.options.rank is None, "rank is for changes that are a full dW, and a LoRA has its own")
    elif outgoing.at_hand.tokenizer is not None:
        outgoing.notes.append(_output_error(outgoing, found))
    return found


def _output_error(outgoing: Outgoing, updates: list[LoraUpdate]) -> str:
    """KL divergence per token that the approximation causes."""
    model, tokenizer = outgoing.model, outgoing.at_hand.tokenizer
    batch = neutral_batch(model, Template(tokenizer, outgoing.artifact.tokens))
    ours = (model, by(outgoing.intervention, outgoing.m))
    theirs = (model, by(as_intervention(updates), 1.0))
    kl = kl_per_token(batch, ours, theirs)
    return f"the LoRA's answers are KL {kl:.2g} nats per token from the exact change's on {len(batch.lengths)} prompts"


def as_intervention(updates: list[LoraUpdate]) -> Intervention:
    """LoRA updates as an intervention that at m = 1 does what they do: full updates, for measuring them.

    Args:
        updates: one for each site.
    """
    config = InterventionConfig("local_weight", tuple(update.site.key for update in updates))
    made = Intervention(config, [(u.A.shape[1], u.B.shape[0]) for u in updates])
    with torch.no_grad():
        for update in updates:
            parameters = dict(made[update.site].named_parameters())
            parameters["weight"].copy_(update.scale * (update.B.double() @ update.A.double()))
            if update.bias is not None:
                parameters["bias"].copy_(update.scale * update.bias)
    return made


def module_names(model: nn.Module, sites: dict[Site, nn.Module]) -> dict[Site, str]:
    """Dotted names of the modules of some sites.

    Args:
        model: a Hugging Face causal LM.
        sites: each site's module, from ``model.sites.find_linear``.
    """
    names = {id(module): name for name, module in model.named_modules()}
    return {site: names[id(module)] for site, module in sites.items()}


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """No warnings of another library while inside."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
