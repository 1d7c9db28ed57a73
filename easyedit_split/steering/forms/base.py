"""The base class of forms (the rows of Table 1): an affine update of one linear map, scaled by m.

    dy = m1 dW x + m2 db          Eq. 5, at one map, x its input [b s d_in], dy [b s d_out]

A form holds dW and db (or what they are made of) for one site and says nothing of where or when it acts. m is an
argument and never state, so one form serves any number of m at once. At m = 0 the change is zero; that the model is
then bit-identical to the bare one is ``attach``'s duty. Parameters are fp32; arithmetic is done in the wider of the
parameter's and the input's dtype.

A form whose dW or db depend on the map itself, such as (IA)3 with dW = diag(s) W, sets ``reads_map`` and finds the map
under ``self.linear``: its W, its b and W x (``model.linear_map``). Where a model is at hand, ``Intervention.on`` gives
the form that sees its map; attaching, merging and export ask for it, and a form that reads no map is given back as it
is.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...model.linear_map import LinearMap
from ...registry import Registry
from ...types import ConfigError

Factor: TypeAlias = float | Tensor
Strength: TypeAlias = Factor | tuple[Factor, Factor]
"""A steering strength m: one float, one value per row ``[b]`` or token ``[b s]``, or a pair ``(m1, m2)`` of these."""


def factors(m: Strength) -> tuple[Factor, Factor]:
    """Convert any strength to ``(m1, m2)``, checked to be finite.

    Args:
        m: a float, ``[b]`` or ``[b s]`` floats, or a pair ``(m1, m2)`` of these.

    Raises:
        ConfigError: m is not finite, or a tensor of another shape than ``[b]`` or ``[b s]``.
    """
    pair = m if isinstance(m, tuple) else (m, m)
    for value in pair:
        if isinstance(value, Tensor):
            if value.ndim not in (1, 2):
                raise ConfigError(f"m has shape {tuple(value.shape)}, wanted one value per row, [b], or token, [b s]")
            if not bool(torch.isfinite(value).all()):
                raise ConfigError(f"m holds a value that is not finite: {value.tolist()}")
        elif not math.isfinite(value):
            raise ConfigError(f"m is {value}, must be finite")
    return pair


def _rows(m: Factor, like: Tensor) -> float | Tensor:
    """Reshape a factor so that it multiplies ``[b s d]``."""
    if not isinstance(m, Tensor):
        return m
    m = m.to(device=like.device, dtype=like.dtype)
    return m[:, None, None] if m.ndim == 1 else m[..., None]


SomeForm = TypeVar("SomeForm", bound="Form")


class Form(nn.Module, ABC):
    """Base class of forms: one affine update of one linear map.

    Args:
        config: the form's settings, of ``config_class``.
        d_in: width of the linear map's input.
        d_out: width of its output.
        generator: draws the initial parameters.

    Attributes:
        name: the registered name.
        config_class: frozen dataclass of the form's own settings.
        default_site: where the paper places it.
        skip_prefix: whether, by default, BOS and the chat template's constant prefix are left alone.
        constant: whether dy is m2 db alone, one direction whatever x is.
        reads_map: whether dW or db depend on the linear map that the form sits on, see ``linear``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    default_site: ClassVar[str]
    skip_prefix: ClassVar[bool]
    constant: ClassVar[bool] = False
    reads_map: ClassVar[bool] = False
    _linear: LinearMap | None = None

    @abstractmethod
    def __init__(self, config: Any, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.d_in = d_in
        self.d_out = d_out

    @property
    def linear(self) -> LinearMap:
        """The linear map that this form updates.

        Raises:
            ConfigError: none is known: the form has not been put on a map, see ``on``.
        """
        if self._linear is None:
            raise ConfigError(
                f"form {self.name!r} depends on the weights of the model it steers, which are not available here: "
                "use it through attach, or take it from Intervention.on(model, site)"
            )
        return self._linear

    def on(self: SomeForm, linear: LinearMap) -> SomeForm:
        """A view of the form, with the same parameters, that can read the map it updates; itself where it reads none.

        Args:
            linear: the map of the form's site in the model at hand.
        """
        if not self.reads_map:
            return self
        view = copy.copy(self)  # shares the parameters, and leaves no model behind in the form itself
        view._linear = linear
        return view

    @abstractmethod
    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"] | None:
        """The product dW x without materialising dW; None where the form has no dW.

        Args:
            x: input of the linear map.
        """

    @abstractmethod
    def weight_delta(self) -> Float[Tensor, "d_out d_in"] | None:
        """The weight update dW in float64, for merging and export; None where the form has none."""

    @abstractmethod
    def bias_delta(self) -> Float[Tensor, " d_out"] | None:
        """The bias update db, a parameter; None where the form has none."""

    def delta(self, x: Float[Tensor, "b s d_in"], m: Strength) -> Float[Tensor, "b s d_out"]:
        """The update of the output, dy = m1 dW x + m2 db (Eq. 5).

        Args:
            x: the map's input.
            m: float, one value per row ``[b]`` or per token ``[b s]``, or ``(m1, m2)``; taken as it is, ``attach`` has
                checked it (``factors``).
        """
        m1, m2 = m if isinstance(m, tuple) else (m, m)
        parameter = next(self.parameters())
        x = x.to(torch.promote_types(x.dtype, parameter.dtype))
        dy: Tensor | None = None
        product = self.weight_product(x)
        if product is not None:
            dy = _rows(m1, x) * product
        db = self.bias_delta()
        if db is not None:
            shift = (_rows(m2, x) * db.to(x.dtype)).expand(*x.shape[:-1], self.d_out)
            dy = shift if dy is None else dy + shift
        assert dy is not None, f"{type(self).__name__} has neither dW nor db"
        return dy

    def training_delta(self, x: Float[Tensor, "b s d_in"], m: Strength) -> Float[Tensor, "b s d_out"]:
        """The update that training sees; ``delta`` unless a form learns something that is not applied afterwards.

        Args:
            x: the map's input.
            m: as of ``delta``.
        """
        return self.delta(x, m)


FORMS: Registry[type[Form]] = Registry("form", "easyedit_split.steering.forms", group="easyedit_split.forms")
