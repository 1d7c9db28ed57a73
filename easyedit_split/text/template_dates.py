"""Chat templates that write today's date: the date is fixed, so that a row's token ids do not change overnight.

date_string            a variable of the template (Llama-3): given
strftime_now(format)   a function of transformers' (Mistral, SmolLM3, gpt-oss): replaced by a macro in front
"""

from __future__ import annotations

from datetime import datetime

DAY = datetime(2024, 7, 26, 12, 0, 0)
"""The day that every dated template writes."""
OTHER_DAY = datetime(2011, 11, 5, 23, 59, 58)
"""A day that differs from it in every part: what the two have in common is no date."""
_CODES = tuple(f"%{code}" for code in ("F", "D", "T", "-d", "-m", "-H", "-I", *"YyBbmdeAaHIMSpjf"))


def is_dated(template: str) -> bool:
    """Whether a chat template writes a date.

    Args:
        template: its Jinja source.
    """
    return "strftime_now" in template or "date_string" in template


def with_fixed_day(template: str, day: datetime = DAY) -> str:
    """The template with ``strftime_now`` fixed to a day; unchanged where it does not call it.

    The line break behind the macro is taken away by Jinja (``trim_blocks``), so the text is what it was.

    Args:
        template: its Jinja source.
        day: the day to write.
    """
    if "strftime_now" not in template:
        return template
    filters = "".join(f" | replace({code!r}, {_written(day, code)!r})" for code in sorted(_CODES, key=len)[::-1])
    return "{% macro strftime_now(wanted) %}{{ wanted" + filters + " }}{% endmacro %}\n" + template


def date_string(day: datetime = DAY) -> str:
    """The day as templates with a variable ``date_string`` expect it, e.g. 26 Jul 2024.

    Args:
        day: the day to write.
    """
    return day.strftime("%d %b %Y")


def _written(day: datetime, code: str) -> str:
    return day.strftime(code.replace("-", "")).lstrip("0") if "-" in code else day.strftime(code)
