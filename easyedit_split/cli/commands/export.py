"""``easyedit-split export``: an artifact as another tool's file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ...interop.base import FORMATS
from ...interop.exporting import export_artifact
from ...model.load_options import LoadOptions
from ...steering.artifact import Artifact
from ...types import ConfigError, Factors
from ..console import console, say, say_written
from ..formats import FORMAT_OUT_HELP, format_name, quiet_loading
from ..loading import DEFAULTS, loads_model
from ..options import MODEL_HELP, OtherWeightsOption, OverwriteOption
from ..output_paths import hold

EPILOG = "Example: easyedit-split export power-lora --to peft --m 1.5 --out power-adapter"


@loads_model
def command(  # noqa: DOC101, DOC103
    folder: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    to: Annotated[str, typer.Option("--to", help=FORMAT_OUT_HELP)],
    place: Annotated[Path, typer.Option("--out", help="The file or folder to be made.")],
    m: Annotated[float | None, typer.Option(help="Strength to write. Default: the one it keeps.")] = None,
    m1: Annotated[float | None, typer.Option("--m1", help="Factor of dW alone, with --m2.")] = None,
    m2: Annotated[float | None, typer.Option("--m2", help="Factor of db alone, with --m1.")] = None,
    model: Annotated[str | None, typer.Option(help=f"Default: the one it was trained on. {MODEL_HELP}")] = None,
    concept: Annotated[str | None, typer.Option(help="Which concept, of an artifact with several.")] = None,
    positions: Annotated[
        str | None,
        typer.Option(help="all: steer every token, as the file's reader will; what that changes is measured."),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the LoRA that a full dW becomes.")] = None,
    add_bias: Annotated[
        bool, typer.Option("--add-bias", help="merged: switch biases on where the architecture can (Llama).")
    ] = False,
    shard_size: Annotated[str | None, typer.Option(help="merged: largest file of weights, e.g. 2GB.")] = None,
    other_weights: OtherWeightsOption = False,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Write an intervention at one m as another tool's file: PEFT, a checkpoint, GGUF, EasyEdit2."""
    quiet_loading()
    hold(place)
    dtype, name = None, format_name(to)
    if "dtype" in FORMATS[name].export_reads:  # of weights that are written, which are rounded once
        loading, dtype = dataclasses.replace(loading, dtype=None), loading.dtype
    with console.status("exporting"):
        done = export_artifact(
            Artifact.from_pretrained(folder, other_weights=other_weights),
            name,
            place,
            m=m_of_options(m, m1, m2),
            concept=concept,
            model=model,
            loading=loading,
            overwrite=overwrite,
            positions=positions,
            rank=rank,
            add_bias=add_bias,
            dtype=dtype,
            shard_size=shard_size,
        )
    for note in done.notes:
        say(note, "yellow")
    one, two = done.m
    say_written(f"{to} at " + (f"m = {one:g}" if one == two else f"m1 = {one:g}, m2 = {two:g}"), done.path)


def m_of_options(m: float | None, m1: float | None, m2: float | None) -> Factors | None:
    """The m of ``--m``, or of ``--m1`` and ``--m2``; None where neither was given.

    Args:
        m: ``--m``.
        m1: ``--m1``.
        m2: ``--m2``.

    Raises:
        ConfigError: both, or only one of the pair.
    """
    if (m1 is None) != (m2 is None):
        raise ConfigError("--m1 and --m2 go together: give both, or --m")
    if m1 is None or m2 is None:
        return m
    if m is not None:
        raise ConfigError("--m is both factors: give it, or --m1 and --m2")
    return m1, m2
