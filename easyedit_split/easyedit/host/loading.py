"""EasyEdit2's model wrapper around a model that this package loads, where a file has keys of its loader.

    attention, revision, quantize, offload_folder, trust_remote_code         as ``load_model`` takes them

Without any of them the host loads its model itself. ``dtype`` and ``device`` are the host's own keys either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...model.load import load_model
from ...types import ConfigError
from ..load_fields import LOADING
from .before_loading import check_without_weights, unknown_name
from .wrappers import use_defined_attention

HOOK = "_load_hf_model"


def load_wrapper(hparams: Any, sites: Sequence[str] = ()) -> Any:
    """The host's wrapper of the model that a file names.

    Args:
        hparams: the host's, of one of our methods.
        sites: keys of the sites that will be steered, looked for before the weights are read.

    Raises:
        ConfigError: the model has no such site or cannot be loaded so, EasyEdit2 has no wrapper for its name, or this
            version of it cannot be given a model.
    """
    name = str(hparams.model_name_or_path)
    if not getattr(hparams, "vllm_enable", False):
        check_without_weights(name, sites)
    try:
        return _loaded(hparams)
    except ValueError as error:
        if "not supported" not in str(error):
            raise
        raise unknown_name(name) from error


def _loaded(hparams: Any) -> Any:
    from steer.models import model_wrapper
    from steer.models.get_model import get_model

    given = {key: value for key in LOADING if (value := getattr(hparams, key, None)) not in (None, False)}
    if not given:
        wrapper, _ = get_model(hparams)
        if wrapper.model is not None:
            use_defined_attention(wrapper.model)
        return wrapper
    with _loading(model_wrapper, given):
        wrapper, _ = get_model(hparams)
    return wrapper


@contextmanager
def _loading(host: Any, given: dict[str, Any]) -> Iterator[None]:
    """Let the host's wrappers get their model from ``load_model`` while inside."""
    owner = next((cls for cls in vars(host).values() if isinstance(cls, type) and HOOK in vars(cls)), None)
    if owner is None:
        raise ConfigError(f"{', '.join(given)}: this version of EasyEdit2 loads its model itself: leave the key out")
    own = vars(owner)[HOOK]

    def load(wrapper: Any) -> Any:
        return load_model(wrapper.model_name_or_path, dtype=wrapper.dtype, device=str(wrapper.device), **given)[0]

    setattr(owner, HOOK, load)
    try:
        yield
    finally:
        setattr(owner, HOOK, own)
