"""Interventions: forms of one kind at one or more sites of a model, with the placement and the steered tokens.

It knows nothing of m, of hooks or of training. ``Intervention.create`` builds one that starts at the bare model;
``attach`` applies it, ``train`` fits it, ``artifact`` carries it to disk.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from ..config import TokenConfig, build, require
from ..model.linear_map import linear_map
from ..model.sites import PLACEMENTS, RESIDUAL, Placement, Site, blocks_of, check_site, widths
from ..registry import nearest
from ..text.openings import Ids, Opening
from ..text.positions import POLICIES, Positions
from ..text.prompt_tokens import Template
from .forms.base import FORMS, Form

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class InterventionConfig:
    """Configuration of an intervention without its parameters: form, sites, placement, token policy.

    Attributes:
        form: registered form name.
        sites: site keys such as ``"20.residual"`` or ``"14.mlp.down_proj"``; each gets its own parameters.
        form_config: the form's own settings, e.g. ``{"rank": 4}``.
        placement: ``site`` adds dy at the map's own output (exact Eq. 4); ``block_output`` at the block's output, as
            EasyEdit2 does. They differ in families with a norm after the map. For ``residual`` they are one.
        positions: which tokens are steered: ``all``, ``prompt``, ``last_prompt`` or ``answer``.
        skip_prefix: leave out BOS and the chat template's constant prefix.
        prefix_ids: token ids of BOS and the chat template's constant prefix, which ``skip_prefix`` leaves alone.
        bos_id: the tokenizer's BOS id, if it has one.
        openings: other forms of that prefix, ``(before, after)``: without or with another system message.
    """

    form: str
    sites: tuple[str, ...]
    form_config: dict[str, Any] = dataclasses.field(default_factory=dict)
    placement: Placement = "site"
    positions: Positions = "all"
    skip_prefix: bool = False
    prefix_ids: tuple[int, ...] = ()
    bos_id: int | None = None
    openings: tuple[tuple[tuple[int, ...], ...], ...] = ()

    def __post_init__(self) -> None:
        require(len(self.sites) > 0, "no sites: name at least one layer, or nothing would be steered")
        require(len(set(self.sites)) == len(self.sites), f"sites holds one twice: {', '.join(self.sites)}")
        require(
            self.placement in PLACEMENTS, f"unknown placement {self.placement!r}{nearest(self.placement, PLACEMENTS)}"
        )
        require(self.positions in POLICIES, f"unknown positions {self.positions!r}{nearest(self.positions, POLICIES)}")
        for key in self.sites:
            Site.parse(key)
        build(FORMS[self.form].config_class, self.form_config, f"form {self.form!r}")

    @property
    def form_class(self) -> type[Form]:
        """The registered class of the form."""
        return FORMS[self.form]


def _slot(key: str) -> str:
    return key.replace(".", "/")  # nn.ModuleDict refuses dots


def _found_opening(tokenizer: Any, bos_id: int | None, skips: bool) -> tuple[Ids, int | None, tuple[Opening, ...]]:
    """The constant opening that a tokenizer's chat template writes; without a tokenizer, a warning."""
    if tokenizer is not None:
        template = Template(tokenizer, TokenConfig())
        return template.prefix_ids, template.bos_id, template.openings
    if skips and bos_id is None:
        logger.warning(
            "skip_prefix is on and no opening is known, so every token will be steered: give create(..., "
            "tokenizer=tokenizer), which finds it, or skip_prefix=False"
        )
    return (), bos_id, ()


class Intervention(nn.Module):
    """Forms at one or more sites of a model, for one concept.

    Args:
        config: what and where.
        shapes: ``(d_in, d_out)`` of each site of the config, in order.
        generator: source of random initial values.
    """

    def __init__(
        self,
        config: InterventionConfig,
        shapes: Sequence[tuple[int, int]],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        form_config = build(config.form_class.config_class, config.form_config, f"form {config.form!r}")
        self.forms = nn.ModuleDict(
            {
                _slot(key): config.form_class(form_config, d_in, d_out, generator)
                for key, (d_in, d_out) in zip(config.sites, shapes, strict=True)
            }
        )

    @classmethod
    def create(
        cls,
        model: nn.Module,
        form: str,
        layers: Sequence[int],
        *,
        site: str | None = None,
        form_config: dict[str, Any] | None = None,
        placement: Placement = "site",
        positions: Positions = "all",
        skip_prefix: bool | None = None,
        prefix_ids: Sequence[int] | None = None,
        bos_id: int | None = None,
        openings: Sequence[Opening] = (),
        tokenizer: Any = None,
        generator: torch.Generator | None = None,
    ) -> Intervention:
        """Create an intervention that fits ``model`` and starts at zero, so that the model is unchanged.

        Args:
            model: a Hugging Face causal LM.
            form: registered form name.
            layers: 0-based block indices; each gets its own parameters.
            site: name of the map; the form's default where None.
            form_config: the form's own settings, e.g. ``{"rank": 4}``.
            placement: ``site`` or ``block_output``.
            positions: which tokens are steered.
            skip_prefix: the form's default where None.
            prefix_ids: token ids of BOS and the chat template's constant prefix; empty for a tokenizer without.
            bos_id: the tokenizer's BOS id, if it has one.
            openings: other forms of that prefix.
            tokenizer: finds prefix, BOS and openings from its chat template, where they are not given.
            generator: draws the initial parameters.

        Raises:
            ConfigError: unknown form or site, a layer the model has not, no layers, or widths that do not fit.
        """
        form_class = FORMS[form]
        skips = form_class.skip_prefix if skip_prefix is None else skip_prefix
        if prefix_ids is None:
            prefix_ids, bos_id, openings = _found_opening(tokenizer, bos_id, skips)
        name = site or form_class.default_site
        sites = [Site(layer, name) for layer in layers]
        config = InterventionConfig(
            form=form,
            sites=tuple(s.key for s in sites),
            form_config=dict(form_config or {}),
            placement="block_output" if name == RESIDUAL else placement,
            positions=positions,
            skip_prefix=skips,
            prefix_ids=tuple(prefix_ids),
            bos_id=bos_id,
            openings=tuple(openings),
        )
        shapes = [widths(model, s, config.placement) for s in sites]
        return cls(config, shapes, generator).to(next(model.parameters()).device)

    def onto(self, model: nn.Module) -> None:
        """Move each form's parameters to the device of its block; those of a loaded artifact are on the CPU.

        Args:
            model: the model to be steered; blocks that are offloaded move nothing.

        Raises:
            ConfigError: a site the model has not.
        """
        for site in self.sites:
            check_site(model, site)
            devices = {parameter.device for parameter in blocks_of(model)[site.block].parameters()}
            if len(devices) == 1 and "meta" not in {device.type for device in devices}:
                self[site].to(devices.pop())

    def __getitem__(self, site: Site | str) -> Form:
        key = site if isinstance(site, str) else site.key
        return cast(Form, self.forms[_slot(key)])

    def on(self, model: nn.Module, site: Site) -> Form:
        """The form at a site, bound to the model's linear map there: what computes dy, dW and db.

        Args:
            model: a Hugging Face causal LM that has the site.
            site: one of ``sites``.

        Raises:
            ConfigError: the model has no such site.
        """
        form = self[site]
        return form.on(linear_map(model, site)) if form.reads_map else form

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites, in the order of the configuration."""
        return tuple(Site.parse(key) for key in self.config.sites)

    def extra_repr(self) -> str:
        """Form, placement and token policy in one line."""
        c = self.config
        return f"form={c.form}, placement={c.placement}, positions={c.positions}, skip_prefix={c.skip_prefix}"
