"""The blocks of any causal LM, found by structure: the one outermost list of as many modules as there are layers.

    blocks    the outermost ``ModuleList`` of ``config.get_text_config().num_hidden_layers`` modules
    decoder   the module that holds this list
    calls     the modules from the model down to the decoder, any of which may be what is called

A model that reads images or sound besides has such a list for each tower if their depths agree: the one that stands
nearest the input embeddings is the text's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..types import ConfigError
from .wrappers import unwrap


def text_config(model: nn.Module) -> Any:
    """The configuration of a model's language part.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: it has no configuration that says how many layers there are.
    """
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    if not isinstance(getattr(text, "num_hidden_layers", None), int):
        raise ConfigError(
            f"{type(model).__name__} has no configuration that says how many layers it has (num_hidden_layers), so its "
            "blocks cannot be found: give a transformers causal LM"
        )
    return text


def find_blocks(model: nn.Module) -> str:
    """Dotted path of the list of a model's decoder blocks.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: there is none, or more than one.
    """
    count = text_config(model).num_hidden_layers
    found = [path for path, _ in _lists(model, "", count)]
    if len(found) > 1:
        found = _nearest_the_embeddings(model, found)
    if len(found) != 1:
        seen = f"it has {len(found)} such lists: {', '.join(found)}" if found else "it has no such list"
        raise ConfigError(
            f"the blocks of {type(model).__name__} cannot be found: they are the one outermost ModuleList of "
            f"{count} modules (num_hidden_layers), and {seen}; a family can name them, see "
            "easyedit_split/model/families"
        )
    return found[0]


def _lists(module: nn.Module, path: str, count: int) -> Iterator[tuple[str, nn.ModuleList]]:
    for name, child in module.named_children():
        at = f"{path}{name}"
        if isinstance(child, nn.ModuleList) and len(child) == count:
            yield at, child
        else:
            yield from _lists(child, f"{at}.", count)


def _nearest_the_embeddings(model: nn.Module, paths: list[str]) -> list[str]:
    """Those of several lists that share most of their path with the input embeddings."""
    try:
        embeddings = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return paths
    (place,) = [name for name, module in model.named_modules() if module is embeddings][:1] or [""]
    shared = {path: _shared_parts(path, place) for path in paths}
    return [path for path in paths if shared[path] == max(shared.values())]


def _shared_parts(a: str, b: str) -> int:
    count = 0
    for one, other in zip(a.split("."), b.split("."), strict=False):
        if one != other:
            break
        count += 1
    return count


def modules_down_to(model: nn.Module, target: nn.Module) -> list[nn.Module]:
    """The modules from the model down to one of its own, both included.

    Args:
        model: where the way starts.
        target: where it ends.
    """
    if model is target:
        return [model]
    path = next((name for name, module in model.named_modules() if module is target), None)
    assert path is not None, "not a module of this model"
    way = [model]
    for part in path.split("."):
        way.append(way[-1].get_submodule(part))
    return way


def parent_of(model: nn.Module, path: str) -> nn.Module:
    """The module that holds what a dotted path leads to, without wrappers.

    Args:
        model: where the path starts.
        path: e.g. ``model.layers``.
    """
    return unwrap(model.get_submodule(path.rpartition(".")[0]))
