"""``easyedit-split recommend``: choose m from everything that was measured, with a confidence interval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from ...analysis import (
    AIMS,
    MOST_KL,
    Aim,
    Budget,
    Collateral,
    Direction,
    FitError,
    JudgedTexts,
    Recommendation,
    Spread,
    SweepFit,
    default_aim,
    fit_sweep,
    read_concept_curves,
    read_curves,
    spread_of,
)
from ...analysis import recommend as choose
from ...analysis.choose_m.result import nothing
from ...types import ConfigError, DataError
from ..advice import aims_of, print_aims, print_recommendations
from ..console import bar, say
from ..each_concept import EachConceptMOption, keep_each_m
from ..labels import short_label
from ..output_paths import hold

EPILOG = """Example: easyedit-split recommend power.parquet

Example: easyedit-split recommend power-dev.parquet --save power-vector

Example: easyedit-split recommend power.parquet --collateral power-kl.parquet --max-kl 0.1

Example: easyedit-split recommend power.parquet --budget 10%"""

AIM_HELP = (
    "What m maximises. capped: probability of the wanted answers, rise of utility not counted (default); answer: the "
    "same with it; kl: capped, within --max-kl (default with --collateral); text: the judge's score (default with "
    "--texts); preference: fitted preference, within --budget."
)


def command(  # noqa: DOC101, DOC103
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    budget: Annotated[
        str | None,
        typer.Option(help="Greatest preference at a loss of utility within this: 10% of its swept range, or 2.5nats."),
    ] = None,
    aim: Annotated[str | None, typer.Option(help=AIM_HELP)] = None,
    collateral: Annotated[Path | None, typer.Option(help="Side effects over m: a table with m1, kl, tokens.")] = None,
    kl: Annotated[
        float,
        typer.Option("--max-kl", "--kl", help="Largest KL divergence allowed on neutral prompts, nats per token."),
    ] = MOST_KL,
    texts: Annotated[Path | None, typer.Option(help="Judged texts over m: a table with m1, prompt, overall.")] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Artifact in which to store m, for `apply` and `inspect`.")
    ] = None,
    direction: Annotated[str, typer.Option(help="Direction of steering: raise or lower the preference.")] = "raise",
    level: Annotated[float, typer.Option(help="Coverage of the confidence intervals.")] = 0.95,
    each_concept: EachConceptMOption = False,
) -> None:
    """Recommend an m with confidence interval, gain, cost and the choices of other aims; or say why there is none."""
    allowed = None if budget is None else Budget.parse(budget)
    if direction not in ("raise", "lower"):
        raise ConfigError(f"--direction {direction}: allowed are raise and lower")
    if aim is not None and aim not in AIMS:
        raise ConfigError(f"--aim {aim}: allowed are {', '.join(AIMS)}")
    if not 0 < level < 1:
        raise ConfigError(f"--level {level:g}: it must lie between 0 and 1, e.g. 0.95")
    effects = None if collateral is None else Collateral.read(collateral, kl)
    judged = None if texts is None else _judged(texts)
    goal = aim if aim is not None else default_aim(allowed, effects, judged)
    way = cast(Direction, direction)
    fits = fit_sweep(read_concept_curves(sweeps) if each_concept else read_curves(sweeps), keep_going=True)
    if len(fits) > 1 and ((save and not each_concept) or effects or judged):
        raise ConfigError(f"--save, --collateral and --texts are of one intervention; the sweeps hold {len(fits)}")
    if save is not None and not each_concept:
        from ..keep_m import keep_m, to_keep_m  # reads an artifact, so torch

        hold(save, "--save")
        artifact = to_keep_m(save, fits[0].curve)
    found, refused = recommend_all(fits, goal, allowed, way, level, effects, judged)
    if len(refused) == len(fits) == 1:
        raise refused[0]
    print_recommendations(found, None if goal in ("preference", "text") else way)
    told = {id(fit): {goal: choice} for fit, choice in found}  # what was recommended stands in the table as it was
    options = [
        aims_of(fit, direction=way, level=level, collateral=effects, texts=judged, budget=allowed)
        | told.get(id(fit), {})
        for fit in fits
    ]
    print_aims(options, goal, effects, judged)
    if len(refused) == len(fits):
        raise ConfigError("no curve could be used; see the reasons above")
    if save is not None and each_concept:
        keep_each_m(save, found, goal)
    elif save is not None:
        keep_m(artifact, save, fits[0].curve, found[0][1], goal)
        say(f"m = {found[0][1].m:.4g} is stored in {save}; `apply` and `inspect` use it")
        say("gain and cost were measured on the rows that chose m: report them on other rows, e.g. --split test")


def _judged(path: Path) -> JudgedTexts:
    """Read judged texts, and say how many prompts are left out."""
    judged = JudgedTexts.read(path)
    if judged.left_out:
        say(
            f"{judged.left_out} prompts have no score at some m and are left out; {len(judged.overall)} count", "yellow"
        )
    return judged


def recommend_all(
    fits: list[SweepFit],
    aim: Aim,
    budget: Budget | None,
    direction: Direction,
    level: float,
    collateral: Collateral | None,
    texts: JudgedTexts | None,
) -> tuple[list[tuple[SweepFit, Recommendation]], list[FitError | DataError]]:
    """Recommendations for all sweeps, and the error messages of those without one.

    Args:
        fits: the sweeps and their curves.
        aim: what m is to reach.
        budget: loss of utility that may be paid; its default where None.
        direction: ``raise`` or ``lower`` the preference.
        level: coverage of the confidence intervals, in (0, 1).
        collateral: side effects; None where none were measured.
        texts: judged texts; None where there are none.
    """
    found: list[tuple[SweepFit, Recommendation]] = []
    refused: list[FitError | DataError] = []
    with bar("intervals") as advance:
        for done, fit in enumerate(fits, 1):
            try:
                choice = recommend_fit(
                    fit, aim=aim, budget=budget, direction=direction, level=level, collateral=collateral, texts=texts
                )
            except (DataError, FitError) as error:
                refused.append(error)
                choice = nothing(str(error))
            found.append((fit, choice))
            advance(done, len(fits))
    return found, refused


def recommend_fit(
    fit: SweepFit,
    *,
    aim: Aim = "capped",
    budget: Budget | None = None,
    direction: Direction = "raise",
    level: float = 0.95,
    spread: Spread | None = None,
    collateral: Collateral | None = None,
    texts: JudgedTexts | None = None,
) -> Recommendation:
    """Recommendation for one fitted sweep; a choice on fitted curves gets its confidence intervals from ``spread``.

    Args:
        fit: the sweep and its two curves.
        aim: what m is to reach, one of ``AIMS``.
        budget: loss of utility that may be paid; its default where None.
        direction: ``raise`` or ``lower`` the preference.
        level: coverage of the confidence intervals, in (0, 1).
        spread: how the curves vary; computed where None.
        collateral: side effects; None where none were measured.
        texts: judged texts; None where there are none.

    Raises:
        FitError: curves are needed and could not be fitted.
        DataError: utility is undefined for every pair, or curves are needed and a concept has a single pair.
    """
    if aim == "preference" or not fit.curve.preference.has_pairs:
        if fit.preference is None or fit.utility is None:
            raise FitError(" ".join(fit.problems) or f"{short_label(fit.curve)}: not fitted")
        spread = spread or spread_of(fit.curve, fit.preference, fit.utility, level=level)
    return choose(
        fit,
        aim=aim,
        budget=budget,
        direction=direction,
        level=level,
        spread=spread,
        collateral=collateral,
        texts=texts,
    )
