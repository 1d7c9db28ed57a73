"""Export an artifact at a chosen m as another tool's file.

    exported at m: the file at its own strength 1 does what ``attach(m)`` does

The default m is the one that the artifact keeps (``recommend --save``). The file appears whole or not at all, and what
it does not hold is said. An intervention that spares some tokens is refused by formats whose readers steer every token,
unless ``positions="all"`` asks for that; what the difference costs is measured then.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from .. import __version__
from ..config import build, require
from ..files.reading import cut, parse_json, read_bounded
from ..model.describe import adapters_of
from ..model.load_options import LoadOptions
from ..steering.artifact import Artifact
from ..steering.chosen_m import ChosenM
from ..steering.intervention import Intervention
from ..steering.steering import Steering
from ..storage import new_folder, write_whole
from ..text.prompt_tokens import Template
from ..types import ConfigError, Factors
from .base import FORMATS, ExportOptions, Format, ModelAtHand, Outgoing, refuse_unread, writable_formats
from .differences import by, kl_per_token, neutral_batch

RECORD_FILE = "easyedit_split_export.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """Result of an export: paths and notes.

    Attributes:
        path: the file or folder.
        m: ``(m1, m2)`` that were written into it.
        notes: what the file does not hold or costs, one sentence each.
    """

    path: Path
    m: tuple[float, float]
    notes: tuple[str, ...]


def export_artifact(
    artifact: Artifact | Steering | str | Path,
    to: str,
    out: str | Path,
    *,
    m: Factors | None = None,
    concept: str | None = None,
    model: nn.Module | str | None = None,
    tokenizer: Any = None,
    loading: LoadOptions | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Exported:
    """Write a trained intervention as another tool's file.

    Args:
        artifact: what was trained or loaded, or its folder.
        to: a registered format that can be written: ``peft``, ``merged``, ``gguf_vector`` ...
        out: the file or folder to be made.
        m: one float or ``(m1, m2)``; the one that the artifact keeps where None.
        concept: which of its concepts.
        model: the model that it was made for, or its name; the recorded one where None.
        tokenizer: the model's own, where the model itself is given.
        loading: how a model that is named is loaded; the recorded model at its recorded revision where None.
        overwrite: replace what an earlier export wrote there.
        **options: see ``ExportOptions``.

    Raises:
        ConfigError: the format cannot say the change, with what can be done instead; no m; or unknown settings.
        ArtifactError: the artifact is damaged or was made for another model.
    """
    if isinstance(artifact, Steering):
        require(len(artifact.parts) == 1, "a sum of steerings is exported part by part: ask each of its parts")
        concept = concept or artifact.parts[0].concept
        artifact = artifact.parts[0].with_chosen()
    if not isinstance(artifact, Artifact):
        artifact = Artifact.from_pretrained(artifact)
    format_class = _writable(to)
    settings = build(ExportOptions, options, "export")
    refuse_unread(settings, ("positions", *format_class.export_reads), to)
    name = artifact.resolve(concept)
    place = Path(out)
    _check_place(place, format_class, overwrite)
    at_hand = _model_at_hand(artifact, model, tokenizer, loading)
    outgoing = Outgoing(artifact, name, artifact[name], strength(artifact, name, m), at_hand, settings)
    if format_class.every_token:
        outgoing = every_token(outgoing)
    _write(format_class(), outgoing, place)
    return Exported(place, outgoing.m, tuple(outgoing.notes))


def _model_at_hand(
    artifact: Artifact, model: nn.Module | str | None, tokenizer: Any, loading: LoadOptions | None
) -> ModelAtHand:
    """The model that was given or named, else the recorded one, at its revision unless another is asked for."""
    record = artifact.record.get("model", {})
    recorded = record.get("id")
    chosen = loading or LoadOptions()
    named = not model and recorded and not Path(str(recorded)).exists()
    if named and chosen.revision is None and record.get("revision"):
        chosen = dataclasses.replace(chosen, revision=str(record["revision"]))
    why = "the artifact does not say which model it is for: name one"
    own = f"the artifact's model, {cut(str(recorded), 60)}, cannot be loaded here: name it with --model"
    return ModelAtHand(model or recorded, tokenizer, why, chosen, "" if model else own)


def _say_of_the_model(outgoing: Outgoing) -> None:
    """Note what the file's reader has to know of the model, where writing it took the model."""
    at_hand = outgoing.at_hand
    if not at_hand.was_loaded:
        return
    for note in outgoing.artifact.check_model(at_hand.model, tokenizer=at_hand.tokenizer):
        outgoing.notes.append(f"the artifact's model differs: {note}")
    adapters = ", ".join(adapters_of(at_hand.model))
    if adapters:
        outgoing.notes.append(f"the model carries an adapter ({adapters}), which this file does not hold: load both")


def _writable(name: str) -> type[Format]:
    found = FORMATS[name]
    require(found.writes is not None, f"format {name!r} is only read; written are {', '.join(writable_formats())}")
    return found


def strength(artifact: Artifact, concept: str, m: Factors | None) -> tuple[float, float]:
    """``(m1, m2)`` to be written: as given, else as the artifact keeps it.

    Args:
        artifact: one concept or several.
        concept: one of its names.
        m: one float, ``(m1, m2)``, or None.

    Raises:
        ConfigError: none was given and none is kept, or it is 0 or not finite.
    """
    if m is None:
        m = artifact.chosen_m(concept)
    if m is None:
        raise ConfigError("the artifact keeps no m (recommend --save keeps one): say which one to write with --m")
    chosen = ChosenM.of(m)
    require(bool(chosen.m1 or chosen.m2), "m is 0, which is the bare model: there is nothing to export")
    return chosen.m1, chosen.m2


def every_token(outgoing: Outgoing) -> Outgoing:
    """The change as a reader that steers every token will make it.

    Args:
        outgoing: what is to be written.

    Raises:
        ConfigError: it spares some tokens, and that was not to be given up.
    """
    config = outgoing.intervention.config
    if config.positions == "all" and not config.skip_prefix:
        return outgoing
    which = f"positions {config.positions}" + (", without the constant opening" if config.skip_prefix else "")
    if outgoing.options.positions != "all":
        raise ConfigError(
            f"the intervention spares some tokens ({which}), and what reads this format steers every token: say "
            "--positions all to export it so, with the difference measured, or train it with --set positions=all "
            "--set skip_prefix=false"
        )
    everywhere = copy.copy(outgoing.intervention)  # shares the parameters
    everywhere.config = dataclasses.replace(config, positions="all", skip_prefix=False, prefix_ids=())
    outgoing.notes.append(_cost(outgoing, everywhere, which))
    return dataclasses.replace(outgoing, intervention=everywhere)


def _cost(outgoing: Outgoing, everywhere: Intervention, which: str) -> str:
    model, tokenizer = outgoing.model, outgoing.at_hand.tokenizer
    if tokenizer is None:
        raise ConfigError("measuring what --positions all costs needs the tokenizer: give it with the model")
    batch = neutral_batch(model, Template(tokenizer, outgoing.artifact.tokens))
    ours = (model, by(outgoing.intervention, outgoing.m))
    kl = kl_per_token(batch, ours, (model, by(everywhere, outgoing.m)))
    rows = len(batch.lengths)
    return f"every token is steered, and not only {which}: KL {kl:.3g} nats per token on {rows} neutral prompts"


def _check_place(place: Path, format_class: type[Format], overwrite: bool) -> None:
    if not place.exists():
        return
    require(overwrite, f"{place} exists already: choose another place, or overwrite it explicitly")
    if format_class.writes == "file":
        require(place.is_file(), f"{place} is a folder, and this format is a file: choose another place")
    else:
        ours = place.is_dir() and ((place / RECORD_FILE).is_file() or not any(place.iterdir()))
        require(ours, f"{place} was not written by an export, so it is not replaced: choose another place")


def _own_files(place: Path) -> list[str]:
    """Names that an earlier export wrote into a folder; everything else in it stays."""
    try:
        record = parse_json(read_bounded(place / RECORD_FILE, ConfigError).decode("utf-8"))
        return [RECORD_FILE, *(str(name) for name in record.get("files", ()))]
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return [RECORD_FILE]


def _fill(made: Format, outgoing: Outgoing, place: Path) -> None:
    made.write(outgoing, place)
    _say_of_the_model(outgoing)


def _write(made: Format, outgoing: Outgoing, place: Path) -> None:
    if made.writes == "file":
        write_whole(place, lambda path: _fill(made, outgoing, path))
        return
    with new_folder(place, own=_own_files(place)) as folder:
        _fill(made, outgoing, folder)
        record = {
            "format": made.name,
            "package_version": __version__,
            "artifact": outgoing.artifact.identity(),
            "concept": outgoing.concept,
            "m1": outgoing.m[0],
            "m2": outgoing.m[1],
            "notes": list(outgoing.notes),
            "files": sorted(path.name for path in folder.iterdir()),
        }
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
