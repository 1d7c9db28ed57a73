"""Names of curves and titles of panels, unique within each panel.

Columns and rows of panels are the forms, datasets and models of the figure, as far as there are several. Of the other
parts of a key, one that differs inside a panel goes into its curves' names; a split or seed that differs only between
panels goes into their titles; a site or placement that the panel settles is said nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...sweep_curves import CurveKey
from ..r2_tables import FORMS, OBJECTIVES

Words: TypeAlias = Callable[[str, str], str]

PANEL_PARTS = ("form", "dataset", "model")  # the first that varies goes across, the others down
NAME_PARTS = ("split", "site", "placement", "seed")
SETTLED = ("site", "placement")  # named in the panels in which they differ; the others in all as soon as in one
FORM_ORDER = ("vector", "lora", "local_weight")
PLACEMENTS = {"site": "at the site", "block_output": "at the block output"}


@dataclass(frozen=True)
class PanelLayout:
    """Arrangement of curves in the panels of a figure.

    Attributes:
        across: parts of a key that columns differ in.
        down: parts of a key that rows differ in.
        columns: values of the columns, in the order drawn.
        rows: values of the rows, in the order drawn.
        said: split or seed, where panels differ in it but no curves of one panel do.
        words: readable text of a part's value.
    """

    across: tuple[str, ...]
    down: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    said: tuple[str, ...]
    words: Words

    def cell(self, key: CurveKey) -> tuple[int, int]:
        """Row and column of a curve's panel.

        Args:
            key: what tells the curve from others.
        """
        return self.rows.index(_values(key, self.down)), self.columns.index(_values(key, self.across))

    def title(self, key: CurveKey) -> str:
        """Title of the panel that a curve is in.

        Args:
            key: what tells the curve from others.
        """
        facets = [part for part in ("model", "dataset") if part in self.across + self.down]
        return _joined(key, [*facets, "form", *self.said], self.words)


def panel_layout(keys: Sequence[CurveKey]) -> PanelLayout:
    """Arrange curves in panels; all in one row where most of a grid would be empty.

    Args:
        keys: of the curves, at least one.
    """
    facets = [part for part in PANEL_PARTS if _several(keys, part)]
    across, down = tuple(facets[:1]), tuple(facets[:0:-1])
    if 3 * len(_panels(keys)) < 2 * len(_found(keys, across)) * len(_found(keys, down)):
        across, down = tuple(facets), ()
    said = [part for part in ("split", "seed") if _several(keys, part) and part not in _inside(keys)]
    return PanelLayout(across, down, _found(keys, across), _found(keys, down), tuple(said), _words(keys))


def curve_names(keys: Sequence[CurveKey], labels: Sequence[str | None], sources: Sequence[str]) -> list[str]:
    """A name for each curve, unique within its panel.

    Args:
        keys: of the curves.
        labels: names that the caller chose; None to have one made.
        sources: files that the curves come from, "" where unknown; said where the keys do not tell curves apart.
    """
    words, inside = _words(keys), _inside(keys)
    made = [label or "" for label in labels]
    for members in _panels(keys):
        own = _inside([keys[k] for k in members])
        parts = ["objective", *(part for part in inside if part in own or part not in SETTLED)]
        for k in members:
            made[k] = labels[k] or _joined(keys[k], parts, words)
        alike = Counter(made[k] for k in members)
        for k in members:
            if labels[k] is None and (alike[made[k]] > 1 or not made[k]):
                made[k] = ", ".join(text for text in (made[k], sources[k]) if text) or "curve"
        _number([made[k] for k in members], members, made)
    return made


def _number(names: list[str], members: list[int], made: list[str]) -> None:
    """Append numbers to names that are still equal within a panel."""
    seen: Counter[str] = Counter()
    for name, k in zip(names, members, strict=True):
        seen[name] += 1
        if names.count(name) > 1:
            made[k] = f"{name} ({seen[name]})"


def _panels(keys: Sequence[CurveKey]) -> list[list[int]]:
    """Group the curves by panel, as indices into ``keys``."""
    panels: dict[tuple[str, ...], list[int]] = {}
    for k, key in enumerate(keys):
        panels.setdefault(_values(key, PANEL_PARTS), []).append(k)
    return list(panels.values())


def _inside(keys: Sequence[CurveKey]) -> list[str]:
    """The parts of the key in which curves of one panel differ."""
    panels = [[keys[k] for k in members] for members in _panels(keys)]
    return [part for part in NAME_PARTS if any(_several(members, part) for members in panels)]


def _several(keys: Sequence[CurveKey], part: str) -> bool:
    return len({getattr(key, part) for key in keys}) > 1


def _values(key: CurveKey, parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(getattr(key, part) for part in parts)


def _found(keys: Sequence[CurveKey], parts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The values of these parts in order of first appearance; forms in the paper's order."""
    values = list(dict.fromkeys(_values(key, parts) for key in keys))
    if parts == ("form",):
        values.sort(key=lambda value: FORM_ORDER.index(value[0]) if value[0] in FORM_ORDER else len(FORM_ORDER))
    return tuple(values)


def _joined(key: CurveKey, parts: Sequence[str], words: Words) -> str:
    return ", ".join(text for part in parts if (text := words(part, getattr(key, part))))


def _words(keys: Sequence[CurveKey]) -> Words:
    """Readable text of a part's value; the last component of a model's or dataset's name where that is unique."""
    known: dict[str, dict[str, str]] = {"form": FORMS, "objective": OBJECTIVES, "placement": PLACEMENTS}
    for part in ("model", "dataset"):
        full = {getattr(key, part) for key in keys}
        short = {value: value.rstrip("/").rsplit("/", 1)[-1].removeprefix("testbed:") for value in full}
        known[part] = short if len(set(short.values())) == len(full) else {}

    def words(part: str, value: str) -> str:
        text = known.get(part, {}).get(value, value)
        return f"seed {text}" if part == "seed" and text else text

    return words
