"""Recipes: the settings of a training run, composed from small YAML files so that none is written twice:

    code's defaults < methods/FORM < methods/OBJECTIVE < datasets/D < models/M < the user's file < --set key=value

An objective that is a variant of another (``Objective.recipe``) takes the other's file and cases as well.

A model without a file of its own takes models/untuned, whose learning rate and factors are in natural units.

Within a file its sections come first, then those of its ``cases`` whose ``for`` fits, in order; what comes later wins.

| section                                             | holds                                                         |
|-----------------------------------------------------|---------------------------------------------------------------|
| ``layers, site, placement, positions, skip_prefix`` | where the intervention acts                                   |
| ``form``, ``objective``                             | settings of the chosen form and objective                     |
| ``train``, ``tokens``                               | ``TrainConfig``, ``TokenConfig``                              |
| ``cases``                                           | ``for: {form, objective, model, dataset}`` + any of the above |
| ``names`` (models only)                             | Hugging Face ids that the file is for                         |

Every value remembers its file. A key that nothing reads is an error with the nearest known one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..config import TokenConfig, TrainConfig, check_keys
from ..registry import nearest
from ..steering.forms.base import FORMS
from ..strict_yaml import read_value, read_yaml
from ..types import ConfigError
from .objectives.base import OBJECTIVES
from .run_config import RunConfig

_PLACES = ("layers", "site", "placement", "positions", "skip_prefix")
_SECTIONS = ("form", "objective", "train", "tokens")
_FIELDS = {"form": "form_config", "objective": "objective_config", "train": "train", "tokens": "tokens"}
_SELECTORS = ("form", "objective", "model", "dataset")
_Names: TypeAlias = Mapping[str, tuple[str | None, ...]]
UNTUNED = "untuned"
"""The file in ``hparams/models`` for every model without a file of its own."""


@dataclass(frozen=True, slots=True)
class Line:
    """One setting of a composed recipe, with the file or option it comes from.

    Attributes:
        key: as YAML and ``--set`` write it, e.g. ``train.lr``.
        value: its value.
        origin: the file or option that the value comes from.
    """

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A composed recipe: all settings of a run, each with its origin.

    Attributes:
        settings: what ``RunConfig.read`` takes.
        origins: dotted key to the file (or ``--set``) that its value comes from; keys that nobody set are absent.
    """

    settings: dict[str, Any]
    origins: dict[str, str]

    @property
    def needs_layers(self) -> bool:
        """Whether no file or option names the blocks to steer."""
        return "layers" not in self.settings

    def with_layers(self, layers: Sequence[int], origin: str) -> Recipe:
        """The same recipe with these blocks to steer.

        Args:
            layers: 0-based block indices.
            origin: what chose them, for the record.
        """
        return Recipe({**self.settings, "layers": tuple(layers)}, {**self.origins, "layers": origin})

    def run_config(self) -> RunConfig:
        """The recipe as a checked run configuration.

        Raises:
            ConfigError: a value out of range, no layers, an objective that cannot train the form.
        """
        if self.needs_layers:
            raise ConfigError(
                "no recipe names layers for this model: say which, e.g. --layer 20, --set layers=[20] or --layer auto"
            )
        return RunConfig.read(self.settings, "settings")

    def lines(self) -> tuple[Line, ...]:
        """Every setting in effect, defaults included."""
        run = self.run_config()
        form = FORMS[run.form]
        classes = {"form": form.config_class, "objective": OBJECTIVES[run.objective].config_class}
        of_form = {"site": form.default_site, "skip_prefix": form.skip_prefix}
        values = {key: getattr(run, key) for key in _PLACES}
        values |= {key: value for key, value in of_form.items() if values[key] is None}
        found = [Line(key, value, self.origins.get(key, "default")) for key, value in values.items()]
        for section in _SECTIONS:
            config = getattr(run, _FIELDS[section])
            if section in classes:
                config = classes[section](**config)
            for field in dataclasses.fields(config):
                key = f"{section}.{field.name}"
                found.append(Line(key, getattr(config, field.name), self.origins.get(key, "default")))
        return tuple(found)


def hparams_folder() -> Path:
    """The folder of the packaged YAML files: inside an installed package, beside it in a source checkout.

    Raises:
        ConfigError: in neither place.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "hparams", package.parent / "hparams"):
        if (folder / "methods").is_dir():
            return folder
    raise ConfigError(f"the recipes (hparams) are missing beside {package}: install the package again")


def compose(
    form: str,
    objective: str,
    *,
    model: str,
    dataset: str | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Compose the settings of one run from the package's recipes, the user's file and overrides.

    Args:
        form: registered form name; a third party's may have no file.
        objective: registered objective name; a third party's may have no file.
        model: as ``load_model`` takes it; one without a file gets no ``layers``, and the rest in natural units.
        dataset: as ``load_dataset`` takes it; a file of one's own has no recipe.
        config: the user's YAML file.
        overrides: ``key=value``, the key dotted (``train.lr=0.01``), the value read as YAML.

    Raises:
        ConfigError: unknown form, objective, key or selector, a value of the wrong type; the file is named.
    """
    FORMS[form], OBJECTIVES[objective]
    folder = hparams_folder()
    objectives = tuple(name for name in (OBJECTIVES[objective].recipe, objective) if name)
    of_data, of_model = dataset_recipe(dataset), model_recipe(model)
    names = {"form": (form,), "objective": objectives, "model": (of_model,), "dataset": (of_data,)}
    files = [folder / "methods" / f"{name}.yaml" for name in (form, *objectives)]
    files += [folder / "datasets" / f"{of_data}.yaml"] if of_data else []
    files += [folder / "models" / f"{of_model or UNTUNED}.yaml"]
    composer = _Composer(names, {"form": form, "objective": objective})
    for file in files:
        if file.is_file():
            composer.add_file(file, str(file.relative_to(folder.parent)))
    if config is not None:
        composer.add_file(config, str(config))
    for override in overrides:
        composer.add_override(override)
    return Recipe(composer.settings, composer.origins)


def model_recipe(model: str) -> str | None:
    """Name of the file in ``hparams/models`` for a hub id, a folder or a testbed model; None where there is none.

    Args:
        model: Hugging Face id, folder or ``testbed:NAME``.
    """
    wanted = _last_part(model)
    for file in sorted((hparams_folder() / "models").glob("*.yaml")):
        names = read_yaml(file).get("names", [])
        if wanted in {_last_part(name) for name in (file.stem, *names)}:
            return file.stem
    return None


def dataset_recipe(dataset: str | None) -> str | None:
    """Name of the file in ``hparams/datasets`` for an argument of ``load_dataset``; None where there is none.

    Args:
        dataset: as ``load_dataset`` takes it.
    """
    name = (dataset or "").split(":")[0]
    return name if name in _stems("datasets") else None


def _last_part(model: str) -> str:
    return model.rstrip("/").split("/")[-1].lower()


def _stems(kind: str) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in (hparams_folder() / kind).glob("*.yaml")))


class _Composer:
    """Merges settings in order of precedence and records where each came from.

    Args:
        names: what selectors may name of the run: its form, objectives, model and dataset.
        chosen: the files chosen by them.
    """

    def __init__(self, names: _Names, chosen: Mapping[str, str]) -> None:
        self.names = names
        self.settings: dict[str, Any] = dict(chosen)
        self.origins: dict[str, str] = {}
        self.classes = {
            "form": FORMS[chosen["form"]].config_class,
            "objective": OBJECTIVES[chosen["objective"]].config_class,
            "train": TrainConfig,
            "tokens": TokenConfig,
        }

    def add_file(self, path: Path, shown: str) -> None:
        content = read_yaml(path)
        known = (*_PLACES, *_SECTIONS, "cases")
        self._add({key: value for key, value in content.items() if key not in ("cases", "names")}, shown, known)
        for place, case in _cases(content.get("cases"), shown):
            if _fits(case.get("for"), self.names, f"{place}.for"):
                self._add({key: value for key, value in case.items() if key != "for"}, place, known[:-1], shown)

    def add_override(self, text: str) -> None:
        key, equals, value = text.partition("=")
        where = f"--set {text}"
        if not equals or not key:
            raise ConfigError(f"{where}: write key=value, e.g. --set train.lr=0.01")
        section, dot, name = key.partition(".")
        parsed = read_value(value, where)
        for part in reversed(name.split(".") if dot else []):  # tokens.template.KEY is a setting inside a setting
            parsed = {part: parsed}
        self._add({section: parsed}, where, (*_PLACES, *_SECTIONS), "--set")

    def _add(self, content: Mapping[str, Any], where: str, known: tuple[str, ...], origin: str | None = None) -> None:
        for key, value in content.items():
            if key not in known:
                raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")
            if key in _PLACES:
                self.settings.update(check_keys(RunConfig, {key: value}, where))
                self.origins[key] = origin or where
                continue
            checked = check_keys(self.classes[key], value, f"{where}: {key}")
            into = self.settings.setdefault(_FIELDS[key], {})
            for name, value in checked.items():  # arguments of the chat template are added to those before
                both = isinstance(value, dict) and isinstance(into.get(name), dict)
                into[name] = {**into[name], **value} if both else value
            self.origins.update({f"{key}.{name}": origin or where for name in checked})


def _cases(cases: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(cases, list | None):
        raise ConfigError(f"{where}: cases is a {type(cases).__name__}, wanted a list")
    for number, case in enumerate(cases or ()):
        place = f"{where}, cases[{number}]"
        if not isinstance(case, Mapping) or "for" not in case:
            raise ConfigError(f"{place}: wanted a mapping with 'for' and what to set")
        yield place, case


def _fits(selector: Any, names: _Names, where: str) -> bool:
    """Whether a ``for`` selector matches the run; every name in it must be known."""
    if not isinstance(selector, Mapping) or not selector:
        raise ConfigError(f"{where}: wanted a mapping with any of {', '.join(_SELECTORS)}")
    known = {
        "form": FORMS.names(),
        "objective": OBJECTIVES.names(),
        "model": _stems("models"),
        "dataset": _stems("datasets"),
    }
    for key, values in selector.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), _SELECTORS)}")
        if not isinstance(values, list):
            raise ConfigError(f"{where}.{key}: {values!r} is a {type(values).__name__}, wanted a list")
        for value in values:
            if value not in known[key]:
                raise ConfigError(f"{where}.{key}: unknown {key} {value!r}{nearest(str(value), known[key])}")
    return all(any(name in values for name in names[key]) for key, values in selector.items())
