"""Probe for a concept on the unsteered model's activations: what the training answers have and its own texts lack.

    P(concept | h) = sigmoid(w h + b)       logistic regression on standardised mean activations over an answer's tokens
    1    the training pairs' positive answers
    0    their negative answers, what the unsteered model itself writes to some of their prompts, and, where there are
         several concepts, the others' positive answers

Training answers are written by people, texts by the model: a probe that has met the model's own texts in neither class
takes their manner for the concept. What is asked is how far a text goes beyond the unsteered model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import expit

from ..steering.generate import GenerateConfig, generate_texts
from ..types import FloatArray, IntArray
from .bare_reading import BareReader, BareReading

T = TypeVar("T")
FOLDS, STRENGTH = 4, 0.1
OWN, OWN_TOKENS = 8, 40
"""Texts that the unsteered model writes for the probe, and their longest length."""


@dataclass(frozen=True)
class ConceptProbe:
    """A fitted probe: P(concept | h) = sigmoid(weights (h - mean) / scale + bias).

    Attributes:
        mean: ``[d]`` of the activations it was fitted on.
        scale: ``[d]`` their standard deviations, 1 where they are all the same.
        weights: ``[d]``
        bias: added to it.

    Raises:
        ValueError: arrays of different shapes.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bias: float

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.mean, self.scale, self.weights)}
        if len(shapes) > 1:
            raise ValueError(f"mean, scale and weights of different shapes: {shapes}")

    def probability(self, h: FloatArray) -> FloatArray:
        """P(concept) ``[n]``.

        Args:
            h: ``[n d]`` mean activations.
        """
        found: FloatArray = expit((h - self.mean) / self.scale @ self.weights + self.bias)
        return found


def spaced(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly spaced, the first among them.

    Args:
        items: any.
        most: at least 1.
    """
    if len(items) <= most:
        return list(items)
    return [items[k * len(items) // most] for k in range(most)]


def own_texts(reader: BareReader, prompts: Sequence[str]) -> list[BareReading]:
    """Greedy answers of the unsteered model to some of the prompts, read back; empty ones are left out.

    Args:
        reader: the bare model.
        prompts: of training pairs.
    """
    asked = spaced(list(dict.fromkeys(prompts)), OWN)
    texts = generate_texts(reader.model, reader.template, asked, config=GenerateConfig(OWN_TOKENS))
    said = [(prompt, ids) for prompt, text in zip(asked, texts, strict=True) if (ids := reader.ids(text.text))]
    return reader.read([prompt for prompt, _ in said], [ids for _, ids in said])


def concept_probe(
    positive: Sequence[BareReading], negative: Sequence[BareReading], without: Sequence[BareReading]
) -> tuple[ConceptProbe, float]:
    """Fit the probe, and its cross-validated balanced accuracy.

    Args:
        positive: answers with the concept, one for each pair.
        negative: answers without it, of the same pairs.
        without: other texts without it.
    """
    n = len(positive)
    h = np.array([reading.h for reading in (*positive, *negative, *without)])
    wanted = np.repeat([1, 0], [n, n + len(without)])
    groups = np.concatenate([np.arange(n), np.arange(n), n + np.arange(len(without))])
    return fitted_probe(h, wanted, groups)


def fitted_probe(h: FloatArray, wanted: IntArray, groups: IntArray) -> tuple[ConceptProbe, float]:
    """Logistic regression on standardised activations, and its cross-validated balanced accuracy, grouped by pair.

    Args:
        h: ``[n d]`` activations.
        wanted: ``[n]`` 1 where the answer carries the concept, else 0.
        groups: ``[n]`` number of each one's pair: both answers of a pair are held out together.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000))
    accuracy = cross_val_score(
        probe, h, wanted, groups=groups, cv=GroupKFold(FOLDS), scoring="balanced_accuracy"
    ).mean()
    scaler, regression = (step for _, step in probe.fit(h, wanted).steps)
    fitted = ConceptProbe(scaler.mean_, scaler.scale_, regression.coef_[0], float(regression.intercept_[0]))
    return fitted, float(accuracy)
