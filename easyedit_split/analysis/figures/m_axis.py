"""The m axis of a figure: its scale, its label, and the same axis in units of r.

linear    as in the paper
asinh     linear within w of 0 and logarithmic beyond, where w is the smallest |m| that was swept (but no less than a
          thousandth of the largest): the points of a sweep whose steps grow with |m| stand apart, also near 0, where
          steering acts without damage
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.scale import AsinhTransform
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from ...types import FloatArray
from .style import MScale, check_scale

M_AXIS, R_AXIS = "steering factor m", "r = |m dh| / |h|"
FEW_DECADES = 3
"""On an asinh axis of so few powers of ten, numbers stand at three times each as well."""
CROWDED = 0.15
"""With ``auto``: where half of the points lie nearer to 0 than this part of the swept |m|, the axis is ``asinh``."""
NARROWEST = 1e-3
"""Of the largest |m|: the least part of an asinh axis that is linear."""
MARGIN = 0.02  # of the swept range, left and right
FINE = 801


def m_scale(name: str, swept: Sequence[FloatArray]) -> MScale:
    """The scale of an m axis.

    Args:
        name: ``linear``, ``asinh``, or ``auto``, which decides by the points.
        swept: ``[k]`` m of each curve.

    Returns:
        ``linear`` or ``asinh``.

    Raises:
        ConfigError: another name.
    """
    name = check_scale(name)
    steps = np.abs(np.concatenate(swept))
    steps = steps[steps > 0]
    if name == "linear" or not steps.size:
        return "linear"
    return "asinh" if name == "asinh" or np.median(steps) < CROWDED * steps.max() else "linear"


def set_m_axis(ax: Axes, scale: str, swept: Sequence[FloatArray]) -> None:
    """Give a panel its m axis, before anything is drawn.

    Args:
        ax: the panel.
        scale: ``linear`` or ``asinh``.
        swept: ``[k]`` m of each curve.
    """
    every = np.concatenate(swept)
    if scale == "asinh" and every.any():  # around 0 alone there is nothing to spread
        far = float(np.abs(every).max())
        _set_asinh(ax, max(float(np.abs(every[every != 0]).min()), far * NARROWEST), far)
    there = ax.xaxis.get_transform()
    ends = there.transform(np.array([every.min(), every.max()]))
    spare = MARGIN * float(np.ptp(ends)) or 0.5
    ax.set_xlim(*there.inverted().transform(ends + np.array([-spare, spare])))


def _set_asinh(ax: Axes, width: float, far: float) -> None:
    """An asinh axis, linear within ``width`` of 0, with plain numbers from there up to ``far`` and at 0."""
    ax.set_xscale("asinh", linear_width=width)
    decades = 10.0 ** np.arange(np.floor(np.log10(width)), np.floor(np.log10(far)) + 1)
    steps = np.outer(decades, [1.0, 3.0] if len(decades) <= FEW_DECADES else [1.0]).ravel()
    steps = steps[(steps >= width) & (steps <= far)]
    ax.xaxis.set_major_locator(FixedLocator([*-steps, 0.0, *steps]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def m_label(ax: Axes) -> str:
    """The label of a panel's m axis.

    Args:
        ax: the panel.
    """
    return M_AXIS if ax.get_xscale() == "linear" else f"{M_AXIS} ({ax.get_xscale()} scale)"


def fine(ax: Axes, m: FloatArray) -> FloatArray:
    """Where a curve is drawn: the points, and many in between, evenly spaced on a panel's m axis.

    Args:
        ax: the panel.
        m: ``[k]`` points, sorted.
    """
    there = ax.xaxis.get_transform()
    ends = there.transform(np.array([m[0], m[-1]]))
    between = there.inverted().transform(np.linspace(ends[0], ends[1], FINE))
    return np.union1d(np.clip(between, m[0], m[-1]), m)


def add_r_axis(ax: Axes, per_m: float) -> None:
    """Add the same axis above a panel in units of r.

    Args:
        ax: the panel.
        per_m: r at m = 1.
    """

    def natural(m: ArrayLike) -> ArrayLike:
        return np.asarray(m, dtype=np.float64) * per_m

    def plain(r: ArrayLike) -> ArrayLike:
        return np.asarray(r, dtype=np.float64) / per_m

    if ax.get_xscale() == "linear":
        ax.secondary_xaxis("top", functions=(natural, plain)).set_xlabel(R_AXIS)
        return
    top = ax.twiny()  # a secondary axis would be linear in m
    edges = np.array(ax.get_xlim()) * per_m
    _set_asinh(top, cast(AsinhTransform, ax.xaxis.get_transform()).linear_width * per_m, float(np.abs(edges).max()))
    top.set_xlim(*edges)
    top.set_xlabel(R_AXIS)


def share_m(one: Axes, other: Axes) -> bool:
    """Whether two panels have one m axis.

    Args:
        one: a panel.
        other: another.
    """
    return one is other or bool(one.get_shared_x_axes().joined(one, other))
