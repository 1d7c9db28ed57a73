"""Whether a change can be written into the weights: it must be one at the map's own output, or be the same as one.

    placement site             W h + dW h + db: it is one
    placement block_output     the same function where the block's output takes what is added at the map unchanged

The second is measured in the model at hand and not looked up: a random direction as large as the activation is added at
both places, and the block's outputs are compared with each other and with the bare one. A norm behind the map (Gemma-2)
or a residual multiplier (Granite) makes a share of about 1, attention's maps one of the MLP behind them; rounding alone
makes 1e-7 in float32 and a few thousandths in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..model.hooks import activations, device_of, frozen
from ..model.sites import RESIDUAL, Placement, Site
from ..steering.attach import attach
from ..steering.intervention import Intervention
from ..types import ConfigError
from .base import Outgoing

_TOKENS = 12
_MOST = {torch.float64: 1e-9, torch.float32: 1e-4}
_MOST_IN_HALF = 0.03


def changed_on_the_way(model: nn.Module, site: Site) -> float:
    """How far a change that is added at a map is from the same change at the block's output, as a share of it.

    Args:
        model: a Hugging Face causal LM.
        site: a map that writes to the residual stream, such as ``mlp.down_proj``.

    Returns:
        ``|h(site) - h(block_output)| / |h(block_output) - h(bare)|`` at the block's output, the median over tokens; 0
        where the two places are the same.

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
        bare = _block_output(model, site, ids)
        with attach(model, there, 1.0, check=True) as attached:
            _block_output(model, site, ids)
        m = 1 / attached.report()[0].relative_norm  # |dh| = |h|, where rounding is small beside it
        found = []
        for probe in (here, there):
            with attach(model, probe, m):
                found.append(_block_output(model, site, ids))
    share = (found[0] - found[1]).norm(dim=-1) / (found[1] - bare).norm(dim=-1)
    return float(share.median())


def _probe(model: nn.Module, site: Site, placement: Placement, generator: torch.Generator) -> Intervention:
    probe = Intervention.create(model, "vector", [site.block], site=site.name, placement=placement, skip_prefix=False)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return probe


def _block_output(model: nn.Module, site: Site, ids: Tensor) -> Tensor:
    """``[s d]`` of the site's block, in float64."""
    at = Site(site.block, RESIDUAL)
    with activations(model, [at]) as held:
        model(input_ids=ids, use_cache=False)
    found: Tensor = held[at][0].double().cpu()
    return found


def reaches_unchanged(model: nn.Module, share: float) -> bool:
    """Whether a measured share is no more than the rounding of the model's dtype.

    Args:
        model: the model that it was measured in.
        share: from ``changed_on_the_way``.
    """
    return share <= _MOST.get(next(model.parameters()).dtype, _MOST_IN_HALF)


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
        if not reaches_unchanged(model, share):
            again = f"--set site={at.name} --placement site" if site.name == RESIDUAL else "--placement site"
            raise ConfigError(
                f"{site.key}: it acts at the block's output (placement block_output), and this model changes what is "
                f"added at {at.name} on its way there (measured: {share:.2g} of it "
                f"is different): train it again with {again}"
            )
        outgoing.notes.append(
            f"{site.key}: written at {at.name} for the block's output, which takes it unchanged here "
            f"(measured: {share:.1g} of it is different)"
        )
