"""Interface of a file format: what it can hold, how it is written from an artifact and read into one.

    exported at m     the file at its own strength 1 does what ``attach(m)`` does: m1 dW and m2 db are what is written
    imported          the artifact at m = 1 does what the file does at its own strength 1

A format refuses what it cannot say; what it leaves behind although the change is the same (m2 apart from m1, the
record) is said in a sentence each. Nothing that is read is executed.
"""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import nn

from ..config import require
from ..files.reading import cut
from ..model.load import load_model
from ..model.load_options import LoadOptions
from ..registry import Registry
from ..steering.artifact import Artifact
from ..steering.intervention import Intervention
from ..text.positions import Positions
from ..types import ConfigError


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Settings of an export; a format that does not read one refuses it.

    Attributes:
        positions: ``all``: let an intervention that spares some tokens act on every token, as the file's reader will.
        rank: rank of the LoRA that a full dW becomes.
        add_bias: give the architecture biases where its configuration can switch them on.
        dtype: dtype of the weights that are written; the model's own where None.
        shard_size: largest file of weights, e.g. ``2GB``.
    """

    positions: Literal["all"] | None = None
    rank: int | None = None
    add_bias: bool = False
    dtype: str | None = None
    shard_size: str | None = None

    def __post_init__(self) -> None:
        require(self.rank is None or self.rank >= 1, f"rank is {self.rank}, must be at least 1")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Settings of an import; a format that does not read one refuses it.

    Attributes:
        layer: 0-based block whose output is changed, where the file does not say or holds several.
        positions: which tokens are steered; what the format's own tool steers where None.
        concept_id: one concept of a file with several.
        shift: added to every block number of the file.
        leave_out: take what can be taken and name what was left out, instead of refusing.
    """

    layer: int | None = None
    positions: Positions | None = None
    concept_id: int | None = None
    shift: int = 0
    leave_out: bool = False


class ModelAtHand:
    """A model and its tokenizer, loaded when they are first asked for.

    Args:
        model: the model, its name, or None.
        tokenizer: the model's own, where the model itself is given.
        why: what to say where there is none.
        loading: how a model that is named is loaded.
        advice: what to say where the model that is named cannot be loaded; the loader's reason alone where empty.

    Raises:
        ConfigError: options of loading for a model that is given.
    """

    def __init__(
        self,
        model: nn.Module | str | None,
        tokenizer: Any = None,
        why: str = "name a model",
        loading: LoadOptions | None = None,
        advice: str = "",
    ) -> None:
        self._advice = advice
        self._given = model
        self._tokenizer = tokenizer
        self._why = why
        self._loading = loading or LoadOptions()
        given = isinstance(model, nn.Module) and self._loading != LoadOptions()
        require(
            not given, "loading says how a model that is named is loaded, and a model itself is given: leave it out"
        )

    @cached_property
    def _loaded(self) -> tuple[nn.Module, Any]:
        if isinstance(self._given, nn.Module):
            return self._given, self._tokenizer
        if not self._given:
            raise ConfigError(self._why)
        try:
            return load_model(self._given, **dataclasses.asdict(self._loading))
        except ConfigError as error:
            if not self._advice:
                raise
            raise ConfigError(f"{self._advice} ({cut(str(error), 150)})") from error

    @property
    def was_loaded(self) -> bool:
        """Whether the model is at hand without being loaded now."""
        return "_loaded" in self.__dict__

    @property
    def model(self) -> nn.Module:
        """The model.

        Raises:
            ConfigError: there is none, or it cannot be loaded.
        """
        return self._loaded[0]

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer; None where a model was given without one."""
        return self._loaded[1]


@dataclass(frozen=True)
class Outgoing:
    """Input of an export: the intervention at its m, and its model.

    Attributes:
        artifact: where it comes from.
        concept: which of its concepts.
        intervention: the change, with the token policy that the file's reader will have.
        m: ``(m1, m2)``.
        at_hand: the model that it was made for.
        options: the export's settings.
        notes: sentences about what the file does not hold, or what it costs; formats add theirs.
    """

    artifact: Artifact
    concept: str
    intervention: Intervention
    m: tuple[float, float]
    at_hand: ModelAtHand
    options: ExportOptions = field(default_factory=ExportOptions)
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        """The model that it was made for."""
        return self.at_hand.model


@dataclass(frozen=True)
class Incoming:
    """Input of an import: the file, its options, and the model.

    Attributes:
        path: the file or folder.
        at_hand: the model that it is for.
        options: the import's settings.
        notes: sentences about what was left behind or decided; formats add theirs.
    """

    path: Path
    at_hand: ModelAtHand
    options: ImportOptions = field(default_factory=ImportOptions)
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        """The model that it is for."""
        return self.at_hand.model


class Format(ABC):
    """A file format. One that is only read, or only written, leaves the other half alone.

    Attributes:
        name: the registered name.
        writes: what an export makes, ``folder`` or ``file``; None where the format is only read.
        reads: whether it can be read.
        every_token: whether the file's readers steer every token, whatever the artifact's policy is.
        export_reads: the names of ``ExportOptions`` that it reads, beside ``positions``.
        import_reads: the names of ``ImportOptions`` that it reads.
    """

    name: ClassVar[str]
    writes: ClassVar[Literal["folder", "file"] | None] = None
    reads: ClassVar[bool] = False
    every_token: ClassVar[bool] = True
    export_reads: ClassVar[tuple[str, ...]] = ()
    import_reads: ClassVar[tuple[str, ...]] = ()

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write the change; raise before anything is written where the format cannot say it.

        Args:
            outgoing: what is to be written.
            place: a new folder that exists, or the file to be made.

        Raises:
            ConfigError: the format is only read, or cannot say the change.
        """
        raise ConfigError(f"format {self.name!r} is read and not written")

    def read(self, incoming: Incoming) -> Artifact:
        """Read a file as an artifact, at m = 1 what the file does at its own strength 1.

        Args:
            incoming: what is to be read.

        Raises:
            ConfigError: the format is only written, or the file does something that no artifact can.
            ArtifactError: the file is missing, damaged, or not of this format.
        """
        raise ConfigError(f"format {self.name!r} is written and not read")


FORMATS: Registry[type[Format]] = Registry("format", "easyedit_split.interop", group="easyedit_split.formats")


def writable_formats() -> tuple[str, ...]:
    """Names of the formats that an artifact can be exported to."""
    return tuple(name for name in FORMATS if FORMATS[name].writes is not None)


def readable_formats() -> tuple[str, ...]:
    """Names of the formats that can be imported."""
    return tuple(name for name in FORMATS if FORMATS[name].reads)


def refuse_unread(options: ExportOptions | ImportOptions, known: Sequence[str], name: str) -> None:
    """Raise where a setting is given that a format does not read.

    Args:
        options: as given.
        known: the settings that it reads.
        name: of the format.

    Raises:
        ConfigError: the first such setting.
    """
    for option in dataclasses.fields(options):
        if getattr(options, option.name) != option.default and option.name not in known:
            raise ConfigError(f"format {name!r} has no use for {option.name}: leave it out")
