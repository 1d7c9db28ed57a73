"""``easyedit-split chat``: chat with a steered model in the terminal, with commands that change the strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer
from rich.text import Text

from ...registry import nearest
from ...steering.artifact import Artifact
from ...steering.generate import GenerateConfig, reply
from ...steering.strength_grid import StrengthGrid, parse_strengths
from ...text.prompt_tokens import Template
from ...types import ConfigError, DataError
from ..console import console, out, say
from ..inputs import open_model
from ..options import DeviceOption, DtypeOption, InterventionOption, ModelOption
from .apply import concept_of

EPILOG = "Example: easyedit-split chat --model smollm2 --intervention cheerful/artifact"
HELP = """/m 4 or /m r:0.4   set the strength            /bare   show the unsteered answer too, or not
/new               start a new conversation    /quit   quit (or Ctrl-D)"""


@dataclass(frozen=True)
class Session:
    """State of a conversation: earlier turns and the steering strength.

    Attributes:
        answer: ``(text, earlier turns, m) -> text``; m = 0 is the bare model.
        r_per_m: what m = 1 is worth in r; None where nobody measured it.
        m: strength of the answers.
        bare: whether the bare model answers beside.
        turns: queries and steered answers so far.
    """

    answer: Callable[[str, tuple[tuple[str, str], ...], float], str]
    r_per_m: float | None
    m: float
    bare: bool = False
    turns: tuple[tuple[str, str], ...] = field(default=())

    def said(self, text: str) -> tuple[Session, list[tuple[str, str]]]:
        """Answer one query; returns the new session and the answers by their label.

        Args:
            text: the query.

        Raises:
            DataError: the query holds a special token.
        """
        shown = [("unsteered", self.answer(text, self.turns, 0.0))] if self.bare and self.m != 0 else []
        steered = self.answer(text, self.turns, self.m)
        shown.append((self.label, steered))
        return replace(self, turns=(*self.turns, (text, steered))), shown

    @property
    def label(self) -> str:
        """Text that names the current strength."""
        if self.m == 0:
            return "unsteered"
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
        session = replace(self, m=parse_strength(text, self.r_per_m, "/m"))
        return session, session.label


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


def command(  # noqa: DOC101, DOC103
    model: ModelOption,
    intervention: InterventionOption,
    m: Annotated[str | None, typer.Option(help="Strength, e.g. 4 or r:0.4. Default: the stored m, else 1.")] = None,
    concept: Annotated[str | None, typer.Option(help="Concept to use, of an artifact with several.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 80,
    bare: Annotated[bool, typer.Option("--bare", help="Also show the unsteered answer.")] = False,
    dtype: DtypeOption = None,
    device: DeviceOption = None,
) -> None:
    """Chat with a steered model; /help lists the commands that change the settings."""
    artifact = Artifact.from_pretrained(intervention)
    name = concept_of(artifact, concept)
    per_m = artifact.unit.r_per_m if artifact.unit else None
    own = artifact.chosen.get(name)
    strength = parse_strength(m, per_m, "--m") if m is not None else own.m1 if own else 1.0
    network, tokenizer = open_model(model, dtype, device)
    for note in artifact.check_model(network, name=model, tokenizer=tokenizer):
        say(f"the artifact's model differs: {note}", "yellow")
    answer = answerer(network, tokenizer, artifact, name, GenerateConfig(max_new_tokens=max_new_tokens))
    talk(Session(answer, per_m, strength, bare))


def answerer(
    model: Any, tokenizer: Any, artifact: Artifact, concept: str, config: GenerateConfig
) -> Callable[[str, tuple[tuple[str, str], ...], float], str]:
    """Function that generates the answer to a query after earlier turns, at a given m.

    Args:
        model: a Hugging Face causal LM.
        tokenizer: its tokenizer.
        artifact: what steers.
        concept: of the artifact.
        config: lengths and sampling.
    """
    template = Template(tokenizer, artifact.tokens)

    def answer(text: str, earlier: tuple[tuple[str, str], ...], m: float) -> str:
        return reply(model, template, template.generation_prompt(text, earlier), artifact[concept], m, config)

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
