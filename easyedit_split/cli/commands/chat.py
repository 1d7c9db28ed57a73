"""``easyedit-split chat``: chat with a steered model in the terminal, with commands that change the strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer
from rich.text import Text

from ...model.load_options import LoadOptions
from ...registry import nearest
from ...steering.finite_logits import Strengths, is_steered, strength_text
from ...steering.generate import GenerateConfig, reply
from ...steering.strength_grid import StrengthGrid, parse_strengths
from ...text.prompt_tokens import Template
from ...types import ConfigError, DataError
from ..console import console, out, say
from ..inputs import open_model
from ..loading import DEFAULTS, loads_model
from ..options import InterventionsOption, ModelOption, OtherWeightsOption
from ..several import NamedIntervention, check_models, read_several, tokens_of_all

EPILOG = "Example: easyedit-split chat --model smollm2 --intervention cheerful/artifact"
HELP = """/m 4 or /m r:0.4   set the strength            /bare   show the unsteered answer too, or not
/new               start a new conversation    /quit   quit (or Ctrl-D)"""


@dataclass(frozen=True)
class Session:
    """State of a conversation: earlier turns and the steering strength.

    Attributes:
        answer: ``(text, earlier turns, m) -> text``; m = 0 is the bare model.
        r_per_m: what m = 1 is worth in r, of several interventions each; None where nobody measured it.
        m: strength of the answers, of several interventions one each.
        bare: whether the bare model answers beside.
        turns: queries and steered answers so far.
    """

    answer: Callable[[str, tuple[tuple[str, str], ...], Strengths], str]
    r_per_m: float | tuple[float | None, ...] | None
    m: Strengths
    bare: bool = False
    turns: tuple[tuple[str, str], ...] = field(default=())

    def said(self, text: str) -> tuple[Session, list[tuple[str, str]]]:
        """Answer one query; returns the new session and the answers by their label.

        Args:
            text: the query.

        Raises:
            DataError: the query holds a special token.
        """
        shown = [("unsteered", self.answer(text, self.turns, 0.0))] if self.bare and is_steered(self.m) else []
        steered = self.answer(text, self.turns, self.m)
        shown.append((self.label, steered))
        return replace(self, turns=(*self.turns, (text, steered))), shown

    @property
    def label(self) -> str:
        """Text that names the current strength."""
        if not is_steered(self.m):
            return "unsteered"
        if isinstance(self.m, tuple) or isinstance(self.r_per_m, tuple):
            return f"m = {strength_text(self.m)}"
        return f"m = {self.m:.3g}" + ("" if self.r_per_m is None else f" (r = {self.m * self.r_per_m:.2g})")

    def told(self, line: str) -> tuple[Session | None, str]:
        """Execute a ``/`` command; returns the new session (None ends it) and a message.

        Args:
            line: the command with its ``/``.

        Raises:
            ConfigError: an unknown command, or a strength that is none.
        """
        name, _, rest = line[1:].partition(" ")
        known: dict[str, Callable[[str], tuple[Session | None, str]]] = {
            "m": self._strength,
            "bare": lambda _: (
                replace(self, bare=not self.bare),
                "unsteered answers off" if self.bare else "unsteered answers on",
            ),
            "new": lambda _: (replace(self, turns=()), "a new conversation"),
            "help": lambda _: (self, HELP),
            "quit": lambda _: (None, ""),
        }
        if name not in known:
            raise ConfigError(f"there is no /{name}{nearest(name, tuple(known))}")
        return known[name](rest.strip())

    def _strength(self, text: str) -> tuple[Session, str]:
        session = replace(self, m=parse_session_m(text, self.r_per_m, "/m"))
        return session, session.label


def parse_session_m(text: str, r_per_m: float | tuple[float | None, ...] | None, where: str) -> Strengths:
    """Parse the strength of a session: one, or of several interventions one for all or one each, with spaces.

    Args:
        text: as the user wrote it: ``4``, ``r:0.4`` or ``4 -2``.
        r_per_m: what m = 1 is worth in r, of several interventions each.
        where: what the text is called in messages.

    Raises:
        ConfigError: not one strength, or not one each.
    """
    if not isinstance(r_per_m, tuple):
        return parse_strength(text, r_per_m, where)
    words = text.split()
    if len(words) not in (1, len(r_per_m)):
        raise ConfigError(f"{where} {text}: give one strength, or one for each of {len(r_per_m)} interventions")
    words = words * len(r_per_m) if len(words) == 1 else words
    return tuple(parse_strength(word, unit, where) for word, unit in zip(words, r_per_m, strict=True))


def parse_strength(text: str, r_per_m: float | None, where: str) -> float:
    """Parse one strength, given as m or in r.

    Args:
        text: as the user wrote it: ``4`` or ``r:0.4``.
        r_per_m: what m = 1 is worth in r; None where nobody measured it.
        where: what the text is called in messages.

    Raises:
        ConfigError: not one strength, or in r where m is not known in r.
    """
    grid: StrengthGrid = parse_strengths(text, where)
    if len(grid.values) != 1:
        raise ConfigError(f"{where} {text}: must be one strength, e.g. 4 or r:0.4")
    if grid.unit == "r" and r_per_m is None:
        raise ConfigError(f"{where} {text}: this artifact has no record of r at m = 1: give m")
    return grid.in_m(r_per_m or 0.0)[0]


@loads_model
def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    intervention: InterventionsOption,
    m: Annotated[
        list[str] | None,
        typer.Option(
            help="Strength, e.g. 4 or r:0.4. Default: the stored m, else 1. With several interventions once for "
            "all, or once for each."
        ),
    ] = None,
    concept: Annotated[str | None, typer.Option(help="Concept to use, of an artifact with several.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 80,
    bare: Annotated[bool, typer.Option("--bare", help="Also show the unsteered answer.")] = False,
    other_weights: OtherWeightsOption = False,
    loading: LoadOptions = DEFAULTS,
) -> None:
    """Chat with a steered model; /help lists the commands that change the settings."""
    chosen = read_several(intervention, concept, other_weights)
    units = tuple(one.r_per_m for one in chosen)
    per_m = units if len(chosen) > 1 else units[0]
    strength = parse_session_m(" ".join(m), per_m, "--m") if m else stored(chosen)
    network, tokenizer = open_model(model, loading)
    check_models(chosen, network, tokenizer, model)
    answer = answerer(network, tokenizer, chosen, GenerateConfig(max_new_tokens=max_new_tokens))
    talk(Session(answer, per_m, strength, bare))


def stored(chosen: Sequence[NamedIntervention]) -> Strengths:
    """The strengths that artifacts store, 1 where they store none.

    Args:
        chosen: what steers.
    """
    kept = (one.artifact.chosen.get(one.concept) for one in chosen)
    each = tuple(1.0 if own is None else own.m1 for own in kept)
    return each if len(each) > 1 else each[0]


def answerer(
    model: Any, tokenizer: Any, chosen: Sequence[NamedIntervention], config: GenerateConfig
) -> Callable[[str, tuple[tuple[str, str], ...], Strengths], str]:
    """Function that generates the answer to a query after earlier turns, at a given m.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        chosen: what steers.
        config: lengths and sampling.
    """
    template = Template(tokenizer, tokens_of_all(chosen))
    parts = [one.intervention for one in chosen]

    def answer(text: str, earlier: tuple[tuple[str, str], ...], m: Strengths) -> str:
        return reply(model, template, template.generation_prompt(text, earlier), parts, m, config)

    return answer


def talk(session: Session) -> None:
    """Read lines until end of input and answer each.

    Args:
        session: at its beginning.
    """
    say(f"{session.label}; /help lists the commands", "dim")
    current: Session | None = session
    while current is not None:
        try:
            line = console.input(Text("> ", "bold")).strip()
        except EOFError:
            return
        if not line:
            continue
        try:
            if line.startswith("/"):
                current, news = current.told(line)
                say(news, "dim")
                continue
            with console.status("..."):
                current, answers = current.said(line)
        except (ConfigError, DataError) as error:
            say(f"error: {error}", "red")
            continue
        for label, text in answers:
            out.print(Text.assemble((f"{label:>12}  ", "cyan"), text), soft_wrap=True)
