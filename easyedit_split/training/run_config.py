"""Configuration of a training run, checked when it is read: an impossible combination is an error before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import TokenConfig, TrainConfig, build, require
from ..model.sites import Placement
from ..steering.forms.base import FORMS
from ..text.positions import Positions
from .objectives.base import OBJECTIVES, Objective, TrainingDelta


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Configuration of one training run.

    Attributes:
        form: registered form name.
        objective: registered objective name.
        layers: 0-based block indices, each with parameters of its own.
        site: name of the map; the form's default where None.
        placement: ``site`` or ``block_output``, see ``intervention.InterventionConfig``.
        positions: which tokens are steered, see ``positions``.
        skip_prefix: leave out BOS and the chat template's constant prefix; the form's default where None.
        form_config: the form's own settings.
        objective_config: the objective's own settings.
        train: optimiser settings.
        tokens: how a pair becomes tokens.
    """

    form: str
    objective: str
    layers: tuple[int, ...]
    site: str | None = None
    placement: Placement = "site"
    positions: Positions = "all"
    skip_prefix: bool | None = None
    form_config: dict[str, Any] = field(default_factory=dict)
    objective_config: dict[str, Any] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)
    tokens: TokenConfig = field(default_factory=TokenConfig)

    def __post_init__(self) -> None:
        form, objective = FORMS[self.form], OBJECTIVES[self.objective]
        allowed = objective.forms
        require(
            allowed is None or self.form in allowed,
            f"objective {self.objective!r} cannot train form {self.form!r}; it can: {', '.join(allowed or ())}",
        )
        require(
            not objective.closed_form or form.constant,
            f"objective {self.objective!r} fits one vector, and form {self.form!r} is more than that: choose a form "
            "such as vector",
        )
        require(len(self.layers) > 0, "layers is empty: name at least one block (0-based), or nothing would be steered")
        bad = [layer for layer in self.layers if layer < 0]
        require(not bad, f"layers holds {bad}: blocks are counted from 0 at the embedding's side")
        build(form.config_class, self.form_config, f"form {self.form!r}")
        if self.train.directions == "both":
            self.minus_delta()
        else:
            self.make_objective()

    @property
    def sites(self) -> tuple[str, ...]:
        """Keys of the sites that the run steers."""
        name = self.site or FORMS[self.form].default_site
        return tuple(f"{layer}.{name}" for layer in self.layers)

    @classmethod
    def read(cls, settings: Mapping[str, Any], where: str = "configuration") -> RunConfig:
        """Read a run from a plain mapping, strictly.

        Args:
            settings: by key.
            where: what the mapping is called in error messages.

        Raises:
            ConfigError: unknown keys, wrong types or values, impossible pairings.
        """
        return build(cls, settings, where)

    def make_objective(self) -> Objective:
        """Make the configured objective."""
        objective = OBJECTIVES[self.objective]
        return objective(build(objective.config_class, self.objective_config, f"objective {self.objective!r}"))

    def minus_delta(self) -> TrainingDelta | None:
        """The update that training adds in the -m direction, where it is not the form's own at -m; else None."""
        form = FORMS[self.form]
        return self.make_objective().minus_delta(form, self.site or form.default_site)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values for files; the inverse of ``read``."""
        return dataclasses.asdict(self)
