"""``easyedit-split doctor``: what is installed, is EasyEdit2 usable; with ``--model``, what a model is like."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.table import Table

from ...datasets.base import DATASETS
from ...easyedit import commands as bridge
from ...model.load_options import LoadOptions
from ...model.sites import FAMILIES
from ...steering.forms.base import FORMS
from ...training.objectives.base import OBJECTIVES
from ...training.recipes import hparams_folder
from ..console import out
from ..loading import DEFAULTS, loads_model
from ..options import MODEL_HELP
from .easyedit import HomeOption

EPILOG = "Example: easyedit-split doctor --model smollm2"
PACKAGES = ("easyedit-split", "torch", "transformers", "peft", "safetensors", "numpy", "scipy", "pandas", "matplotlib")


@loads_model
def command(  # noqa: DOC101, DOC103
    home: HomeOption = None,
    contract: Annotated[
        bool, typer.Option("--contract", help="Also run the plugin's contract tests against the clone.")
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", help=f"Show instead what is steered exactly in a model: {MODEL_HELP}")
    ] = None,
    loading: LoadOptions = DEFAULTS,
) -> None:
    """Show versions, device, attention backends, what is registered, and EasyEdit2; or what a model is like."""
    if model is not None:
        from ..examined import show_model

        show_model(model, loading)
        return
    shown = Table(box=None, show_header=False)
    for key, value in [*facts().items(), *bridge.doctor(home)]:
        shown.add_row(key, value)
    out.print(shown)
    if contract:
        raise typer.Exit(bridge.contract(home))


def facts() -> dict[str, str]:
    """What ``doctor`` reports, as text by name."""
    import torch

    rows = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            rows[name] = version(name)
        except PackageNotFoundError:
            rows[name] = "not installed"
    if torch.cuda.is_available():
        rows["device"] = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    else:
        rows["device"] = f"CPU, {torch.get_num_threads()} threads"
    rows["attention"] = ", ".join(f"{name}: {FAMILIES[name].attention or 'any'}" for name in FAMILIES)
    for label, names in (("forms", FORMS.names()), ("objectives", OBJECTIVES.names()), ("datasets", DATASETS.names())):
        rows[label] = ", ".join(names)
    rows["recipes"] = str(hparams_folder())
    return rows
