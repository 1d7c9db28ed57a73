"""One verdict for each architecture: exact, exact but for what is refused with its reason, refused, or wrong."""

from __future__ import annotations

import re
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from easyedit_split.model.maps import map_widths, maps_in
from easyedit_split.model.sites import RESIDUAL, Site, blocks_of, find_linear, hidden_size, short_names
from easyedit_split.steering.self_check import is_block_output
from easyedit_split.types import ConfigError

from . import checks
from .exact import Float64Everywhere, random_model

TOLERANCE = 1e-9
IN_FLOAT32 = 1e-4
MODELS_OWN = (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)


@dataclass
class Verdict:
    """What was found of one architecture.

    Attributes:
        name: in the table.
        exact: what is within the tolerance.
        refused: what is refused, with the reason.
        wrong: what is neither, with its error.
        notes: what transformers itself does not compute exactly.
        same: whether a change at ``mlp.down_proj`` is one at the block's output; None where there is no such map.
        tolerance: largest error, relative to the largest logit.
        place: where generation is steered.
    """

    name: str
    exact: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    same: bool | None = None
    tolerance: float = TOLERANCE
    place: Site = field(default_factory=lambda: Site(1, RESIDUAL))

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.wrong:
            return "WRONG"
        if not self.right:
            return "refused"
        return "exact, rest refused" if self.refused else "exact"

    @property
    def right(self) -> bool:
        """Whether the block's output, a map or both are steered exactly, generation too, and nothing is wrong."""
        kinds = {name.split(" ")[0] for name in self.exact}
        return not self.wrong and {"generation", "zero"} <= kinds and bool({"vector", "map"} & kinds)

    def found(self, what: str, error: float, allowed: float = 0.0) -> None:
        """Note an error."""
        if error <= max(allowed, self.tolerance):
            self.exact.append(what)
        else:
            self.wrong[what] = f"{error:.2g}"


def judge(name: str) -> Verdict:
    """Check one architecture."""
    verdict = Verdict(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside: AbstractContextManager[Any] = Float64Everywhere()
        try:
            with inside:
                model = random_model(name, torch.float64)
                checks.logits(model)
        except MODELS_OWN:
            model, inside = random_model(name, torch.float32), nullcontext()
            verdict.notes.append(f"not to be had in float64: checked in float32 to {IN_FLOAT32}")
            verdict.tolerance = IN_FLOAT32
        with inside:
            _maps(model, verdict)
            _vector(model, verdict)
            _generation(model, verdict)
        _zero(name, verdict)
    return verdict


def _maps(model: Any, verdict: Verdict) -> None:
    places: dict[str, Site] = {}
    for index, block in enumerate(blocks_of(model)):
        for path in maps_in(block):
            places.setdefault(path, Site(index, path))
    for path, site in places.items():
        try:
            verdict.found(f"map {path}", checks.map_error(model, site))
        except ConfigError as reason:
            verdict.refused[f"map {path}"] = _short(reason)
    for index in range(len(blocks_of(model))):
        if "mlp.down_proj" in short_names(model, index):
            site = Site(index, "mlp.down_proj")
            if map_widths(find_linear(model, site)) and verdict.same is None:
                with suppress(ConfigError):
                    verdict.same = is_block_output(model, site)
    assert hidden_size(model) == 32


def _vector(model: Any, verdict: Verdict) -> None:
    try:
        verdict.found("vector", checks.stream_error(model))
    except ConfigError as reason:
        verdict.refused["vector"] = _short(reason)
        exact = next(name for name in verdict.exact if name.startswith("map "))
        verdict.place = Site(1, exact.removeprefix("map "))


def _generation(model: Any, verdict: Verdict) -> None:
    bare = [checks.step_by_step(model, None, prompt, 0.0) for prompt in checks.PROMPTS]
    own_error = 0.0
    try:
        own_error = checks.error(checks.own_generation(model, None, 0.0), torch.stack([found for _, found in bare]))
    except MODELS_OWN as reason:
        verdict.notes.append(f"its own generate fails: {_short(reason)}")
        own_error = float("inf")
    if verdict.tolerance < own_error < float("inf"):
        verdict.notes.append(f"its own generate (left padding, cache) is off by {own_error:.1g}")
    if checks.our_texts(model, None, 0.0) != [ids for ids, _ in bare]:
        verdict.wrong["bare generation"] = "other text"
    interventions = checks.steered(model, "vector" if verdict.place.name == RESIDUAL else "lora", verdict.place)
    try:
        wanted = [[checks.step_by_step(model, one, p, 2.0) for p in checks.PROMPTS] for one in interventions]
    except ConfigError as reason:
        verdict.refused["generation"] = _short(reason)
        return
    for one, rows in zip(interventions, wanted, strict=True):
        what = one.config.positions
        texts = checks.our_texts(model, one, 2.0)
        if texts == [ids for ids, _ in rows]:
            verdict.exact.append(f"generation {what}")
        else:
            verdict.wrong[f"generation {what}"] = "other text"
        if own_error < float("inf"):
            _own(model, verdict, one, torch.stack([found for _, found in rows]), 10 * own_error)


def _own(model: Any, verdict: Verdict, one: Any, wanted: Any, allowed: float) -> None:
    what = f"own generate {one.config.positions}"
    try:
        verdict.found(what, checks.error(checks.own_generation(model, one, 2.0), wanted), allowed)
    except ConfigError as reason:
        verdict.refused["own generate"] = _short(reason)


def _zero(name: str, verdict: Verdict) -> None:
    model = random_model(name, torch.float32)
    try:
        verdict.found("zero m", 0.0 if checks.zero_m_is_bare(model, verdict.place) else float("inf"))
    except ConfigError as reason:
        verdict.refused["zero m"] = _short(reason)


def _short(reason: BaseException) -> str:
    said = " ".join(str(reason).split())
    return re.sub(r"^.*?cannot be steered(?: exactly)?: ", "", said)[:160]
