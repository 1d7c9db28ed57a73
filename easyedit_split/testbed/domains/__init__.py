"""The four domains of the small world, by name; a new one is a new file and one line here."""

from __future__ import annotations

from easyedit_split.testbed.domains.base import Content, Domain, OpenText, Reading
from easyedit_split.testbed.domains.concepts import CONCEPTS
from easyedit_split.testbed.domains.persona import PERSONA
from easyedit_split.testbed.domains.power import POWER
from easyedit_split.testbed.domains.reviews import REVIEWS

DOMAINS: dict[str, Domain] = {d.name: d for d in (REVIEWS, PERSONA, POWER, CONCEPTS)}

__all__ = ["DOMAINS", "Content", "Domain", "OpenText", "Reading"]
