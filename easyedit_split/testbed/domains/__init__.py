"""The four domains of the testbed, by name; a new one is a new file and one line here."""

from __future__ import annotations

from .base import Content, Domain, OpenText, ParsedAnswer
from .concepts import CONCEPTS
from .persona import PERSONA
from .power import POWER
from .reviews import REVIEWS

DOMAINS: dict[str, Domain] = {d.name: d for d in (REVIEWS, PERSONA, POWER, CONCEPTS)}

__all__ = ["DOMAINS", "Content", "Domain", "OpenText", "ParsedAnswer"]
