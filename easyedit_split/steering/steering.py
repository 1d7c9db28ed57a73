"""The user's object for steering: an intervention at a chosen m, to be applied to a model, scaled, added and saved.

    with steering(model):            model.generate(...)       h' = (W + m1 dW) h + (b + m2 db)      Eq. 4
    with steering.at(4)(model):      ...                       another m, the same parameters
    with (a + 2 * b)(model):         ...                       several at once, each at its own m

``steering.at(0)`` leaves the model bit-identical to the bare one. A steering is immutable: every operation gives a new
one that shares the parameters.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ..config import require
from ..types import ConfigError
from .artifact import Artifact
from .attach import Attachment, attach
from .chosen_m import ChosenM
from .intervention import Intervention
from .report import Applied
from .steering_part import FixedM, Part, fixed_m

logger = logging.getLogger(__name__)


@runtime_checkable
class Recommended(Protocol):
    """The result of ``recommend``, as far as a ``Steering`` reads it."""

    @property
    def m(self) -> float | None:
        """The chosen m; None where there is no usable one."""
        ...

    @property
    def reason(self) -> str:
        """The reason for the recommendation, or for there being none."""
        ...


class Steered:
    """A model while it is steered, for reports of what was changed.

    Args:
        attachments: one for each part of the steering, in order.
    """

    def __init__(self, attachments: tuple[Attachment, ...]) -> None:
        self.attachments = attachments

    def report(self) -> tuple[Applied, ...]:
        """What was done at each site, one row per site; tokens are counted under ``check=True`` only."""
        return tuple(row for attachment in self.attachments for row in attachment.report())


class Steering:
    """An intervention at a chosen m, or a sum of several.

    Args:
        artifact: what was trained or loaded.
        m: its strength; the artifact's own chosen m where None, or 1 where it has none.
        concept: which of its concepts; may be left open in an artifact of several, see ``steering[concept]``.

    Raises:
        ConfigError: no such concept, or m is not finite.
    """

    def __init__(self, artifact: Artifact, m: FixedM | None = None, concept: str | None = None) -> None:
        known = artifact.resolve(concept) if concept is not None or len(artifact.concepts) == 1 else None
        own = None if m is None else ChosenM.of(fixed_m(m))
        self.parts: tuple[Part, ...] = (Part(artifact, known, own),)

    @classmethod
    def _of(cls, parts: tuple[Part, ...]) -> Steering:
        made = cls.__new__(cls)
        made.parts = parts
        return made

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, m: FixedM | None = None, concept: str | None = None, *, other_weights: bool = False
    ) -> Steering:
        """Read a saved steering or artifact.

        Args:
            folder: as ``save_pretrained`` or ``easyedit-split train --out`` wrote it.
            m: as in the class.
            concept: as in the class.
            other_weights: whether it may steer a model of the recorded name that has other weights.

        Raises:
            ArtifactError: it is damaged, or no artifact.
        """
        return cls(Artifact.from_pretrained(folder, other_weights=other_weights), m, concept)

    @property
    def artifact(self) -> Artifact:
        """The artifact of a steering that is no sum.

        Raises:
            ConfigError: it is a sum.
        """
        return self._single("artifact").artifact

    @property
    def m(self) -> FixedM:
        """The chosen m of a steering that is no sum.

        Raises:
            ConfigError: it is a sum.
        """
        return self._single("m").chosen.strength

    @property
    def intervention(self) -> Intervention:
        """The intervention of a steering that is no sum; its parameters are shared.

        Raises:
            ConfigError: it is a sum, or no concept was chosen.
        """
        return self._single("intervention").intervention

    def _single(self, what: str) -> Part:
        require(len(self.parts) == 1, f"a sum of {len(self.parts)} steerings has no single {what}: read it from a part")
        return self.parts[0]

    def at(self, m: FixedM | Recommended, *, evidence: Mapping[str, Any] | None = None) -> Steering:
        """The same intervention at another m.

        Args:
            m: one float, ``(m1, m2)``, or what ``recommend`` answers, whose reason is then kept with it.
            evidence: how it was chosen, plain JSON values; saved with it.

        Raises:
            ConfigError: m is not finite, no m was recommended (with the reason), or this
                is a sum (scale it, ``2 * steering``, or give each part its m).
        """
        require(
            len(self.parts) == 1, "a sum has an m for each part: scale it (2 * steering), or add parts at their own m"
        )
        if not isinstance(m, float | int | tuple):
            if m.m is None:
                raise ConfigError(f"{m.reason}: choose m yourself, e.g. steering.at(2.0)")
            evidence = {"reason": m.reason, **(evidence or {})}
            m = m.m
        return self._of((self.parts[0].at(m, evidence),))

    def __getitem__(self, concept: str) -> Steering:
        """One concept of an artifact with several, at the m that the user chose, else at the stored one.

        Args:
            concept: which of the artifact's concepts.
        """
        part = self._single("concept")
        return self._of((replace(part, concept=part.artifact.resolve(concept)),))

    def __mul__(self, factor: float | int) -> Steering:
        return self._of(tuple(part.scaled(float(factor)) for part in self.parts))

    __rmul__ = __mul__

    def __neg__(self) -> Steering:
        return -1.0 * self

    def __add__(self, other: Steering) -> Steering:
        return self._of((*self.parts, *other.parts))

    @contextmanager
    def __call__(self, model: nn.Module, *, check: bool = False) -> Iterator[Steered]:
        """Context manager: steer a model, including its ``generate`` and pipelines.

        Args:
            model: the Hugging Face causal LM that this was made for.
            check: count what is touched, and raise at the end where the model was never called.

        Yields:
            A ``Steered``, whose ``report()`` says what was done where.

        Raises:
            ArtifactError: another architecture than it was made for, or other weights under the recorded name.
            ConfigError: an artifact of several concepts and none was chosen; otherwise as in ``attach``.
        """
        with ExitStack() as stack:
            attachments = []
            self.check_model(model)
            for part in self.parts:
                entered = attach(model, part.intervention, part.chosen.strength, check=check)
                attachments.append(stack.enter_context(entered))
            yield Steered(tuple(attachments))

    def check_model(self, model: nn.Module, tokenizer: Any = None) -> None:
        """Raise unless a model has every site of the steering; other differences from its record are logged.

        Args:
            model: the Hugging Face causal LM that it is to steer.
            tokenizer: compared too where it is given.

        Raises:
            ArtifactError: another architecture, a site that does not fit, or other weights under the recorded name.
        """
        for part in self.parts:
            for note in part.artifact.check_model(model, tokenizer=tokenizer):
                if note not in part.artifact.said:  # a loop need not hear it at every turn
                    part.artifact.said.add(note)
                    logger.warning("the artifact's model differs: %s", note)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the artifact, with the m that the user chose; a default m is not written.

        Args:
            folder: a new folder.
            overwrite: replace the artifact that is there.

        Raises:
            ArtifactError: the folder exists already, or holds something else.
            ConfigError: this is a sum: save its parts.
        """
        require(len(self.parts) == 1, "a sum is not saved as one artifact: save its parts, and add them when loaded")
        return self.parts[0].with_chosen().save_pretrained(folder, overwrite=overwrite)

    def __repr__(self) -> str:
        parts = ("Steering(" + ", ".join(f"{k}={v}" for k, v in part.facts().items()) + ")" for part in self.parts)
        return " + ".join(parts)

    def _repr_html_(self) -> str:
        """An HTML table for notebooks, one column for each part of a sum."""
        facts = [part.facts() for part in self.parts]
        keys = dict.fromkeys(key for found in facts for key in found)
        rows = (
            f"<tr><th>{key}</th>" + "".join(f"<td>{html.escape(found.get(key, ''))}</td>" for found in facts) + "</tr>"
            for key in keys
        )
        return f"<table><caption>Steering</caption>{''.join(rows)}</table>"
