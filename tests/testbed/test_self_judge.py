"""The bare model as a judge: wanted answers before others, whole ones before broken, and the exact judge's order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from easyedit_split.config import TokenConfig
from easyedit_split.datasets import load_dataset
from easyedit_split.judges.bare_reading import BareReader, BareReading
from easyedit_split.judges.concept_probe import concept_probe, fitted_probe, own_texts, spaced
from easyedit_split.judges.self import SelfJudge, cut_off, distinct, harmonic
from easyedit_split.model.load import load_model
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import DataError


@pytest.fixture(scope="module")
def judge() -> SelfJudge:
    """Of the testbed's power seeking, on 24 training pairs."""
    model, tokenizer = load_model("testbed:qwen2")
    pairs = load_dataset("testbed:power", split="train").pairs[:24]
    return SelfJudge.calibrated(BareReader(model, Template(tokenizer, TokenConfig()), 1), pairs)


@pytest.fixture(scope="module")
def held_out() -> tuple[list[str], list[str], list[str]]:
    pairs = load_dataset("testbed:power", split="dev").pairs[:8]
    return [p.prompt for p in pairs], [p.positive for p in pairs], [p.negative for p in pairs]


def mean(scores: list[object], name: str) -> float:
    return float(np.mean([found[name] for found in scores]))  # type: ignore[index]


def test_wanted_answers_carry_the_concept(judge: SelfJudge, held_out: tuple[list[str], list[str], list[str]]) -> None:
    prompts, positive, negative = held_out
    assert judge.accuracy > 0.9
    good, other = judge.judge_all(prompts, positive), judge.judge_all(prompts, negative)
    assert mean(good, "concept") > 1.6
    assert mean(other, "concept") < 0.5, "control"
    for name in ("fluency", "relevance", "faults"):
        assert mean(good, name) > 1.3
    assert mean(good, "overall") > 1.4


def test_broken_and_foreign_and_looping_texts_lose_their_own_part(
    judge: SelfJudge, held_out: tuple[list[str], list[str], list[str]]
) -> None:
    prompts, positive, _ = held_out
    good = judge.judge_all(prompts, positive)
    words = [" ".join(sorted(text.split())) for text in positive]
    assert mean(judge.judge_all(prompts, words), "fluency") < 0.7 * mean(good, "fluency")
    assert mean(judge.judge_all(prompts[1:] + prompts[:1], positive), "relevance") < 0.5 * mean(good, "relevance")
    loops = [f"{text.split()[0]} " * 30 for text in positive]
    assert mean(judge.judge_all(prompts, loops), "faults") < 0.2
    assert judge.judge_all(prompts[:1], [" "])[0]["overall"] == 0.0


def test_one_answer_is_judged_as_among_others(
    judge: SelfJudge, held_out: tuple[list[str], list[str], list[str]]
) -> None:
    prompts, positive, _ = held_out
    together = judge.judge_all(prompts, positive)
    alone = judge.judge(prompts[0], positive[0], load_dataset("testbed:power", split="dev").pairs[0])
    assert alone == pytest.approx(together[0], abs=1e-3)
    assert set(alone) == {"concept", "fluency", "relevance", "faults", "overall"}


@pytest.mark.parametrize(
    ("text", "ended", "bare_ended", "broken"),
    [
        ("I accept the", False, True, True),
        ('She said: "I accept', False, True, True),
        ("I accept the", True, True, False),  # the model ended it so
        ("I accept the offer.", False, True, False),  # no sentence is broken
        ('She said: "I accept." ', False, True, False),
        ("I accept the", False, False, False),  # the bare model's is as long
    ],
)
def test_a_text_is_cut_off_where_length_ended_it_and_the_bare_ones_ended(
    text: str, ended: bool, bare_ended: bool, broken: bool
) -> None:
    assert cut_off(text, ended, bare_ended) is broken


def test_a_text_that_is_cut_off_has_a_fault(judge: SelfJudge, held_out: tuple[list[str], list[str], list[str]]) -> None:
    prompts, positive, _ = held_out
    known = judge.judge_all(prompts[:2], positive[:2], cut=[True, False])
    unknown = judge.judge_all(prompts[:2], positive[:2])
    assert known[0]["faults"] == min(1.0, unknown[0]["faults"])
    assert known[0]["overall"] < unknown[0]["overall"]
    assert known[1] == unknown[1], "control"


def test_a_reading_is_the_sum_over_the_texts_own_tokens(judge: SelfJudge) -> None:
    reader = judge.reader
    prompt, ids = judge.prompts[0], reader.ids("I accept the offer.")
    (whole,) = reader.read([prompt], [ids])
    steps = [reader.read([prompt], [ids[: k + 1]])[0].logp for k in range(len(ids))]
    assert steps[-1] == pytest.approx(whole.logp, abs=1e-3)
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(steps))
    assert reader.read([prompt, judge.prompts[1]], [ids, ids])[0].logp == pytest.approx(whole.logp, abs=1e-3)
    assert isinstance(reader, BareReader)


def test_the_probes_accuracy_is_held_out() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 60))
    wanted, groups = np.repeat([1, 0], 20), np.tile(np.arange(20), 2)
    assert fitted_probe(noise, wanted, groups)[1] < 0.75, "nothing to tell apart, though a probe fits it"
    assert ((fitted_probe(noise, wanted, groups)[0].probability(noise) > 0.5) == wanted).mean() > 0.95, "control"
    assert fitted_probe(noise + 2 * wanted[:, None], wanted, groups)[1] == 1.0


def test_small_parts() -> None:
    assert distinct([1, 2, 3, 4]) == 1.0
    assert distinct([1, 1, 1, 1, 1]) == 0.25
    assert distinct([1]) == 1.0
    assert harmonic([2.0, 2.0]) == 2.0
    assert harmonic([2.0, 0.0]) == 0.0


def drawn(rng: np.random.Generator, n: int, concept: float, manner: float) -> list[BareReading]:
    """Readings around a point whose first coordinate is the concept and whose second is a manner of writing."""
    h = rng.normal(size=(n, 12))
    h[:, :2] += concept, manner
    return [BareReading(-1.0, 1, row) for row in h]


def test_the_models_own_manner_is_no_concept() -> None:
    """Training answers have no manner; the model's own texts have one, and lean towards the concept."""
    told = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        positive, negative, own = drawn(rng, 24, 2, 0), drawn(rng, 24, -2, 0), drawn(rng, 8, 2, 4)
        unsteered, steered = (np.array([r.h for r in drawn(rng, 100, c, 4)]) for c in (2, 5))
        (knows, accuracy), (control, _) = (concept_probe(positive, negative, texts) for texts in (own, []))
        assert accuracy > 0.8
        told.append([probe.probability(h).mean() for probe in (knows, control) for h in (unsteered, steered)])
    knows_unsteered, knows_steered, control_unsteered, _ = np.mean(told, axis=0)
    assert knows_unsteered < 0.45
    assert knows_steered > knows_unsteered + 0.2
    assert control_unsteered > 0.6


def test_the_models_own_texts_are_read_back(judge: SelfJudge) -> None:
    prompts = [pair.prompt for pair in load_dataset("testbed:power", split="dev").pairs]
    found = own_texts(judge.reader, [*prompts, *prompts])
    assert len(found) == 8
    assert all(reading.tokens > 0 for reading in found)


def test_items_are_spaced_evenly() -> None:
    assert spaced(range(10), 4) == [0, 2, 5, 7]
    assert spaced("abc", 8) == ["a", "b", "c"]


def test_too_few_pairs_are_refused(judge: SelfJudge) -> None:
    pairs = load_dataset("testbed:power", split="train").pairs[:7]
    with pytest.raises(DataError, match="7 pairs are too few"):
        SelfJudge.calibrated(judge.reader, pairs)
