"""Pairs from prompts: which side is written under which prompt, what is left out by name, and the same after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.config import TokenConfig
from easyedit_split.datasets.one_answer import Asked
from easyedit_split.files.journal import Journal
from easyedit_split.steering.generate import GenerateConfig, Generated, generate_texts
from easyedit_split.study import missing_answers
from easyedit_split.study.missing_answers import Lacking, MadePairs, write_missing
from easyedit_split.text.conversation import Conversation
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import ConfigError, DataError

from ..small import world

SHORT = GenerateConfig(max_new_tokens=5)
TALK = Conversation([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And rain?"}])
ROWS = (
    Asked("How was lunch?", "Lovely lunch!", 0),
    Asked(TALK, "Lovely rain!", 3, "joy"),
    Asked("How was lunch?", "Great.", 4),
)


def made(rows: Sequence[Asked] = ROWS, lacking: Lacking | None = None, **settings: Any) -> MadePairs:
    here = world()
    told = {"source": "file.jsonl", "config": SHORT, **settings}
    return write_missing(here.model, here.tokenizer, rows, lacking or Lacking(), **told)


def says(prompt: str) -> str:
    """What the bare model itself says."""
    here = world()
    (found,) = generate_texts(here.model, Template(here.tokenizer, TokenConfig()), [prompt], config=SHORT)
    return found.text


def test_the_plain_answer_is_the_models_own() -> None:
    found = made()
    assert [pair.positive for pair in found.pairs] == ["Lovely lunch!", "Lovely rain!", "Great."]
    assert [pair.negative for pair in found.pairs] == [says("How was lunch?"), says(TALK), says("How was lunch?")]
    assert [pair.concept for pair in found.pairs] == [None, "joy", None]
    assert [pair.asked.row for pair in found.pairs] == [0, 3, 4]


def test_the_concepts_answer_is_written_under_its_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def listen(model: Any, template: Any, prompts: list[str], **settings: Any) -> Any:
        asked.append(list(prompts))
        return [Generated(k, prompt, 0.0, f"To: {prompt}") for k, prompt in enumerate(prompts)]

    monkeypatch.setattr(missing_answers, "generate_texts", listen)
    found = made(lacking=Lacking("none", "Cheer!", "cheer"))
    positive, negative = asked
    assert negative == ["How was lunch?", TALK], "a prompt that stands twice is answered once"
    assert positive == ["system: Cheer!\nuser: How was lunch?", "system: Be brief.\n    \n    Cheer!\nuser: And rain?"]
    assert [pair.positive for pair in found.pairs] == [f"To: {positive[k]}" for k in (0, 1, 0)]
    assert [pair.negative for pair in found.pairs] == [f"To: {negative[k]}" for k in (0, 1, 0)]
    assert {pair.concept for pair in found.pairs} == {"cheer"}
    asked.clear()
    made(lacking=Lacking("none", "Cheer!", in_prompt=True))
    assert asked[0] == ["Cheer! How was lunch?", "system: Be brief.\nuser: Cheer! And rain?"]
    asked.clear()
    made(ROWS[1:2], Lacking("negative", "Show {concept}."))
    assert asked == [["system: Be brief.\n    \n    Show joy.\nuser: And rain?"]]


def test_what_is_no_pair_is_left_out_by_name() -> None:
    rows = (Asked("How was lunch?", says("How was lunch?"), 7), *ROWS[:2])
    found = made(rows)
    assert found.left_out == ("file.jsonl, row 7: both answers are the same",)
    assert [pair.asked.row for pair in found.pairs] == [0, 3]
    with pytest.raises(DataError, match=r"none of 1 rows makes a pair; the first: file.jsonl, row 7"):
        made(rows[:1])


def test_a_cut_answer_is_named_and_left_out_where_wanted() -> None:
    every = made(config=GenerateConfig(max_new_tokens=1))
    assert {pair.cut for pair in every.pairs} == {("negative",)}
    with pytest.raises(DataError, match="the negative answer reached the longest length"):
        made(config=GenerateConfig(max_new_tokens=1), whole=True)


def test_a_killed_run_writes_the_same_pairs(tmp_path: Path) -> None:
    lacking, told = Lacking("none", "Cheer!"), {"config": GenerateConfig(5, 1, do_sample=True, seed=3)}
    whole = made(lacking=lacking, **told)
    assert whole == made(lacking=lacking, **told)
    assert whole != made(lacking=lacking, config=GenerateConfig(5, 1, do_sample=True, seed=4)), "control: it is drawn"

    class Stop(Exception):
        pass

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        made(lacking=lacking, journal=Journal(tmp_path / "j", {}), progress=stop, **told)
    journal = Journal(tmp_path / "j", {})
    assert len(journal.records) == 3
    assert made(lacking=lacking, journal=journal, **told) == whole


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(DataError, match="row 9: has no answer, and positive answers are taken from the file"):
        made((Asked("Hi?", None, 9),))
    with pytest.raises(DataError, match=r"row 9: prompt is \d+ tokens long"):
        made((Asked("word " * 3000, "Yes", 9),))
    with pytest.raises(DataError, match=r"row 0: has no concept, and the instruction names it"):
        made(lacking=Lacking("none", "Show {concept}."))
    with pytest.raises(DataError, match="holds no rows"):
        made(())
    for wrong in (("none", None), ("negative", " "), ("positive", "Cheer!")):
        with pytest.raises(ConfigError):
            Lacking(*wrong)  # type: ignore[arg-type]
