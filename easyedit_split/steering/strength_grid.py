"""Grids of steering strengths as a user writes them: as m, or as the relative change r = |dh| / |h|.

    r = |m dh| / |h|          median over the steered tokens; it carries the sign of m

An intervention's m is a number of its own: what m = 1 does depends on how it was trained. r means the same for all of
them, so grids for a model that nobody tuned are written in r and turned into m by what was measured (``r_per_m``).

| written           | strengths                                                                           |
|-------------------|-------------------------------------------------------------------------------------|
| ``-20:20:41``     | 41 m, evenly from -20 to 20                                                         |
| ``-4,0,4``        | these m                                                                             |
| ``r:0.05:4:17``   | r = 0, and 17 r from 0.05 to 4, geometrically spaced                                |
| ``r:+-0.05:4:17`` | the same, and their negatives                                                       |
| ``r:-1:1:21``     | 21 r, evenly from -1 to 1 (one that starts at 0 or below cannot be geometric)       |
| ``r:0,0.2,0.4``   | these r                                                                             |
| ``auto``          | ``r:+-0.2:1:3``, grown outward until utility has lost 80 % of its range, then        |
|                 | filled in where the curves or the best m are still uncertain                        |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import numpy as np

from ..config import MOST_POINTS, parse_grid
from ..types import ConfigError

Unit = Literal["m", "r"]
NATURAL = "r:"
BOTH_SIDES = "+-"
AUTO = "auto"
AUTO_START = "r:+-0.2:1:3"


@dataclass(frozen=True, slots=True)
class NaturalUnit:
    """The relative change |dh| / |h| per unit of m at a site, with the norm |h|.

    Attributes:
        h: median |h| over the steered tokens, in the model's own unit.
        r_per_m: median of |dh| / |h| at m = 1; 0 for an intervention that changes nothing.
        tokens: steered tokens that were measured.
    """

    h: float
    r_per_m: float
    tokens: int

    @classmethod
    def over(cls, units: Sequence[NaturalUnit]) -> NaturalUnit:
        """Medians over several interventions, so that one grid of r serves all concepts.

        Args:
            units: at least one.
        """
        return cls(
            median(unit.h for unit in units), median(unit.r_per_m for unit in units), sum(unit.tokens for unit in units)
        )


@dataclass(frozen=True, slots=True)
class StrengthGrid:
    """A grid of steering strengths, in units of m or of r = |dh| / |h|.

    Attributes:
        values: in the order in which they are to be looked at.
        unit: ``m`` (plain) or ``r`` (natural).
        grows: whether it is only where a grid begins that grows outward.
    """

    values: tuple[float, ...]
    unit: Unit = "m"
    grows: bool = False

    def in_m(self, r_per_m: float) -> tuple[float, ...]:
        """The strengths converted to m.

        Args:
            r_per_m: |dh| / |h| at m = 1; used by grids in r only.

        Raises:
            ConfigError: the grid is in r and the intervention changes nothing, so that no m has that r.
        """
        if self.unit == "m":
            return self.values
        if not r_per_m > 0:
            raise ConfigError(
                "the intervention changes nothing at m = 1, so no m has the requested r: train it, or give m"
            )
        return tuple(value / r_per_m for value in self.values)


def parse_strengths(text: str, where: str = "--m") -> StrengthGrid:
    """Parse a grid of strengths; see the module's table.

    Args:
        text: as the user wrote it.
        where: what the text is called in messages.

    Raises:
        ConfigError: not of a form in the table; the message shows both kinds.
    """
    if text == AUTO:
        return replace(parse_strengths(AUTO_START), grows=True)
    if not text.startswith(NATURAL):
        return StrengthGrid(parse_grid(text, where))
    rest = text.removeprefix(NATURAL)
    mirrored = rest.startswith(BOTH_SIDES)
    rest = rest.removeprefix(BOTH_SIDES)
    try:
        values = _growing(rest, where)
    except ValueError:
        raise ConfigError(
            f"{where}: {text!r} is not a grid in r; write r:0.05:4:17 (0 and 17 values, geometrically "
            "spaced), r:+-0.05:4:17 (with both signs), r:-1:1:21 (evenly spaced) or r:0,0.2,0.4"
        ) from None
    if mirrored:
        values = tuple(sorted({0.0, *values, *(-value for value in values)}))
    return StrengthGrid(values, "r")


def growing(low: float, high: float, count: int) -> tuple[float, ...]:
    """A geometric grid: ``count`` values from ``low`` to ``high``, both positive and both included exactly.

    Args:
        low: the first value, positive.
        high: the last value, at least ``low``.
        count: at least 1; 1 only where both ends are one.

    Raises:
        ValueError: ends or count that make no such grid.
    """
    if not (0 < low <= high < float("inf")) or count < 1 or (count == 1 and low != high) or count > MOST_POINTS:
        raise ValueError
    if count == 1 or low == high:
        return (low,)
    inner = np.geomspace(low, high, count)[1:-1]
    return (low, *(float(f"{value:.6g}") for value in inner), high)


def _growing(text: str, where: str) -> tuple[float, ...]:
    """Parse a grid in r, without its ``r:`` and ``+-`` marks."""
    parts = text.split(":")
    if len(parts) == 3 and float(parts[0]) > 0:
        return (0.0, *growing(float(parts[0]), float(parts[1]), int(parts[2])))
    try:
        return parse_grid(text, where)
    except ConfigError:
        raise ValueError from None
