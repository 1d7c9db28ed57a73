"""fit, recommend and plot on tables: bad input is one sentence and code 2; one bad curve does not cost the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis.fit.curves import preference_curve, utility_curve

from ..analysis.planted import PREF, ROOT, UTIL
from .shared import Run, Sentence, hidden

M = np.linspace(-20.0, 20.0, 21)
COMMANDS = ("fit", "recommend", "plot")


def rows(m: np.ndarray = M, pairs: int = 0, seed: int = 0, **key: str) -> pd.DataFrame:
    """A bare curve, or one of several pairs, near the planted parameters."""
    rng = np.random.default_rng(seed)
    frames = []
    for pair in range(pairs or 1):
        values = {"m1": m, "pref": preference_curve(m, PREF), "util": utility_curve(m, UTIL)}
        frame = pd.DataFrame({**key, **values, **({"pair": str(pair)} if pairs else {})})
        frame[["pref", "util"]] += 0.2 * rng.normal(size=(len(m), 2))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def saved(table: pd.DataFrame, folder: Path, name: str = "s.csv") -> Path:
    table.to_csv(folder / name, index=False)
    return folder / name


def line(command: str, folder: Path, *files: Path, fit: bool = True) -> tuple[object, ...]:
    """The command on these files; `plot` fits unless told not to."""
    return (command, *files, *(("--out", folder / "p.png", *(["--fit"] if fit else [])) if command == "plot" else ()))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.assign(pref=table.pref.where(table.index != 3)), "s.csv: row 4: pref is nan"),
        (lambda table: table.drop(columns="pref"), "s.csv: column 'pref' is missing"),
        (lambda table: pd.concat([table, table[:1]]), "s.csv: curve: the curve appears more than once at m1 = -20"),
        (lambda table: table[:0], "s.csv: the table has no rows"),
    ],
)
def test_a_bad_table_is_named(sentence: Sentence, tmp_path: Path, command: str, change: object, words: str) -> None:
    assert callable(change)
    assert words in sentence(*line(command, tmp_path, saved(change(rows()), tmp_path), fit=False))
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_file_is_named(sentence: Sentence, tmp_path: Path, command: str) -> None:
    (tmp_path / "s.csv").write_text("")
    assert "s.csv: holds no rows: the file is empty" in sentence(*line(command, tmp_path, tmp_path / "s.csv"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows().assign(pref=1.0, util=2.0), "the preference is constant (1 nats at every m)"),
        (rows(M[::5]), "5 points cannot fit the 8 parameters of the preference curve"),
    ],
)
def test_what_cannot_be_fitted_is_said(run: Run, sentence: Sentence, tmp_path: Path, table: object, words: str) -> None:
    assert isinstance(table, pd.DataFrame)
    file = saved(table, tmp_path)
    assert words in sentence("recommend", file)
    code, _, err = run("fit", file)
    assert (code, words in err) == (2, True)
    code, _, err = run(*line("plot", tmp_path, file))  # its points are drawn
    assert (code, words in err) == (0, True)
    assert (tmp_path / "p.png").is_file()


def test_rows_may_come_in_any_order(run: Run, tmp_path: Path) -> None:
    table = rows()
    files = saved(table, tmp_path), saved(table.sample(frac=1, random_state=1), tmp_path, "other.csv")
    for command in ("fit", "recommend"):
        texts = [run(command, file)[1].replace(file.name, "") for file in files]
        assert "preference" in texts[0]
        assert texts[0] == texts[1]


def test_one_unusable_curve_does_not_cost_the_others(run: Run, tmp_path: Path) -> None:
    good, single = saved(rows(), tmp_path, "good.csv"), saved(rows(pairs=1), tmp_path, "single.csv")
    few = saved(rows(M[::5]), tmp_path, "few.csv")
    code, out, err = run("recommend", good, single, few)
    assert code == 0, err
    assert out.count("no usable m: ") == 2
    assert "1 pairs are too few for a paired test" in out
    assert "5 points cannot fit" in out
    assert run("recommend", good)[1].splitlines()[1].split() == out.splitlines()[1].split()
    code, _, err = run(*line("plot", tmp_path, good, single, few))
    assert code == 0, err
    assert "drawn without a band: " in err
    assert run("recommend", single)[0] == 0, "no usable m is an answer"
    code, out, err = run("recommend", few, few)
    assert code == 2
    assert "no curve could be used" in err


def test_a_curve_of_one_pair_is_drawn_with_its_fit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = watch(monkeypatch)
    for file in (saved(rows(pairs=1), tmp_path), saved(rows().assign(util=np.nan), tmp_path, "half.csv")):
        assert run(*line("plot", tmp_path, file), "--overwrite")[0] == 0
    single, half = drawn
    assert single.fit.preference is not None
    assert single.spread is None
    assert single.recommendation.m is None, "one pair is no evidence"
    assert half.fit.utility is None
    assert half.spread.preference is not None  # the kind that fits keeps its band


def watch(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What `plot` hands to the figure."""
    from easyedit_split.analysis.figures import plots

    seen: list[object] = []
    real = plots.plot_sweep

    def plot_sweep(drawn: list[object], **settings: object) -> object:
        seen.extend(drawn)
        return real(drawn, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(plots, "plot_sweep", plot_sweep)
    return seen


def test_what_intervals_rest_on_is_said(run: Run, tmp_path: Path) -> None:
    residual, refitted = "from residuals: the table has no pairs", "from a bootstrap over pairs"
    cases = (
        (rows(), "answer", residual, residual),
        (rows(pairs=6), "answer", "from the variance between pairs", refitted),
        (rows(pairs=6), "preference", refitted, refitted),
    )
    for table, aim, words, band in cases:
        file = saved(table, tmp_path)
        _, out, err = run("recommend", file, "--aim", aim)
        assert f"95 % confidence intervals {words}" in out
        assert out.count("intervals from") == 1
        assert ("of 6 pairs" in out) is ("pair" in table)
        assert "bootstrap" not in err  # the progress bar is of all
        if aim == "answer":
            said = run(*line("plot", tmp_path, file), "--overwrite")[2]
            assert f"bands {band}" in said
            assert f"intervals of m {words}" in said


def test_pairs_without_utility_are_counted(run: Run, tmp_path: Path) -> None:
    table = rows(pairs=4)
    table.loc[table["pair"].isin(["1", "2"]) & (table["m1"] == 20), "util"] = np.nan
    file = saved(table, tmp_path)
    words = "2 of 4 pair(s) are left out of utility"
    assert words in run("fit", file)[2]
    assert words in run("recommend", file)[1]
    assert words in run(*line("plot", tmp_path, file))[2]
    assert words not in run("recommend", saved(rows(pairs=4), tmp_path))[1]


def test_a_figures_suffix_is_refused_before_anything_is_read(sentence: Sentence, tmp_path: Path) -> None:
    err = sentence("plot", tmp_path / "none.csv", "--fit", "--out", tmp_path / "p.bmp")
    assert f"{tmp_path / 'p.bmp'}: cannot write .bmp; use .png, .svg, .pdf." in err
    assert "there is no such file" in sentence("plot", tmp_path / "none.csv", "--out", tmp_path / "p.png")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--direction", "up", "allowed are raise and lower"),
        ("--aim", "best", "allowed are capped, answer, preference, kl, text"),
        ("--level", "95", "it must lie between 0 and 1"),
        ("--budget", "much", "neither a share"),
    ],
)
def test_bad_options_of_recommend(sentence: Sentence, tmp_path: Path, option: str, value: str, words: str) -> None:
    assert words in sentence("recommend", saved(rows(), tmp_path), option, value)


def test_a_saturated_fit_is_not_praised(run: Run, tmp_path: Path) -> None:
    few = saved(rows(np.linspace(-20, 20, 10)), tmp_path, "few.csv")  # 8 parameters and 7: two and three points more
    code, out, err = run("fit", few)
    assert code == 0, err
    assert "#1 preference: 10 points for 8 parameters: " in err
    assert "#1 utility: 10 points" not in err
    assert out.splitlines()[1].split()[4:6] == ["10", "8"]
    assert "points for" not in run("fit", saved(rows(), tmp_path))[2]


def test_only_swept_sides_have_numbers(run: Run, tmp_path: Path) -> None:
    file = saved(rows(np.linspace(-20, 0, 21)), tmp_path)
    code, out, err = run("fit", file, "--out", tmp_path / "fit.json")
    assert code == 0, err
    assert "nan" not in out
    (record, _) = json.loads((tmp_path / "fit.json").read_text())
    lines = [text.split() for text in out.splitlines() if text.split()[1] == "preference"]
    assert lines[0][6:] == [f"{record['slope_left']:+.3g}", "-", f"{record['smooth']['slope']:+.3g}"]
    assert lines[1][2:5] == ["-", "-", "-"]
    assert lines[1][5:] == [f"{record['params'][name]:.3g}" for name in ("m_minus", "L_minus", "p_minus")]


def test_parameters_on_a_bound_are_named(run: Run, tmp_path: Path) -> None:
    m = np.linspace(-20.0, 20.0, 41)
    gauss = pd.DataFrame({"m1": m, "pref": 3 * m * np.exp(-(m**2) / 50), "util": 9 * np.exp(-(m**2) / 50) - 4})
    code, _, err = run("fit", saved(gauss, tmp_path))
    assert code == 0, err
    assert "#1 utility: ended on a bound of the search: p+, p-" in err
    assert "bound" not in run("fit", saved(rows(), tmp_path))[2]


def test_the_table_of_fits_is_whole_at_80_columns(run: Run, tmp_path: Path) -> None:
    file = saved(rows(), tmp_path)
    narrow, wide = run("fit", file, width=80)[1], run("fit", file)[1]
    assert "preference" in narrow
    assert "…" not in narrow
    assert [text.split() for text in narrow.splitlines()] == [text.split() for text in wide.splitlines()]


def test_a_sweep_with_wide_gaps_is_told_to_look_closer(run: Run, tmp_path: Path) -> None:
    wide, narrow = np.linspace(-200.0, 200.0, 41), np.linspace(0.0, 3.0, 301)
    for m, told in ((wide, True), (narrow, False)):
        table = pd.DataFrame({"m1": m, "pref": preference_curve(m, PREF), "util": utility_curve(m, UTIL)})
        file = saved(pd.concat([table.assign(pair=pair) for pair in range(6)]), tmp_path)
        code, out, err = run("recommend", file)
        assert code == 0, err
        assert ("sweep again with --refine" in out) is told
        assert "--refine" not in run("recommend", file, "--budget", "10%")[1], "no other aim looks for it"


def test_side_effects_and_texts_are_drawn_below(run: Run, sentence: Sentence, tmp_path: Path) -> None:
    sweep, kl, texts = saved(rows(pairs=8), tmp_path), tmp_path / "kl.csv", tmp_path / "texts.json"
    pd.DataFrame({"m1": [-4.0, 4.0], "kl": [1.0, 2.0], "tokens": [10, 10]}).to_csv(kl, index=False)
    texts.write_text(json.dumps([{"m1": m, "prompt": "How?", "text": f"at {m}"} for m in (0.0, 4.0)]))
    sizes = []
    for name, more in (("a.svg", ()), ("b.svg", ("--collateral", kl, "--texts", texts))):
        code, _, err = run("plot", sweep, "--out", tmp_path / name, *more)
        assert code == 0, err
        sizes.append((tmp_path / name).read_text())
    assert ["KL divergence" in size for size in sizes] == ["at 4.0" in size for size in sizes] == [False, True]
    other = saved(rows(pairs=8, seed=1), tmp_path, "other.csv")
    assert "of one intervention; the sweeps hold 2" in sentence(
        "plot", sweep, other, "--texts", texts, "--out", tmp_path / "c.svg"
    )


@pytest.mark.parametrize("words", [("fit", "--help"), ("plot", "--help"), ("fit", "s.csv"), ("recommend", "s.csv")])
def test_tables_are_read_without_torch(tmp_path: Path, words: tuple[str, ...]) -> None:
    saved(rows(), tmp_path)
    assert loaded(tmp_path, *words) == "no"


def test_control_other_commands_load_torch(tmp_path: Path) -> None:
    assert loaded(tmp_path, "inspect", "--help") == "yes"


def loaded(folder: Path, *words: str) -> str:
    """Whether a command line, run on its own, loads torch."""
    code = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nsys.argv = ['easyedit-split', *{words!r}]\n"
        "from easyedit_split.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('yes' if 'torch' in sys.modules else 'no')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_table_without_names_goes_by_its_file(run: Run, tmp_path: Path) -> None:
    bad, good = saved(rows(M[::5]), tmp_path, "few.csv"), saved(rows(), tmp_path, "many.csv")
    _, out, err = run("fit", bad, good)
    assert "few.csv: 5 points cannot fit" in err
    assert "#2: many.csv" in out
    named = saved(rows(form="lora"), tmp_path, "named.csv")
    assert "#1: lora" in run("fit", named)[1], "control: a key is enough"


def test_intervals_are_written_where_asked_for(run: Run, sentence: Sentence, tmp_path: Path) -> None:
    pairs, single = saved(rows(pairs=6), tmp_path), saved(rows(pairs=1), tmp_path, "single.csv")
    code, _, err = run("fit", pairs, single, "--intervals", "--out", tmp_path / "fit.json")
    assert code == 0, err
    assert "without intervals: " in err
    first, _, third, _ = json.loads((tmp_path / "fit.json").read_text())
    low, high = (first["intervals"]["slope_right"][end] for end in ("low", "high"))
    assert low < first["slope_right"] < high
    assert "intervals" not in third
    assert run("fit", pairs, "--out", tmp_path / "plain.json")[0] == 0
    assert "intervals" not in json.loads((tmp_path / "plain.json").read_text())[0]
    assert "name a file, e.g. --out" in sentence("fit", pairs, "--intervals")
