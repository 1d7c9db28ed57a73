"""One row of the engine benchmark: a sweep point, a training step or DiffMean's means, by the engine and its
alternatives.

eta_alg = least FLOPs of the pairs, each alone / FLOPs counted            (bound.py; above 1 where pairs share text)
eta_hw  = FLOPs counted / (seconds x rate of a large matrix product)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from engine_cases import Case
from engine_turns import Cost, Piece, Work, shares_of_time, take_turns

from easyedit_split.model.hooks import frozen
from easyedit_split.model.sites import Site
from easyedit_split.scoring.answer_means import plain_answer_means
from easyedit_split.scoring.engine.answer_states import engine_answer_means
from easyedit_split.scoring.engine.bound import Shape
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.library import forget
from easyedit_split.scoring.engine.scorer import PairScorer
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows, score
from easyedit_split.steering.attach import plain_delta
from easyedit_split.training.answers import AnswerSource, EngineAnswers, Side, answers_for

Row = dict[str, Any]
PLAIN = EngineConfig(plain=True)


@dataclass(frozen=True)
class Timing:
    """Settings of the time measurement.

    Attributes:
        repeats: turns at most.
        seconds: wall seconds after which no new turn of a row begins.
        rate: FLOPs a second of a large matrix product; None where eta_hw is not wanted.
    """

    repeats: int
    seconds: float
    rate: float | None = None


def sweep_row(
    case: Case,
    form: str,
    points: int,
    timing: Timing,
    config: EngineConfig | None = None,
    others: Mapping[Work, int] | None = None,
) -> Row:
    """Measure seconds per pair and m of a sweep.

    Args:
        case: model and pairs.
        form: of the intervention.
        points: values of m that the engine gets at once; the plain scorer does one.
        timing: how long to measure.
        config: of the engine.
        others: who else takes turns, and on how many of the pairs.
    """
    forget(case.model)
    intervention, n = case.intervention(form), len(case.pairs)
    grid = [(0.1 * k, 0.1 * k) for k in range(1, points + 1)]
    made: list[PairScorer] = []

    def engine() -> Piece:
        scorer = PairScorer.ready(case.model, case.pairs, intervention, config)
        if scorer is None:
            raise RuntimeError(f"the engine refused {case.name}")
        made.append(scorer)
        return lambda: [*scorer.over(grid)]

    def plain() -> Piece:
        return lambda: score(case.model, case.pairs, intervention, grid[0])

    works = [Work("engine", engine), Work("plain", plain), *(others or {})]
    costs = take_turns(case.device, works, timing.repeats, timing.seconds)
    units = {"engine": n * points, "plain": n} | {work.name: pairs for work, pairs in (others or {}).items()}
    shape = Shape.of(case.model)
    least = sum(shape.sweep_point(case.layer, p, a) for p, a in _lengths(case)) / 2
    row = _row("sweep", case, form, costs, units, least / n, timing.rate)
    (scorer,) = made
    launches = scorer.engine.launches(scorer.prepared, scorer.units, [(point,) for point in grid])
    row["launch_tokens"] = max(launch.tokens for launch in launches)
    row["tokens"] = sum(launch.tokens for launch in launches) / n / points
    few = case.pairs[: min(n, 8)]
    (fast,) = scorer.over(grid[:1])
    slow, alone = (score(case.model, few, intervention, grid[0], max_rows=most) for most in (64, 1))
    row["difference_nats"] = _apart(fast, slow)
    row["spread_nats"] = _apart(alone, slow)
    row["time"] = shares_of_time(case.device, lambda: scorer.engine.run(scorer.prepared, launches[0], intervention))
    return row


def _apart(a: Any, b: Any) -> float:
    n = len(b.L_p)
    return float(max(abs(a.L_p[:n] - b.L_p).max(), abs(a.L_n[:n] - b.L_n).max()))


def step_row(
    case: Case, form: str, batch: int, timing: Timing, directions: int = 1, others: Sequence[Work] = ()
) -> Row:
    """Measure seconds per training step: losses of both answers of a batch, each pair at its own m, and gradients.

    Args:
        case: model and pairs.
        form: of the intervention.
        batch: pairs of a step.
        timing: how long to measure.
        directions: 1, or 2 for both signs of m.
        others: who else takes turns.
    """
    forget(case.model)
    intervention = case.intervention(form)

    def ready(config: EngineConfig) -> Piece:
        source = answers_for(case.model, case.pairs, intervention, 0, config)
        if config is not PLAIN and not isinstance(source, EngineAnswers):
            raise RuntimeError(f"the engine refused {case.name}")
        return step_of(source, batch, directions)

    works = [Work("engine", lambda: ready(EngineConfig())), Work("plain", lambda: ready(PLAIN)), *others]
    with frozen(case.model):
        costs = take_turns(case.device, works, timing.repeats, timing.seconds)
        source = answers_for(case.model, case.pairs, intervention, 0, EngineConfig())
        time = shares_of_time(case.device, step_of(source, batch, directions))
    shape = Shape.of(case.model)
    least = sum(shape.training_step(case.layer, p, a) for p, a in _lengths(case.first(batch))) / 2 * directions
    row = _row("step", case, form, costs, dict.fromkeys(costs, 1), least, timing.rate)
    return {**row, "batch": batch, "directions": directions, "time": time}


def step_of(source: AnswerSource, batch: int, directions: int) -> Piece:
    """Losses and gradients of one batch.

    Args:
        source: of the losses.
        batch: the first pairs.
        directions: 1, or 2 for both signs of m.
    """
    m = torch.linspace(0.5, 1.5, batch, dtype=torch.float64)
    sides = [Side(range(batch), ("positive", "negative"), sign * torch.stack([m, m]), plain_delta) for sign in (1, -1)]

    def step() -> None:
        for side in sides[:directions]:
            for part in source.parts(side, whole=False):
                part.L.sum().backward()  # type: ignore[no-untyped-call]

    return step


def means_row(case: Case, timing: Timing) -> Row:
    """Measure seconds per pair of what DiffMean needs: mean hidden states over the tokens of both answers.

    Args:
        case: model and pairs.
        timing: how long to measure.
    """
    rows, site, n = answer_rows(case.pairs), Site(case.layer, "residual"), len(case.pairs)

    def engine() -> None:
        forget(case.model)
        engine_answer_means(Engine(case.model), read_texts(rows), [site])

    def plain() -> None:
        plain_answer_means(case.model, 0, rows, [site])

    works = [Work("engine", lambda: engine), Work("plain", lambda: plain)]
    with frozen(case.model):
        costs = take_turns(case.device, works, timing.repeats, timing.seconds)
    return _row("means", case, "diff_mean", costs, {"engine": n, "plain": n}, None, timing.rate)


def _lengths(case: Case) -> list[tuple[int, int]]:
    """Prompt and answer length of every text; the lower bound is per pair, so each counts half."""
    return [(len(pair.prompt), len(answer)) for pair in case.pairs for answer in (pair.positive, pair.negative)]


def _row(
    part: str, case: Case, form: str, costs: dict[str, Cost | None], units: dict[str, int], least: float | None,
    rate: float | None,
) -> Row:  # fmt: skip
    """Columns that all rows have: cost per unit of work for each candidate, and their ratios."""
    row: Row = {"part": part, "case": case.name, "form": form, "pairs": len(case.pairs)}
    for name, cost in costs.items():
        if cost is None:
            row[f"{name}_s"] = None
            continue
        flops = cost.flops / units[name]
        row |= {f"{name}_s": cost.seconds / units[name], f"{name}_flops": flops, f"{name}_mb": cost.peak_mb}
        row[f"{name}_ready_s"] = cost.ready_s
        if least is not None:
            row[f"{name}_eta_alg"] = least / flops
        if rate is not None:
            row[f"{name}_eta_hw"] = cost.flops / cost.seconds / rate
    if costs["engine"]:
        row |= {f"{name}_x": row[f"{name}_s"] / row["engine_s"] for name, cost in costs.items() if cost}
    if costs["engine"] and costs["plain"]:
        row["work_x"] = row["plain_flops"] / row["engine_flops"]
    return row


def job_row(step: Row, point: Row, *, epochs: int = 18, points: int = 41, pairs: int = 64) -> Row:
    """Estimate seconds of a whole training and sweep from the measured step and sweep point, with one preparation.

    Args:
        step: a training step's row.
        point: a sweep's row.
        epochs: of training.
        points: values of m.
        pairs: that are trained on and, as many others, swept over.
    """
    row: Row = {"part": "job", "pairs": pairs} | {key: step[key] for key in ("case", "form", "batch", "directions")}
    steps = epochs * pairs / step["batch"]
    for who in ("engine", "plain", "easyedit", "easyedit_two"):
        if step.get(f"{who}_s") and point.get(f"{who}_s"):
            row[f"{who}_s"] = steps * step[f"{who}_s"] + points * pairs * point[f"{who}_s"]
    row["engine_s"] += step["engine_ready_s"] + point["engine_ready_s"] * pairs / point["pairs"]
    return row | {f"{key[:-2]}_x": row[key] / row["engine_s"] for key in list(row) if key.endswith("_s")}
