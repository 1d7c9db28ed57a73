"""Why a model, an intervention or a call is left to the plain scorer."""

from __future__ import annotations


class EngineRefused(Exception):
    """The engine cannot promise the plain scorer's numbers here; the text says why, in words for one log line."""
