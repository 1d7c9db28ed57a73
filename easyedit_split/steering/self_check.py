"""Numerical self-check of an unregistered model before it is steered: a few tokens, each map once, in its own dtype.

    hooked = edited    dy added by hooks gives the logits of the weights W + dW        else the map is refused

It finds maps whose weight is read past their own forward, and maps that do not see every token. The error is relative
to the change itself. What the bare model cannot do, ``limits`` finds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..files.reading import reason_of
from ..model.calls import logits_of, trial_ids
from ..model.hooks import activations, device_of, frozen
from ..model.linear_map import LinearMap, linear_map
from ..model.maps import is_transposed, matrix_of
from ..model.sites import RESIDUAL, Placement, Site, hidden_size, is_registered
from ..text.positions import Layout, TokenLayout
from ..types import ConfigError
from .attachment import Attachment
from .intervention import Intervention
from .limits import (
    FAILURES,
    LARGEST_ERROR,
    NO_LIMITS,
    TOKENS,
    Limits,
    largest_error,
    limits_of,
    logit_spread,
    typical_error,
)
from .site_hooks import hooked

SIZES = (0.3, 3.0, 30.0)
"""Sizes of the change that is tried, relative to the weight, the next where one hardly shows in the logits."""
_KNOWN: WeakKeyDictionary[nn.Module, dict[str, float | str]] = WeakKeyDictionary()
"""Errors, or why there is none, by model object and site key."""


def require_exact(model: nn.Module, intervention: Intervention, layout: Layout | TokenLayout | None = None) -> Limits:
    """Raise unless every map of an intervention is steered exactly in this model; say what else it cannot do.

    Args:
        model: a Hugging Face causal LM; one of a registered family, or on the meta device, is taken as it is.
        intervention: what is to be applied.
        layout: of the calls to come; one that decides on each token comes from who has checked the model already.

    Raises:
        ConfigError: hooked and edited weights differ.
    """
    if isinstance(layout, TokenLayout) or is_registered(model):
        return NO_LIMITS
    for site in intervention.sites:
        error = map_error(model, site)
        if isinstance(error, str):
            raise ConfigError(f"{site.key} of this {type(model).__name__} cannot be steered: {error}")
        if not error <= largest_error(model):
            raise ConfigError(
                f"{site.key} of this {type(model).__name__} cannot be steered exactly: on {TOKENS} tokens hooks and "
                f"edited weights differ by {error:.2g} of the change (at most {largest_error(model):.2g} would be "
                "rounding), so the model reads this weight otherwise than by calling the map: choose another site"
            )
    return limits_of(model)


@torch.no_grad()
def map_error(model: nn.Module, site: Site) -> float | str:
    """Error of hooked against edited weights at a map, relative to the change; or why the map cannot be tried.

    Args:
        model: a Hugging Face causal LM.
        site: one that the model has; at ``residual`` there is no weight, and 0 says that the hook acts.
    """
    if device_of(model).type == "meta":
        return 0.0
    known = _KNOWN.setdefault(model, {})
    if site.key not in known:
        with frozen(model):
            try:
                known[site.key] = _map_error(model, site)
            except ConfigError as error:
                known[site.key] = str(error)
            except torch.OutOfMemoryError:
                raise
            except FAILURES as error:
                known[site.key] = f"{type(error).__name__}: {reason_of(error)}"
    return known[site.key]


def _map_error(model: nn.Module, site: Site) -> float:
    ids = trial_ids(model, TOKENS)
    bare, here = logits_of(model, ids), linear_map(model, site)
    seen = logit_spread(bare).flatten() * (0.03 if largest_error(model) == LARGEST_ERROR else 0.3)
    error, change = _errors(model, _probe(model, site, here, SIZES[0]), here, ids, bare)
    for size in SIZES[1:]:
        if bool(change.median() >= seen.median()):
            break
        larger = _errors(model, _probe(model, site, here, size), here, ids, bare)
        if not bool(larger[1].isfinite().all()):  # more than the dtype holds
            break
        error, change = larger
    if not bool((error > 0).any() | (change > 0).any()):
        raise ConfigError(
            f"neither hooks nor edited weights change a logit of {TOKENS} tokens: the model does not use it"
        )
    strong = change >= change.median()
    return typical_error(model, error[strong] / torch.maximum(change, seen)[strong])


def _errors(model: nn.Module, probe: Intervention, here: LinearMap, ids: Tensor, bare: Tensor) -> tuple[Tensor, Tensor]:
    """How far each token's logits under hooks are from those of edited weights, and these from the bare model's."""
    with hooked(model, Attachment(probe, 1.0)):
        steered = logits_of(model, ids)
    delta = probe[probe.sites[0]].weight_delta()
    if here.module is None or not _editable(here.module):  # no weight to compare with: the hook has to act
        edited = torch.full_like(bare, math.inf) if torch.equal(steered, bare) else steered
    else:
        assert delta is not None
        with _edited(here, delta):
            edited = logits_of(model, ids)
    error, change = ((edited - other).norm(dim=-1).flatten() for other in (steered, bare))
    return error.where(~error.isnan(), math.inf), change.where(~change.isnan(), math.inf)


def _probe(model: nn.Module, site: Site, here: LinearMap, size: float) -> Intervention:
    """An update of rank one, ``size`` times as large as the weight; at ``residual`` a vector."""
    generator = torch.Generator().manual_seed(0)
    matrix = None if here.module is None else matrix_of(here.module)
    form, settings = ("vector", {}) if here.module is None else ("lora", {"rank": 1})
    probe = Intervention.create(
        model, form, [site.block], site=site.name, form_config=settings, skip_prefix=False, generator=generator
    )
    if matrix is not None and matrix.device.type != "meta":
        size *= float(matrix.float().norm())
    for name, parameter in probe.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(drawn / drawn.norm() * (size if name.endswith(("lora_B", "v")) else 1.0))
    return probe


def _editable(module: nn.Module) -> bool:
    matrix = matrix_of(module)
    return matrix is not None and matrix.device.type != "meta" and _owner(module) is not None


def _owner(module: nn.Module) -> nn.Module | None:
    """The module that holds a map's weight as its parameter: the map, or the one inside an adapter's."""
    weight = module.weight
    return next((part for part in module.modules() if part._parameters.get("weight") is weight), None)


@contextmanager
def _edited(here: LinearMap, delta: Tensor) -> Iterator[None]:
    """The map's weight replaced by W + dW while inside; the model's own is not written to."""
    module: Any = here.module
    owner, weight = _owner(module), module.weight
    assert owner is not None
    changed = weight.detach().clone()
    matrix = changed.T if is_transposed(module) else changed
    rows = slice(None) if here.rows is None else here.rows
    matrix[rows] += delta.to(matrix)
    owner._parameters["weight"] = nn.Parameter(changed, requires_grad=False)
    try:
        yield
    finally:
        owner._parameters["weight"] = weight


def is_block_output(model: nn.Module, site: Site) -> bool:
    """Whether ``site`` and ``block_output`` are one place for a map of this model, see ``output_error``.

    Args:
        model: a Hugging Face causal LM.
        site: a map whose output is as wide as the residual stream, or ``residual``.
    """
    half = next(model.parameters()).dtype.itemsize < 4
    return output_error(model, site) <= (LARGEST_ERROR if half else LARGEST_ERROR / 20)


@torch.no_grad()
def output_error(model: nn.Module, site: Site) -> float:
    """How far a change at a map is from the change of its block's output, relative to it: 0 where both are one.

    Measured, not looked up: a norm behind the map, or a multiplier, shows; so does a map that does not write to the
    residual stream.

    Args:
        model: a Hugging Face causal LM.
        site: a map whose output is as wide as the residual stream, or ``residual``.
    """
    if site.name == RESIDUAL:
        return 0.0
    ids, end, states = trial_ids(model, TOKENS), Site(site.block, RESIDUAL), []
    places: tuple[Placement, ...] = ("site", "block_output")
    with frozen(model), activations(model, [end]) as found:
        logits_of(model, ids)
        bare = found[end].double()
        for placement in places:
            probe = Intervention.create(
                model, "vector", [site.block], site=site.name, placement=placement, skip_prefix=False
            )
            drawn = torch.randn(hidden_size(model), generator=torch.Generator().manual_seed(0))
            size = float(bare.norm(dim=-1).median())
            for parameter in probe.parameters():
                parameter.copy_(drawn / drawn.norm() * size)
            with hooked(model, Attachment(probe, 1.0)), activations(model, [end]) as steered:
                logits_of(model, ids)
                states.append(steered[end].double())
    at_site, at_output = states
    return typical_error(model, ((at_site - at_output).norm(dim=-1) / (at_output - bare).norm(dim=-1)).flatten())
