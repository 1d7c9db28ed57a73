"""Train one of this package's methods in EasyEdit2's ``generate_vectors`` flow, single- or multi-concept.

Rows are ``{question, matching, not_matching, ...}``; multi-concept data is ``[(concept_id, rows), ...]``. The host's
own loader gives the model. What comes back is ``{"layer_L": state}`` in EasyEdit2's format; with ``save_vectors`` it
stands in ``<output>/<dataset>/<name>_<form>/``, and the artifact, which knows everything, beside it in ``steering/``.
"""

from __future__ import annotations

import gc
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..api import progress_bar
from ..datasets.base import PairTable, pairs_hash
from ..interop import easyedit_files as formats
from ..interop.vectors import save_tensors
from ..steering.artifact import Artifact
from ..storage import write_whole
from ..training.train_pairs import train_artifact
from ..types import BadRowError, DataError, Pair
from .apply import SteeringVectors
from .host.loading import load_wrapper
from .host.wrappers import read_by_template, taken_off
from .locate import ARTIFACT_FOLDER
from .settings import TrainSettings, train_settings

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
REMEDY = "drop_bad: true in the YAML file"
FIELDS = {"prompt": "question", "positive": "matching", "negative": "not_matching"}


def train_on_host_rows(
    hparams: Any,
    dataset: Any,
    dataset_name: str | None,
    *,
    form: str | None,
    objective: str | None,
    wrapper: Any = None,
) -> SteeringVectors:
    """Train one intervention per concept on EasyEdit2's rows.

    Args:
        hparams: the host's, of one of our methods.
        dataset: ``[row, ...]``, or ``[(concept_id, [row, ...]), ...]``.
        dataset_name: name of the dataset, for the record.
        form: fixed by the method's name, or None where the file chooses.
        objective: fixed by the method's name, or None where the file chooses.
        wrapper: a loaded model to use; loaded by the host's ``get_model`` and released afterwards where None.

    Raises:
        ConfigError, DataError: settings or rows that cannot be used, named.
    """
    settings = train_settings(hparams, form, objective, f"generate settings of {hparams.alg_name}")
    name = dataset_name or "dataset"
    groups = _groups(dataset, settings, name)
    loaded = wrapper is None
    if loaded:
        wrapper = load_wrapper(hparams, settings.run.sites)
    vectors = _train_groups(wrapper, groups, settings, name, str(hparams.model_name_or_path))
    if hparams.save_vectors:
        own = (settings.run.form, *(() if objective else (settings.run.objective,)))
        folder = Path(str(hparams.steer_vector_output_dir)) / folder_name(hparams.alg_name, *own)
        save_vectors(vectors, folder, wrapper.model)
        logger.info("saved in %s", folder)
    if loaded:
        wrapper.model.to("cpu")
        del wrapper
        gc.collect()
        torch.cuda.empty_cache()
    return vectors


def folder_name(alg_name: str, *own: str) -> str:
    """Name of the folder of a run's vectors: one per method, form and objective.

    Args:
        alg_name: of the method.
        *own: form and, where the method leaves it to the file, objective; one that repeats the name is left out.
    """
    short = alg_name.rsplit("/", 1)[-1]
    return "_".join([short, *(part for part in own if part != short)])


Groups = list[tuple[int | None, str | None, list[tuple[int, Row]]]]
"""(concept_id, concept, numbered rows) each; id and concept are None for data of one concept."""


def _groups(dataset: Any, settings: TrainSettings, name: str) -> Groups:
    if not isinstance(dataset, Sequence) or not dataset:
        raise DataError(f"{name}: no rows to train on (got {type(dataset).__name__}): check steer_train_dataset")
    limit = None if settings.max_num_of_examples is None else max(settings.max_num_of_examples // 2, 1)
    if not isinstance(dataset[0], tuple | list):
        return [(None, None, list(enumerate(dataset))[:limit])]
    groups: Groups = []
    offset = 0
    for concept_id, rows in dataset:
        numbered = [(offset + i, row) for i, row in enumerate(rows)]
        offset += len(rows)
        kept = [(i, row) for i, row in numbered if row.get("category", "positive") == "positive"]
        if not kept:
            raise DataError(f"{name}: concept_id {concept_id} has no row of category 'positive'")
        concept = kept[0][1].get("concept") or kept[0][1].get("output_concept") or str(concept_id)
        groups.append((int(concept_id), str(concept), kept[:limit]))
    if settings.max_concepts is not None and settings.max_concepts < len(groups):
        logger.warning("%s: max_concepts: the first %d of %d", name, settings.max_concepts, len(groups))
    groups = groups[: settings.max_concepts]
    _name_apart(groups)
    return groups


def _name_apart(groups: Groups) -> None:
    """Append ids to the names of concepts that have the same name."""
    names = [concept for _, concept, _ in groups]
    for place, (concept_id, concept, rows) in enumerate(groups):
        if names.count(concept) > 1:
            groups[place] = (concept_id, f"{concept} ({concept_id})", rows)


def pair_of(row: Row, number: int, name: str, concept: str | None = None, *, unasked: bool = False) -> Pair:
    """Convert a row of EasyEdit2 to a pair.

    Args:
        row: ``{question, matching, not_matching}``.
        number: its number, for messages.
        name: of the dataset, for messages.
        concept: the pair's concept.
        unasked: a row without a question, as sst2's, imdb's and toxicity's are, has an empty one.

    Raises:
        BadRowError: a field is missing or is not text.
    """
    values = {}
    for ours, theirs in FIELDS.items():
        value = row.get(theirs)
        if unasked and theirs == "question" and theirs not in row:
            value = ""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            hint = " (DiffMean takes rows without a question)" if theirs == "question" and theirs not in row else ""
            raise BadRowError(
                f"{name}, row {number}: {theirs} is missing{hint}; the row has {', '.join(map(str, row))}"
            )
        if not isinstance(value, str):
            raise BadRowError(f"{name}, row {number}: {theirs} is a {type(value).__name__}, wanted text")
        values[ours] = value
    return Pair(**values, concept=concept)


def _pairs(groups: Groups, settings: TrainSettings, name: str) -> tuple[list[Pair], tuple[int, ...]]:
    pairs: list[Pair] = []
    numbers: list[int] = []
    for _, concept, rows in groups:
        for number, row in rows:
            try:
                pairs.append(pair_of(row, number, name, concept, unasked=settings.run.objective == "diff_mean"))
            except BadRowError as error:
                if not settings.drop_bad:
                    raise error.with_remedy(REMEDY) from error
                logger.warning("dropped: %s", error)
                continue
            numbers.append(number)
    return pairs, tuple(numbers)


def _train_groups(wrapper: Any, groups: Groups, settings: TrainSettings, name: str, model_name: str) -> SteeringVectors:
    pairs, numbers = _pairs(groups, settings, name)
    run = replace(settings.run, tokens=read_by_template(settings.run.tokens, wrapper.tokenizer))
    with progress_bar("training") as advance, taken_off(wrapper.model):
        try:
            artifact = train_artifact(
                wrapper.model,
                wrapper.tokenizer,
                PairTable(name, tuple(pairs), numbers, name, pairs_hash(pairs), split="train"),
                run,
                model_name=model_name,
                drop_bad=settings.drop_bad,
                progress=lambda concept, done, total, loss: advance(done, total, f"{concept}: loss {loss:.3f}"),
            )
        except BadRowError as error:
            raise error.with_remedy(REMEDY) from error
    concepts = {str(concept_id): concept for concept_id, concept, _ in groups if concept_id is not None}
    if concepts:
        artifact.record["concept_ids"] = concepts
    return SteeringVectors(states_of(artifact, wrapper.model), artifact)


def states_of(artifact: Artifact, model: torch.nn.Module) -> dict[str, Any]:
    """Parameters of each layer in EasyEdit2's format.

    Args:
        artifact: what was trained.
        model: the model it steers, whose weights some forms depend on.
    """
    ids: dict[str, str] = artifact.record.get("concept_ids", {})
    first = next(iter(artifact.interventions.values()))
    states: dict[str, Any] = {}
    for site in first.sites:
        if not ids:
            states[f"layer_{site.block}"] = formats.to_state(artifact.only().on(model, site))
            continue
        acting = {int(i): artifact.interventions[concept].on(model, site) for i, concept in ids.items()}
        each = {i: formats.to_state(form, i) for i, form in acting.items()}
        vectors = [state for state in each.values() if isinstance(state, torch.Tensor)]
        states[f"layer_{site.block}"] = torch.stack(vectors) if vectors else each
    return states


def save_vectors(vectors: SteeringVectors, folder: Path, model: torch.nn.Module) -> None:
    """Write the artifact, and EasyEdit2's own files where its format can represent the same intervention.

    Args:
        vectors: what training returned.
        folder: where to write.
        model: the model that they are for.
    """
    artifact = vectors.artifact
    if (folder / ARTIFACT_FOLDER).is_dir():
        logger.warning("%s: vectors of an earlier run are replaced", folder)
    artifact.save_pretrained(folder / ARTIFACT_FOLDER, overwrite=True)
    reason = formats.why_not_writable(model, artifact.config)
    if reason is not None:
        logger.warning("%s: no layer_L.pt for EasyEdit2's own appliers, because %s", folder, reason)
        return
    ids = {int(i): concept for i, concept in artifact.record.get("concept_ids", {}).items()}
    if ids and artifact.config.form_class.constant and list(ids) != list(range(len(ids))):
        logger.warning(
            "%s: EasyEdit2's appliers take concept_id for a row number, and the ids are %s", folder, list(ids)
        )
    for key, state in vectors.items():
        write_whole(folder / f"{key}.pt", partial(save_tensors, state))
        if ids:
            write_whole(folder / f"metadata_{key}.jsonl", partial(_write, _metadata(artifact, ids)))


def _metadata(artifact: Artifact, ids: Mapping[int, str]) -> str:
    rank = artifact.config.form_config.get("rank")
    rows = [
        {
            "concept_id": concept_id,
            "intervention_components": formats.MLP_MID,
            "rank": rank,
            "alpha": rank,
            "concept": concept,
            "ref": f"vector_index_{place}",
        }
        for place, (concept_id, concept) in enumerate(ids.items())
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
