"""Run an unmodified EasyEdit2 script with this package's methods registered.

    easyedit-split easyedit vectors_generate.py key=value ...

The script runs as ``python`` would run it: as ``__main__``, with its arguments, its folder and the clone's root on
``sys.path``, in the clone's root unless the current folder lies in the clone already (EasyEdit2 reads its files
relative to it).
"""

from __future__ import annotations

import importlib
import logging
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from ...types import ConfigError
from . import clone as host
from . import registration
from .isolation import warn_changed
from .names import ALG_DICT

logger = logging.getLogger(__name__)


def run(
    script: str | Path,
    arguments: Sequence[str] = (),
    *,
    home: str | Path | None = None,
    prefer: registration.Prefer | None = None,
) -> None:
    """Run ``script`` in this process, with this package's methods registered.

    Args:
        script: looked for in the current folder, then in the clone and its ``examples``.
        arguments: the script's own, such as Hydra's ``key=value``.
        home: the clone, where it is not the current folder or ``EASYEDIT_HOME``.
        prefer: what wins where EasyEdit2 has a method of the same name.

    Raises:
        ConfigError: no clone, no such script, or no Hydra.
    """
    clone = host.require_clone(home)
    file = _find(Path(script), clone.path)
    logger.info("%s", clone.describe())
    if clone.path not in (Path.cwd(), *Path.cwd().parents):
        os.chdir(clone.path)
        logger.info("running in %s: relative paths are read from there", clone.path)
    sys.path[:0] = [str(file.parent), str(clone.path)]
    sys.argv = [str(file), *arguments]
    registration.register(prefer)
    try:
        importlib.import_module(ALG_DICT)  # what the host lost is said before the script starts
    except ImportError as error:
        _require_hydra(error)
        warn_changed("no method of this package is registered", error)
    try:
        runpy.run_path(str(file), run_name="__main__")
    except ModuleNotFoundError as error:
        _require_hydra(error)
        raise


def _require_hydra(error: ImportError) -> None:
    """Raise with what to install, where Hydra or OmegaConf is missing."""
    if (error.name or "").partition(".")[0] in ("hydra", "omegaconf"):
        raise ConfigError(
            f"EasyEdit2's scripts need {error.name}, which is not installed: pip install easyedit-split[easyedit]"
        ) from error


def _find(script: Path, clone: Path) -> Path:
    for candidate in (script, clone / script, clone / "examples" / script):
        if candidate.is_file():
            return candidate.resolve()
    raise ConfigError(f"{script}: no such script here, in {clone} or in {clone / 'examples'}")
