"""``easyedit-split import``: another tool's file as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...interop.importing import import_artifact
from ...model.load_options import LoadOptions
from ..console import console, say, say_written
from ..formats import FORMAT_IN_HELP, format_name, quiet_loading
from ..loading import DEFAULTS, loads_model
from ..options import ArtifactOutOption, ModelOption, OverwriteOption
from ..output_paths import check_folder

EPILOG = "Example: easyedit-split import adapter --from peft --model smollm2 --out from-peft"


@loads_model
def command(  # noqa: DOC101, DOC103
    path: Annotated[Path, typer.Argument(help="The file or folder.")],
    source: Annotated[str, typer.Option("--from", help=FORMAT_IN_HELP)],
    model: ModelOption,
    to: ArtifactOutOption,
    layer: Annotated[
        int | None, typer.Option(help="Block, counted from 0, where the file does not say it or holds several.")
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="all, prompt, last_prompt or answer. Default: as the file's own tool steers.")
    ] = None,
    concept_id: Annotated[int | None, typer.Option(help="One concept of a file with several.")] = None,
    shift: Annotated[int, typer.Option(help="Added to the file's block numbers (-1: cvector-generator's).")] = 0,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Take what has a place here, and name what was left out.")
    ] = False,
    loading: LoadOptions = DEFAULTS,
    overwrite: OverwriteOption = False,
) -> None:
    """Read another tool's file as an artifact, which every command takes."""
    check_folder(to, overwrite)
    quiet_loading()
    with console.status("importing"):
        artifact = import_artifact(
            path,
            format_name(source),
            model=model,
            loading=loading,
            layer=layer,
            positions=positions,
            concept_id=concept_id,
            shift=shift,
            leave_out=leave_out,
        )
    for note in artifact.record["imported"]["notes"]:
        say(note, "yellow")
    config = artifact.config
    say(f"{config.form} at {', '.join(config.sites)}, placement {config.placement}, positions {config.positions}")
    artifact.save_pretrained(to, overwrite=overwrite)
    say_written("artifact", to)
