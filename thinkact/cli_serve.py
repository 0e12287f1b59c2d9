"""``thinkact leaderboard serve``: the board in this machine's browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkact import cli_common as common


def serve_board(
    board: Annotated[Path, typer.Option("--board", help="Folder of the leaderboard.")] = Path("runs/leaderboard"),
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8321,
    suite: Annotated[str | None, typer.Option(help="Only this suite.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json or a model's folder: token texts instead of ids.")
    ] = None,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Show tasks of the hidden split; they are then known.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Show the board in the browser, with submissions as they run.

    Only this machine can read it, and it can only be read. From elsewhere:
    ssh -L 8321:127.0.0.1:8321 that-machine, then http://127.0.0.1:8321/.

    \b
    thinkact leaderboard serve
    thinkact leaderboard serve --board runs/leaderboard --port 0 --open
    thinkact leaderboard serve --tokenizer runs/default/model
    """  # noqa: D301
    from thinkact.leaderboard import web
    from thinkact.leaderboard.transcripts import tokenizer_decoder

    decode = tokenizer_decoder(tokenizer) if tokenizer is not None else None
    app = web.application(common.open_board(board), suite=suite, decode=decode, hidden=hidden)

    def started(url: str) -> None:
        print(url, flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(url)

    try:
        web.serve(app, port=port, started=started)
    except OSError as error:
        raise common.UserError(f"cannot serve on port {port}: {error.strerror}; name another with --port.") from error
    except KeyboardInterrupt:
        return
