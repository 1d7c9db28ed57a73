"""Items ``generate`` and ``texts``: test prompts answered at the chosen m, and a few of them at every swept m.

Results are in EasyEdit2's layout, ``generated/NAME_results.json``; where two chosen m are one, it is answered once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...datasets.base import PairTable
from ...files.journal import Journal
from ...steering.artifact import Artifact
from ...steering.generate import Generated, generate_texts
from ...sweep_table import read_sweep
from ...types import Pair
from .bench import Bench, write_json
from .layout import BASELINE
from .plan import PROMPT, Run
from .readers import read_chosen
from .records import ResultRow, TextRow, plain_rows
from .sweeping import instructed


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a pair's prompt, with the unsteered one.

    Attributes:
        pair: whose prompt is answered.
        row: its number in its file.
        m: strength.
        text: the answer.
        ended: the model ended it, not the longest length allowed.
        bare: the unsteered answer.
    """

    pair: Pair
    row: int
    m: float
    text: str
    ended: bool
    bare: Generated


def answers_at(
    bench: Bench, artifact: Artifact, table: PairTable, m: Sequence[float], journal: Journal | None = None
) -> list[Answer]:
    """Answer the prompts of pairs at several m, by m, then in the table's order.

    Args:
        bench: of the artifact's model and dataset.
        artifact: what steers.
        table: whose prompts are answered.
        m: strengths, each once; at 0 the unsteered answers are taken.
        journal: keeps what is finished, of an artifact with one concept.
    """
    bare = bench.bare([pair.prompt for pair in table])
    found: dict[tuple[float, int], Answer] = {}
    for concept in table.concepts():
        places = [place for place, pair in enumerate(table) if pair.concept == concept]
        prompts, steered = [table[place].prompt for place in places], [value for value in m if value != 0]
        keeps = journal if len(table.concepts()) == 1 else None
        written = (
            generate_texts(
                bench.model, bench.template, prompts, artifact[concept], steered, config=bench.config, journal=keeps
            )
            if steered
            else []
        )
        if 0 in m:
            written = [*written, *(replace(bare[place], index=k, m=0.0) for k, place in enumerate(places))]
        for text in written:
            place = places[text.index]
            strength = float(text.m)  # type: ignore[arg-type]
            found[strength, place] = Answer(
                table[place], table.rows[place], strength, text.text, text.ended, bare[place]
            )
    return [found[value, place] for value in m for place in range(len(table))]


def generate_run(bench: Bench, run: Run) -> None:
    """Answer the test prompts at each chosen m, and write a file of each.

    Args:
        bench: of the run's model and dataset.
        run: whose artifact and chosen m.
    """
    chosen = {choice.name: choice.m for choice in read_chosen(run.paths) if choice.m is not None}
    points = list(dict.fromkeys(chosen.values()))
    artifact = Artifact.from_pretrained(run.paths.artifact)
    last = run.paths.generated([*chosen][-1])
    journal = bench.journal(last, run, artifact=artifact.identity(), m=points)
    answers = answers_at(bench, artifact, bench.pairs.answered, points, journal)
    for name, m in chosen.items():
        write_results(run, name, [answer for answer in answers if answer.m == m])
    journal.finish()


def generate_baseline(bench: Bench, run: Run) -> None:
    """Answer the test prompts without steering, with the instruction in front for the ``prompt`` baseline.

    Args:
        bench: of the run's model and dataset.
        run: a baseline.
    """
    table = bench.pairs.answered
    bare = bench.bare([pair.prompt for pair in table])
    asked = instructed(bench, table) if run.cell.objective == PROMPT else table
    said = bench.bare([pair.prompt for pair in asked])
    answers = [
        Answer(pair, row, 0.0, own.text, own.ended, plain)
        for pair, row, own, plain in zip(table, table.rows, said, bare, strict=True)
    ]
    write_results(run, BASELINE, answers)


def write_results(run: Run, strength: str, answers: Sequence[Answer]) -> None:
    """Write answers in EasyEdit2's layout.

    Args:
        run: whose they are.
        strength: name of the chosen m, or ``baseline``.
        answers: at that m.
    """
    rows = [
        ResultRow(
            input=str(answer.pair.prompt),
            orig_pred=(answer.bare.text,),
            pred=(answer.text,),
            reference_response=answer.pair.positive,
            complete_output=(f"{answer.pair.prompt} {answer.text}",),
            pair=answer.row,
            concept=answer.pair.concept or "",
            m=answer.m,
            ended=answer.ended,
            orig_ended=answer.bare.ended,
        )
        for answer in answers
    ]
    write_json(run.paths.generated(strength), plain_rows(rows))


def texts_over_m(bench: Bench, run: Run) -> None:
    """Answer a few test prompts at every m of the test sweep, and write them by prompt, then by m.

    Args:
        bench: of the run's model and dataset.
        run: whose artifact and test sweep.
    """
    artifact = Artifact.from_pretrained(run.paths.artifact)
    points = sorted(float(value) for value in read_sweep(run.paths.sweep("test"))["m1"].unique())
    table = bench.pairs.shown
    answers = answers_at(bench, artifact, table, points)
    per_m = artifact.unit.r_per_m if artifact.unit else None
    ordered = [answers[k * len(table) + place] for place in range(len(table)) for k in range(len(points))]
    write_json(run.paths.texts, plain_rows(list(_text_rows(ordered, per_m))))


def _text_rows(answers: Sequence[Answer], per_m: float | None) -> Iterator[TextRow]:
    for answer in answers:
        r = None if per_m is None else per_m * answer.m
        yield TextRow(answer.m, r, answer.pair.concept or "", str(answer.pair.prompt), answer.text)
