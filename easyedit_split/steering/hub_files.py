"""An artifact's folder by its name: a folder of this machine, else one of the Hugging Face hub.

A name is taken for the hub's where no such folder is there and it reads ``user/name``.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..files.reading import reason_of
from ..model.hub import cache_only
from ..types import ArtifactError, ConfigError
from .artifact_files import CONFIG_FILE, HISTORY_FILE, TENSOR_FILE

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def folder_of(name: str | Path, revision: str | None = None) -> Path:
    """The folder that a name stands for; what the hub has is downloaded into its cache.

    Args:
        name: a folder, or ``user/name``.
        revision: branch, tag or commit on the hub.

    Raises:
        ArtifactError: no such folder, and not to be had from the hub.
    """
    folder = Path(name)
    if folder.exists() or not _REPOSITORY.fullmatch(str(name)):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [CONFIG_FILE, TENSOR_FILE, HISTORY_FILE]
    try:
        only = cache_only(str(name), CONFIG_FILE, revision)
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=wanted, local_files_only=only))
    except ConfigError as error:
        raise ArtifactError(str(error)) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = reason_of(error)
        raise ArtifactError(
            f"{name}: no such folder here, and not to be had from the hub ({type(error).__name__}: {reason})"
        ) from error
