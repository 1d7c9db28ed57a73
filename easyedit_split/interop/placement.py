"""Whether a change can be written into the weights: it must be one at the map's own output, or be the same as one.

    placement site             W h + dW h + db: it is one
    placement block_output     the same function where the block's output takes what is added at the map unchanged

The second is measured in the model at hand and not looked up: a random direction as large as the activation is added at
both places, and the logits are compared with each other and with the bare model's. A norm behind the map (Gemma-2) or a
residual multiplier (Granite) makes a share of about 1; rounding alone 1e-3 in float32 and a few hundredths in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen
from ..model.sites import RESIDUAL, Placement, Site
from ..steering.attach import attach
from ..steering.intervention import Intervention
from ..types import ConfigError
from .base import Outgoing

_TOKENS = 12
_MOST = {torch.float64: 1e-6, torch.float32: 1e-3}
_MOST_IN_HALF = 0.05


def changed_on_the_way(model: nn.Module, site: Site) -> float:
    """How differently a model answers when a change is added at the block's output instead of at the map's own.

    Args:
        model: a Hugging Face causal LM.
        site: a map that writes to the residual stream, such as ``mlp.down_proj``.

    Returns:
        ``|logits(site) - logits(block_output)| / |logits(block_output) - logits(bare)|``, Euclidean norms; 0 where the
        two places are the same.

    Raises:
        ConfigError: the map's output is not as wide as the block's.
    """
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    ids = torch.randint(vocabulary, (1, _TOKENS), generator=generator).to(device_of(model))
    there = _probe(model, site, "block_output", generator)
    here = _probe(model, site, "site", generator)
    here.load_state_dict(there.state_dict())
    with frozen(model), torch.no_grad():
        plain = _logits(model, ids)
        with attach(model, there, 1.0, check=True) as attached:
            _logits(model, ids)
        m = 1 / max(row.relative_norm for row in attached.report())  # |dh| = |h|, where rounding is small beside it
        found = []
        for probe in (here, there):
            with attach(model, probe, m):
                found.append(_logits(model, ids))
    return float((found[0] - found[1]).norm() / (found[1] - plain).norm())


def _probe(model: nn.Module, site: Site, placement: Placement, generator: torch.Generator) -> Intervention:
    probe = Intervention.create(model, "vector", [site.block], site=site.name, placement=placement, skip_prefix=False)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return probe


def _logits(model: nn.Module, ids: Tensor) -> Tensor:
    found: Tensor = model(input_ids=ids, use_cache=False).logits.double()
    return found


def require_in_weights(outgoing: Outgoing, bias_site: str | None = None) -> None:
    """Raise unless every change is one at its map's own output, or is measured to be the same as one.

    Args:
        outgoing: what is to be written.
        bias_site: the map whose bias takes a change of the block's output, where the format has one.

    Raises:
        ConfigError: a change that no map can make, with what to train instead.
    """
    config, model = outgoing.intervention.config, outgoing.model
    for site in outgoing.intervention.sites:
        if site.name != RESIDUAL and config.placement == "site":
            continue
        if site.name == RESIDUAL and bias_site is None:
            raise ConfigError(
                f"{site.key}: the change is made at the block's output, where there is no linear map: "
                f"export it to gguf-vector, vector-pt or easyedit2, or train --form lora"
            )
        at = Site(site.block, bias_site) if site.name == RESIDUAL and bias_site else site
        share = changed_on_the_way(model, at)
        dtype = next(model.parameters()).dtype
        if not share <= _MOST.get(dtype, _MOST_IN_HALF):
            again = f"--set site={at.name} --placement site" if site.name == RESIDUAL else "--placement site"
            raise ConfigError(
                f"{site.key}: it acts at the block's output (placement block_output), and this model changes what is "
                f"added at {at.name} on its way there (measured: the logits differ by {share:.2g} of what the change "
                f"does): train it again with {again}"
            )
        outgoing.notes.append(
            f"{site.key}: written at {at.name} for the block's output, which takes it unchanged here "
            f"(measured: the logits differ by {share:.1g} of what a change does)"
        )
