"""A glossary of the paper's symbols as this package names them, and the records and errors that all modules share.

    h' = (W + m1 dW) h + (b + m2 db)          Eq. 4
    dh = m1 dW h + m2 db                      Eq. 5

| here            | paper     | meaning                                                                |
|-----------------|-----------|------------------------------------------------------------------------|
| ``m``           | m         | steering factor; ``m1`` scales dW, ``m2`` scales db                    |
| ``L_p, L_n``    | L_p, L_n  | summed negative log-likelihood, in nats, of the positive and negative answer (Eq. 28) |
| ``T_p, T_n``    | T         | scored tokens of each answer, end token included                       |
| ``pref``        | PrefOdds  | L_n - L_p, nats (Eq. 7)                                                |
| ``util``        | UtilOdds  | log-odds of the pair's whole probability mass, nats (Eq. 8)            |
| ``r``           |           | relative perturbation norm, ``|m dh| / |h|``, median over steered tokens |

Terms: the *wanted answer* is the positive one where preference is to be raised; its *held-out likelihood* is what
``recommend`` maximises. *Learnt style* is a rise of utility over m = 0, common to both answers of a pair; the aim
*capped* leaves it out. *Collateral* is the mean KL divergence per token from the bare model on neutral prompts. A
*launch* is one call of the engine's decoder.

Shapes: ``b`` rows, ``s`` tokens, ``d`` hidden width, ``d_in``/``d_out`` of a linear map, ``r`` rank, ``n`` pairs,
``V`` vocabulary. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


Factors: TypeAlias = float | tuple[float, float]
"""A steering strength: one m, or ``(m1, m2)`` where m1 scales dW and m2 scales db."""


TextOrMessages: TypeAlias = str | Any
"""A text, or where pairs are given in memory also messages, which are texts once the pairs are read."""


class SteeringError(Exception):
    """Base class of errors in the user's input: one sentence says where, what is allowed and what to do."""


class ConfigError(SteeringError):
    """A configuration is wrong (unknown key, impossible pairing, value out of range)."""


class DataError(SteeringError):
    """A file, row or field of a dataset is wrong."""


class BadRowError(DataError):
    """One row, or several, of a dataset are wrong and may be left out.

    Args:
        sentence: which and why.
        remedy: how bad rows are left out where the message appears.

    Attributes:
        sentence: without the remedy.
    """

    def __init__(self, sentence: str, remedy: str = "drop_bad=True, on the command line --drop-bad") -> None:
        super().__init__(f"{sentence}; mend it, or drop bad rows ({remedy})")
        self.sentence, self._remedy = sentence, remedy

    def __reduce__(self) -> tuple[type[BadRowError], tuple[str, str]]:
        return type(self), (self.sentence, self._remedy)  # as it was said, also from another process

    def with_remedy(self, remedy: str) -> BadRowError:
        """The same error with another remedy.

        Args:
            remedy: how bad rows are left out, e.g. ``drop_bad: true``.
        """
        return BadRowError(self.sentence, remedy)


class ArtifactError(SteeringError):
    """A saved intervention is damaged or does not fit the model."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One query with its positive and its negative answer (Section 3.2).

    Attributes:
        prompt: the query q, as plain text, or a ``Conversation`` (the chat template is applied later); wherever pairs
            are given in memory a list of messages with ``role`` and ``content`` is read as one.
        positive: A_p, the answer that carries the target concept.
        negative: A_n, the matched answer that does not.
        concept: the concept's name where a dataset has several.
    """

    prompt: TextOrMessages
    positive: TextOrMessages
    negative: TextOrMessages
    concept: str | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Negative log-likelihoods of the answers of ``n`` pairs at one steering strength m.

    Attributes:
        L_p: ``[n]`` float64, negative log-likelihood of each positive answer, summed over its tokens, nats (Eq. 28).
        L_n: ``[n]`` float64, the same of each negative answer.
        T_p: ``[n]`` scored tokens of each positive answer.
        T_n: ``[n]`` scored tokens of each negative answer.
    """

    L_p: FloatArray
    L_n: FloatArray
    T_p: IntArray
    T_n: IntArray
