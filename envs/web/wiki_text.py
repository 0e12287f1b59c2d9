"""The wiki's markup: a canonical form, what a text says, and its HTML.

A text is a lead and sections under ``== headings ==``. Lines that start with ``|`` are rows of a table (the first
is its head), with ``*`` items of a list; ``[[Title]]`` and ``[[Title|words]]`` link; ``#REDIRECT [[Title]]`` as the
first line sends readers on. Everything else is plain text: there is no HTML in it, whatever is typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from markupsafe import Markup

_HEADING = re.compile(r"^== *(.+?) *==$")
_LINK = re.compile(r"\[\[([^\[\]|]+)(?:\|([^\[\]|]*))?\]\]")
_REDIRECT = re.compile(r"^#REDIRECT *\[\[([^\[\]|]+)\]\]", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\u00a0]{2,}|[\t\u00a0]")
_CELLS = re.compile(r" *\|(?![^\[\]]*\]\]) *")  # a bar inside [[…]] belongs to the link
#: Longer texts are refused by the wiki.
MAX_CHARS = 8000


def normal(text: str) -> str:
    """Return the form in which texts are stored: two that look alike are equal."""
    lines: list[str] = []
    for raw in _SPACES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n"):
        line = raw.strip()
        if line.startswith("|"):
            line = "| " + " | ".join(row_cells(line))
        elif line.startswith("*"):
            line = "* " + line[1:].strip()
        elif heading := _HEADING.match(line):
            line = f"== {heading[1]} =="
        if line:
            lines.append(line)
    blocks: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        # One empty line stands between blocks, wherever the writer put how many.
        blocks.append("\n" + line if before and not _joined(before, line) else line)
    return "\n".join(blocks)


def _joined(before: str, line: str) -> bool:
    if before.startswith("=="):
        return True
    return before[:1] == line[:1] and line[0] in "|*"


def row_cells(line: str) -> list[str]:
    """Return the cells of a table's row, as they are written."""
    inner = line.strip().strip("|").strip()
    cells = _CELLS.split(inner) if "]]" in inner else inner.split("|")  # the pattern is dear
    return [cell.strip() for cell in cells]


def sections(body: str) -> list[tuple[str, str]]:
    """Split a text: ``(heading, text with its heading line)``; the first is the lead, whose heading is empty."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in body.split("\n"):
        if heading := _HEADING.match(line):
            parts.append((heading[1], []))
        parts[-1][1].append(line)
    return [(heading, "\n".join(lines).strip("\n")) for heading, lines in parts]


def section(body: str, heading: str) -> str:
    """Return one section with its heading line. Raises ``KeyError`` when there is none."""
    return dict(sections(body))[heading]


def with_section(body: str, number: int, text: str) -> str:
    """Return a text with another section ``number`` (0: the lead). Raises ``IndexError`` when there is none."""
    texts = [each for _, each in sections(body)]
    texts[number] = text
    return normal("\n\n".join(texts))


def rows(text: str) -> list[list[str]]:
    """Return the first table of a text, its head included, as written."""
    found: list[list[str]] = []
    for line in text.split("\n"):
        if line.startswith("|"):
            found.append(row_cells(line))
        elif found:
            break
    return found


def facts(body: str) -> dict[str, str]:
    """Return the lead's table of facts, as written; empty where there is none."""
    return {row[0]: row[1] for row in rows(sections(body)[0][1])[1:] if len(row) == 2}


def links(body: str) -> list[str]:
    """Return the titles that a text links to, in order, each once."""
    return list(dict.fromkeys(match[1].strip() for match in _LINK.finditer(body)))


def redirect(body: str) -> str | None:
    """Return where a redirect leads, or None."""
    match = _REDIRECT.match(body)
    return match[1].strip() if match else None


def plain(text: str) -> str:
    """Return a text with its links as words."""
    return _LINK.sub(lambda match: match[2] or match[1], text)


def path_of(title: str) -> str:
    """Return a title as it stands in an address."""
    return quote(title.replace(" ", "_"), safe="")


def to_html(body: str, known: Callable[[str], bool], *, edit: Callable[[int, str], str] | None = None) -> Markup:
    """Return a text as HTML.

    Args:
        body: A text in its stored form.
        known: Tells whether an article of this title exists; links to others say that they lead nowhere.
        edit: Returns the address at which a section (by number and heading) is edited; None shows no such links.
    """
    from markupsafe import Markup, escape

    def inline(text: str) -> str:
        out, at = "", 0
        for match in _LINK.finditer(text):
            title = match[1].strip()
            note = "" if known(title) else ' class="missing" title="no such article"'
            words = escape(match[2] or title) + ("" if known(title) else " (no article yet)")
            out += escape(text[at : match.start()]) + Markup(f'<a href="/wiki/{path_of(title)}"{note}>') + words
            out += Markup("</a>")
            at = match.end()
        return out + escape(text[at:])

    html: list[str] = []
    for number, (heading, text) in enumerate(sections(body)):
        if heading:
            html.append(f"<h2>{escape(heading)}</h2>")
        if edit is not None:
            label = f"Edit section {heading}" if heading else "Edit introduction"
            html.append(f'<p class="edit"><a href="{escape(edit(number, heading))}">{escape(label)}</a></p>')
        for block in text.split("\n\n"):
            lines = [line for line in block.split("\n") if not _HEADING.match(line)]
            if not lines or not lines[0]:
                continue
            if lines[0].startswith("|"):
                head, *rest = (row_cells(line) for line in lines)
                html.append("<table><tr>" + "".join(f"<th>{inline(cell)}</th>" for cell in head) + "</tr>")
                html += ["<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in rest]
                html.append("</table>")
            elif lines[0].startswith("*"):
                html.append("<ul>" + "".join(f"<li>{inline(line[1:].strip())}</li>" for line in lines) + "</ul>")
            else:
                html.append(f"<p>{inline(' '.join(lines))}</p>")
    return Markup("\n".join(str(each) for each in html))
