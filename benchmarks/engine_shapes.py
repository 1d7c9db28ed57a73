"""Efficiency eta_alg at the shapes of Gemma-2-9B and Qwen2.5-7B: minimal over counted FLOPs, on the meta device.

Counting needs no weights and no GPU. The pair shares nothing but its prompt and the change reaches every token, so that
1 is the most there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from engine_cases import BILLIONS, ModelShape, random_model, random_pairs

from easyedit_split.model.hooks import frozen
from easyedit_split.scoring.engine.bound import Shape, counted
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.packing import Member
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows
from easyedit_split.steering.intervention import Intervention

LENGTHS = ((60, 150), (52, 2), (79, 23))
CASES = [("vector", *lengths) for lengths in LENGTHS] + [("lora", *LENGTHS[0]), ("local_weight", *LENGTHS[0])]


def shape_rows() -> Iterator[Callable[[], dict[str, Any]]]:
    """One row for each model, form and text length."""
    for shape in BILLIONS:
        model = random_model(shape, "meta", torch.bfloat16)
        for case in CASES:
            yield lambda model=model, shape=shape, case=case: shape_row(model, shape, *case)  # type: ignore[misc]


def shape_row(model: Any, shape: ModelShape, form: str, prompt: int, answer: int) -> dict[str, Any]:
    """Efficiency eta_alg of a sweep point and of a training step.

    Args:
        model: on the meta device.
        shape: its name and layer.
        form: of the intervention.
        prompt: P, tokens.
        answer: A, tokens.
    """
    intervention = Intervention.create(model, form, [shape.layer], placement="block_output", skip_prefix=False)
    rows = answer_rows(random_pairs(1000, prompt, answer, 0, 1))
    with frozen(model):
        engine = Engine(model)
        prepared = engine.prepare(read_texts(rows), intervention.config)
        (launch,) = engine.launches(prepared, [[Member(0), Member(1)]], [((1.0, 1.0),)])

        def point() -> None:
            with torch.no_grad():
                engine.losses(prepared, launch, intervention)

        def step() -> None:
            engine.losses(prepared, launch, intervention).sum().backward()  # type: ignore[no-untyped-call]

        done = counted(point), counted(step)
    least = Shape.of(model)
    return {
        "part": "shape",
        "case": f"{shape.name} P{prompt} A{answer}",
        "form": form,
        "sweep_eta": least.sweep_point(shape.layer, prompt, answer) / done[0],
        "step_eta": least.training_step(shape.layer, prompt, answer) / done[1],
    }
