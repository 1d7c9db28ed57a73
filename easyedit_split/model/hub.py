"""Whether a name of the Hugging Face hub is asked for there, or taken from the local cache at once.

| the hub               | the name is cached | what happens                                            |
|-----------------------|--------------------|---------------------------------------------------------|
| answers               | either             | the hub is asked, as always                             |
| does not within 4 s   | yes                | the cached files are used, which is said                |
| does not within 4 s   | no                 | one sentence                                            |
| ``HF_HUB_OFFLINE=1``    | either             | it is not asked                                         |

Without this, huggingface_hub tries again for every file of a model that it has. A folder or file is not looked up.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

from ..types import ConfigError

logger = logging.getLogger(__name__)

PATIENCE_S = 4.0
"""Longest wait for any answer of the hub, which a name that cannot be resolved takes as well."""


def cache_only(name: str, file: str = "config.json", revision: str | None = None) -> bool:
    """Whether a name is to be read from the cache alone, since the hub does not answer.

    Args:
        name: a folder, or ``user/name`` on the hub.
        file: one of its files, by which a cached copy is known.
        revision: branch, tag or commit.

    Raises:
        ConfigError: the hub does not answer, and nothing is cached.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if Path(name).exists() or constants.HF_HUB_OFFLINE:
        return False
    try:
        cached = isinstance(try_to_load_from_cache(name, file, revision=revision), str)
    except ValueError:  # no name that the hub could have
        return False
    if _answers(constants.ENDPOINT):
        return False
    if not cached:
        raise ConfigError(
            f"{name}: no such folder here, and {constants.ENDPOINT} does not answer, nor is it in the "
            "local cache: check the name and the network"
        )
    logger.warning("%s: %s does not answer, so the cached copy is used", name, constants.ENDPOINT)
    return True


def _answers(address: str) -> bool:
    """Whether anything at an address answers in time; a gateway's error is no answer."""
    found: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE_S):
                found.append(True)
        except urllib.error.HTTPError as error:
            found.append(error.code < 500)
        except urllib.error.URLError as error:  # a certificate that only the hub's own client knows is an answer
            found.append(isinstance(error.reason, ssl.SSLError))
        except (OSError, ValueError, http.client.HTTPException):
            found.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return bool(found and found[0])
