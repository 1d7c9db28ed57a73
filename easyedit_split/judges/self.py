"""Judge of generated text without an external model: the unsteered model and a probe trained on the training pairs.

    concept      2 P(concept | h)           a probe on the bare model's mean activations h (``concept_probe``)
    fluency      2 (z - loss) / (z - r)     loss per token under the bare model; r that of the training answers or of
                                            the model's own texts, the greater; z that of those answers' shuffled tokens
    relevance    2 pmi / s                  pmi = log p(text | its prompt) - log mean p(text | other prompts), per
                                            token; s that of the training answers
    faults       2 (distinct - 0.3) / 0.4   distinct 2-grams among all of the text; a text that loops has few; at most 1
                                            where the text is cut off in mid-sentence (``cut_off``)
    overall      harmonic mean, 0 if any is 0, as in AxBench

each clipped to 0 to 2; an empty text has 0 of everything. Relevance is left out where the training answers do not
depend on their prompts (s below 0.02 nats), as with Yes and No. How well the probe tells held-out answers apart is
``accuracy``: below 0.8 its scores say little. At most ``MOST`` training pairs are read, evenly spaced.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ..types import DataError, FloatArray, Pair
from .bare_reading import BareReader, BareReading
from .base import JUDGES, Calibration
from .concept_probe import ConceptProbe, concept_probe, own_texts, spaced

SEED = 0
FEWEST, MOST = 8, 32
"""Training pairs below which no probe is trained, and those that are read at most."""
OTHERS = 3  # prompts that a text is read after besides its own
TELLS = 0.02  # nats per token of mutual information below which answers do not depend on their prompts
SPAN = 2.0  # nats per token from fluent to not at all, at least
LOOPS, VARIED = 0.3, 0.7  # share of distinct 2-grams: nothing but loops, and as varied as need be
CUT = 1.0  # what a text that is cut off scores for faults, at most
_CLOSERS, _ENDS = "\"'”’»)]}*_`~ \n\t", ".!?…。！？"


@dataclass(frozen=True)
class Scales:
    """Statistics of the training answers under the unsteered model that calibrate the scores, nats per token.

    Attributes:
        fluent: loss that earns full marks.
        broken: loss that earns none.
        relevant: mutual information of an answer and its prompt.
    """

    fluent: float
    broken: float
    relevant: float


@JUDGES.register("self")
class SelfJudge:
    """Scores answers for one concept; made by ``calibrated``.

    Args:
        reader: the bare model.
        probe: of the concept.
        scales: of fluency and relevance.
        prompts: training prompts, which texts are read after besides their own.
        accuracy: share of held-out training answers that the probe tells apart, both kinds counting alike.
    """

    name: ClassVar[str] = "self"
    fewest: ClassVar[int] = FEWEST

    def __init__(
        self, reader: BareReader, probe: ConceptProbe, scales: Scales, prompts: Sequence[str], accuracy: float
    ) -> None:
        self.reader, self.probe, self.scales = reader, probe, scales
        self.prompts, self.accuracy = tuple(dict.fromkeys(prompts)), accuracy

    @classmethod
    def calibrated(
        cls, reader: BareReader, pairs: Sequence[Pair], against: Sequence[tuple[str, str]] = ()
    ) -> SelfJudge:
        """A judge calibrated on the training pairs of one concept.

        Args:
            reader: the bare model; where the intervention acts is a good choice for the block whose output it averages.
            pairs: training pairs, at least eight.
            against: ``(prompt, answer)`` of other concepts, which the probe is to tell from this one as well.

        Raises:
            DataError: too few pairs.
        """
        if len(pairs) < FEWEST:
            raise DataError(f"{len(pairs)} pairs are too few to train a probe on; the self judge needs {FEWEST}")
        pairs = spaced(pairs, MOST)
        prompts = [pair.prompt for pair in pairs]
        positive, negative = (
            reader.read(prompts, [reader.ids(getattr(pair, side)) for pair in pairs])
            for side in ("positive", "negative")
        )
        other = reader.read([prompt for prompt, _ in against], [reader.ids(answer) for _, answer in against])
        own = own_texts(reader, prompts)
        probe, accuracy = concept_probe(positive, negative, [*other, *own])
        scales = _scales(reader, prompts, pairs, [*positive, *negative], own)
        return cls(reader, probe, scales, prompts, accuracy)

    @classmethod
    def prepared(cls, calibration: Calibration) -> SelfJudge:
        """As ``calibrated``, from what every judge may learn from.

        Args:
            calibration: of one concept.
        """
        return cls.calibrated(calibration.reader, calibration.pairs, calibration.against)

    def learnt(self) -> dict[str, Any]:
        """Probe, scales and accuracy, as plain JSON values."""
        probe = {name: np.asarray(value).tolist() for name, value in asdict(self.probe).items()}
        return {"probe": probe, "scales": asdict(self.scales), "accuracy": self.accuracy}

    @classmethod
    def recalled(cls, calibration: Calibration, learnt: Mapping[str, Any]) -> SelfJudge:
        """The judge that has learnt this.

        Args:
            calibration: that it was learnt from.
            learnt: as ``learnt`` returned it.

        Raises:
            LookupError, TypeError, ValueError: these are no such values.
        """
        known = learnt["probe"]
        mean, scale, weights = (np.asarray(known[name], dtype=np.float64) for name in ("mean", "scale", "weights"))
        probe = ConceptProbe(mean, scale, weights, float(known["bias"]))
        prompts = [pair.prompt for pair in spaced(calibration.pairs, MOST)]
        return cls(calibration.reader, probe, Scales(**learnt["scales"]), prompts, float(learnt["accuracy"]))

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """Score one answer.

        Args:
            prompt: what was asked.
            answer: the generated text.
            pair: not needed; the judge knows its concept from the training pairs.
        """
        return self.judge_all([prompt], [answer])[0]

    def judge_all(
        self, prompts: Sequence[str], answers: Sequence[str], pairs: Sequence[Pair] = (), cut: Sequence[bool] = ()
    ) -> list[Mapping[str, float]]:
        """Score several answers in one batch.

        Args:
            prompts: what was asked, one for each answer.
            answers: the generated texts.
            pairs: not needed.
            cut: whether each one is cut off, as ``cut_off`` tells; empty where nobody knows.

        Returns:
            ``concept, fluency, relevance, faults, overall`` in [0, 2] for each; ``relevance`` is left out where answers
            do not depend on their prompts.
        """
        ids = [self.reader.ids(answer) for answer in answers]
        said = [i for i in range(len(answers)) if ids[i]]
        found: list[Mapping[str, float]] = [self._empty() for _ in answers]
        if not said:
            return found
        asked, texts = [prompts[i] for i in said], [ids[i] for i in said]
        readings = self.reader.read(asked, texts)
        concept = self.probe.probability(np.array([reading.h for reading in readings]))
        pmi = mutual_information(self.reader, asked, texts, readings, self.prompts) if self._relevance_told else None
        for k, i in enumerate(said):
            most = CUT if cut and cut[i] else 2.0
            scores = {
                "concept": 2.0 * float(concept[k]),
                "fluency": _graded(readings[k].loss, self.scales.broken, self.scales.fluent),
                **({} if pmi is None else {"relevance": _graded(float(pmi[k]), 0.0, self.scales.relevant)}),
                "faults": min(most, _graded(distinct(texts[k]), LOOPS, VARIED)),
            }
            found[i] = {**scores, "overall": harmonic(tuple(scores.values()))}
        return found

    @property
    def _relevance_told(self) -> bool:
        return self.scales.relevant >= TELLS

    def _empty(self) -> Mapping[str, float]:
        names = ["concept", "fluency", *(["relevance"] if self._relevance_told else []), "faults", "overall"]
        return dict.fromkeys(names, 0.0)


def mutual_information(
    reader: BareReader,
    prompts: Sequence[str],
    texts: Sequence[tuple[int, ...]],
    own: Sequence[BareReading],
    pool: Sequence[str],
) -> FloatArray:
    """Pointwise mutual information ``[n]`` of texts and their prompts, nats per token.

    Args:
        reader: the bare model.
        prompts: of each text.
        texts: token ids.
        own: the texts read after their own prompts.
        pool: prompts to read them after besides.
    """
    others = [other_prompt(pool, prompt, k + shift) for shift in range(OTHERS) for k, prompt in enumerate(prompts)]
    after = reader.log_likelihoods(others, [*texts] * OTHERS).reshape(OTHERS, len(texts))
    mixed = np.logaddexp.reduce(after, axis=0) - math.log(OTHERS)
    return np.array([(r.logp - m) / r.tokens for r, m in zip(own, mixed, strict=True)], dtype=np.float64)


def other_prompt(pool: Sequence[str], prompt: str, k: int) -> str:
    """The k-th prompt of a pool that differs from the given one.

    Args:
        pool: prompts, two of which differ.
        prompt: to be left out.
        k: any number; it goes round.
    """
    others = [text for text in pool if text != prompt]
    return others[k % len(others)]


def distinct(ids: Sequence[int]) -> float:
    """Share of distinct 2-grams of a text; 1 for a text of fewer than three tokens.

    Args:
        ids: its tokens.
    """
    grams = list(itertools.pairwise(ids))
    return len(set(grams)) / len(grams) if len(ids) > 2 else 1.0


def cut_off(text: str, ended: bool, bare_ended: bool) -> bool:
    """Whether a text broke off in mid-sentence because it grew too long, where the bare model comes to an end.

    Args:
        text: an answer.
        ended: the model ended it, not the longest length allowed.
        bare_ended: the same of the bare model's answer to the same prompt.
    """
    return bare_ended and not ended and not text.rstrip(_CLOSERS).endswith(tuple(_ENDS))


def harmonic(scores: Sequence[float]) -> float:
    """Harmonic mean; 0 if any score is 0.

    Args:
        scores: non-negative.
    """
    return 0.0 if min(scores) <= 0 else len(scores) / sum(1 / score for score in scores)


def _graded(value: float, nothing: float, full: float) -> float:
    """Linear map to 0 at ``nothing`` and 2 at ``full``, clipped to that range."""
    return float(np.clip(2.0 * (value - nothing) / (full - nothing), 0.0, 2.0))


def _scales(
    reader: BareReader,
    prompts: Sequence[str],
    pairs: Sequence[Pair],
    readings: list[BareReading],
    own: Sequence[BareReading],
) -> Scales:
    rng = np.random.default_rng(SEED)
    texts = [reader.ids(pair.positive) for pair in pairs] + [reader.ids(pair.negative) for pair in pairs]
    asked = [*prompts, *prompts]
    shuffled = reader.read(asked, [tuple(int(i) for i in rng.permutation(ids)) for ids in texts])
    answers = float(np.mean([r.loss for r in readings]))
    fluent = max([answers, *([float(np.mean([r.loss for r in own]))] if own else [])])
    broken = max(float(np.mean([r.loss for r in shuffled])), fluent + SPAN)
    relevant = float(mutual_information(reader, asked, texts, readings, tuple(dict.fromkeys(prompts))).mean())
    return Scales(fluent, broken, relevant)
