"""The query that the tests of texts share, and templates with settings."""

from __future__ import annotations

from typing import Any

from easyedit_split.config import TokenConfig
from easyedit_split.text.prompt_tokens import Template

QUERY = "Would you say it?"


def template(tokenizer: Any, **settings: Any) -> Template:
    return Template(tokenizer, TokenConfig(**settings))
