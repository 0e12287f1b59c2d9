"""Every page of a board by its address: the server renders them when asked, the export all of them.

Pages carry a content security policy that allows exactly the style and scripts written here, by hash. What a
model or a submitter wrote reaches a page only through autoescape or as JSON that a script turns into text nodes,
and is made :func:`~thinkact.leaderboard.inert.inert` before.

=====================================  ==================================================================
``index.html``, ``board/TAB.html``     A table: suite, split and all or one of its environments
``agents/AGENT.html``                  One agent: figures, breakdowns, submissions, manifest
``compare/TAB-A-B.html``               Two agents, and ``…-episodes.html``: their episodes side by side
``submissions/ID/index.html``          A submission's episodes, and ``episodes-N.html``: the viewer
=====================================  ==================================================================
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from thinkact.leaderboard.compare import Comparison, Disagreement
from thinkact.leaderboard.figures import Figures, Tab, short_hash
from thinkact.leaderboard.inert import one_line, script_json
from thinkact.leaderboard.paired import p_text
from thinkact.leaderboard.plot import plots
from thinkact.leaderboard.statistics import Outcome
from thinkact.leaderboard.store import Board, Entry
from thinkact.leaderboard.transcripts import Decode, episode_view
from thinkact.leaderboard.view_agents import (
    FLAGS,
    agent_key,
    comparison,
    manifest_lines,
    own_entries,
    placed,
    telling_pair,
)
from thinkact.leaderboard.view_episodes import Episodes, Files, items_of

#: Disagreements whose episodes stand side by side, and how many are listed.
SIDE_BY_SIDE, LISTED = 20, 200
#: Comparisons in an export; a server has all.
EXPORTED_PAIRS = 40
_SOURCES = ("site.css", "theme.js", "board.js", "list.js", "transcript.js", "viewer.js", "side.js", "live.js")
_ADDRESS = re.compile(
    r"board/(?P<tab>[0-9a-f]{8})\.html|agents/(?P<agent>[a-z0-9-]+)\.html"
    r"|compare/(?P<on>[0-9a-f]{8})-(?P<a>[0-9a-f]{8})-(?P<b>[0-9a-f]{8})(?P<side>-episodes)?\.html"
    r"|submissions/(?P<submission>[a-z0-9-]+)/(?:index|episodes-(?P<page>[0-9]{1,6}))\.html"
)


#: A comparison, and where the two episodes of each disagreement are: submission, number there, address.
_Compared = tuple[Comparison, list[tuple[Disagreement, list[tuple[str, int, str]]]]]


class Pages:
    """The pages of a board.

    Args:
        board: What to show.
        suite: Only this suite.
        decode: Gives the text of each token id; without it ids are shown.
        hidden: Show tasks and transcripts of the hidden split too.
        live: The pages are served: there is a page of running submissions, and any two agents can be compared.
    """

    def __init__(
        self,
        board: Board,
        *,
        suite: str | None = None,
        decode: Decode | None = None,
        hidden: bool = False,
        live: bool = False,
    ) -> None:
        self.board = board
        self.decode = decode
        self.hidden = hidden
        self.live = live
        self.figures = Figures(board, suite)
        self.episodes = Episodes(board.path, hidden=hidden)
        self._lock = threading.RLock()
        self._pairs: dict[Tab, set[tuple[str, str]]] = {}
        self._compared_last: tuple[tuple[str, ...], _Compared] | None = None
        self._listed: tuple[tuple[str, str], tuple[list[dict[str, Any]], str]] | None = None
        self.env = Environment(
            loader=PackageLoader("thinkact.leaderboard", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.env.filters |= {"line": one_line, "p_text": p_text, "split_name": _split_name}
        self.env.globals.update(agent_key=agent_key, flag_texts=FLAGS, live=live, bar=_bar)
        self.sources = {name: self._source(name) for name in _SOURCES}
        every = map(self._source, self.env.list_templates())
        # Nothing tells one decoder from another: a reader's copy of such a page is not reused by a new process.
        self.digest = short_hash(*every, str(hidden), str(suite), secrets.token_hex() if decode else "")

    def refresh(self) -> str:
        """Look at the board; returns a tag that changes whenever a page may have changed."""
        with self._lock:
            if self.figures.refresh() or not self._pairs:
                self._pairs = {} if self.live else self._chosen_pairs()
            return f"{self.figures.state[:24]}{self.digest}"

    def warm(self) -> None:
        """Have at hand what most pages of the first suite need, so that the first reader need not wait for it."""
        with self._lock:
            for tab in self.figures.tabs()[:1]:
                self.figures.standings(tab)
                self.figures.horizons(tab.suite, tab.split)

    def render(self, path: str) -> str | None:
        """Return a page; None when there is none at that address. :meth:`refresh` first."""
        with self._lock:
            if path == "index.html":
                tabs = self.figures.tabs()
                return self._board(tabs[0] if tabs else None, "")
            asked = _ADDRESS.fullmatch(path)
            if asked is None:
                return None
            part = asked.groupdict()
            if part["tab"]:
                tab = self._tab(part["tab"])
                return self._board(tab, "../") if tab else None
            if part["agent"]:
                return self._agent(part["agent"])
            if part["on"]:
                return self._compare(part["on"], part["a"], part["b"], bool(part["side"]))
            return self._submission(part["submission"], part["page"])

    def paths(self) -> Iterator[str]:
        """Yield the addresses of all pages, for an export. :meth:`refresh` first."""
        yield "index.html"
        yield from (f"board/{tab.key}.html" for tab in self.figures.tabs()[1:])
        names = dict.fromkeys(one.name for one in self.figures.entries)
        yield from (f"agents/{agent_key(name)}.html" for name in names)
        for submission in dict.fromkeys(one.submission for one in self.figures.entries):
            yield f"submissions/{submission}/index.html"
            files = self.episodes.files(submission)
            yield from (
                f"submissions/{submission}/episodes-{page}.html" for page in range(len(files.starts)) if files.shown
            )
        for tab, pairs in self._pairs.items():
            for a, b in sorted(pairs):
                address = f"compare/{tab.key}-{short_hash(a)}-{short_hash(b)}"
                yield from (f"{address}.html", f"{address}-episodes.html")

    def page(self, template: str, root: str, scripts: tuple[str, ...] = (), **context: Any) -> str:
        """Render a template into a whole page.

        Args:
            template: Its name.
            root: The way up to the board's first page: ``""`` or ``"../"``, as often as needed.
            scripts: What runs on it, in this order.
            context: What the template shows.
        """
        style, theme = self.sources["site.css"], self.sources["theme.js"]
        script = "\n".join(self.sources[name] for name in scripts)
        allowed = " ".join(map(_hash, filter(None, (theme, script))))
        connect = "'self'" if "live.js" in scripts else "'none'"
        policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; img-src data:; "
            f"connect-src {connect}; base-uri 'none'; form-action 'none'"
        )
        return self.env.get_template(template).render(
            root=root, style=style, theme=theme, script=script, policy=policy, **context
        )

    def _board(self, tab: Tab | None, root: str) -> str:
        if tab is None:
            return self.page("empty.html", root, withheld=self.board.withheld())
        tabs, whole = self.figures.tabs(), Tab(tab.suite, tab.split)
        found = self.figures.standings(tab)
        pairs = self._pairs.get(whole, set())
        exported = " ".join(f"{short_hash(a)}-{short_hash(b)}" for a, b in sorted(pairs))
        first = {one.suite: one for one in reversed(tabs)}
        return self.page(
            "board.html",
            root,
            ("board.js",),
            tab=tab,
            whole=whole,
            first=tabs[0],
            suites=[one for one in tabs if first[one.suite] == one],
            splits=[one for one in tabs if one.suite == tab.suite and one.env_id is None],
            environments=[one for one in tabs if (one.suite, one.split) == (tab.suite, tab.split) and one.env_id],
            found=found,
            order={one.name: at for at, one in enumerate(self.figures.standings(whole).agents)},
            short_hash=short_hash,
            pairs="*" if self.live else exported,
            plots=plots(found.agents),
            withheld=self.board.withheld(),
        )

    def _agent(self, key: str) -> str | None:
        name = next((one.name for one in self.figures.entries if agent_key(one.name) == key), None)
        if name is None:
            return None
        own = [one for one in self.figures.entries if one.name == name]
        submissions = {one.submission: one for one in own}
        newest = max(own, key=lambda one: one.created)
        return self.page(
            "agent.html",
            "../",
            name=name,
            baseline=newest.baseline,
            placed=placed(self.figures, name),
            submissions=[
                (one, sum(other.submission == key for other in own))
                for key, one in sorted(submissions.items(), key=lambda item: item[1].created, reverse=True)
            ],
            newest=newest,
            manifest=manifest_lines(newest.meta),
            compared=self._compared(name),
        )

    def _compared(self, name: str) -> list[tuple[Tab, list[tuple[str, str]]]]:
        """Return, by table, the agents that this one can be compared with, and the addresses."""
        found = []
        for tab in self.figures.tabs():
            if tab.env_id is not None:
                continue
            names = [one.name for one in self.figures.standings(tab).agents]
            if name not in names:
                continue
            at, links = names.index(name), []
            for place, other in enumerate(names):
                pair = (name, other) if at < place else (other, name)
                if other != name and (self.live or pair in self._pairs.get(tab, ())):
                    links.append((other, f"compare/{tab.key}-{short_hash(pair[0])}-{short_hash(pair[1])}.html"))
            if links:
                found.append((tab, links))
        return found

    def _compare(self, on: str, a: str, b: str, side: bool) -> str | None:
        tab = self._tab(on)
        if tab is None or tab.env_id is not None:
            return None
        names = {short_hash(one.name): one.name for one in self.figures.standings(tab).agents}
        if a == b or a not in names or b not in names:
            return None
        key = self.figures.state, on, a, b
        if self._compared_last is None or self._compared_last[0] != key:
            self._compared_last = key, self._comparison(tab, names[a], names[b])
        found, lines = self._compared_last[1]
        secret = tab.split == "hidden" and not self.hidden
        address = f"compare/{on}-{a}-{b}-episodes.html"
        context: dict[str, Any] = {"found": found, "tab": tab, "lines": lines, "address": address}
        if not side:
            return self.page("compare.html", "../", secret=secret, side_by_side=SIDE_BY_SIDE, **context)
        data = []
        for one, ends in lines[:SIDE_BY_SIDE]:
            episodes = [self.episodes.read(self.episodes.files(key), [number])[0] for key, number, _ in ends]
            views = [episode_view(each, self.decode) for each in episodes]
            named = [view | {"agent": one_line(name, 60)} for view, name in zip(views, (found.a, found.b), strict=True)]
            data.append({"task": one_line(one.task), "sides": named})
        return self.page("side.html", "../", ("transcript.js", "side.js"), data=script_json(data), **context)

    def _comparison(self, tab: Tab, a: str, b: str) -> _Compared:
        """Compare two agents; with each disagreement that may be shown, the places of its two episodes."""
        found = comparison(self.figures, tab, a, b)
        if tab.split == "hidden" and not self.hidden:
            return found, []
        places = [self._places(tab, name) for name in (a, b)]
        outcomes = [{key: place[0] for key, place in side.items()} for side in places]
        lines = []
        for one in found.disagreements[:LISTED]:
            ids = telling_pair(one, outcomes)
            lines.append((one, [side[key][1:] for side, key in zip(places, ids, strict=True)]))
        return found, lines

    def _places(self, tab: Tab, name: str) -> dict[str, tuple[Outcome, str, int, str]]:
        """Return an agent's outcomes in a table by episode id, each with its submission, number there and address."""
        found: dict[str, tuple[Outcome, str, int, str]] = {}
        everybody = self.figures.outcomes(tab.suite, tab.split)
        for key, one in own_entries(self.figures, tab, name).items():
            files = self.episodes.files(one.submission)
            for outcome in everybody[one.submission, *key]:
                if (number := files.numbers.get(outcome.id)) is not None:
                    found[outcome.id] = outcome, one.submission, number, files.href(number)
        return found

    def _submission(self, submission: str, page: str | None) -> str | None:
        entries = [one for one in self.figures.entries if one.submission == submission]
        if not entries:
            return None
        root, files = "../../", self.episodes.files(submission)
        items, listing = self._items(submission, entries, files)
        context = {"entry": entries[0], "entries": entries, "items": items}
        if page is not None:
            if int(page) >= len(files.starts) or not items:
                return None
            numbers = files.on_page(int(page))
            views = (episode_view(one, self.decode) for one in self.episodes.read(files, numbers))
            data = [(number, script_json(view)) for number, view in zip(numbers, views, strict=True)]
            return self.page(
                "episodes.html", root, ("transcript.js", "viewer.js"), listing=listing, data=data, **context
            )
        versions = self.episodes.read(files, [0])[0].versions if items else {}
        return self.page(
            "submission.html",
            root,
            ("list.js",),
            counts={key: sum(item["status"] == key for item in items) for key in ("solved", "failed", "error")},
            left_out=len(files.manifest.episodes) - len(items),
            manifest=manifest_lines({**entries[0].meta, **({"recorded with": versions} if versions else {})}),
            **context,
        )

    def _items(self, submission: str, entries: list[Entry], files: Files) -> tuple[list[dict[str, Any]], str]:
        """Return the list of a submission's episodes, and as JSON for its viewer; the last one asked for is kept."""
        key = self.figures.state, submission
        if self._listed is None or self._listed[0] != key:
            outcomes: dict[str, Outcome] = {}
            for one in entries:
                everybody = self.figures.outcomes(one.suite, one.split)
                outcomes |= {out.id: out for out in everybody.get((submission, one.env_id, one.env_version), ())}
            items = items_of(files, outcomes)
            brief = [[one["status"], one["task"], one["score"]] for one in items]
            self._listed = key, (items, script_json({"starts": files.starts, "items": brief}))
        return self._listed[1]

    def _tab(self, key: str) -> Tab | None:
        return next((tab for tab in self.figures.tabs() if tab.key == key), None)

    def _chosen_pairs(self) -> dict[Tab, set[tuple[str, str]]]:
        """Choose what an export compares: neighbours on the board first, then the rest as far as there is room."""
        whole = [tab for tab in self.figures.tabs() if tab.env_id is None]
        found = {}
        for tab in whole:
            names = [one.name for one in self.figures.standings(tab).agents]
            pairs = [(b - a > 1, a, b) for b in range(len(names)) for a in range(b)]
            chosen = sorted(pairs)[: max(3, EXPORTED_PAIRS // len(whole))]
            found[tab] = {(names[a], names[b]) for _, a, b in chosen}
        return found

    def _source(self, name: str) -> str:
        assert self.env.loader is not None
        return self.env.loader.get_source(self.env, name)[0]


def _split_name(split: str) -> str:
    """Return a split's name for readers: the tasks of ``eval`` are the public ones of a suite."""
    return "public" if split == "eval" else one_line(split, 20)


def _bar(low: float, success: float, high: float) -> dict[str, str]:
    """Return a success bar's geometry in a 100-unit wide drawing."""
    return {"low": f"{100 * low:.2f}", "success": f"{100 * success:.2f}", "high": f"{100 * high:.2f}"}


@functools.cache
def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
