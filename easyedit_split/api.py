"""The Python API: train, sweep and generate, from answer pairs to a steered model in seven lines.

    import easyedit_split as es

    model, tokenizer = es.load_model("testbed:gemma2")
    steering = es.train(model, tokenizer, es.load_dataset("testbed:reviews", split="train"))
    table = es.sweep(model, tokenizer, es.load_dataset("testbed:reviews", split="dev"), steering)
    steering = steering.at(es.recommend(table))
    with steering(model):
        model.generate(...)

Pairs are whatever holds them: a list of dicts or of tuples, a DataFrame, a ``datasets.Dataset``, a file or a name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .analysis.grow import next_points
from .config import TokenConfig, require
from .datasets.in_memory import PairsLike, as_pairs
from .files.journal import Journal
from .log_odds import Normalize
from .scoring.sweep_pairs import known_unit, sweep_pairs, with_max_length
from .steering.artifact import Artifact
from .steering.finite_logits import Strengths
from .steering.generate import GenerateConfig, Generated, generate_texts
from .steering.steering import Steering
from .steering.steering_part import shared_tokens
from .steering.strength_grid import AUTO, parse_strengths
from .text.conversation import as_prompt, is_messages
from .text.prompt_tokens import Template
from .training.layer_scan import best_layer, scan_pairs
from .training.recipes import Recipe, compose
from .training.run_config import RunConfig
from .training.train_pairs import train_artifact
from .types import DataError, Factors


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: PairsLike,
    *,
    form: str = "vector",
    objective: str = "split",
    layers: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    run: RunConfig | None = None,
    drop_bad: bool = False,
    progress: bool = True,
) -> Steering:
    """Train a steering vector, LoRA or local weight update on answer pairs.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: the model's own.
        pairs: answer pairs; of a named dataset the train split.
        form: ``vector``, ``lora``, ``local_weight`` or another registered form.
        objective: ``split``, ``sft``, ``reps``, ``diff_mean`` or another registered objective.
        layers: 0-based blocks to act at; the recipe's where None, and of a model without one, what a scan chooses.
        settings: what replaces the recipe's, by dotted key: ``{"train.lr": 0.01}``.
        config: a YAML file of settings, read before ``settings``.
        run: a whole configuration instead of form, objective, layers, settings and config.
        drop_bad: leave out bad rows and name them, instead of raising.
        progress: show a bar with the time left, where there is a terminal or notebook.

    Returns:
        The trained intervention at the m that it keeps, 1 until one is chosen.

    Raises:
        ConfigError: settings that are unknown, impossible or do not fit the model.
        DataError: a bad row (named), unless ``drop_bad``.
    """
    table = as_pairs(pairs, drop_bad=drop_bad)
    if run is None:
        recipe = _composed(model, table.name, form, objective, layers, settings, config)
        if recipe.needs_layers:
            tokens = recipe.with_layers([0], "auto").run_config().tokens
            with progress_bar("trying layers", progress) as advance:
                scan = scan_pairs(model, tokenizer, table, tokens, drop_bad=drop_bad, progress=advance)
            recipe = recipe.with_layers([best_layer(scan)], "a scan of the model")
        run = recipe.run_config()
    with progress_bar("training", progress) as advance:
        artifact = train_artifact(
            model,
            tokenizer,
            table,
            run,
            drop_bad=drop_bad,
            progress=lambda concept, done, total, loss: advance(done, total, f"{concept}: loss {loss:.3f}"),
        )
    return Steering(artifact)


def _composed(
    model: PreTrainedModel,
    dataset: str,
    form: str,
    objective: str,
    layers: Sequence[int] | None,
    settings: Mapping[str, Any] | None,
    config: str | Path | None,
) -> Recipe:
    overrides = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    if layers is not None:
        overrides.append(f"layers={list(layers)}")
    name = str(getattr(model.config, "_name_or_path", ""))
    file = None if config is None else Path(config)
    return compose(form, objective, model=name, dataset=dataset, config=file, overrides=overrides)


def sweep(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: PairsLike,
    steering: Steering | Artifact,
    m: str | Sequence[Factors] = AUTO,
    *,
    refine: bool = False,
    normalize: Normalize = "sum",
    max_length: int | None = None,
    drop_bad: bool = False,
    journal: Journal | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Score answer pairs at each steering strength m: preference and utility log-odds (Eq. 7, 8), in nats.

    Args:
        model: the model to score.
        tokenizer: the model's own.
        pairs: answer pairs that were not trained on; of a named dataset the test split.
        steering: what was trained.
        m: ``start:stop:count`` with both ends included, numbers with commas, in natural units ``r:0.05:4:17``, or
            ``auto``, which grows outward until utility has lost 80 % of its range and then fills in where the curves
            are still uncertain; or a list, whose items may be ``(m1, m2)``.
        refine: then score further m, where the wanted answers are likeliest.
        normalize: log-odds from summed losses (``sum``, the paper's) or from means per token (``mean``).
        max_length: longest row, in tokens; as in training where None.
        drop_bad: leave out bad rows and name them, instead of raising.
        journal: keeps what is scored, so that a killed sweep goes on.
        progress: show a bar with the time left, where there is a terminal or notebook.

    Returns:
        A row per pair and m, see ``sweep_table``.

    Raises:
        ConfigError: no m, or one that is not finite or stands twice.
        ArtifactError: the intervention is not for this model.
        DataError: a bad row (named), unless ``drop_bad``.
    """
    artifact = with_max_length(steering.artifact if isinstance(steering, Steering) else steering, max_length)
    grid = parse_strengths(m, "m") if isinstance(m, str) else None
    unit = known_unit(model, tokenizer, pairs, artifact) if grid and grid.unit == "r" else artifact.unit
    points: Sequence[Factors] = m if grid is None else grid.in_m(unit.r_per_m if unit else 0.0)  # type: ignore[assignment]
    started = [value for value in points if isinstance(value, float)]
    rule = next_points(started, grows=grid is not None and grid.grows, refine=refine)
    with progress_bar("scoring", progress) as advance:
        return sweep_pairs(
            model,
            tokenizer,
            pairs,
            artifact,
            points,
            unit=unit,
            normalize=normalize,
            drop_bad=drop_bad,
            next_points=rule,
            progress=advance,
            journal=journal,
        )


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: str | Sequence[Any],
    steering: Steering | None = None,
    m: float | Sequence[Strengths] | None = None,
    *,
    config: GenerateConfig | None = None,
    progress: bool = True,
) -> list[Generated]:
    """Generate answers to prompts, steered at one or more strengths m.

    Args:
        model: the model that writes.
        tokenizer: the model's own.
        prompts: questions in plain text, or conversations: lists of messages with ``role`` and ``content``; one list of
            messages is one conversation. The chat template is applied.
        steering: what steers, a sum of several too; the bare model where None.
        m: one m, or a list of m to write at; the steering's own where None. Of a sum an m is of all its parts, or a
            tuple with one of each.
        config: lengths and sampling; greedy by default.
        progress: show a bar with the time left, where there is a terminal or notebook.

    Returns:
        One answer per m and prompt, in this order.

    Raises:
        DataError: no prompts, or one that is empty or cannot be encoded.
        ConfigError: no m, one that stands twice, or one without a steering.
        ArtifactError: the steering is not for this model.
    """
    texts = prompts_of(prompts)
    if steering is None:
        require(m is None or m == 0, "m needs a steering: leave out m, or pass steering")
        with progress_bar("generating", progress) as advance:
            return generate_texts(model, Template(tokenizer, TokenConfig()), texts, config=config, progress=advance)
    parts = steering.parts
    interventions = [part.intervention for part in parts]
    tokens = shared_tokens([part.artifact.tokens for part in parts], [f"part {k}" for k in range(len(parts))])
    steering.check_model(model, tokenizer)
    points = [_own_strengths(steering)] if m is None else [m] if isinstance(m, float | int) else m
    with progress_bar("generating", progress) as advance:
        return generate_texts(
            model, Template(tokenizer, tokens), texts, interventions, points, config=config, progress=advance
        )


def _own_strengths(steering: Steering) -> Strengths:
    """The m that a steering is at: one, or one of each part of a sum."""
    each = [part.chosen.strength for part in steering.parts]
    found = tuple(value for value in each if isinstance(value, float))
    require(
        len(found) == len(each), "m1 and m2 differ: call model.generate under `with steering(model)`, or give one m"
    )
    return found[0] if len(found) == 1 else found


def prompts_of(prompts: Any) -> list[str]:
    """Prompts as texts and conversations, from one or several.

    Args:
        prompts: a text, a list of messages, or a list of these.

    Raises:
        DataError: one that is neither; it is named.
    """
    several = [prompts] if isinstance(prompts, str) or is_messages(prompts) else list(prompts)
    found = []
    for number, prompt in enumerate(several):
        try:
            found.append(as_prompt(prompt))
        except DataError as error:
            raise DataError(f"prompt {number} {error}") from error
    return found


@contextmanager
def progress_bar(label: str, shown: bool = True) -> Iterator[Callable[..., None]]:
    """A progress bar with the time left; silent where there is neither a terminal nor a notebook.

    Args:
        label: what is under way.
        shown: off, nothing is shown anywhere.

    Yields:
        ``advance(done, total, note="")``.
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]  # transformers brings it

    with tqdm(desc=label, disable=None if shown else True) as bar:

        def advance(done: int, total: int, note: str = "") -> None:
            if done < bar.n:  # the next concept's
                bar.reset()
            bar.total = total
            bar.set_postfix_str(note, refresh=False)
            bar.update(done - bar.n)

        yield advance
