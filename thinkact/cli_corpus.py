"""``thinkact corpus``: index documents of one's own, search them, get documentation sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkact import cli_common as common
from thinkact import cli_corpus_view as view

if TYPE_CHECKING:
    from thinkact.tools.search.store import Manifest

app = typer.Typer(no_args_is_help=True, help="Index documents of your own, search them, get documentation sets.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
Backend = Annotated[
    str | None, typer.Option("--backend", help="fts5, tantivy or hybrid; by default the fastest built.")
]
Name = Annotated[str, typer.Argument(help="Of the corpus, or its folder; `thinkact corpus list` shows all.")]


@app.command()
def build(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are read to their ends.")],
    name: Annotated[str, typer.Option(help="What the corpus is called from then on.")],
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="fts5 (default), tantivy or hybrid; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; by default kept under its name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a corpus of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Make a corpus of your files: HTML, Markdown, text, reST, JSON lines, PDF.

    A line of a .jsonl file is a document: {"id", "title", "text", "url", "date"},
    of which only the text is needed ("contents" will do). Links and hidden files
    are left out; what cannot be read is listed at the end. An interrupted build
    leaves nothing behind.

    \b
    thinkact corpus build manuals/ --name manuals
    thinkact corpus build a.pdf notes.md --name notes --backend tantivy
    thinkact corpus build wiki.jsonl --name wiki --backend fts5 --backend hybrid
    """  # noqa: D301
    from thinkact.tools.corpus import ReadReport, read_documents
    from thinkact.tools.search.store import corpus_folder, write_corpus

    folder = checked(lambda: out or corpus_folder(name))
    if (folder / "manifest.json").exists() and not force:
        raise common.UserError(f"There is a corpus in {folder}; --force replaces it, or give another --name.")
    report, began = ReadReport(), time.monotonic()
    try:
        with view.watching(f"building {name}") as tell:

            def on_file(done: int, total: int) -> None:
                tell("files", done, total)

            documents = read_documents(paths, report=report, on_file=on_file)
            source = ", ".join(str(path) for path in paths)[:500]
            manifest = write_corpus(
                _some(documents), folder, name=name, backends=backend or ("fts5",), source=source,
                on_progress=lambda what, done: None if what == "documents" else tell(what, done, None),
            )  # fmt: skip
    except (ValueError, FileExistsError) as error:
        raise common.UserError(str(error)) from error
    except KeyboardInterrupt:
        raise common.UserError("Interrupted; nothing was kept.") from None
    seconds = time.monotonic() - began
    size = view.folder_size(folder)
    if as_json:
        common.print_json(
            {**asdict(manifest), "folder": str(folder), "files": report.files, "bytes": size,
             "seconds": round(seconds, 2), "skipped": [asdict(each) for each in report.skipped]}
        )  # fmt: skip
        return
    target = str(folder) if out else name
    view.table(
        [
            ("corpus", name),
            ("documents", f"{manifest.documents:,} of {report.files:,} files"),
            ("passages", f"{manifest.passages:,}"),
            ("text", f"{manifest.characters:,} characters"),
            ("on disk", view.size_text(size)),
            ("took", f"{seconds:.1f} s"),
            *view.left_out(report.reasons(), [(each.path, each.reason) for each in report.skipped]),
        ]
    )
    common.out.print(
        f'\nTry it:  thinkact corpus search {target} "a few words"\n'
        f'Use it:  open_corpus("{target}") of thinkact.tools.search.store is a Retriever for any search tool',
        markup=False, highlight=False,
    )  # fmt: skip


def _some(documents: Iterator[Any]) -> Iterator[Any]:
    empty = True
    for document in documents:
        empty = False
        yield document
    if empty:
        raise common.UserError("There is no document in what was named; nothing was kept.")


@app.command()
def search(
    name: Name,
    query: Annotated[list[str], typer.Argument(help="A few words.")],
    k: Annotated[int, typer.Option("-k", "--k", help="Hits.", min=1, max=100)] = 5,
    backend: Backend = None,
    as_json: Json = False,
) -> None:
    """Search a corpus as an agent would; the words that were found are marked.

    \b
    thinkact corpus search manuals "connection time-out" -k 10
    thinkact corpus search docs-python shutil copyfile --backend tantivy
    """  # noqa: D301
    words = " ".join(query)
    began = time.monotonic()
    retriever = open_named(name, backend)
    opened = time.monotonic()
    hits = retriever.search(words, k)
    took = time.monotonic() - opened
    if as_json:
        common.print_json(
            {"query": words, "hits": [hit._asdict() for hit in hits], "open_s": round(opened - began, 4),
             "search_s": round(took, 4), "fingerprint": retriever.fingerprint}
        )  # fmt: skip
        return
    from rich.text import Text

    from thinkact.tools.search.query import query_words

    if not hits:
        common.out.print("No hits. Try other words.")
        return
    asked = query_words(words)
    for number, hit in enumerate(hits, 1):
        where = f"  {hit.id}" + (f" at {hit.offset}" if hit.offset else "")
        common.out.print(Text.assemble((f"{number} ", "dim"), (hit.title, "bold"), (where, "cyan")), soft_wrap=True)
        if hit.snippet:
            common.out.print(view.marked(hit.snippet, asked), soft_wrap=True)
    common.out.print(f"{len(hits)} hits in {1000 * took:.1f} ms", style="dim", highlight=False)


@app.command()
def show(
    name: Name,
    id: Annotated[str, typer.Argument(help="Of the document, as `thinkact corpus search` shows it.")],
    offset: Annotated[int, typer.Option(help="Character to begin with.", min=0)] = 0,
    chars: Annotated[int, typer.Option(help="Characters to show; 0 shows all.", min=0)] = 2000,
    as_json: Json = False,
) -> None:
    """Show a document, or a stretch of it.

    \b
    thinkact corpus show docs-python python/library/shutil --offset 4000
    """  # noqa: D301
    from thinkact.tools.search.store import open_store

    store = open_store(name)
    try:
        document = store.document(id)
    except KeyError:
        raise common.UserError(f"{name} has no document {id!r}; `thinkact corpus search` shows ids.") from None
    end = len(document.text) if not chars else min(len(document.text), offset + chars)
    if as_json:
        common.print_json({**asdict(document), "text": document.text[offset:end], "offset": offset, "end": end})
        return
    from rich.text import Text

    head = " · ".join(part for part in (document.title, document.date, document.url) if part)
    common.out.print(Text(view.inert(head), style="bold"), soft_wrap=True)
    common.out.print(Text(view.inert(document.text[offset:end])), soft_wrap=True)
    if end < len(document.text):
        common.out.print(
            f"[{offset}-{end} of {len(document.text)}; go on with --offset {end}]", markup=False, style="dim"
        )


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the corpora that are kept by name, and the documentation sets."""
    from thinkact.tools.corpus.docsets import installed_sets, read_manifest
    from thinkact.tools.search.store import corpora_folder, list_corpora

    corpora = list_corpora()
    sets = [read_manifest(name) for name in installed_sets()]
    if as_json:
        rows = [
            {**asdict(each), "folder": str(corpora_folder() / each.name), "indexes": _indexes(each)} for each in corpora
        ]
        common.print_json({"corpora": rows, "docs": [asdict(each) for each in sets]})
        return
    if not corpora and not sets:
        common.out.print("There is none yet: thinkact corpus build FOLDER --name NAME, or thinkact corpus docs sqlite")
        return
    from rich.table import Table

    if corpora:
        table = Table("corpus", "documents", "passages", "indexes", "on disk", "built", box=None, pad_edge=False)
        for each in corpora:
            size = view.size_text(view.folder_size(corpora_folder() / each.name))
            table.add_row(
                each.name,
                f"{each.documents:,}",
                f"{each.passages:,}",
                ", ".join(_indexes(each)),
                size,
                each.created[:10],
            )
        common.out.print(table)
    if sets:
        table = Table("documentation", "pages", "described things", "licence", "from", box=None, pad_edge=False)
        for known in sets:
            table.add_row(known.name, f"{known.pages:,}", f"{known.parts:,}", known.licence, known.source)
        common.out.print(table)


def _indexes(manifest: Manifest) -> list[str]:
    from thinkact.tools.search.store import INDEX, corpora_folder

    return sorted(seal.parent.name for seal in (corpora_folder() / manifest.name / INDEX).glob("*/manifest.json"))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Of a corpus that is kept by name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a corpus and its indexes. The files it was made of stay where they are."""
    from thinkact.tools.search import sealed
    from thinkact.tools.search.store import corpus_folder, list_corpora

    folder = checked(lambda: corpus_folder(name))
    if not (folder / sealed.SEAL).is_file():
        names = ", ".join(each.name for each in list_corpora()) or "none"
        raise common.UserError(f"There is no corpus {name!r}. There is: {names}.")
    size = view.folder_size(folder)
    if not yes and not typer.confirm(f"Remove {name} ({view.size_text(size)})?", err=True):
        raise common.UserError("Nothing was removed.")
    sealed.remove(folder)
    if as_json:
        common.print_json({"removed": name, "bytes": size})
    else:
        print(f"removed {name}, {view.size_text(size)}")


@app.command()
def docs(
    sets: Annotated[
        list[str] | None, typer.Argument(help="apache, django, postgresql, python, sqlite; default all.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Take one set's HTML pages from this folder.")] = None,
    backend: Annotated[list[str] | None, typer.Option("--backend", help="Index to build; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Get documentation sets: real manuals with free licences, for DocsQA and for searching.

    A package that is installed is read where it is; else it is downloaded with
    apt-get and unpacked into a scratch folder, which needs no root and installs
    nothing. Without apt (macOS, Fedora), get the HTML pages in another way and
    name their folder with --from.

    \b
    thinkact corpus docs sqlite apache        small ones, seconds
    thinkact corpus docs                      all five, 100 MB unpacked for a moment
    thinkact corpus docs python --from ~/python-3.13-docs-html
    thinkact corpus search docs-sqlite "page size"
    """  # noqa: D301
    from thinkact.tools.corpus import fetch
    from thinkact.tools.corpus.docsets import SETS, write_set
    from thinkact.tools.corpus.library import ensure_corpus
    from thinkact.tools.search.types import CorpusMissing

    wanted = list(dict.fromkeys(sets or SETS))
    if unknown := [name for name in wanted if name not in SETS]:
        raise common.UserError(f"There is no documentation set {unknown[0]!r}: there are {', '.join(SETS)}.")
    if source is not None and len(wanted) != 1:
        raise common.UserError("--from is for one set: name it, as in thinkact corpus docs python --from DIR.")
    done: list[Any] = []
    failed: dict[str, str] = {}
    for name in wanted:
        try:
            with view.watching(name) as tell:
                tell("looking for the pages", 0, None)
                with fetch.pages(SETS[name], source) as found:
                    manifest = write_set(
                        SETS[name], found.folder, source=found.source, licence_text=found.licence_text,
                        on_page=lambda at, total, tell=tell: tell("pages", at, total),  # type: ignore[misc]
                    )  # fmt: skip
                ensure_corpus(
                    [name], backends=backend or ("fts5",),
                    on_progress=lambda what, at, tell=tell: tell(what, at, None),  # type: ignore[misc]
                )  # fmt: skip
            done.append(manifest)
        except KeyboardInterrupt:
            raise common.UserError(f"Interrupted at {name}; what was done before stays, of it nothing.") from None
        except (CorpusMissing, ValueError) as error:
            failed[name] = str(error)
    if as_json:
        common.print_json({"docs": [asdict(each) for each in done], "failed": failed})
    else:
        for each in done:
            skipped = "".join(f", {count} × {reason}" for reason, count in each.skipped.items())
            common.out.print(
                f"✓ {each.name}: {each.pages:,} pages, {each.parts:,} described things, {each.licence}, "
                f"from {each.source}{skipped}", markup=False, highlight=False,
            )  # fmt: skip
        if done:
            common.out.print(
                f"Search them:  thinkact corpus search docs-{done[0].name} \"a few words\"\n"
                "Play them:    thinkact play thinkact/DocsQA-v0 --policy expert", markup=False, highlight=False,
            )  # fmt: skip
    if failed:
        raise common.UserError("\n       ".join(failed.values()))


def open_named(name: str, backend: str | None) -> Any:
    """Open a corpus by name or folder and show how far that is; a wrong one is a user's mistake."""
    from thinkact.tools.search.store import open_corpus

    with view.watching(f"opening {name}") as tell:
        return checked(lambda: open_corpus(name, backend, on_progress=lambda what, done: tell(what, done, None)))


def checked(make: Callable[[], Any]) -> Any:
    """Call, and tell of a wrong name or backend as of a user's mistake."""
    try:
        return make()
    except ModuleNotFoundError as error:
        raise common.UserError(common.explain(error) or str(error)) from error
    except ValueError as error:
        raise common.UserError(str(error)) from error
