"""``thinkact/ZooHours-v0``: "When does the zoo open today?" Look it up: hours differ in every episode.

An invented city's sites (zoos, museums, pools, …) say when they are open, each in its own layout and language; some
have been renamed, refer to the city's calendar of public holidays or to short-term news. Old copies, near-names and
guides say something else. The agent has ``search``, ``open`` and ``submit``; nothing can be remembered from one
episode to the next but how to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from thinkact.envs.core import Solution, chosen_levels
from thinkact.envs.evidence import Passage, evidence_checks
from thinkact.envs.numbered import NumberedEnv
from thinkact.envs.search_env import ReadingEnv
from thinkact.envs.types import Check, Limits, Split, Task
from thinkact.envs.zoo.expert import solve
from thinkact.envs.zoo.index import CityIndex
from thinkact.envs.zoo.questions import QUESTIONS
from thinkact.envs.zoo.tasks import LEVELS, NUMBERS, Problem, build
from thinkact.tools import Tool
from thinkact.tools.search import Handles, OpenTool, Reading, SearchTool
from thinkact.tools.search.types import EMPTY
from thinkact.tools.submit import SubmitTool

_EVIDENCE = 0.4
#: Hits per query: as many as there are pages about one venue and its near-names, so that the right one is listed.
TOP_K = 8
#: Characters of a page shown at once: tokens are what a policy's time is made of.
PAGE_CHARS = 400


class ZooHoursEnv(NumberedEnv[Problem], ReadingEnv[Problem]):
    """Questions about opening hours and prices that only the pages of this episode can answer.

    Reward: the potential is 0.4 · (share of the needed pages read in full) + 0.6 · (answer right), where an answer
    counts once all needed pages were read: a guess, however likely, is no answer. Every step pays the change.

    Args:
        split: Which tasks ``reset`` draws from; the splits share no names, and ``hidden`` has layouts, kinds of
            venues and a language of its own.
        reward: ``"step"`` or ``"outcome"``, see :class:`ToolEnv`.
        render_mode: ``"ansi"`` or None.
        level: Difficulty, or several to draw from: 0 one page, a plain table; 1 layouts, clocks, near-names, all
            sorts of questions; 2 languages, seasons, exceptions, old copies; 3 one or two of renamed venue, public
            holidays and news; 4 all three, in a foreign language, and the weekday to be worked out.
        questions: Restricts the questions (``"opens"``, ``"closes"``, ``"open"``, ``"at"``, ``"last"``, ``"next"``,
            ``"price"``); None means all that the levels have.

    Raises:
        ValueError: On an unknown level, question, split, reward mode or render mode, or when a level has none of
            the questions.
    """

    family: ClassVar[str] = "ZooHours"
    numbers: ClassVar[int] = NUMBERS
    version: ClassVar[str] = "0"

    def __init__(
        self,
        *,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
        level: int | tuple[int, ...] | list[int] = (0, 1, 2),
        questions: Sequence[str] | None = None,
    ) -> None:
        self.levels = chosen_levels(level, range(len(LEVELS)))
        self.questions = QUESTIONS if questions is None else tuple(questions)
        unknown = [question for question in self.questions if question not in QUESTIONS]
        if unknown or not self.questions:
            raise ValueError(f"questions must be some of {', '.join(QUESTIONS)}, not {questions!r}.")
        for each in self.levels:
            if not any(question in self.questions for question in LEVELS[each].questions):
                raise ValueError(f"Level {each} asks {', '.join(LEVELS[each].questions)}; questions={questions!r}.")
        self._handles, self.reading = Handles(), Reading()
        super().__init__(split=split, reward=reward, render_mode=render_mode)

    def _make_tools(self) -> Sequence[Tool]:
        self._search = SearchTool(EMPTY, self._handles, top_k=TOP_K)
        self._open = OpenTool(EMPTY, self._handles, self.reading, page_chars=PAGE_CHARS)
        self._submit = SubmitTool()
        return self._search, self._open, self._submit

    def _offers(self, level: int, number: int) -> bool:
        if len(self.questions) == len(QUESTIONS):
            return True  # whatever it is
        problem = self._problem(self.split, level, number)
        return problem is not None and problem.question in self.questions

    def _problem(self, split: Split, level: int, number: int) -> Problem | None:
        return build(split, level, number)

    def _limits(self, problem: Problem) -> Limits:
        return Limits(max_turns=4 + 3 * len(problem.needed), max_invalid=3, max_chars=PAGE_CHARS + 200)

    def _begin(self, task: Task, hidden: Problem) -> None:
        self._search.retriever = self._open.retriever = CityIndex(hidden.pages)
        self._search.reset()
        self._open.reset()
        self._submit.reset()

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        lengths = {page.id: len(page.text) for page in hidden.pages}
        needed = [Passage(id, 0, lengths[id]) for id in hidden.needed]
        checks = evidence_checks(needed, self.reading, _EVIDENCE)
        given = self._submit.answer
        right = all(check.passed for check in checks) and hidden.answer.accepts(given)
        why = "" if given is None else f"submitted {given}"
        return [*checks, Check(name="answer", weight=1.0 - _EVIDENCE, passed=right, evidence=why)]

    def _success(self, checks: Sequence[Check]) -> bool:
        return any(check.name == "answer" and check.passed for check in checks)

    def _gold(self, task: Task, hidden: Problem) -> str | None:
        return hidden.answer.text

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        return solve(task.prompt)  # not a word of the hidden part

    def versions(self) -> dict[str, str]:
        """Return the fingerprint of the episode's pages beside the rest."""
        return {**super().versions(), "index": self._search.retriever.fingerprint}
