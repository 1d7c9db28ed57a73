"""Loading of causal LMs and their tokenizers, without running code from a repository.

| name             | what is loaded                                                                |
|------------------|-------------------------------------------------------------------------------|
| ``ORG/MODEL``      | from the Hugging Face hub or its local cache                                  |
| ``FOLDER``         | that folder; one of PEFT's (``adapter_config.json``): its base with the adapter   |
| ``FILE.gguf``      | that file, dequantised once and kept, see ``model.gguf``                        |
| ``smollm2``        | a small chat model that the package index carries, see ``model.smollm2``        |
| ``testbed:NAME``   | a model shipped with this package: ``gemma2`` or ``qwen2``                        |

Gemma-2 is defined with soft-capped attention, which ``sdpa`` drops or refuses: ``eager`` is what is loaded for it, and
for every model with ``attn_logit_softcapping``, unless the caller asks for another backend. A model that reads images
besides is loaded whole and steered as text. Before the weights are read the model is built without them, on the meta
device, so that one whose blocks or maps cannot be found is refused at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from ..files.reading import cut
from ..types import ConfigError, SteeringError
from . import smollm2
from .adapters import base_of, is_adapter, put_in
from .gguf import converted, is_gguf
from .hub import cache_only
from .load_options import LoadOptions
from .sites import Site, attention_of, blocks_of, check_site

logger = logging.getLogger(__name__)

TESTBED = "testbed:"


@dataclass(frozen=True, slots=True)
class ShortName:
    """A short name for a model, e.g. ``smollm2``, and where its files are.

    Attributes:
        source: says what to load: a folder, a ``.gguf`` file or a hub id.
        advice: what to do where that cannot be had.
    """

    source: Callable[[], str]
    advice: str


SHORT_NAMES: Mapping[str, ShortName] = {smollm2.NAME: ShortName(smollm2.source, smollm2.HOW_TO_GET_IT)}


def model_path(name: str) -> str:
    """Resolve a model's name to what transformers loads: a folder or a hub id; see the module's table.

    Args:
        name: as the user wrote it.

    Raises:
        ConfigError: a testbed model that there is not, or a GGUF file that cannot be read.
        StorageError: a GGUF file's weights cannot be kept.
    """
    if name.startswith(TESTBED):
        from ..testbed.models import (
            checkpoint_folder,
        )  # the testbed stands above the models, so it is not loaded with them

        return str(checkpoint_folder(name.removeprefix(TESTBED)))
    found = SHORT_NAMES[name].source() if name in SHORT_NAMES else name
    return str(converted(Path(found))) if is_gguf(found) else found


def load_model(
    name: str,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | None = None,
    attention: str | None = None,
    revision: str | None = None,
    quantize: str | None = None,
    offload_folder: str | None = None,
    trust_remote_code: bool = False,
    sites: Sequence[str] = (),
) -> tuple[nn.Module, Any]:
    """Load a causal LM and its tokenizer, in evaluation mode.

    Args:
        name: a Hugging Face id, a folder (also an adapter's, that PEFT wrote), a ``.gguf`` file, ``smollm2``, or
            ``testbed:gemma2`` / ``testbed:qwen2``.
        dtype: the checkpoint's own where None (float32 for the testbed).
        device: a torch device, or ``auto`` to spread a large model over the devices there are; default: CUDA if any.
        attention: attention backend; the family's own where None.
        revision: branch, tag or commit on the Hub; the default branch where None.
        quantize: ``bnb-4bit``, ``bnb-8bit`` or ``torchao-int8``; the checkpoint's own precision where None.
        offload_folder: folder for weights that fit on no device, with ``device="auto"``.
        trust_remote_code: run Python code that the model's repository brings; without it such a model is refused.
        sites: names of maps that will be steered, e.g. ``("14.mlp.down_proj",)``; looked for before weights are read.

    Returns:
        ``(model, tokenizer)``.

    Raises:
        ConfigError: the model cannot be found or loaded, its files lack a parameter, its blocks cannot be found, it
            lacks one of the sites, or an option that cannot be had.
    """
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    options = LoadOptions(dtype, device, attention, revision, quantize, offload_folder, trust_remote_code)
    path = model_path(name)
    source = base_of(path) if is_adapter(path) else name
    base = path if source == name else model_path(source)
    if dtype is None and source.startswith(TESTBED):
        options = replace(options, dtype="float32")
    options.require_possible(base)
    try:
        common = _common(name, base, options)
        model, missing = _read_model(base, options, sites, common)
        _require_whole(name, missing)
        if base != path:
            model = put_in(model, path)
        tokenizer = _load_tokenizer(_tokenizer_place(path, base), common)
        if options.placed_by_hand:
            model.to(options.chosen_device)
    except SteeringError:
        raise
    except Exception as error:  # of a damaged folder, transformers and its parts raise anything
        where = "" if Path(path).exists() else " (no such folder here, and not found on the hub)"
        raise ConfigError(f"model {name!r} cannot be loaded{where}: {_reason(error, name)}") from error
    config: Any = model.config
    config._name_or_path = name  # `testbed:NAME` rather than the folder that it stands for
    model.eval()
    return model, tokenizer


def needs_this_loader(name: str) -> bool:
    """Whether a name stands for a model that transformers' own loader is not given as it is.

    Args:
        name: as the user wrote it: a short name, a testbed model, a ``.gguf`` file, an adapter's folder.
    """
    return name.startswith(TESTBED) or name in SHORT_NAMES or is_gguf(name) or is_adapter(name)


def base_folder(name: str) -> str:
    """What holds a model's own configuration: its folder or hub id, an adapter's base, a GGUF file converted.

    Args:
        name: as the user wrote it.

    Raises:
        ConfigError: as ``model_path``, or an adapter that names no base.
    """
    path = model_path(name)
    return model_path(base_of(path)) if is_adapter(path) else path


def load_tokenizer(name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer that ``load_model`` loads with a model.

    Args:
        name: the model's name.
        revision: branch, tag or commit on the Hub.
        trust_remote_code: run Python code that the model's repository brings.

    Raises:
        ConfigError: it cannot be found or loaded.
    """
    base, path = base_folder(name), model_path(name)
    options = LoadOptions(revision=revision, trust_remote_code=trust_remote_code)
    try:
        return _load_tokenizer(_tokenizer_place(path, base), _common(name, base, options))
    except SteeringError:
        raise
    except Exception as error:  # as above
        raise ConfigError(f"the tokenizer of model {name!r} cannot be loaded: {_reason(error, name)}") from error


def _reason(error: Exception, name: str) -> str:
    """Why a model cannot be loaded, in a line, and what to do."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return (
            "its repository brings Python code of its own, which is not run: read the code, and if you trust it give "
            "--trust-remote-code (trust_remote_code=True)"
        )
    if isinstance(error, UnpicklingError):
        text = "its weights are a pickle that holds more than tensors, which is not run: convert them to safetensors"
    advice = f"; {SHORT_NAMES[name].advice}" if name in SHORT_NAMES else ""
    return f"{cut(text, 150)}{advice}"


def _common(name: str, base: str, options: LoadOptions) -> dict[str, Any]:
    """Arguments of every call that reads files: revision, foreign code, and whether the hub is asked."""
    try:
        only = cache_only(base, revision=options.revision)
    except ConfigError as error:
        raise ConfigError(f"{error}; {SHORT_NAMES[name].advice}" if name in SHORT_NAMES else str(error)) from error
    found = {"revision": options.revision, "trust_remote_code": options.trust_remote_code}
    return {**found, "local_files_only": True} if only else found


def _read_model(
    path: str, options: LoadOptions, sites: Sequence[str], common: Mapping[str, Any]
) -> tuple[nn.Module, Collection[str]]:
    """The model and the names of the parameters that its files lack; its structure is looked at first."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, **common)
    own_attention = _defined_attention(config)
    kind, shell = _shell(config, trust_remote_code=options.trust_remote_code)
    _require_sites(shell, sites)
    settings: dict[str, Any] = {"dtype": options.torch_dtype, "device_map": options.device_map}
    if options.quantize is not None:
        settings["quantization_config"] = options.quantization(config)
    if options.offload_folder is not None:
        settings["offload_folder"] = options.offload_folder
    model, loaded = kind.from_pretrained(
        path,
        attn_implementation=options.attention or own_attention,
        output_loading_info=True,
        **settings,
        **common,
    )
    return model, loaded["missing_keys"]


def _tokenizer_place(path: str, base: str) -> str:
    """The folder of the tokenizer: an adapter's own where it has one, else its base's."""
    return path if path == base or (Path(path) / "tokenizer_config.json").is_file() else base


def _load_tokenizer(path: str, common: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, **common)
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    if special.issuperset(tokenizer.get_vocab().values()):  # what transformers makes of a folder without its files
        raise OSError("it has no tokenizer: put the tokenizer's own files (tokenizer.json) beside the weights")
    return tokenizer


def _require_whole(name: str, missing_keys: Collection[str]) -> None:
    missing = sorted(missing_keys)
    if missing:
        raise ConfigError(
            f"model {name!r}: its files lack {len(missing)} parameters, {missing[0]} among them; "
            "transformers would fill them with random numbers"
        )


def _require_sites(shell: nn.Module, sites: Sequence[str]) -> None:
    blocks_of(shell)
    for site in sites:
        check_site(shell, Site.parse(site))


def _defined_attention(config: Any) -> str | None:
    shell = nn.Module()
    shell.config = config
    return attention_of(shell)


def _shell(config: Any, **trust: bool) -> tuple[Any, nn.Module]:
    """The class that loads a configuration's models, for text first, and one of them without weights."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    with torch.device("meta"):
        try:
            return AutoModelForCausalLM, AutoModelForCausalLM.from_config(config, attn_implementation="eager", **trust)
        except ValueError as error:
            if "nrecognized configuration class" not in str(error):
                raise
            try:
                shell = AutoModelForImageTextToText.from_config(config, attn_implementation="eager", **trust)
            except ValueError:
                raise error from None
            return AutoModelForImageTextToText, shell
