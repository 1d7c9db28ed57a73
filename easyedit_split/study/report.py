"""Write a run of ``steer`` to a folder: artifact, tables, figure and a Markdown report.

| file              | what it holds                                                  |
|-------------------|----------------------------------------------------------------|
| ``artifact/``       | the best objective's intervention, at its m                    |
| ``report.md``       | texts before and after, m, layer, side effects, how to use it  |
| ``sweep.parquet``   | every objective's sweep of the test pairs                      |
| ``sweep-dev.parquet`` | the same of the dev pairs, which chose m, where there are some |
| ``curves.png``      | preference and utility over m                                  |
| ``layers.csv``      | the layer scan, where there was one                            |
| ``collateral.csv``  | side effects, where they were measured                         |
| ``judged.csv``      | texts by which m was chosen, and their scores, where judged    |
| ``texts.json``      | what the model says                                            |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..analysis import Collateral
from ..analysis.choose_m.evidence import Evidence
from ..analysis.figures.plots import Drawn, plot_sweep, save_figure
from ..model.describe import recorded_name
from ..scoring.collateral import collateral_means
from ..steering.steering import Steering
from ..storage import write_whole
from ..sweep_curves import mean_curve
from ..sweep_table import write_table
from ..training.layer_scan import best_layer
from .steer import SteerResult, Trained

FILES = (
    "report.md", "sweep.parquet", "sweep-dev.parquet", "curves.png", "layers.csv", "collateral.csv", "judged.csv",
    "texts.json",
)  # fmt: skip
ARTIFACT = "artifact"
LAST = "report.md"
"""Of all files, the one that is written last."""
_POINTS = 11  # of a sweep that the page shows


def write_result(result: SteerResult, folder: Path, *, overwrite: bool = False) -> None:
    """Write all results of a run to a folder.

    Args:
        result: of ``steer``.
        folder: made where it is not there; see the module's table.
        overwrite: replace what an earlier run wrote there.

    Raises:
        ArtifactError, StorageError: something else is in the way, or the file system refuses.
    """
    best = result.best
    evidence: dict[str, Any] = {
        "reason": best.choice.reason,
        "gain": _number(best.choice.gain),
        "paid": _number(best.choice.paid),
    }
    if best.test is not None:
        evidence["test"] = {"pairs": best.test.pairs, "gain": best.test.preference.mean, "helped": best.test.helped}
    steering = Steering(best.artifact)
    if best.choice.m is not None:  # an m that nobody recommended is not kept
        steering = steering.at(best.m, evidence=evidence)
    steering.save_pretrained(folder / ARTIFACT, overwrite=overwrite)
    write_table(pd.concat([item.table for item in result.trained], ignore_index=True), folder / "sweep.parquet")
    dev = [item.dev_table for item in result.trained if item.dev_table is not None]
    if dev:
        write_table(pd.concat(dev, ignore_index=True), folder / "sweep-dev.parquet")
    if best.judged is not None:
        write_table(best.judged, folder / "judged.csv")
    if result.scan is not None:
        write_table(result.scan, folder / "layers.csv")
    if result.side_effects is not None:
        write_table(result.side_effects, folder / "collateral.csv")
    write_table(result.texts, folder / "texts.json")
    effects = None if result.side_effects is None else Collateral.of(result.side_effects)
    drawn = [
        Drawn(item.fit, None, item.choice, collateral=effects if item is best else None) for item in result.trained
    ]
    figure = plot_sweep(drawn, title=_title(result), texts=result.texts, scale="auto")
    page = report(result, folder)

    def draw(path: Path) -> None:
        save_figure(figure, path)

    def write(path: Path) -> None:
        path.write_text(page, "utf-8")

    write_whole(folder / "curves.png", draw)
    write_whole(folder / LAST, write)


def usage(result: SteerResult, folder: Path) -> tuple[str, str]:
    """Python code and a shell command that use a run's artifact.

    Args:
        result: of ``steer``.
        folder: where it was written.
    """
    place, named = folder / ARTIFACT, result.best.choice.m is None  # the artifact keeps an m that was recommended
    at, option = (f".at({result.best.m:.3g})", f" --m {result.best.m:.3g}") if named else ("", "")
    python = (
        "import easyedit_split as es\n"
        f'model, tokenizer = es.load_model("{result.model}")\n'
        f'with es.Steering.from_pretrained("{place}"){at}(model): ...  # model.generate(...) is steered in here'
    )
    return python, f"easyedit-split chat --model {result.model} --intervention {place}{option}"


def report(result: SteerResult, folder: Path) -> str:
    """The report of a run as Markdown; it may be passed on, so it names files and not the folders that they stand in.

    Args:
        result: of ``steer``.
        folder: where the artifact lies, for the lines that use it.
    """
    result = replace(result, model=recorded_name(result.model))
    best, python_and_command = result.best, usage(result, Path(folder.name) if folder.is_absolute() else folder)
    parts = [
        f"# {_title(result)}",
        f"{best.run.form} x {best.run.objective} at layer {', '.join(map(str, best.run.layers))}, trained on "
        f"{len(result.data.training)} pairs and scored on {len(result.data.test)} others. {verdict(best)}",
        "```python\n{}\n```\n\n```console\n{}\n```".format(*python_and_command),
        "## Sample answers",
        "\n\n".join(_answers(result.texts, best)),
        "## Choice of m",
        _sweep(best),
        f"{result.decay[0].upper()}{result.decay[1:]}.",
        "![preference and utility over m](curves.png)",
    ]
    if len(result.trained) > 1:
        parts += ["## Comparison of objectives", _objectives(result)]
    if result.scan is not None:
        parts += ["## Layer scan", _layers(result.scan)]
    if result.side_effects is not None:
        parts += ["## Side effects", _side_effects(result.side_effects, best)]
    return "\n\n".join(parts) + "\n"


def _title(result: SteerResult) -> str:
    return f"{recorded_name(result.model)}, steered by {result.data.training.name}"


def verdict(best: Trained) -> str:
    """What is recommended and what it gains, or why nothing is.

    Args:
        best: the objective that the page is of.
    """
    choice = best.choice
    if choice.m is None:
        return f"No m can be recommended ({choice.reason}); r = {best.m * best.r_per_m:.2g} is shown."
    m = f"m = {choice.m:.3g} (r = {choice.m * best.r_per_m:.2g})"
    if best.test is not None:
        return f"Recommended on dev pairs: {m}. On the test pairs: {gains(best.test)}."
    helped = "" if choice.helped is None else ", {} of {} pairs".format(*choice.helped)
    return (
        f"Recommended: {m}: preference {choice.gain:+.2f} nats{helped}, utility {-choice.paid:+.2f} nats "
        "(measured on the pairs that m was chosen on, so a little optimistic)."
    )


def gains(found: Evidence) -> str:
    """What an m gains on pairs, in words.

    Args:
        found: measured on them.
    """
    return (
        f"preference {found.preference.mean:+.2f} nats, in {found.helped} of {found.pairs} pairs, utility "
        f"{found.utility.mean:+.2f} nats"
    )


def strength_names(best: Trained) -> dict[float, str]:
    """Label of each m at which texts were generated.

    Args:
        best: whose m they are.
    """
    from .steer import TOO_STRONG

    names = {0.0: "unsteered", best.m: "steered", TOO_STRONG * best.m: "too strongly", -best.m: "the other way"}
    return {m: name if m == 0 else f"{name}, m = {m:.3g}" for m, name in names.items()}


def _answers(texts: pd.DataFrame, best: Trained) -> Iterable[str]:
    names = strength_names(best)
    for prompt, rows in texts.groupby("prompt", sort=False):
        written = zip(rows["m1"], rows["text"], strict=True)
        lines = [f"- *{names[float(m)]}*: {one_line(str(text))}" for m, text in written]
        yield "\n".join([f"**{prompt}**", "", *lines])


def one_line(text: str) -> str:
    """An answer on one line, with line breaks as slashes.

    Args:
        text: any text.
    """
    return " / ".join(line for line in text.splitlines() if line.strip())


def _sweep(best: Trained) -> str:
    curve = mean_curve(best.table)
    chosen = np.unique(np.linspace(0, len(curve) - 1, min(_POINTS, len(curve))).round().astype(int))
    zero = int(np.abs(curve["m1"].to_numpy()).argmin())
    rows = curve.iloc[sorted({*chosen.tolist(), zero})]
    values = zip(rows["m1"], rows["pref"], rows["util"], strict=True)
    cells = [(f"{m:.3g}", f"{m * best.r_per_m:.2g}", f"{pref:+.2f}", f"{util:+.2f}") for m, pref, util in values]
    return markdown(("m", "r", "preference (nats)", "utility (nats)"), cells)


def _objectives(result: SteerResult) -> str:
    rows = []
    for item in result.trained:
        found = ("none", "", "", "")
        if item.choice.m is not None:
            found = (
                f"{item.choice.m:.3g}",
                f"{item.choice.m * item.r_per_m:.2g}",
                f"{item.choice.gain:+.2f}",
                f"{-item.choice.paid:+.2f}",
            )
        rows.append((item.run.objective, *found, f"{item.wanted:.2f}"))
    names = ("objective", "m", "r", "preference gained", "utility gained", "wanted answers (nats)")
    return markdown(names, rows)


def _layers(scan: pd.DataFrame) -> str:
    best = best_layer(scan)
    values = zip(scan["layer"], scan["r"], scan["gained"], scan["wanted"], strict=True)
    rows = [
        (f"**{layer}**" if layer == best else f"{layer}", f"{r:g}", f"{gained:+.2f}", f"{wanted:+.2f}")
        for layer, r, gained, wanted in values
    ]
    return markdown(("layer", "r", "preference gained (nats)", "wanted answers (nats)"), rows)


def _side_effects(table: pd.DataFrame, best: Trained) -> str:
    means = collateral_means(table)
    rows = [
        (f"{m:.3g}", f"{m * best.r_per_m:.2g}", f"{kl:.3f}", f"{changed:.0%}")
        for m, kl, changed in zip(means["m1"], means["kl"], means["changed"], strict=True)
    ]
    count = int(means["prompts"].max())
    intro = f"On {count} neutral prompts, compared with the unsteered model's own answers:"
    return intro + "\n\n" + markdown(("m", "r", "KL (nats per token)", "answers changed"), rows)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        columns: its head.
        rows: cells, as many as there are columns.
    """
    lines = [f"| {' | '.join(columns)} |", "|" + "-|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
