"""The grammar's machinery: a template writes text, and the same template reads it back.

    template   "The {brand} {item} is {adj}."   plus   lexicon {"brand": ("Arno", ...), ...}
    fill       slots -> text                    parse  text -> slots, or None

Slots are written ``{name}``; ``{name:c}`` writes the phrase with a capital first letter. A slot that occurs twice has
one value. ``fill`` and ``parse`` are inverse to each other: ``parse(fill(slots)) == slots`` (a test says so), which is
what makes the judges exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from easyedit_split.types import DataError

Lexicon = Mapping[str, Sequence[str]]
Slots = dict[str, str]

_SLOT = re.compile(r"\{(\w+)(:c)?\}")


def capital(phrase: str) -> str:
    """The phrase with its first letter in upper case, the rest untouched."""
    return phrase[:1].upper() + phrase[1:]


@dataclass(frozen=True)
class Template:
    """One sentence pattern over a lexicon.

    Args:
        text: the pattern, with ``{slot}`` or ``{slot:c}`` places.
        lexicon: every slot's phrases; a phrase may be read back only if it is listed here.
    """

    text: str
    lexicon: Lexicon = field(repr=False)

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Slot names in order of first appearance."""
        return tuple(dict.fromkeys(name for name, _ in _SLOT.findall(self.text)))

    def fill(self, slots: Mapping[str, str]) -> str:
        """Write the sentence. Raises DataError where a slot is missing or its phrase is not in the lexicon."""

        def phrase(match: re.Match[str]) -> str:
            name = match.group(1)
            if slots.get(name) not in self.lexicon[name]:
                raise DataError(
                    f"slot {name!r} of {self.text!r} got {slots.get(name)!r}; allowed: {', '.join(self.lexicon[name])}"
                )
            return capital(slots[name]) if match.group(2) else slots[name]

        return _SLOT.sub(phrase, self.text)

    def parse(self, text: str) -> Slots | None:
        """Read a whole text back into slots; None if the template cannot have written it."""
        match = self._pattern.fullmatch(text)
        return None if match is None else self._read(match)

    def find(self, text: str) -> Slots | None:
        """Read the first place inside ``text`` that the template can have written; None if there is none."""
        match = self._pattern.search(text)
        return None if match is None else self._read(match)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        out, end = "", 0
        for match in _SLOT.finditer(self.text):
            name, cap = match.group(1), match.group(2)
            out += re.escape(self.text[end : match.start()])
            end = match.end()
            if name in seen:
                out += f"(?P={name})" if not cap else _alternatives(self.lexicon[name], True)
            else:
                out += f"(?P<{name}>{_alternatives(self.lexicon[name], bool(cap))})"
                seen.add(name)
        return re.compile(out + re.escape(self.text[end:]))

    def _read(self, match: re.Match[str]) -> Slots:
        raw = match.groupdict()
        return {name: self._canonical(name, raw[name]) for name in self.slots}

    def _canonical(self, name: str, phrase: str) -> str:
        return next(known for known in self.lexicon[name] if phrase in (known, capital(known)))


def _alternatives(phrases: Sequence[str], cap: bool) -> str:
    longest_first = sorted((capital(p) if cap else p for p in phrases), key=len, reverse=True)
    return "(?:" + "|".join(re.escape(p) for p in longest_first) + ")"
