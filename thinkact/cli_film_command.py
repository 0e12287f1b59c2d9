"""``thinkact film``: a recorded episode as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thinkact import cli_common as common


def film(
    episodes: Annotated[Path, typer.Argument(help="A file that `thinkact rollout --out` wrote.")],
    out: Annotated[Path, typer.Option(help="Where the film goes: .gif plays, .png shows all frames.")],
    index: Annotated[int, typer.Option(help="Which episode of the file, from 0.", min=0)] = 0,
    task: Annotated[str | None, typer.Option(help="Only episodes of this task.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", help="Knob key=value, as it was played.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Make a GIF or a film strip of an episode in a browser, by doing its actions again.

    \b
    thinkact rollout thinkact/Shop-v0 --episodes 4 --out shop.jsonl
    thinkact film shop.jsonl --out shop.gif --index 2
    """  # noqa: D301
    from thinkact.cli_film import film_episode, nth_episode

    told = film_episode(nth_episode(episodes, index, task), out, common.pairs(env or (), "--env"))
    if as_json:
        common.print_json(told)
        return
    same = "as it was recorded" if told["as_recorded"] else "NOT as it was recorded: other knobs or versions?"
    print(f"{told['film']}: {told['frames']} frames, score {told['score']:.3f}, {same}")
