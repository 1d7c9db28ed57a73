"""Side effects and generated texts of a sweep, each written to a table beside the sweep's own file.

power.parquet  ->  power.collateral.csv, power.texts.json, power.judged.csv
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..datasets.base import PairTable
from ..datasets.everyday import neutral_prompts
from ..judges.calibrations import Calibrations
from ..judges.judge_texts import judge_written
from ..scoring.collateral import collateral, collateral_means
from ..steering.artifact import Artifact
from ..steering.sweep_texts import sweep_texts
from ..sweep_table import write_table
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .console import bar, out, say_written
from .judging import JudgeOptions

COLLATERAL, TEXTS, JUDGED = ".collateral.csv", ".texts.json", ".judged.csv"


def beside(sweep: Path, ending: str) -> Path:
    """Path of an additional table beside a sweep's file.

    Args:
        sweep: the table's own file.
        ending: ``COLLATERAL`` or ``TEXTS``.
    """
    return sweep.with_name(sweep.stem + ending)


def measure_collateral(
    model: Any, tokenizer: Any, artifact: Artifact, m: Sequence[float], to: Path, count: int | None = None
) -> pd.DataFrame:
    """Measure side effects on the neutral prompts, print them and write them to a table.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        artifact: with a single concept.
        m: strengths.
        to: file to write.
        count: the first so many of the neutral prompts; all where None.

    Raises:
        ConfigError: the artifact has several concepts.
    """
    if len(artifact.concepts) > 1:
        raise ConfigError(f"--collateral measures one intervention, this artifact has {len(artifact.concepts)}")
    template = Template(tokenizer, artifact.tokens)
    with bar("side effects") as advance:
        table = collateral(model, template, neutral_prompts(count), artifact.only(), m, progress=advance)
    write_table(table, to)
    print_collateral(table, artifact)
    say_written("side effects", to)
    return table


def print_collateral(table: pd.DataFrame, artifact: Artifact, most: int = 9) -> None:
    """Print KL divergence per token and changed greedy answers, at up to ``most`` of the m.

    Args:
        table: as ``measure_collateral`` returns it.
        artifact: what was applied.
        most: rows at most.
    """
    means = collateral_means(table)
    prompts = int(means["prompts"].max())
    shown = Table("m", "r", "KL (nats per token)", "answers changed", title=f"on {prompts} neutral prompts", box=None)
    step = max(1, -(-len(means) // most))
    per_m = artifact.unit.r_per_m if artifact.unit else None
    for row in means.iloc[::step].itertuples():
        r = "" if per_m is None else f"{per_m * float(row.m1):.3g}"  # type: ignore[arg-type]
        shown.add_row(f"{row.m1:.4g}", r, f"{row.kl:.3f}", f"{row.changed:.0%}")
    out.print(shown)


def write_texts(
    model: Any, tokenizer: Any, artifact: Artifact, pairs: PairTable, m: Sequence[float], to: Path, count: int
) -> pd.DataFrame:
    """Generate answers at each m to the first ``count`` prompts (of each concept), print them and write them to a
    table.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        artifact: what is applied.
        pairs: whose prompts are answered.
        m: strengths.
        to: file to write.
        count: prompts of each concept.

    Raises:
        ConfigError: fewer than one prompt.
    """
    if count < 1:
        raise ConfigError(f"--texts {count}: it must be at least 1")
    template = Template(tokenizer, artifact.tokens)
    prompts: dict[str, list[str]] = {}
    for pair in pairs:
        group = prompts.setdefault(artifact.resolve(pair.concept), [])
        if len(group) < count and pair.prompt not in group:
            group.append(pair.prompt)
    with bar("writing texts") as advance:
        table = sweep_texts(model, template, artifact, prompts, sorted(m), progress=advance)
    write_table(table, to)
    print_texts(table)
    say_written("texts", to)
    return table


def judge_texts_of(
    table: pd.DataFrame,
    pairs: PairTable,
    artifact: Artifact,
    to: Path,
    judging: JudgeOptions,
    calibrations: Calibrations | None = None,
) -> pd.DataFrame:
    """Have texts judged, and write their scores to a table that ``recommend --texts`` reads.

    Args:
        table: as ``write_texts`` returns it.
        pairs: that they answer.
        artifact: what wrote them.
        to: file to write.
        judging: who judges.
        calibrations: of a judge that learns, for each concept.

    Raises:
        DataError: a pair that the judge does not know, or too few to learn from.
        ServiceError: a judge that asks a model elsewhere gets no answer.
    """
    places: dict[tuple[str, str], int] = {}
    for place, pair in enumerate(pairs):
        places.setdefault((artifact.resolve(pair.concept), str(pair.prompt)), place)
    numbers = [places[concept, prompt] for concept, prompt in zip(table["concept"], table["prompt"], strict=True)]
    answered = [pairs[number] for number in numbers]
    rows = pd.DataFrame(
        {
            "m1": table["m1"],
            "prompt": numbers,
            "question": table["prompt"],
            "concept": [pair.concept or "" for pair in answered],
            "text": table["text"],
            "cut_off": False,
        }
    )
    with bar("judging") as advance:
        judged, _ = judge_written(
            rows, answered, judge=judging.name, service=judging.service(), calibrations=calibrations, progress=advance
        )
    judged = judged.drop(columns="cut_off")  # these texts do not say whether the model ended them
    write_table(judged, to)
    say_written("scores of the texts", to)
    return judged


def print_texts(table: pd.DataFrame, most: int = 7) -> None:
    """Print each prompt with its answers at up to ``most`` of the m; line breaks are shown as slashes.

    Args:
        table: as ``write_texts`` returns it.
        most: values of m at most.
    """
    known = sorted(table["m1"].unique())
    step = max(1, -(-len(known) // most))
    chosen = {*known[::step], 0.0} & set(known)
    for (_, prompt), rows in table.groupby(["concept", "prompt"], sort=False):
        out.print(Text(str(prompt), "bold"), soft_wrap=True)
        for row in rows[rows["m1"].isin(chosen)].itertuples():
            label = "unsteered" if row.m1 == 0 else f"m = {row.m1:.3g}"
            text = " / ".join(line for line in str(row.text).splitlines() if line.strip())
            out.print(Text.assemble("  ", (f"{label:>12}", "cyan"), "  ", text), soft_wrap=True)
