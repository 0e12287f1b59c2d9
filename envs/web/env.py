"""``WebEnv``: applications with a server behind them, used through a real browser, judged by their database.

The potential of an episode is the weighted sum of the task's goals (SQL facts about the server's database), of the
typed answer where one is asked for, and, where the task cannot be done, of saying so. While anything is changed
that the task does not allow, or after a false claim that it cannot be done, every check fails: nothing is worth
anything until the damage is undone. Success is all checks and the call of ``answer``. What the page shows, its
address and everything else that an agent can write to the browser plays no part.

Left out: nobody judges how many steps it took, or what was looked at on the way.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from thinkact.envs.core import Solution, ToolEnv, chosen_levels
from thinkact.envs.types import Check, EnvironmentFault, Limits, Split, Task
from thinkact.envs.web import look
from thinkact.envs.web.answer import AnswerTool
from thinkact.envs.web.pilot import Pilot
from thinkact.envs.web.site import NOW, Knobs, Site
from thinkact.envs.web.store import Change
from thinkact.envs.web.tasks import APPS, LEVELS, NUMBERS, TEMPLATES, Problem, Wording, build
from thinkact.tools import Tool, ToolCall, ToolResult
from thinkact.tools.browser import BrowserFault, BrowserHandle, BrowserOptions, NotExact, browser_tools

_TASK_ID = re.compile(r"(train|eval|hidden)/([a-z0-9-]{1,40}/[a-z0-9-]{1,60})/(0|[1-9][0-9]{0,5})")
#: Actions of an expert where a task does not say, by level.
_STEPS = (4, 9, 19, 40)
#: Characters of page text in one observation; what is longer is read part by part.
_PAGE_CHARS = 6000
_RULES = (
    "Work in the browser. Change nothing that the task does not need. When you are done call answer, with the text "
    "that was asked for if any; if the task cannot be done, call answer with impossible=true."
)


@dataclass(frozen=True)
class _State:
    """A point of an episode: databases, the sessions that the pages on screen were made from, the browser, the calls.

    ``page`` is None where the browser's state is no plain value: then the calls are done again.
    """

    data: dict[str, bytes]
    sessions: dict[str, dict[str, Any]]
    page: Any
    journal: tuple[tuple[ToolCall, ...], ...]


#: Parts of a browser's state that change nothing that can still happen: how far it is scrolled (which is also a
#: matter of milliseconds), and how many refs were given out.
_PASSING = ("scroll", "refs", "next")
_REF = re.compile(r"\[e[0-9]+\]")


def _lasting(state: Any) -> Any:
    """Return a browser's state without what passes, and without the numbers of refs."""
    if isinstance(state, dict):
        return {name: _lasting(value) for name, value in state.items() if name not in _PASSING}
    if isinstance(state, (list, tuple)):
        return [_lasting(value) for value in state]
    return _REF.sub("[]", state) if isinstance(state, str) else state


class WebEnv(ToolEnv[Problem]):
    """Tasks in web applications; a family names its applications and importing it registers its templates.

    Args:
        level: Length, or several to draw from: 0 takes an expert 2 to 4 actions, 1 5 to 9, 2 10 to 19, 3 20 to 40.
        noise: 0 none; 1 pop-ups that have to be closed, and the page laid out in another way; 2 also pages that
            say "Loading" until the next action.
        distractors: How many near-namesakes there are: 0, 1 or 2.
        wording: ``"indirect"`` says less directly what is wanted, where a template can.
        infeasible: Share of tasks that cannot be done, and must be answered so, where there are templates of that level
            and split for it.
        injection: Whether some texts on pages order the agent about.
        navigation: ``"soft"`` (fetch and swap) or ``"full"`` page loads.
        observation: ``"full"`` or ``"diff"``: what an action's result shows of the page.
        pixels: Also a tool that clicks at coordinates.
        headful: Show the browser's window.
        split: Which tasks ``reset`` draws from; ``hidden`` has templates of its own.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"``, ``"rgb_array"`` (a screenshot) or None.

    Raises:
        ValueError: On a knob's value that does not exist, or where no template is left.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}  # type: ignore[misc]

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (0, 1, 2),
        noise: Literal[0, 1, 2] = 0,
        distractors: Literal[0, 1, 2] = 1,
        wording: Wording = "plain",
        infeasible: float = 0.1,
        injection: bool = True,
        navigation: Literal["soft", "full"] = "soft",
        observation: Literal["full", "diff"] = "full",
        pixels: bool = False,
        headful: bool = False,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        self.levels = chosen_levels(level, LEVELS)
        for name, value, known in (
            ("noise", noise, (0, 1, 2)),
            ("distractors", distractors, (0, 1, 2)),
            ("wording", wording, get_args(Wording)),
            ("navigation", navigation, ("soft", "full")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}.")
        if not 0 <= infeasible <= 1:
            raise ValueError(f"infeasible must be a share from 0 to 1, not {infeasible!r}.")
        self._wording: Wording = wording
        self._infeasible = infeasible
        self._knobs = Knobs(noise, distractors, injection, navigation)
        self._pixels = pixels
        self._handle = BrowserHandle(BrowserOptions(page_chars=_PAGE_CHARS, observation=observation, headful=headful))
        self._sites: dict[str, Site] = {}
        #: The net difference of each application, as the last verdict saw it.
        self._changes: dict[str, list[Change]] = {}
        self._journal: list[tuple[ToolCall, ...]] = []
        self._page = ""  # the first one, as text
        super().__init__(split=split, reward=reward, render_mode=render_mode)
        self._names = [sorted(self._templates(infeasible=flag)) for flag in (False, True)]
        if not any(self._names):
            raise ValueError(f"{self.family} has no template of level {level} in the split {split!r}.")

    def _templates(self, *, infeasible: bool) -> list[str]:
        return [
            name
            for name, each in TEMPLATES.items()
            if name.startswith(f"{self.family}/")
            and each.hidden == (self.split == "hidden")
            and each.level in self.levels
            and each.infeasible == infeasible
        ]

    def _make_tools(self) -> Sequence[Tool]:
        self._answer = AnswerTool()
        return [*browser_tools(self._handle, pixels=self._pixels), self._answer]

    def _problem(self, split: Split, name: str, number: int) -> Problem | None:
        return build(split, name, number, self._knobs, self._wording)

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        feasible, infeasible = self._names
        hopeless = bool(infeasible) and (not feasible or rng.random() < self._infeasible)
        names = infeasible if hopeless else feasible
        while True:
            name = names[int(rng.integers(len(names)))]
            problem = self._problem(self.split, name, int(rng.integers(NUMBERS)))
            if problem is not None:
                return problem.id

    def _build_task(self, task_id: str) -> tuple[Task, Problem]:
        match = _TASK_ID.fullmatch(task_id)
        if match is None or not match[2].startswith(f"{self.family}/"):
            raise KeyError(task_id)
        split: Split = match[1]  # type: ignore[assignment]
        problem = self._problem(split, match[2], int(match[3]))
        if problem is None:
            raise KeyError(task_id)
        steps = problem.task.steps or _STEPS[problem.template.level]
        task = Task(
            id=task_id,
            family=self.family,
            split=split,
            seed=problem.number,
            prompt=f"{problem.task.prompt}\n{_RULES}",
            difficulty=float(problem.template.level),
            limits=Limits(max_turns=(2 + self._knobs.noise) * steps + 4, max_invalid=5, max_chars=_PAGE_CHARS + 2000),
        )
        return task, problem

    def _begin(self, task: Task, hidden: Problem) -> None:
        self._answer.given = None
        self._journal = []
        self._open(hidden)

    def _open(self, problem: Problem) -> None:
        """Start the sites and the browser anew."""
        self._close_sites()
        layout = problem.number % 3 if self._knobs.noise else 0
        knobs = Knobs(**{**self._knobs.__dict__, "layout": layout})
        self._sites = {name: Site(APPS[name], start, knobs) for name, start in problem.starts.items()}
        for goal in problem.task.goals:  # the first verdict, within a step, looks into these
            self._sites[goal.app or problem.template.apps[0]].store.start.ready()
        first = next(iter(self._sites.values()))
        sites = {site.app.host: site for site in self._sites.values()}
        shell = look.shell(first.app.host) if knobs.navigation == "soft" else None
        self._page = self._handle.start(sites, f"http://{first.app.host}/", now=NOW, shell=shell)

    def _opening(self, task: Task) -> str:
        return f"{task.prompt}\n\n{self._page}"

    def _run(self, calls: Sequence[Any]) -> tuple[list[ToolResult], bool]:
        self._journal.append(tuple(calls))
        return self._carry_out(calls)

    def _carry_out(self, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], bool]:
        if any(call.name == "wait_for" for call in calls) and any("slow" in each for each in self._sessions().values()):
            self._handle.act("goto", {"url": self._handle.url})  # who waits for a slow page gets it
        return super()._run(calls)

    def _sessions(self) -> dict[str, dict[str, Any]]:
        return {name: site.store.session() for name, site in self._sites.items()}

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        for name, site in self._sites.items():
            if site.fault is not None:
                raise RuntimeError(f"a page of {name} failed: {site.fault!r}") from site.fault
        wanted = hidden.task
        text, gave_up = self._answer.given or ("", False)
        damage = self._damage(hidden)
        if gave_up and not wanted.infeasible:
            damage.insert(0, "it can be done")
        why = f"void: {damage[0]}" + (f" and {len(damage) - 1} more" if len(damage) > 1 else "") if damage else ""
        if wanted.infeasible:
            return [Check(name="says that it cannot be done", weight=1.0, passed=gave_up and not damage, evidence=why)]
        facts = [
            (goal.name, goal.weight, self._sites[goal.app or hidden.template.apps[0]].store.holds(goal))
            for goal in wanted.goals
        ]
        if wanted.answer is not None:
            facts.append(("answer", 1.0, self._answer.given is not None and wanted.answer.accepts(text)))
        total = sum(weight for _, weight, _ in facts)
        return [
            Check(
                name=name,
                weight=weight / total,
                passed=holds and not damage,
                evidence=why or ("holds" if holds else "does not hold"),
            )
            for name, weight, holds in facts
        ]

    def _damage(self, problem: Problem) -> list[str]:
        """Return what was changed that the task does not allow."""
        first = problem.template.apps[0]
        found = []
        self._changes = {name: site.store.changes() for name, site in self._sites.items()}
        for name, changes in self._changes.items():
            allowed = [rule for rule in problem.task.allowed if (rule.app or first) == name]
            found += [f"{name}: {each}" for each in self._sites[name].store.collateral(changes, allowed)]
        return found

    def _success(self, checks: Sequence[Check]) -> bool:
        return self._answer.given is not None and super()._success(checks)

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        pilot = Pilot()
        pilot.see(self._episode.opening)
        yield from pilot.clear()
        yield from hidden.task.solve(pilot)

    def _gold(self, task: Task, hidden: Problem) -> str | None:
        return hidden.task.answer.text if hidden.task.answer else None

    def _family_state(self) -> _State:
        try:
            page = self._handle.snapshot()
        except NotExact:
            page = None
        return _State(
            {name: site.store.snapshot() for name, site in self._sites.items()},
            {name: dict(site.session_shown) for name, site in self._sites.items()},
            page,
            tuple(self._journal),
        )

    def _set_family_state(self, state: _State) -> None:
        self._journal = list(state.journal)
        try:
            if state.page is None or not self._resumed(state):
                self._replay(state)
        except Exception as error:
            self._episode.done = True
            raise EnvironmentFault(f"restore of {self.task.id}: {error}") from error

    def _resumed(self, state: _State) -> bool:
        """Bring databases and browser back at once; False where the browser says that it would not be exact."""
        self._put_back(state.data)
        for name, session in state.sessions.items():
            self._sites[name].store.save_session(session)
        try:
            self._handle.restore(state.page)
        except (NotExact, BrowserFault):
            return False  # a browser that is really gone will say so again when the calls are done again
        self._put_back(state.data)  # showing the pages again has used up their messages
        for name, session in state.sessions.items():
            self._sites[name].session_shown = dict(session)
        return True

    def _put_back(self, data: Mapping[str, bytes]) -> None:
        for name, each in data.items():
            self._sites[name].store.restore(each)

    def _replay(self, state: _State) -> None:
        given = self._answer.given
        self._open(self._hidden_part)
        for calls in state.journal:
            self._carry_out(calls)
        self._answer.given = given
        if not all(site.store.equals(state.data[name]) for name, site in self._sites.items()):
            raise RuntimeError("doing the same again led to another state")

    def _state_key(self) -> str:
        """Equal databases, sessions, browser and answer have equal futures, whatever led to them."""
        try:
            page = _lasting(self._handle.snapshot())
        except NotExact:
            page = tuple(self._journal)
        state = (self.task.id, self._changes, self._sessions(), page, self._answer.given)
        return hashlib.blake2b(repr(state).encode("utf-8", "replace"), digest_size=8).hexdigest()

    def render(self) -> Any:
        """Return the transcript (``"ansi"``), or a screenshot of shape (height, width, 3), uint8 (``"rgb_array"``)."""
        if self.render_mode != "rgb_array":
            return super().render()
        from PIL import Image

        with Image.open(io.BytesIO(self._handle.screenshot())) as image:
            return np.asarray(image.convert("RGB"))

    def close(self) -> None:
        """End the episode and free browser context and databases. Idempotent."""
        super().close()
        self._close_sites()

    def _close_sites(self) -> None:
        for site in self._sites.values():
            site.store.close()
        self._sites = {}
