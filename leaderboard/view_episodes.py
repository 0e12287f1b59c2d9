"""A submission's episodes for its pages: found by number without reading the others, and cut into pages.

The episodes of one page stand in it as JSON, so that it opens from disk; a page ends at :data:`CHUNK` episodes or
:data:`CHUNK_BYTES`, whichever comes first.
"""

from __future__ import annotations

import bisect
import io
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkact.leaderboard.inert import one_line
from thinkact.leaderboard.records import Manifest, Receipt, RejectedSubmission, digest, lost, read_manifest
from thinkact.leaderboard.statistics import Outcome
from thinkact.leaderboard.transcripts import status_of
from thinkact.policies.episode import Episode

#: Most episodes of a page, and most bytes of their records.
CHUNK, CHUNK_BYTES = 50, 1_500_000
#: Submissions whose layout is remembered.
_REMEMBERED = 16


@dataclass(frozen=True)
class Files:
    """Where each episode of a submission stands in its file.

    Attributes:
        path: The JSONL file.
        manifest: What was submitted.
        shown: The episodes that pages may show, in the order submitted.
        spans: Offset and length of each shown episode's line; None when its record was lost.
        starts: Number of the first episode of each page.
        numbers: Number of each shown episode by its id.
    """

    path: Path
    manifest: Manifest
    shown: tuple[Receipt, ...]
    spans: tuple[tuple[int, int] | None, ...]
    starts: tuple[int, ...]
    numbers: Mapping[str, int]

    def page_of(self, number: int) -> int:
        """Return the page that an episode is on."""
        return bisect.bisect_right(self.starts, number) - 1

    def on_page(self, page: int) -> range:
        """Return the numbers of a page's episodes."""
        ends = (*self.starts[1:], len(self.shown))
        return range(self.starts[page], ends[page])

    def href(self, number: int) -> str:
        """Return an episode's address, below the submission's folder."""
        return f"episodes-{self.page_of(number)}.html#e={number}"


class Episodes:
    """Reads episodes of a board's submissions by number.

    Args:
        folder: The board's.
        hidden: Show episodes of the hidden split too.
    """

    def __init__(self, folder: Path, *, hidden: bool = False) -> None:
        self.folder = folder
        self.hidden = hidden
        self._known: OrderedDict[tuple[str, int, int], Files] = OrderedDict()

    def files(self, submission: str) -> Files:
        """Return the layout of a submission that is on the board.

        Raises:
            RejectedSubmission: When its manifest cannot be read.
        """
        path = self.folder / "episodes" / f"{submission}.jsonl"
        stat = path.stat()
        key = submission, stat.st_mtime_ns, stat.st_size
        if key not in self._known:
            self._known[key] = self._lay_out(path, submission)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def read(self, files: Files, numbers: Iterable[int]) -> list[Episode]:
        """Read some episodes.

        Raises:
            RejectedSubmission: When a record is not what was submitted.
        """
        found = []
        with files.path.open("rb") as file:
            for number in numbers:
                receipt, span = files.shown[number], files.spans[number]
                if span is None:
                    found.append(lost(files.manifest, receipt))
                    continue
                file.seek(span[0])
                line = file.read(span[1])
                if digest(line) != receipt.digest:
                    raise RejectedSubmission(f"episode {receipt.id!r} is not what was submitted")
                found.append(Episode.model_validate_json(line))
        return found

    def _lay_out(self, path: Path, submission: str) -> Files:
        manifest = read_manifest(path.with_suffix(".json"))
        if manifest is None:
            raise RejectedSubmission(f"the manifest of {submission} is damaged")
        at, where = 0, dict[str, tuple[int, int]]()
        for line in io.BytesIO(path.read_bytes()):
            where[digest(line)] = at, len(line)
            at += len(line)
        shown = tuple(one for one in manifest.episodes if self.hidden or one.split != "hidden")
        spans = tuple(where.get(one.digest) for one in shown)
        starts, held, size = [0], 0, 0
        for number, span in enumerate(spans):
            length = span[1] if span else 0
            if held == CHUNK or (held and size + length > CHUNK_BYTES):
                starts.append(number)
                held, size = 0, 0
            held, size = held + 1, size + length
        numbers = {one.id: number for number, one in enumerate(shown)}
        return Files(path, manifest, shown, spans, tuple(starts), numbers)


def items_of(files: Files, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Return a line per shown episode for lists, as texts where there is nothing to reckon with.

    Args:
        files: The submission's.
        outcomes: Its outcomes by episode id.
    """
    items = []
    for number, receipt in enumerate(files.shown):
        one = outcomes.get(receipt.id) or Outcome(receipt.id, "", None, None)
        items.append(
            {
                "status": status_of(one.success),
                "cut": one.truncated,
                "task": one_line(receipt.task_id, 80),
                "env": one_line(receipt.env_id.removeprefix("thinkact/"), 40),
                "score": one.score,
                "score_text": "–" if one.score is None else f"{one.score:.2f}",
                "turns": str(one.turns),
                "tokens": f"{one.tokens:,}",
                "seconds": f"{one.seconds:.2f}",
                "href": files.href(number),
            }
        )
    return items
