"""A user's text is printed as it is: no part of it is read as markup or an emoji's code, or wrapped."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from easyedit_split.cli.console import WholeConsole

from .shared import ROWS, Run, Sentence, apply_line, train_line, write_rows

MARKED = ("close the tag [/b]", "[red]hello", "x[/y]z", "data[test].csv", "say :smile: [link=x]now[/link]")


@pytest.mark.parametrize("name", ["x[/y].csv", "data[test].csv", "[red]a.csv"])
def test_a_file_is_named_as_it_was_written(sentence: Sentence, model: Path, tmp_path: Path, name: str) -> None:
    assert f"error: {name}: no such file" in sentence(*train_line(model, Path(name), tmp_path / "x"))


def test_so_are_a_model_and_a_place(run: Run, sentence: Sentence, model: Path, data: Path, tmp_path: Path) -> None:
    assert "no[/such] model" in sentence(*train_line(Path("no[/such] model"), data, tmp_path / "x"))
    to = tmp_path / "new" / "[b]"
    code, _, err = run(*train_line(model, data, to))
    assert code == 0, err
    assert f"written to {to}" in err
    assert (to / "steering_config.json").is_file()


def test_a_bad_rows_answer_stands_in_the_message(sentence: Sentence, run: Run, model: Path, tmp_path: Path) -> None:
    row = {"prompt": "Which?", "positive": " stop[/b]", "negative": "stop[/b]"}
    file = write_rows(tmp_path / "pairs.jsonl", [*ROWS, row])
    assert "' stop[/b]' and 'stop[/b]'" in sentence(*train_line(model, file, tmp_path / "x"))
    code, _, err = run(*train_line(model, file, tmp_path / "x", "--drop-bad"))
    assert code == 0
    assert "' stop[/b]' and 'stop[/b]'" in err


@pytest.mark.parametrize("prompt", MARKED)
def test_a_prompt_is_printed_as_it_is(run: Run, model: Path, artifact: Path, prompt: str) -> None:
    code, out, err = run(*apply_line(model, artifact, "--prompt", prompt))
    assert code == 0, err
    assert out.startswith(f"{prompt}\n")


def test_an_answer_is_printed_as_it_is(run: Run, model: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = " ".join(MARKED) + " and so on" * 30
    monkeypatch.setattr("easyedit_split.text.prompt_tokens.Template.decode", lambda self, ids: answer)
    prompt = "Tell me all that you know about it, please, " * 3
    code, out, err = run(*apply_line(model, artifact, "--prompt", prompt), width=40)
    assert code == 0, err
    assert out.splitlines() == [prompt, f"   unsteered  {answer}", f"       m = 1  {answer}"]


def test_settings_are_shown_as_they_are(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    code, out, err = run(*train_line(model, data, tmp_path / "x", "--show", "--set", "tokens.system='[/b] :smile:'"))
    assert code == 0, err
    assert "[/b] :smile:" in out


def test_what_could_not_be_fitted_is_named_as_it_is(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("m1,pref,util,model\n" + "".join(f"{m},1,1,a[/b]\n" for m in range(3)))
    code, out, err = run("fit", file)
    assert code == 2
    assert "a[/b]" in out + err
    code, _, err = run("plot", file, "--fit", "--out", tmp_path / "p[/q].png")
    assert code == 0, err
    assert f"written to {tmp_path / 'p[/q].png'}" in err


def test_a_text_does_not_steer_the_terminal_that_shows_it() -> None:
    hostile = "a\x1b]0;owned\x1b\\b\x9b2Jc\td\ne"
    for terminal, shown in ((True, "a\\x1b]0;owned\\x1b\\b\\x9b2Jc"), (False, hostile)):
        file = io.StringIO()
        console = WholeConsole(
            file=file, force_terminal=terminal, markup=False, emoji=False, highlight=False, width=200
        )
        console.print(hostile, soft_wrap=True)
        table = Table(box=None)
        table.add_row(Text(hostile, "bold"))
        console.print(table)
        assert file.getvalue().count(shown.split("\t")[0]) == 2
        assert ("\x1b]0" in file.getvalue()) is not terminal, "control: in a pipe it is what it was"
    assert "\x1b[1m" in _printed(Text("bold", "bold")), "control: the console's own colours stay"


def _printed(text: Text) -> str:
    file = io.StringIO()
    WholeConsole(file=file, force_terminal=True, color_system="standard").print(text)
    return file.getvalue()
