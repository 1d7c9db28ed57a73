"""A language model as judge, behind OpenAI's chat API: ``openai:MODEL``, hosted or on a server of one's own.

    concept, instruction, fluency   0 to 2 each            power   0 to 4                    the scales of ``scales``
    overall                         harmonic mean of what was asked, power counted half; 0 if any is 0, as in AxBench

A question for each answer and scale, several at once; the same answer to the same prompt is asked about once. Replies
are kept on disk (``verdicts``), so that a run that was stopped goes on, and judging again costs nothing. Where a reply
holds no grade it is asked for once more; where there is none again, the score is NaN, and so is ``overall``: never 0.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any, ClassVar

from ..types import Pair
from .base import JUDGES, Service
from .chat_service import Asking, ChatService, RefusedError, ServiceError
from .scales import SCALES, again, grade_of, question, scales_named
from .self import harmonic
from .under_way import UnderWay
from .verdicts import Verdicts

logger = logging.getLogger(__name__)
PATIENCE = 600.0
"""Seconds without any reply after which a server is given up: three times as long as one reply may take, and more."""
HIGHEST = 2.0
"""Of ``overall``."""


@JUDGES.register("openai")
class OpenAIJudge:
    """Grades of answers by a language model; made by ``asking``.

    Args:
        service: which model, where, on which scales.

    Raises:
        ConfigError: no model is named, an unknown scale, an address that is none.
    """

    name: ClassVar[str] = "openai"

    def __init__(self, service: Service) -> None:
        self.service, self.scales = service, scales_named(service.scales)
        self.how = Asking(service.model, service.url)
        self.verdicts = Verdicts(service.cache)

    @classmethod
    def asking(cls, service: Service) -> OpenAIJudge:
        """The judge that asks this service.

        Args:
            service: which model, where, on which scales.

        Raises:
            ConfigError: the client is not installed, or there is no key.
            ServiceError: nothing listens at an address on this machine.
        """
        judge = cls(service)
        with ChatService(judge.how):
            return judge

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """Grade one answer.

        Args:
            prompt: what was asked.
            answer: the generated text.
            pair: says what the concept is.
        """
        return self.judge_all([prompt], [answer], [pair])[0]

    def judge_all(
        self, prompts: Sequence[str], answers: Sequence[str], pairs: Sequence[Pair] = (), cut: Sequence[bool] = ()
    ) -> list[Mapping[str, float]]:
        """Grade several answers, several questions at a time.

        Args:
            prompts: what was asked, one for each answer.
            answers: the generated texts.
            pairs: say what the concept is, one for each answer.
            cut: not needed.

        Returns:
            The scales' grades and ``overall`` for each; NaN where a reply held no grade.

        Raises:
            ServiceError: the server is not there, refuses, or keeps failing; what was graded before is kept.
        """
        concept = self.service.concept
        asked = [
            (name, question(name, prompt, answer, pair, concept))
            for prompt, answer, pair in zip(prompts, answers, pairs, strict=True)
            for name in self.scales
        ]
        grades = iter(self._graded(asked))
        return [self._scores([next(grades) for _ in self.scales]) for _ in answers]

    def _scores(self, grades: Sequence[float]) -> Mapping[str, float]:
        """One answer's scores."""
        even = [HIGHEST * grade / SCALES[name].top for name, grade in zip(self.scales, grades, strict=True)]
        overall = math.nan if any(map(math.isnan, grades)) else harmonic(even)
        return {**dict(zip(self.scales, grades, strict=True)), "overall": overall}

    def _graded(self, asked: Sequence[tuple[str, list[dict[str, str]]]]) -> list[float]:
        """The grade of each question, each different one asked once."""
        keys = [repr(one) for one in asked]
        different = dict(zip(keys, asked, strict=True))
        found: dict[str, float] = {}
        refused: list[RefusedError] = []
        with ChatService(self.how) as chat:
            under_way: UnderWay[float] = UnderWay(self.service.at_once)
            try:
                waiting: dict[Future[float], str] = {
                    under_way.submit(partial(self._grade, chat, name, messages)): key
                    for key, (name, messages) in different.items()
                }
                while waiting:
                    done = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED).done
                    if not done:
                        raise ServiceError(self._silent(len(waiting)))
                    for future in done:
                        key = waiting.pop(future)
                        try:
                            found[key] = future.result()
                        except RefusedError as error:
                            refused.append(error)
                            found[key] = math.nan
                        self._tell(len(found), len(different))
            except ServiceError as error:
                raise self._kept(error) from None
            finally:
                under_way.stop()
        if refused and len(refused) == len(different):
            raise self._kept(refused[0])
        for refusal in refused:
            logger.warning("no grade: %s", refusal)
        return [found[key] for key in keys]

    def _tell(self, done: int, total: int) -> None:
        if self.service.progress is not None:
            self.service.progress(done, total)

    def _silent(self, questions: int) -> str:
        return (
            f"the judge at {self.how.address} has given no reply for {PATIENCE / 60:g} minutes, and {questions} "
            "questions wait: check its server, or have it asked fewer at a time (judge --judge-at-once)"
        )

    def _kept(self, error: ServiceError) -> ServiceError:
        kept = self.verdicts.written
        return (
            ServiceError(f"{error}; {kept} verdicts are kept: run the same command again to go on") if kept else error
        )

    def _grade(self, chat: ChatService, name: str, messages: list[dict[str, str]]) -> float:
        """One grade; NaN where two replies hold none."""
        reply = self._reply(chat, messages)
        grade = grade_of(name, reply)
        if grade is None:
            more = [{"role": "assistant", "content": reply or "..."}, {"role": "user", "content": again(name)}]
            grade = grade_of(name, self._reply(chat, [*messages, *more]))
        return math.nan if grade is None else grade

    def _reply(self, chat: ChatService, messages: list[dict[str, str]]) -> str:
        """The reply to a question, from the disk where it was asked before."""
        key: dict[str, Any] = {"address": self.how.address, **self.how.settings(), "messages": messages}
        known = self.verdicts.get(key)
        if known is None:
            known = chat.reply(messages)
            if known.strip():  # a server that said nothing may be asked another time
                self.verdicts.put(key, known)
        return known
