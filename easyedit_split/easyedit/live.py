"""One intervention attached to an EasyEdit2 model, active exactly while its marker is in the block's dictionary.

EasyEdit2 takes interventions away by emptying each block's ``intervention_dict`` (``ori_generate``, ``reset_all``) and
knows nothing of hooks. So the change is made by ``attach``, and a marker goes into that dictionary; before every model
call it is looked up, and where it is missing the call runs bare, bit for bit. ``from_position`` of the block
(``steer_from_end_position``) is honoured as its own methods do: tokens before it are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from ..steering.attachment import Attachment
from ..steering.call_layout import CallReader
from ..steering.forms.base import Form, Strength
from ..steering.intervention import Intervention
from ..steering.self_check import require_exact
from ..steering.site_hooks import at_each_call, hooked
from ..types import ConfigError
from .host.wrappers import layers_of

_ATTRIBUTE = "_easyedit_split_live"


class Marker(nn.Module):
    """Placeholder module in ``intervention_dict`` that returns the block's output unchanged."""

    def forward(self, base: Tensor, **kwargs: Any) -> Tensor:
        """Return the block's output unchanged: the intervention has already been added.

        Args:
            base: ``[b s d]``, the block's output.
            **kwargs: what the host passes besides, unused.
        """
        return base


class Live:
    """One single-layer intervention attached to a wrapper.

    Args:
        wrapper: EasyEdit2's model wrapper.
        name: ``alg_name``, the key in ``intervention_dict``.
        intervention: with one site.
        m: its multiplier.
    """

    def __init__(self, wrapper: Any, name: str, intervention: Intervention, m: float) -> None:
        (site,) = intervention.sites
        model = wrapper.model
        self.name, self.layer, self.intervention = name, site.block, intervention
        self.m = float(m)
        self.marker = Marker()
        self.block = layers_of(wrapper)[site.block]
        self._reader = CallReader((), None, needs_prefix=False)
        self._started: Tensor | None = None
        self._model = model
        self._stack = ExitStack()
        self.attachment: Attachment = self._attached()

    def _attached(self) -> Attachment:
        """Put the hooks on, past ``attach``: a host's handlers may put and take them from several threads in turn."""
        limits = require_exact(self._model, self.intervention)  # calls the model of a family that is not registered
        # before the hook of `hooked`, so that it finds the call decided
        at_each_call(self._stack, self._model, self._enter_call)
        attachment = Attachment(self.intervention, self.m, limits=limits)
        return self._stack.enter_context(hooked(self._model, attachment, self._delta))

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Take the hooks off while inside; the marker stays."""
        try:
            with suppress(ConfigError):  # that it steered no token yet is for its end to say
                self._stack.close()
            yield
        finally:
            self.attachment = self._attached()

    @property
    def is_active(self) -> bool:
        """Whether the marker is in the block's dictionary."""
        return self.block.intervention_dict.get(self.name) is self.marker

    def close(self) -> None:
        """Remove the hooks and the marker."""
        if self.is_active:
            del self.block.intervention_dict[self.name]
        self._stack.close()

    def set_m(self, m: float) -> None:
        """Change the strength m.

        Args:
            m: the new multiplier.

        Raises:
            ConfigError: it is not finite; the old one stays.
        """
        self.attachment.set_m(float(m))
        self.m = float(m)

    def _enter_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.attachment.set_m(self.m if self.is_active else 0.0)
        start = self.block.from_position
        self._started = None if start is None else self._reader.read(args, kwargs).index >= start

    def _delta(self, form: Form, x: Tensor, m: Strength) -> Tensor:
        dy: Tensor = form.delta(x, m)
        return dy if self._started is None else dy * self._started[..., None].to(dy.device)


def live_on(wrapper: Any) -> list[Live]:
    """The active interventions of this package on a wrapper.

    Args:
        wrapper: EasyEdit2's model wrapper.
    """
    return [live for live in _all(wrapper) if live.is_active]


@contextmanager
def set_aside(wrapper: Any) -> Iterator[None]:
    """Take the hooks of this package's interventions off a wrapper's model while inside.

    Args:
        wrapper: EasyEdit2's model wrapper.
    """
    with ExitStack() as stack:
        for live in reversed(_all(wrapper)):  # the first comes back first
            stack.enter_context(live.set_aside())
        yield


def put(wrapper: Any, name: str, intervention: Intervention, m: float) -> Live:
    """Attach a single-layer intervention under a name, replacing the one of that name in that layer.

    Also removes the hooks of interventions that EasyEdit2 took out of its dictionaries meanwhile.

    Args:
        wrapper: EasyEdit2's model wrapper.
        name: what it is called there.
        intervention: one that acts in a single block.
        m: its strength.
    """
    (site,) = intervention.sites
    kept = []
    for live in _all(wrapper):
        if live.is_active and (live.name, live.layer) != (name, site.block):
            kept.append(live)
        else:
            live.close()
    live = Live(wrapper, name, intervention, m)
    setattr(wrapper, _ATTRIBUTE, [*kept, live])
    layers_of(wrapper)[site.block].reset(method_name=name)  # as EasyEdit2's appliers do: forget an old start position
    wrapper.set_intervention(site.block, live.marker, name)
    return live


def _all(wrapper: Any) -> list[Live]:
    found: list[Live] = getattr(wrapper, _ATTRIBUTE, [])
    return found
