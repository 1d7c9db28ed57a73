"""File formats as a command line names them: with dashes, from the registry, without loading it for the help."""

from __future__ import annotations

from ..registry import names_without_loading

_NAMES = ", ".join(
    name.replace("_", "-") for name in names_without_loading("easyedit_split.interop", "easyedit_split.formats")
)
FORMAT_OUT_HELP = f"Format to write, of {_NAMES}; not all are written."
FORMAT_IN_HELP = f"Format to read, of {_NAMES}; not all are read."


def format_name(text: str) -> str:
    """A format's registered name.

    Args:
        text: as the user wrote it, e.g. ``gguf-vector``.
    """
    return text.replace("-", "_")


def quiet_loading() -> None:
    """No progress bars of transformers in this process."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
