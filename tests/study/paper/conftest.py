"""A study that is made once for all tests that read it or make it again, and a Ray of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from easyedit_split.study.paper.study import run_study

from .on_ray import own_ray
from .tiny_study import ON_CPU, Made, Silent, tiny_plan


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A whole study, beside the model and pairs that it is of; its folder is not to be changed."""
    here = tmp_path_factory.mktemp("study")
    plan = tiny_plan(here)
    run_study(here / "out", plan, ON_CPU, Silent(), workers=1)
    return here / "out", plan


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Environment of a command that starts a Ray of its own."""
    with own_ray() as found:
        yield found
