"""Convert EasyEdit2's hyperparameters to this package's configurations: checked, typed and frozen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..config import TrainConfig, build, require
from ..model.sites import Placement
from ..registry import nearest
from ..steering.forms.base import FORMS
from ..training.run_config import RunConfig
from ..types import ConfigError
from .fields import ALIASES, ONLY, TrainFields, given, written_as
from .host.wrappers import as_host_writes
from .own_keys import Keys, form_keys, objective_keys

_TRAIN_KEYS = tuple(f.name for f in fields(TrainConfig))
_RUN_KEYS = frozenset(f.name for f in fields(TrainFields)) - ALIASES.keys() - ONLY.keys()
COMPAT = "easyedit2"
COMPAT_FORMS: Mapping[str, Mapping[str, Any]] = {
    "lora": {"start": "rank"},
    "vector": {"start": "random", "m_shift": True},
}
"""``compat: easyedit2``, beside the objective's own part: how a form starts, and what else is learnt."""

COMPAT_TOKENS: Mapping[str, Any] = {"score_end": False, "strip_space": False, "too_long": "cut"}
"""The same of tokens."""

_OFF = {"lambda_p": 1.0, "lambda_n": 0.0, "gamma": 0.0, "subtraction": "normal"}
"""Values at which EasyEdit2's files repeat keys of another objective: they ask for nothing."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of one training run, and how much of the data it uses.

    Attributes:
        run: the training run.
        max_concepts: the first so many concepts only.
        max_num_of_examples: answers per concept, two to a pair, as EasyEdit2 counts.
        drop_bad: leave bad rows out and name them, instead of stopping at the first.
    """

    run: RunConfig
    max_concepts: int | None = None
    max_num_of_examples: int | None = None
    drop_bad: bool = False

    def __post_init__(self) -> None:
        for name in ("max_concepts", "max_num_of_examples"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} is {value}, must be at least 1")


RECOMMENDED = "recommended"
"""In place of numbers: the m that ``recommend --save`` stored in the artifact."""


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """Which interventions are applied, where and how strongly; ``layers`` and ``multipliers`` correspond.

    Attributes:
        layers: 0-based block indices.
        multipliers: m of each layer; empty where ``recommended``.
        recommended: whether every layer takes the m that the artifact stores.
        load_dir: folder that training wrote.
        concept_id: which concept, of files that hold several.
        form: checked against what was saved.
        placement: checked against what was saved.
        skip_prefix: replaces what was saved; that where None.
        other_weights: steer a model of the recorded name though its weights are other ones.
    """

    layers: tuple[int, ...]
    multipliers: tuple[float, ...] = ()
    recommended: bool = False
    load_dir: str | None = None
    concept_id: int = 0
    form: str | None = None
    placement: Placement | None = None
    skip_prefix: bool | None = None
    other_weights: bool = False

    def __post_init__(self) -> None:
        require(len(self.layers) > 0, "layers is empty, name at least one block, e.g. layers: [20]")
        require(
            self.recommended or len(self.layers) == len(self.multipliers),
            f"{len(self.layers)} layers but {len(self.multipliers)} multipliers: give one m per layer, or "
            f"multipliers: {RECOMMENDED}",
        )
        require(len(set(self.layers)) == len(self.layers), f"layers holds one twice: {list(self.layers)}")


def train_settings(hparams: Any, form: str | None, objective: str | None, where: str) -> TrainSettings:
    """Settings of a training run from EasyEdit2's hyperparameters.

    Args:
        hparams: the host's, as read.
        form: fixed by the method's name, or None where the file chooses (default vector).
        objective: fixed by the method's name, or None where the file chooses (default sft).
        where: what the file is called in messages.

    Raises:
        ConfigError: a value that is wrong or impossible, a key of another objective.
    """
    forms, objectives = form_keys(), objective_keys()
    asked = getattr(hparams, "objective", None)
    chosen = _chosen("objective", asked, objective or "sft", objective, objectives, where)
    values = given(hparams, where, own=objectives[chosen])
    asked = values.pop("form", None)
    chosen_form = _chosen("form (intervention_method)", asked, form or "vector", form, forms, where)
    _check_readers(values, forms[chosen_form], objectives, chosen, where, written_as(hparams))
    run: dict[str, Any] = {
        "form": chosen_form,
        "objective": chosen,
        "form_config": {key: values[key] for key in forms[chosen_form] if key in values},
        "objective_config": {key: values[key] for key in objectives[chosen] if key in values},
        "placement": "block_output",
        "train": {key: values[key] for key in _TRAIN_KEYS if key in values},
        "tokens": {key: values[key] for key in ("score_end", "max_length") if key in values},
    }
    use_chat = bool(values.get("use_chat_template", False))
    run["tokens"] |= as_host_writes(use_chat, values.get("system_prompt"), values.get("enable_thinking"))
    if "output_length" in vars(hparams) and hparams.output_length is not None:
        run["tokens"]["too_long"] = "cut"  # as EasyEdit2 does at that length
    if values.get("compat") == COMPAT:
        run["form_config"] = {**COMPAT_FORMS.get(chosen_form, {}), **run["form_config"]}
        run["tokens"] = {**COMPAT_TOKENS, **run["tokens"]}
    require("layers" in values, f"{where}: layers missing, name the blocks, e.g. layers: [20]")
    run |= {key: values[key] for key in ("layers", "site", "placement", "positions", "skip_prefix") if key in values}
    if FORMS[chosen_form].constant and getattr(hparams, "site", None) is None:
        run.pop("site", None)  # EasyEdit2's vector files carry intervention_components too; a vector has no input
    names = ("max_concepts", "max_num_of_examples", "drop_bad")
    rest = {key: values[key] for key in names if key in values}
    return build(TrainSettings, {"run": RunConfig.read(run, where), **rest}, where)


def apply_settings(hparams: Any, where: str) -> ApplySettings:
    """Settings of an application from EasyEdit2's hyperparameters.

    Args:
        hparams: the host's, as read.
        where: what the file is called in error messages.

    Raises:
        ConfigError: a value that is wrong, or unequal numbers of layers and multipliers.
    """
    values = given(hparams, where)
    for key in ("layers", "multipliers"):
        require(key in values, f"{where}: {key} missing, e.g. layers: [20] and multipliers: [1.0]")
    mapping = {"load_dir": values.get("steer_vector_load_dir")}
    names = ("layers", "multipliers", "concept_id", "form", "placement", "skip_prefix", "other_weights")
    mapping |= {key: values[key] for key in names if key in values}
    if mapping["multipliers"] in (RECOMMENDED, [RECOMMENDED]):
        mapping |= {"multipliers": (), "recommended": True}
    return build(ApplySettings, mapping, where)


def _chosen(what: str, value: Any, default: str, fixed: str | None, allowed: Mapping[str, Any], where: str) -> str:
    if value is None:
        return default
    if value not in allowed:
        raise ConfigError(f"{where}: unknown {what} {value!r}{nearest(str(value), tuple(allowed))}")
    if fixed is not None and value != fixed:
        raise ConfigError(f"{where}: {what} is {value!r}, but alg_name fixes it to {fixed!r}: remove the key")
    return str(value)


def _check_readers(
    values: Mapping[str, Any],
    form: Collection[str],
    objectives: Keys,
    chosen: str,
    where: str,
    written: Mapping[str, str],
) -> None:
    """Raise for settings that nothing reads; one of another objective is allowed where it means "off"."""
    mine, title = objectives[chosen], f"objective {chosen}"
    for key in values:
        readers = [name for name, keys in (("the form", form), (title, mine), ("the run", _RUN_KEYS)) if key in keys]
        if len(readers) > 1:
            raise ConfigError(
                f"{where}: {key} is a setting of {' and of '.join(readers)}: one of the two must rename it"
            )
        others = any(key in keys for keys in objectives.values())
        if not readers and others and key != "theta" and _OFF.get(key) != values[key]:
            hint = nearest(key, mine) if mine else ""
            name = written.get(key, key)
            raise ConfigError(f"{where}: {title} does not read {name} ({values[key]!r}){hint}: remove it")
