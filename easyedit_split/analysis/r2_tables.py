"""The paper's tables of R2: direct fits on train (Table 2), on test (Table 5), train-to-test transfer (Table 6).

Rows are form x objective for each model, columns preference and utility per dataset and their average. Several seeds
are averaged. A cell without a fit stays empty, and the average is over the datasets that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ..sweep_curves import KINDS, CurveKey, Kind
from ..types import DataError
from .escaping import latex_cell, markdown_row
from .fit.sweep_fit import SweepFit, transfer_r2

FORMS = {"local_weight": "Weight", "lora": "LoRA", "vector": "Vector"}
OBJECTIVES = {"diff_mean": "DiffMean", "sft": "SFT", "reps": "RePS", "split": "SPLIT", "split_across": "SPLIT across m"}
LABELS = ("Model", "Type", "Method")
DATASETS = {"psychopathy": "PSY", "powerseeking": "PWR", "axbench": "AXB"}


def r2_table(fits: Sequence[SweepFit], split: str) -> pd.DataFrame:
    """R2 of direct fits on one split (Tables 2 and 5).

    Args:
        fits: fitted sweeps.
        split: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: no fit belongs to the split.
    """
    chosen = [item for item in fits if item.curve.key.split == split]
    records = [
        (item.curve.key, kind, fit.r2)
        for item in chosen
        for kind in KINDS
        for fit in [item.fit(kind)]
        if fit is not None
    ]
    return _layout(records, f"no fitted curve has split {split!r}", fits)


def transfer_table(fits: Sequence[SweepFit], source: str = "train", target: str = "test") -> pd.DataFrame:
    """R2 of curves fitted on ``source`` and evaluated on ``target`` (Table 6).

    Args:
        fits: fitted sweeps of both splits.
        source: split of the fits.
        target: split that they are evaluated on.

    Raises:
        DataError: no curve has both splits.
    """
    targets = {_without_split(item.curve.key): item for item in fits if item.curve.key.split == target}
    records: list[tuple[CurveKey, Kind, float]] = []
    for item in fits:
        other = targets.get(_without_split(item.curve.key))
        if item.curve.key.split != source or other is None:
            continue
        for kind in KINDS:
            fit = item.fit(kind)
            if fit is not None and other.fit(kind) is not None:
                records.append((item.curve.key, kind, transfer_r2(fit, other.curve)))
    return _layout(records, f"no curve has both splits {source!r} and {target!r}", fits)


def _without_split(key: CurveKey) -> tuple[str, ...]:
    return (key.model, key.dataset, key.form, key.objective, key.site, key.placement, key.seed)


def _layout(records: list[tuple[CurveKey, Kind, float]], complaint: str, fits: Sequence[SweepFit]) -> pd.DataFrame:
    if not records:
        splits = sorted({item.curve.key.split for item in fits})
        raise DataError(f"{complaint}; the sweep has {', '.join(map(repr, splits)) or 'no curves'}.")
    keys = [key for key, _, _ in records]
    varying = [name for name in ("site", "placement") if len({getattr(key, name) for key in keys}) > 1]
    cells: dict[tuple[str, str, str], dict[tuple[Kind, str], list[float]]] = {}
    for key, kind, r2 in records:
        row = cells.setdefault((key.model, _type(key, varying), _named(OBJECTIVES, key.objective)), {})
        row.setdefault((kind, _named(DATASETS, key.dataset)), []).append(r2)
    datasets = sorted({name for row in cells.values() for _, name in row}, key=_rank(list(DATASETS.values())))
    order = sorted(cells, key=_row_rank(list(dict.fromkeys(key.model for key in keys))))
    return pd.DataFrame([dict(zip(LABELS, row, strict=True)) | _means(cells[row], datasets) for row in order])


def _means(row: dict[tuple[Kind, str], list[float]], datasets: list[str]) -> dict[str, float]:
    """R2 of one row: mean over seeds per dataset, NaN where there is no fit, then the average over datasets."""
    out: dict[str, float] = {}
    for kind in KINDS:
        means = {name: float(np.mean(row[kind, name])) for name in datasets if (kind, name) in row}
        out |= {f"{kind.title()} {name}": means.get(name, float("nan")) for name in datasets}
        out[f"{kind.title()} Avg"] = float(np.mean(list(means.values()))) if means else float("nan")
    return out


def _type(key: CurveKey, varying: list[str]) -> str:
    extra = [getattr(key, name) for name in varying]
    return _named(FORMS, key.form) + (f" ({', '.join(extra)})" if extra else "")


def _named(names: dict[str, str], name: str) -> str:
    return names.get(name, name or "-")


def _rank(order: list[str]) -> Callable[[str], tuple[int, str]]:
    return lambda name: (order.index(name) if name in order else len(order), name)


def _row_rank(models: list[str]) -> Callable[[tuple[str, str, str]], tuple[object, ...]]:
    form, objective = _rank(list(FORMS.values())), _rank(list(OBJECTIVES.values()))
    return lambda row: (models.index(row[0]), form(row[1].split(" (")[0]), row[1], objective(row[2]))


def to_markdown(table: pd.DataFrame, decimals: int = 2) -> str:
    """Format a table of this module as Markdown.

    Args:
        table: a table of this module.
        decimals: of every number.
    """
    numbers = table.columns[len(LABELS) :]
    lines = [markdown_row(map(str, table.columns)), "|" + "---|" * len(LABELS) + "---:|" * len(numbers)]
    for labels, values in _rows(table):
        lines.append(markdown_row([*labels, *(_cell(value, decimals) for value in values)]))
    return "\n".join(lines) + "\n"


def to_csv(table: pd.DataFrame) -> str:
    """Format a table of this module as CSV, with full precision.

    Args:
        table: a table of this module.
    """
    return table.to_csv(index=False)


def to_latex(table: pd.DataFrame, decimals: int = 2) -> str:
    """Format a table of this module as LaTeX in the paper's layout (needs booktabs).

    Args:
        table: a table of this module.
        decimals: of every number.
    """
    numbers = table.columns[len(LABELS) :]
    width = len(numbers) // 2
    kinds = " & ".join(rf"\multicolumn{{{width}}}{{c}}{{{kind.title()} $R^2 \uparrow$}}" for kind in KINDS)
    names = " & ".join(latex_cell(column.split(" ", 1)[1]) for column in numbers)
    lines = [rf"\begin{{tabular}}{{ll{'c' * (2 * width)}}}", r"\toprule", rf" & & {kinds} \\"]
    lines += [rf"\cmidrule(lr){{3-{2 + width}}} \cmidrule(lr){{{3 + width}-{2 + 2 * width}}}"]
    lines += [rf"Type & Method & {names} \\"]
    model, form = "", ""
    for k, ((row_model, row_form, method), values) in enumerate(_rows(table)):
        if k == 0 or row_model != model:
            title = rf"\multicolumn{{{2 + 2 * width}}}{{c}}{{\textit{{{latex_cell(row_model)}}}}} \\"
            lines += [r"\midrule", title, r"\midrule"]
            form = ""
        label = "" if row_form == form else latex_cell(row_form)
        model, form = row_model, row_form
        lines.append(rf"{label} & {latex_cell(method)} & {' & '.join(_cell(v, decimals) for v in values)} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _rows(table: pd.DataFrame) -> list[tuple[tuple[str, str, str], list[float]]]:
    """Labels and numbers of each row."""
    labels = table[list(LABELS)].astype(str).to_numpy().tolist()
    numbers = table.drop(columns=list(LABELS)).to_numpy(dtype=np.float64).tolist()
    return [((a, b, c), values) for (a, b, c), values in zip(labels, numbers, strict=True)]


def _cell(value: float, decimals: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"
