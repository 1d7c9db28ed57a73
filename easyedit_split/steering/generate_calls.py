"""What ``model.generate`` is given, told to a model's attachments: which columns are prompts.

Whatever way of generating (no cache, prompt lookup, assisted, beams, several answers a row), the prompts are what
``generate`` is given: without it the first call, which may hold candidates, and every call without a cache would be
taken for prompts. ``generate`` itself is the model's own; only its arguments are read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from .attachment import Attachment

NAME = "generate"


@contextmanager
def told_by_generate(modules: Sequence[nn.Module], attachment: Attachment) -> Iterator[None]:
    """Let an attachment know the prompts of every ``generate`` of a model while inside.

    Several attachments may be on a model, and leave in any order.

    Args:
        modules: the model and those inside it that may be called, outermost first.
        attachment: that is on the model.
    """
    able = [module for module in modules if callable(getattr(type(module), NAME, None))]
    told = [_of(module) for module in able]
    for one in told:
        one.attachments.append(attachment)
    try:
        yield
    finally:
        for module, one in zip(able, told, strict=True):
            one.attachments.remove(attachment)
            if not one.attachments and vars(module).get(NAME) is one:
                one.take_off(module)


def _of(module: nn.Module) -> _Telling:
    """The module's ``generate`` that tells, made where it has none."""
    found = vars(module).get(NAME)
    if not isinstance(found, _Telling):
        found = vars(module)[NAME] = _Telling(getattr(module, NAME), found)
    return found


class _Telling:
    """A ``generate`` that says what it is given before it runs.

    Args:
        generate: the module's.
        before: what stood in its place on the object itself; None for nothing.
    """

    def __init__(self, generate: Any, before: Any) -> None:
        self.generate, self.before = generate, before
        self.attachments: list[Attachment] = []
        functools.update_wrapper(self, generate)

    def take_off(self, module: nn.Module) -> None:
        """Put back what was there.

        Args:
            module: that it was put on.
        """
        del vars(module)[NAME]
        if self.before is not None:
            vars(module)[NAME] = self.before

    def __call__(self, *args: Any, **given: Any) -> Any:
        prompts = next((x for x in (given.get("input_ids"), given.get("inputs"), *args[:1]) if x is not None), None)
        embedded = given.get("inputs_embeds")
        if isinstance(prompts, Tensor) and prompts.ndim == 2:
            width, ids = prompts.shape[1], prompts
        elif isinstance(embedded, Tensor):
            width, ids = embedded.shape[1], None
        else:
            return self.generate(*args, **given)
        with ExitStack() as stack:
            for attachment in self.attachments:
                stack.enter_context(attachment.prompts_known(width, ids))
            return self.generate(*args, **given)
