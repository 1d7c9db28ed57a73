"""EasyEdit2's model wrapper around a model that this package loads, where a file asks for it or EasyEdit2 cannot.

    attention, revision, quantize, offload_folder, trust_remote_code         as ``load_model`` takes them
    FILE.gguf, an adapter's folder, smollm2, testbed:NAME                    models by the names that they have here

Without any of them the host loads its model itself. ``dtype`` and ``device`` are the host's own keys either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...model.load import load_model, load_tokenizer, needs_this_loader
from ...types import ConfigError
from ..load_fields import LOADING
from .before_loading import check_without_weights, unknown_name
from .wrappers import use_defined_attention

LOADERS = ("AutoModelForCausalLM", "AutoTokenizer")
"""Transformers' classes by which the host's module loads; each is stood in for while a model is loaded here."""


def load_wrapper(hparams: Any, sites: Sequence[str] = ()) -> Any:
    """The host's wrapper of the model that a file names.

    Args:
        hparams: the host's, of one of our methods.
        sites: keys of the sites that will be steered, looked for before the weights are read.

    Raises:
        ConfigError: the model has no such site, is not found or cannot be loaded so, EasyEdit2 has no wrapper for its
            name, or this version of it cannot be given a model.
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
    except OSError as error:  # transformers' of a name that means no model
        where = "" if Path(name).exists() else ": no such folder here, and not found on the hub or in its cache"
        raise ConfigError(f"model_name_or_path {name!r} cannot be loaded{where} ({_line(error)})") from error


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:119] + "…"


def _loaded(hparams: Any) -> Any:
    from steer.models import model_wrapper
    from steer.models.get_model import get_model

    given = {key: value for key in LOADING if (value := getattr(hparams, key, None)) not in (None, False)}
    name = str(hparams.model_name_or_path)
    if not given and not needs_this_loader(name):
        wrapper, _ = get_model(hparams)
        if wrapper.model is not None:
            use_defined_attention(wrapper.model)
        return wrapper
    asked = ", ".join(given) or f"model_name_or_path {name!r}"
    with _loading(model_wrapper, hparams, given) as used:
        wrapper, _ = get_model(hparams)
    if not used:
        raise ConfigError(f"{asked}: here EasyEdit2 loads its model in another way (vLLM?): leave it out")
    return wrapper


@contextmanager
def _loading(host: Any, hparams: Any, given: dict[str, Any]) -> Iterator[list[str]]:
    """Let the host's wrappers get model and tokenizer from this package while inside; yields the names it asked for."""
    own = {name: vars(host)[name] for name in LOADERS if name in vars(host)}
    used: list[str] = []
    device = getattr(hparams, "device", None)

    class Models:
        """Stands in for ``AutoModelForCausalLM``."""

        @staticmethod
        def from_pretrained(name: str, **settings: Any) -> Any:
            used.append(name)
            dtype = settings.get("dtype", settings.get("torch_dtype"))
            place = settings.get("device_map", device)
            model: Any = load_model(name, dtype=dtype, device=None if place is None else str(place), **given)[0]
            if "use_cache" in settings:
                model.config.use_cache = settings["use_cache"]
            return model

    class Tokenizers:
        """Stands in for ``AutoTokenizer``."""

        @staticmethod
        def from_pretrained(name: str, **settings: Any) -> Any:
            known = {key: given[key] for key in ("revision", "trust_remote_code") if key in given}
            tokenizer = load_tokenizer(name, **known)
            for key, value in settings.items():
                setattr(tokenizer, key, value)
            return tokenizer

    try:
        for name, standing in zip(LOADERS, (Models, Tokenizers), strict=True):
            if name in own:
                setattr(host, name, standing)
        yield used
    finally:
        for name, value in own.items():
            setattr(host, name, value)
