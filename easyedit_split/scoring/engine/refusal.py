"""The error by which the engine declines a model, an intervention or a call, which the reference scorer then takes."""

from __future__ import annotations


class EngineRefused(Exception):
    """The engine cannot guarantee the reference scorer's numbers here; the message says why, for one log line."""
