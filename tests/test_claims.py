"""Counts and extremes in the two claim tables of docs/paper.md follow from the kept studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.study_docs import ROOT, STUDIES, KeptStudy

PAGE = (ROOT / "docs" / "paper.md").read_text("utf-8")


@dataclass(frozen=True)
class Source:
    """One model of a kept study, and the section and column of the page that speak of it."""

    kept: KeptStudy
    model: str
    heading: str
    column: int

    def read(self, table: str) -> pd.DataFrame:
        """This model's rows of one of the study's tables."""
        frame = self.kept.read(table)
        return frame[frame["model"] == self.model]


Value = Callable[[Source], tuple[object, ...]]
Claim = tuple[str, str, Value]
"""How a row of the table begins, words of it in lower case, and the numbers in them."""


def share(count: int, of: int) -> str:
    """``26 of 30``, ``all 30``."""
    return f"all {of}" if count == of else f"{count} of {of}"


def fits(table: str, utility: float = 0.95) -> Value:
    """How many curves have R2 above 0.95 (utility: its own limit), then the lowest R2; preference and utility each."""

    def value(source: Source) -> tuple[object, ...]:
        frame = source.read(table)
        frame = frame[~frame["column"].str.endswith(" Avg")]
        found = [frame[frame["column"].str.startswith(kind)]["mean"] for kind in ("Preference", "Utility")]
        counts = [share(int((r2 > least).sum()), len(r2)) for r2, least in zip(found, (0.95, utility), strict=True)]
        return (*counts, *(r2.min() for r2 in found))

    return value


def verdicts(form: str, **only: str) -> Value:
    """How often the rivals of SPLIT are ahead and behind, and of how many comparisons."""

    def value(source: Source) -> tuple[object, ...]:
        rows = source.read("verdicts")
        for name, wanted in {"form": form, **only}.items():
            rows = rows[rows[name] == wanted]
        ahead, behind, undecided = (int(rows[name].sum()) for name in ("ahead", "behind", "undecided"))
        return ahead, behind, ahead + behind + undecided

    return value


def free(source: Source) -> tuple[object, ...]:
    """In how many cells some m > 0 costs no utility; the median and the largest r of that m over all cells."""
    cells = source.read("iso-utility").query("budget == 0")
    return share(int((cells["m"] > 0).sum()), len(cells)), cells["r"].median(), cells["r"].max()


def rises(source: Source) -> tuple[object, ...]:
    """In how many cells preference is greater at each greater cost of utility: none, a tenth, a quarter."""
    frame = source.read("iso-utility")
    frame = frame.assign(budget=frame.groupby("dataset")["budget"].rank("dense"))
    gains = frame.pivot_table(index=["dataset", "form", "method"], columns="budget", values="pref")
    return (share(int((gains.diff(axis=1).iloc[:, 1:] > 0).all(axis=1).sum()), len(gains)),)


def farther(source: Source) -> tuple[object, ...]:
    """How often SPLIT has paid the same utility at a greater r than RePS, DiffMean and SFT of the same form."""
    rows = source.read("iso-utility").query("budget > 0")
    both = rows.merge(rows[rows["method"] == "split"], on=["dataset", "budget", "form"], suffixes=("", "_split"))
    won = (both["r_split"] > both["r"]) & ~both["at_end"]
    counts = [won[both["method"] == name] for name in ("reps", "diff_mean", "sft")]
    return tuple(share(int(count.sum()), len(count)) for count in counts)


def scores(source: Source, strength: str) -> pd.DataFrame:
    """Judged scores by form and method (rows) and dataset (columns): overall or, of Yes and No, accuracy."""
    frame = source.read("table3")
    frame = frame[frame["column"].str.fullmatch(rf"\w+ (overall|accuracy), {strength}")]
    frame = frame.assign(dataset=frame["column"].str.partition(" ")[0])
    return frame.pivot_table(index=["form", "method"], columns="dataset", values="mean")


def better(source: Source) -> tuple[object, ...]:
    """How many scores of steered cells lie above the unsteered model's: at m = 1, the best m, the recommended."""
    tables = [scores(source, strength) for strength in ("m = 1", "best", "recommended")]
    pairs = [(table.drop(index="-", level="form"), table.loc[("-", "Vanilla")]) for table in tables]
    return tuple(share(int((steered > bare).sum().sum()), int(steered.count().sum())) for steered, bare in pairs)


def judged(dataset: str, *strengths: str) -> Value:
    """Scores of SPLIT's vector at these m; of the prompt, the unsteered model, the highest and lowest at the best m."""

    def value(source: Source) -> tuple[object, ...]:
        best = scores(source, "best")[dataset]
        steered, baselines = best.drop(index="-", level="form"), (best["-", "Prompt"], best["-", "Vanilla"])
        split = [scores(source, strength).loc[("Vector", "SPLIT"), dataset] for strength in strengths]
        return (*split, *baselines, steered.max(), steered.min())

    return value


SMOLLM2 = Source(STUDIES["smollm2"], "smollm2", "What holds on a real model", 1)
GEMMA2 = Source(STUDIES["testbed"], "testbed:gemma2", "What holds on the testbed", 1)
QWEN2 = replace(GEMMA2, model="testbed:qwen2", column=2)
CLAIMS: Mapping[Source, tuple[Claim, ...]] = {
    SMOLLM2: (
        ("3.3", "not* greatest at m = 0 in {0} cells", free),
        ("abstract", "preference rises both times in {0} cells", rises),
        ("4.2", "{0} curves on training pairs; the four below are all on psychopathy (lowest {2:.2f})", fits("table2")),
        ("4.3", "{1}, the lowest {3:.2f}", fits("table2", 0.97)),
        ("D.1", "{0} and {1}", fits("table5")),
        ("D.2: training", "utility yes, {3:.2f} to", fits("table6")),
        ("D.2: vectors", "preference's r2 is {2:.2f} to", fits("table6")),
        ("5.1", "than reps' in {0} comparisons, than diffmean's in {1}, than sft's in {2}", farther),
        ("5.2", "lora (ahead of its rivals in {1} of {2} comparisons, behind in {0})", verdicts("lora")),
        ("5.2", "a vector ({1} of {2}, behind in {0})", verdicts("vector")),
        ("5.2", "a local weight ({1} of {2}, behind in {0};", verdicts("local_weight")),
        ("5.2", "sft is ahead in {0} of {2})", verdicts("local_weight", method="sft")),
        ("Table 3 answers", "{0:.2f} on everyday there and {1:.2f} at", judged("everyday", "m = 1", "recommended")),
        ("Table 3: every", "m = 1 {0} do, at the best m {1}, at the recommended m {2} that", better),
        ("not in the", "{0:.2f} on everyday, against {1:.2f} unsteered and up to {2:.2f}", judged("everyday")),
    ),
    GEMMA2: (
        ("3.3", "{0} cells keep the bare model's utility at some m > 0, none beyond r = {2:.2f}", free),
        ("abstract", "preference rises both times in {0} cells", rises),
        ("4.2", "{0} curves on training pairs, the lowest {2:.2f}", fits("table2")),
        ("4.3", "{1}; mean", fits("table2", 0.97)),
        ("D.1", "{0} and {1}", fits("table5")),
        ("D.2", "the lowest {2:.2f} (persona, diffmean)", fits("table6")),
        ("5.1", "reps' in {0} comparisons, than diffmean's in {1}, than sft's in {2}", farther),
        ("5.2", "more in {0} of {2} comparisons and less in {1}", verdicts("vector", cost="utility")),
        ("5.2", "at equal kl more in {0} of {2}", verdicts("vector", cost="kl")),
        ("5.2", "(rivals ahead in {0} of {2}, behind in {1})", verdicts("lora")),
        ("5.2", "as a local weight not (ahead in {0} of {2}, behind in {1})", verdicts("local_weight")),
        ("Table 3 answers", "split's vector {0:.2f} and {1:.2f} on concepts", judged("concepts", "m = 1", "best")),
        ("Table 3: every", "at m = 1 {0} do, at the best m {1} (", better),
        ("not in the", "({3:.2f} to {2:.2f} against {0:.2f})", judged("power")),
    ),
    QWEN2: (
        ("3.3", "{0} cells keep the bare model's at some m > 0", free),
        ("3.3", "half of all to r = {1:.2f}, sft's lora on persona to r = {2:.1f}", free),
        ("abstract", "in {0};", rises),
        ("4.2", "{0}, the lowest {2:.2f}", fits("table2")),
        ("4.3", "{1}; the four below", fits("table2", 0.97)),
        ("4.3", "(lowest {3:.2f}); mean", fits("table2", 0.97)),
        ("D.1", "{0} and {1}", fits("table5")),
        ("D.2", "the lowest {3:.2f} (persona, lora x sft, utility)", fits("table6")),
        ("5.1", "reps' in {0}, diffmean's in {1}, sft's in {2}", farther),
        ("5.2", "at equal utility ({0} of {2} ahead, {1} behind)", verdicts("vector", cost="utility")),
        ("5.2", "at equal kl ({0} ahead, {1} behind)", verdicts("vector", cost="kl")),
        ("5.2", "as lora (ahead in {0} of {2}, behind in {1})", verdicts("lora")),
        ("5.2", "a local weight ({0} of {2}, {1})", verdicts("local_weight")),
        ("Table 3 answers", "split's vector {0:.2f} and {1:.2f} on concepts", judged("concepts", "m = 1", "best")),
        ("Table 3: every", "at m = 1 {0}, at the best m {1} (", better),
    ),
}
EACH = [(source, *claim) for source, claims in CLAIMS.items() for claim in claims]


def said(source: Source, begins: str) -> str:
    """What the page says of a model in the one row that begins so, in lower case."""
    section = PAGE.split(f"\n## {source.heading}\n")[1].split("\n## ")[0]
    (row,) = (line for line in section.splitlines() if line.startswith(f"| {begins}"))
    return row.split(" | ")[source.column].lower()


@pytest.mark.parametrize(("source", "begins", "words", "value"), EACH)
def test_a_claim_follows_from_the_kept_tables(source: Source, begins: str, words: str, value: Value) -> None:
    assert words.format(*value(source)) in said(source, begins)


def test_control_other_tables_give_other_claims_and_another_page_is_found(tmp_path: Path) -> None:
    for name in {source.kept.name for source in CLAIMS}:
        (tmp_path / name).mkdir()
        for table in STUDIES[name].tables:
            frame = STUDIES[name].read(table)
            numbers = frame.select_dtypes("number").columns.drop("budget", errors="ignore")
            frame.assign(**-frame[numbers]).to_csv(tmp_path / name / f"{table}.csv", index=False)
    for source, begins, words, value in EACH:
        other = replace(source, kept=replace(source.kept, root=tmp_path))
        assert words.format(*value(other)) not in said(source, begins), words
        raised = said(source, begins).translate(str.maketrans("0123456789", "1234567890"))
        assert words.format(*value(source)) not in raised, words
