"""Templates of the grammar, which generate sentences and parse them back.

    template   "The {brand} {item} is {adj}."   plus   lexicon {"brand": ("Arno", ...), ...}
    fill       slots -> text                    parse  text -> slots, or None

Slots are written ``{name}``; a slot that occurs twice has one value. ``fill`` and ``parse`` are inverse to each other:
``parse(fill(slots)) == slots`` (a test says so), which is what makes the judges exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..types import DataError

Lexicon = Mapping[str, Sequence[str]]
Slots = dict[str, str]

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class SentencePattern:
    """One sentence template over a lexicon.

    Attributes:
        text: the pattern, with ``{slot}`` places.
        lexicon: every slot's phrases; a phrase may be read back only if it is listed here.
    """

    text: str
    lexicon: Lexicon = field(repr=False)

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Slot names in order of first appearance."""
        return tuple(dict.fromkeys(name for name in _SLOT.findall(self.text)))

    def fill(self, slots: Mapping[str, str]) -> str:
        """Generate the sentence from slot values.

        Args:
            slots: a phrase for each slot.

        Raises:
            DataError: a slot is missing, or its phrase is not in the lexicon.
        """

        def phrase(match: re.Match[str]) -> str:
            name = match.group(1)
            if slots.get(name) not in self.lexicon[name]:
                raise DataError(
                    f"slot {name!r} of {self.text!r} got {slots.get(name)!r}; allowed: {', '.join(self.lexicon[name])}"
                )
            return slots[name]

        return _SLOT.sub(phrase, self.text)

    def parse(self, text: str) -> Slots | None:
        """Parse a whole text into slots; None if the pattern cannot have written it.

        Args:
            text: the text.
        """
        match = self._pattern.fullmatch(text)
        return None if match is None else self._read(match)

    def find(self, text: str) -> Slots | None:
        """Parse the first match inside a text; None if there is none.

        Args:
            text: the text.
        """
        match = self._pattern.search(text)
        return None if match is None else self._read(match)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = _SLOT.split(self.text)  # text, slot, text, slot, ..., text
        seen: set[str] = set()
        for i, name in enumerate(pieces):
            if i % 2 == 0:
                pieces[i] = re.escape(name)
                continue
            pieces[i] = f"(?P={name})" if name in seen else f"(?P<{name}>{_alternatives(self.lexicon[name])})"
            seen.add(name)
        return re.compile("".join(pieces))

    def _read(self, match: re.Match[str]) -> Slots:
        return {name: match.group(name) for name in self.slots}


def _alternatives(phrases: Sequence[str]) -> str:
    return "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
