"""``make zoo``: every architecture judged, the table printed and written into docs/models.md.

python -m tests.zoo                     all, and the table in the docs is renewed
python -m tests.zoo gpt2 mixtral        these, printed only
"""

from __future__ import annotations

import sys
from pathlib import Path

import transformers

from .configs import NAMES
from .verdicts import Verdict, judge

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- made by make zoo -->", "<!-- end of what make zoo made -->"
HEAD = (
    "| architecture | verdict | block output | maps | `down_proj` = block output | refused, and notes |",
    "|-|-|-|-|-|-|",
)
SAME = {True: "yes", False: "no", None: ""}


def row(verdict: Verdict) -> str:
    """One line of the table."""
    maps = [name for name in verdict.exact if name.startswith("map ")]
    tried = len(maps) + sum(name.startswith("map ") for name in {**verdict.refused, **verdict.wrong})
    said = [f"{name.removeprefix('map ')}: {reason}" for name, reason in {**verdict.wrong, **verdict.refused}.items()]
    vector = "yes" if "vector" in verdict.exact else "no"
    cells = (
        verdict.name,
        verdict.word,
        vector,
        f"{len(maps)} of {tried}",
        SAME[verdict.same],
        "; ".join([*said, *verdict.notes]),
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def summary(words: list[str]) -> str:
    """How many came out how."""
    whole, rest = words.count("exact"), words.count("exact, rest refused")
    return (
        f"{len(words)} configurations under transformers {transformers.__version__}: {whole + rest} right ({whole} "
        f"exact throughout, {rest} exact but for what is refused), {words.count('refused')} refused, "
        f"{words.count('WRONG')} wrong."
    )


def main() -> None:
    """Judge, print, and renew the rows of those that were judged."""
    names = sys.argv[1:] or NAMES
    text = PAGE.read_text("utf-8")
    (before, rest), after = text.split(BEGIN), text.split(END)[1]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in rest.split(END)[0].splitlines() if " | " in line}
    print(*HEAD, sep="\n")
    for name in names:
        rows[name] = row(judge(name))
        print(rows[name], flush=True)
    table = [rows[name] for name in NAMES if name in rows]
    said = summary([line.split(" | ")[1] for line in table])
    print(said)
    PAGE.write_text(f"{before}{BEGIN}\n{said}\n\n{chr(10).join([*HEAD, *table])}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
