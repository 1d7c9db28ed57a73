"""What the runs of one model and dataset share: the loaded model, its engine's caches, pairs, prompts and the block.

Everything is made when it is first asked for, and depends on the plan alone. ``identity.json`` keeps what the results
are of; another model's weights or other pairs under the same names are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from ...config import TokenConfig, TrainConfig
from ...datasets.everyday import neutral_prompts
from ...datasets.load import load_dataset
from ...files.journal import Journal, differing
from ...files.reading import listed, read_bounded
from ...files.tables import decoded, json_value
from ...model.describe import describe
from ...model.digests import model_digests
from ...model.hooks import device_of
from ...model.sites import blocks_of
from ...scoring.collateral import bare_answers
from ...scoring.engine.config import EngineConfig
from ...steering.generate import GenerateConfig, Generated, generate_texts
from ...storage import write_whole
from ...text.batching import Row
from ...text.prompt_tokens import Template, tokenizer_hash
from ...training.layer_scan import best_layer, read_scan, scan_pairs
from ...training.recipes import Recipe, compose, model_recipe
from ...training.run_config import RunConfig
from ...types import ConfigError, DataError
from ..plan import epochs_for
from .plan import PlannedData, Run, StudyCell, StudyPlan
from .splits import StudyPairs, study_pairs

TESTBED = "testbed:"
IDENTITY, LAYERS = "identity.json", "layers.csv"
SMALL_LAUNCH = 512
"""Tokens of one call of a testbed model on a CPU: a seventh faster than a row at a time."""
Opened = tuple[Any, Any]


class Bench:
    """Model, data and settings that the runs of one model and dataset share.

    Args:
        folder: of these runs, ``runs/MODEL/DATASET``.
        plan: the study's.
        model_name: as the plan has it.
        data: one of the plan's datasets.
        open_model: from a model's name to ``(model, tokenizer)``.
    """

    def __init__(
        self, folder: Path, plan: StudyPlan, model_name: str, data: PlannedData, open_model: Callable[[str], Opened]
    ) -> None:
        self.folder, self.plan, self.model_name, self.data = folder, plan, model_name, data
        self._open = open_model
        self._bare: dict[tuple[str, ...], list[Generated]] = {}
        self._bare_neutral: dict[tuple[str, ...], list[Row]] = {}
        self.kept: dict[Any, Any] = {}
        """What items share while the process lives, such as calibrated judges."""

    @cached_property
    def opened(self) -> Opened:
        """``(model, tokenizer)``."""
        return self._open(self.model_name)

    @property
    def model(self) -> Any:
        """The bare model."""
        return self.opened[0]

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self.opened[1]

    @cached_property
    def pairs(self) -> StudyPairs:
        """Pairs of every split."""
        return study_pairs(self.data, self.plan)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What results depend on besides the plan: weights, settings and pairs, as plain JSON values."""
        parts = {name: getattr(self.pairs, name) for name in ("train", "dev", "test")}
        return {
            "model": describe(self.model, self.model_name),
            **model_digests(self.model),
            "tokenizer": tokenizer_hash(self.tokenizer),
            "pairs": {name: part.pairs_sha256 for name, part in parts.items()},
            "source": {name: part.sha256 for name, part in parts.items()},
        }

    def claim(self) -> None:
        """Keep what the runs are of, or refuse a model or pairs that are others than they were.

        Raises:
            ConfigError: they are.
        """
        path = self.folder / IDENTITY
        now = json.loads(json.dumps(self.identity))
        if path.is_file():
            known = json_value(decoded(read_bounded(path, DataError), path), str(path))
            if known != now:
                raise ConfigError(
                    f"{path}: the model or its pairs are not what they were ({listed(differing(known, now))}): choose "
                    "another --out"
                )
            return
        write_json(path, now)

    @cached_property
    def layer(self) -> int:
        """The block of a model without a recipe, chosen by a scan whose table is kept."""
        path = self.folder / LAYERS
        if not path.is_file():
            held_out = None if self.pairs.dev_is_test else self.pairs.dev
            scan = scan_pairs(self.model, self.tokenizer, self.pairs.train, self.tokens, held_out=held_out)
            write_whole(path, lambda to: scan.to_csv(to, index=False))
        return best_layer(read_scan(path))

    def run_config(self, cell: StudyCell, seed: int) -> RunConfig:
        """The training settings of a cell.

        Args:
            cell: a trained one.
            seed: of training.

        Raises:
            ConfigError: settings that do not fit each other.
        """
        recipe = self._recipe(cell, seed)
        if recipe.needs_layers:
            recipe = recipe.with_layers([self.layer], "a layer scan of the model")
        return recipe.run_config()

    def _recipe(self, cell: StudyCell, seed: int) -> Recipe:
        own: list[str] = []
        if model_recipe(self.model_name) is None:
            concepts, plan = len(self.pairs.train.concepts()), self.plan
            each = len(self.pairs.train) // concepts
            seen = plan.seen if concepts == 1 or plan.seen_each is None else plan.seen_each
            epochs = min(epochs_for(each), max(1, seen // each))
            own = [f"train.epochs={epochs}", "train.directions=both"]
        elif self.plan.epochs is not None:
            usual = compose(cell.form, cell.objective, model=self.model_name, dataset=self.data.name)
            own = [f"train.epochs={min(self.plan.epochs, usual.run_config().train.epochs)}"]
        overrides = [*own, *self.plan.overrides, *cell.overrides, f"train.seed={seed}"]
        return compose(cell.form, cell.objective, model=self.model_name, dataset=self.data.name, overrides=overrides)

    def train_config(self, cell: StudyCell, seed: int) -> TrainConfig:
        """Optimiser settings of a cell; no model is loaded and no block chosen for it.

        Args:
            cell: a trained one.
            seed: of training.
        """
        return self._unplaced(cell, seed).train

    def _unplaced(self, cell: StudyCell, seed: int) -> RunConfig:
        """Settings of a cell at whatever block, for what does not depend on it."""
        recipe = self._recipe(cell, seed)
        return (recipe.with_layers([0], "auto") if recipe.needs_layers else recipe).run_config()

    @property
    def _some_cell(self) -> StudyCell:
        trained = [cell for cell in self.plan.cells if not cell.baseline]
        return trained[0] if trained else StudyCell("vector", "diff_mean")

    @property
    def block(self) -> int:
        """The uppermost block that the cells steer."""
        return max(self.run_config(self._some_cell, self.plan.seeds[0]).layers)

    @property
    def usual_block(self) -> int:
        """The recipe's block, or the middle one where a scan would choose it."""
        recipe = self._recipe(self._some_cell, self.plan.seeds[0])
        return len(blocks_of(self.model)) // 2 if recipe.needs_layers else max(recipe.run_config().layers)

    @property
    def tokens(self) -> TokenConfig:
        """How texts become tokens."""
        return self._unplaced(self._some_cell, self.plan.seeds[0]).tokens

    @cached_property
    def template(self) -> Template:
        """How the tokenizer writes a prompt and its answer."""
        return Template(self.tokenizer, self.tokens)

    @property
    def engine(self) -> EngineConfig:
        """How pairs are scored: several rows at a time by the testbed's small models on a CPU."""
        small = self.model_name.startswith(TESTBED) and device_of(self.model).type == "cpu"
        return EngineConfig(launch_tokens=SMALL_LAUNCH if small else None)

    @property
    def stacked(self) -> bool | None:
        """Whether the concepts of a run share launches in training: the testbed's do on a CPU; None leaves it to
        ``train_together``, which shares them on a GPU.
        """
        return True if self.engine.launch_tokens else None

    @property
    def config(self) -> GenerateConfig:
        """Settings of generation."""
        return GenerateConfig(self.data.max_new_tokens, do_sample=self.plan.sample, seed=self.plan.seeds[0])

    def bare(self, prompts: Sequence[str]) -> list[Generated]:
        """The unsteered answers to prompts, written once while the process lives.

        Args:
            prompts: texts or conversations.
        """
        key = tuple(prompts)
        if key not in self._bare:
            self._bare[key] = generate_texts(self.model, self.template, list(key), config=self.config)
        return self._bare[key]

    def bare_neutral(self, prompts: Sequence[str]) -> list[Row]:
        """The unsteered answers to neutral prompts, as ids, written once while the process lives.

        Args:
            prompts: of ``neutral``.
        """
        key = tuple(prompts)
        if key not in self._bare_neutral:
            self._bare_neutral[key] = bare_answers(self.model, self.template, key)
        return self._bare_neutral[key]

    @cached_property
    def neutral(self) -> tuple[str, ...]:
        """Prompts whose answers steering should leave as they are; in the testbed another dataset's."""
        if not self.model_name.startswith(TESTBED):
            return neutral_prompts(self.plan.neutral)
        other = "power" if self.data.label == "reviews" else "reviews"
        return tuple(pair.prompt for pair in load_dataset(TESTBED + other, split="test")[: self.plan.neutral])

    def journal(self, result: Path, run: Run, **known: Any) -> Journal:
        """The journal of a run's result, under everything that it depends on.

        Args:
            result: the file.
            run: whose it is.
            **known: what it depends on besides model, pairs and plan.
        """
        plan = {**asdict(self.plan), "models": [], "datasets": [], "cells": [], "seeds": []}
        made_of = {"identity": self.identity, "plan": plan, "data": asdict(self.data), "run": run.name}
        return Journal.beside(result, {**made_of, **known})


def write_json(path: Path, value: Any) -> None:
    """Write plain values as a JSON file, whole or not at all.

    Args:
        path: the file.
        value: plain JSON values, no NaN among them.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda to: _write(to, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
