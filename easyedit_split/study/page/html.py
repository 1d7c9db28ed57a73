"""The page as one HTML file that loads nothing: style, script, charts' library and data stand in it.

Every text from a file is escaped where it stands in the page, or packed into data that the script shows as text nodes.
A content security policy names the three scripts by their hashes and allows nothing else, so that a text that found a
way in could not run; the charts' library runs with its own interpreter of expressions, without ``eval``.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from ... import __version__
from ...files.reading import cut
from ...types import ConfigError
from .charts import VEGA_LITE, detail, overview
from .contents import Contents, Curves, PageRun, PageTable, Written

HERE = Path(__file__).parent
LIMIT = 5_000_000
"""Bytes of a page, at most."""
DIGITS = 6
"""Significant digits of numbers in the charts."""


def page_of(contents: Contents, limit: int = LIMIT) -> tuple[str, tuple[str, ...]]:
    """The whole page, and what was left out of it to keep it small.

    Args:
        contents: what it shows.
        limit: bytes, at most; the texts of seeds after the first are left out where they would be more.

    Raises:
        ConfigError: the charts' library is not installed, or the page is too large all the same.
    """
    library = chart_library()
    page = _page(contents, contents.runs, library, contents.notes)
    if len(page.encode()) <= limit:
        return page, ()
    first = min((run.seed for run in contents.runs), default=0)
    fewer = [run if run.seed == first else _without_texts(run) for run in contents.runs]
    note = f"Texts are shown of seed {first} alone: with those of all seeds the page would be over {limit:,} bytes."
    page = _page(contents, fewer, library, (*contents.notes, note))
    if len(page.encode()) > limit:
        raise ConfigError(
            f"the page would hold {len(page.encode()):,} bytes, at most {limit:,} are wanted: make it of fewer runs or "
            "texts"
        )
    return page, (note,)


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script.

    Raises:
        ConfigError: the package that holds them is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigError("the page needs its charts' library: pip install 'easyedit-split[report]'") from error
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _without_texts(run: PageRun) -> PageRun:
    return replace(run, written=())


def _page(contents: Contents, runs: Sequence[PageRun], library: str, notes: Iterable[str]) -> str:
    style, script = ((HERE / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    packed = _packed(contents, runs)
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src {' '.join(_hash(text) for text in (script, library))}"
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_escaped(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_escaped(contents.title)}</title>",
            f"<style>{style}</style></head><body>",
            _header(contents, notes),
            (HERE / "page.html").read_text("utf-8"),
            *(_table(table) for table in contents.tables),
            _settings(contents.settings),
            f"<footer>Made by easyedit-split {_escaped(__version__)}; this file loads nothing.</footer>",
            '</main><div id="tip" hidden></div>',
            f'<script type="application/octet-stream" id="data">{packed}</script>',
            f"<script>{library}</script><script>{script}</script>",
            "</body></html>\n",
        )
    )


def _escaped(text: object) -> str:
    return html.escape(str(text), quote=True)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _header(contents: Contents, notes: Iterable[str]) -> str:
    said = "".join(f'<p class="note">{_escaped(note)}</p>' for note in notes)
    return f"<header><h1>{_escaped(contents.title)}</h1></header><main>{said}"


def _table(table: PageTable) -> str:
    numeric = [all(_is_number(row[k]) for row in table.rows if row[k]) for k in range(len(table.columns))]
    kinds = [' class="n"' if number else "" for number in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{_escaped(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True)
    )
    body = "".join(f"<tr>{_row(table, k, kinds)}</tr>" for k in range(len(table.rows)))
    said = '<p class="dim">Bold: the best of its column and form; underlined: the second.</p>' if table.marks else ""
    return (
        f'<details open><summary>{_escaped(table.name)}</summary>{said}<div class="table" tabindex="0" role="region" '
        f'aria-label="{_escaped(table.name)}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</details>"
    )


def _row(table: PageTable, k: int, kinds: Sequence[str]) -> str:
    """Cells of one row; the best and the second of a column are marked."""
    found = []
    for j, (cell, kind) in enumerate(zip(table.rows[k], kinds, strict=True)):
        tag = {"best": "strong", "second": "u"}.get(table.marks.get((k, j), ""), "")
        text = f"<{tag}>{_escaped(cell)}</{tag}>" if tag else _escaped(cell)
        found.append(f"<td{kind}>{text}</td>")
    return "".join(found)


def _settings(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f'<tr><th scope="row">{_escaped(name)}</th><td>{_escaped(value)}</td></tr>' for name, value in rows)
    return (
        '<details><summary>Settings and versions</summary><div class="table" tabindex="0" role="region" '
        f'aria-label="Settings and versions"><table><tbody>{body}</tbody></table></div></details>'
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _packed(contents: Contents, runs: Sequence[PageRun]) -> str:
    """The script's data: JSON, compressed, as text that no parser of HTML reads as markup."""
    seeds = len({run.seed for run in runs})
    data = {
        "seeds": seeds,
        "charts": {"overview": overview(), "detail": detail()},
        "runs": [_run(run, f"run-{k}") for k, run in enumerate(runs)],
    }
    plain = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(plain.encode("utf-8", "replace"), 9, mtime=0)).decode()


def _run(run: PageRun, name: str) -> dict[str, Any]:
    """A run as the script takes it."""
    curves = run.curves or Curves((), (), (), 0, 0, None)
    return {
        "id": name,
        "model": cut(run.model, 120),
        "dataset": cut(run.dataset, 120),
        "cell": cut(run.cell, 120),
        "seed": run.seed,
        "problem": run.problem,
        "m": curves.m,
        "preference": curves.preference,
        "utility": curves.utility,
        "pairs": curves.pairs,
        "excluded": curves.excluded,
        "r_per_m": curves.r_per_m,
        "fine": curves.fine,
        "fitted": {
            kind: curves.fits[kind].values
            if kind in curves.fits and curves.fits[kind].values
            else [None] * len(curves.fine)
            for kind in ("preference", "utility")
        },
        "fits": [
            {
                "kind": kind,
                "r2": fit.r2,
                "problem": fit.problem,
                "sides": {s: asdict(side) for s, side in fit.sides.items()},
            }
            for kind, fit in curves.fits.items()
        ],
        "bands": _bands(curves),
        "strengths": [asdict(one) for one in run.strengths],
        "written": [_written(one) for one in run.written],
        "scores": [dict(zip(("judge", "strength", "m", "score", "mean", "n"), row, strict=True)) for row in run.scores],
    }


def _written(one: Written) -> dict[str, Any]:
    return {"concept": one.concept, "prompt": one.prompt, "texts": [[m, text] for m, text in sorted(one.texts.items())]}


def _bands(curves: Curves) -> list[dict[str, Any]]:
    """Regions of both fitted curves, as stretches of m."""
    found = []
    for kind, fit in curves.fits.items():
        for side in fit.sides.values():
            linear = side.end if side.linear_end is None else side.linear_end
            start = side.end if side.convergence_start is None else side.convergence_start
            parts = ((0.0, linear, "linear"), (linear, start, "transitional"), (start, side.end, "convergence"))
            found += [
                {"kind": kind, "from": min(a, b), "to": max(a, b), "region": region} for a, b, region in parts if a != b
            ]
    return found


def _rounded(value: Any) -> Any:
    """The same value with numbers to ``DIGITS`` significant digits, and None for what is none."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
