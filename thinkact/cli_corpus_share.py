"""``thinkact corpus serve`` and ``thinkact corpus cassette``: an index for others, and what was recorded of others'."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from thinkact import cli_common as common
from thinkact.cli_corpus import Backend, Json, Name, app, checked, open_named

__all__ = ["app"]


@app.command()
def serve(
    name: Name,
    backend: Backend = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8000,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable with the key that clients must send.")
    ] = None,
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Serve other machines without a key.")] = False,
) -> None:
    """Serve a corpus to other processes and hosts, in the /retrieve shape of Search-R1.

    \b
    thinkact corpus serve manuals --port 8000
    curl localhost:8000/retrieve -d '{"queries": ["pump"], "topk": 3}'

    In Python: open_retriever("http", url="http://localhost:8000").
    """  # noqa: D301
    from thinkact.tools.search.serve import serve_retriever

    key = os.environ.get(key_env, "") if key_env else ""
    if key_env and not key:
        raise common.UserError(f"The environment variable {key_env} is not set; it must hold the key.")
    retriever = open_named(name, backend)

    def ready(url: str) -> None:
        common.out.print(f"Serving {name} ({retriever.fingerprint}) at [bold]{url}[/bold]   (Ctrl-C ends it)")

    try:
        checked(
            lambda: serve_retriever(retriever, host=host, port=port, token=key, open_to_all=open_to_all, ready=ready)
        )
    except OSError as error:
        raise common.UserError(
            f"{host}:{port} cannot be listened on ({error.strerror}); give another --port."
        ) from error


@app.command()
def cassette(
    file: Annotated[Path, typer.Argument(help="A recording of live search.")],
    out: Annotated[Path | None, typer.Option(help="Write every answer here, as JSON lines.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a recording of live search holds.

    \b
    thinkact corpus cassette answers.cassette --out rows.jsonl
    """  # noqa: D301
    from thinkact.tools.search.cassette import describe_cassette, export_cassette
    from thinkact.tools.search.faults import CassetteDamaged

    try:
        found = describe_cassette(file)
        if out is not None:
            if out.exists():
                raise common.UserError(f"{out} exists already; name another file or remove it.")
            export_cassette(file, out)
    except (ValueError, CassetteDamaged) as error:
        raise common.UserError(str(error)) from error
    if as_json:
        common.print_json(asdict(found))
        return
    from rich.table import Table

    view = Table("source", "searches", "documents", box=None, pad_edge=False)
    for source in sorted({*found.searches, *found.documents}):
        view.add_row(source, str(found.searches.get(source, 0)), str(found.documents.get(source, 0)))
    common.out.print(view)
    common.out.print(f"{found.answer_bytes:,} bytes of answers, fingerprint {found.fingerprint}")
