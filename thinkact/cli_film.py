"""Episodes as pictures: a GIF that plays, or a strip to print; made by doing an episode's actions again."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from thinkact.cli_common import UserError
from thinkact.leaderboard.inert import inert

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from thinkact.envs import ToolEnv
    from thinkact.policies.episode import Episode

#: Pixels: the widest frame of a GIF and of a strip, and the height of a line below it.
_GIF_WIDTH, _STRIP_WIDTH, _LINE = 800, 420, 16
#: Milliseconds that a frame is shown, and the last one.
_SHOWN, _LAST = 1200, 3500
_LINES = 3
#: Frames side by side in a strip.
_COLUMNS = 4
KINDS = (".gif", ".png")


class Film:
    """Frames of an episode with what was done below each.

    Args:
        path: Where it goes: ``.gif`` plays, ``.png`` shows all frames side by side.

    Raises:
        UserError: Another ending, or Pillow is not installed.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in KINDS:
            raise UserError(f"A film is a {' or a '.join(KINDS)} file, not {path.name!r}.")
        try:
            import PIL.Image  # noqa: F401
        except ImportError as error:
            raise UserError("Films need Pillow: pip install 'thinkact[browser]'.") from error
        self.path = path
        self._width = _GIF_WIDTH if path.suffix.lower() == ".gif" else _STRIP_WIDTH
        self._frames: list[Image] = []

    def add(self, picture: np.ndarray[Any, Any], caption: str) -> None:
        """Add a frame: pixels of height x width x 3, and a caption of which three lines are shown."""
        from PIL import Image, ImageDraw, ImageFont

        frame = Image.fromarray(picture)
        if frame.width > self._width:
            frame = frame.resize((self._width, round(frame.height * self._width / frame.width)))
        page = Image.new("RGB", (self._width, frame.height + _LINES * _LINE + 8), "white")
        page.paste(frame, ((self._width - frame.width) // 2, 0))
        drawn = ImageDraw.Draw(page)
        lines = textwrap.wrap(inert(caption), width=self._width // 7)[:_LINES]
        font = ImageFont.load_default(size=13)
        for number, line in enumerate(lines):
            drawn.text((4, frame.height + 4 + number * _LINE), line, fill="black", font=font)
        self._frames.append(page)

    def save(self) -> int:
        """Write the file; return the number of frames.

        Raises:
            UserError: There are no frames.
        """
        if not self._frames:
            raise UserError("There is nothing to show: the episode has no frames.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix.lower() == ".gif":
            shown = [_SHOWN] * (len(self._frames) - 1) + [_LAST]
            first, *rest = self._frames
            first.save(self.path, save_all=True, append_images=rest, duration=shown, loop=0, disposal=1)
        else:
            self._strip().save(self.path)
        return len(self._frames)

    def _strip(self) -> Image:
        from PIL import Image

        columns = min(_COLUMNS, len(self._frames))
        height = max(frame.height for frame in self._frames)
        size = (columns * (self._width + 4), math.ceil(len(self._frames) / columns) * (height + 4))
        strip = Image.new("RGB", size, "#888888")
        for number, frame in enumerate(self._frames):
            row, column = divmod(number, columns)
            strip.paste(frame, (column * (self._width + 4), row * (height + 4)))
        return strip


def film_episode(episode: Episode, path: Path, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Do an episode's actions again and write the film; returns what came of it.

    Args:
        episode: The recorded episode.
        path: Where the film goes.
        kwargs: The environment's knobs, as they were.

    Raises:
        UserError: The environment has nothing to see, or does not know the task under these knobs.
    """
    import gymnasium as gym

    from thinkact import cli_common as common

    film = Film(path)
    kwargs = {**kwargs, "split": episode.split, "render_mode": "rgb_array"}
    if "rgb_array" not in common.env_class(episode.env_id).metadata["render_modes"]:
        raise UserError(f"{episode.env_id} has nothing to see: films are for environments in a browser.")
    env = gym.make(episode.env_id, **kwargs)
    try:
        try:
            env.reset(options={"task_id": episode.task_id})
        except ValueError as error:
            raise UserError(f"{error} Name the knobs it was played with: --env key=value.") from error
        film.add(env.render(), cast("ToolEnv[Any]", env.unwrapped).task.prompt)  # type: ignore[arg-type]
        total, same = 0.0, True
        for number, turn in enumerate(episode.turns, 1):
            observation, reward, terminated, truncated, _ = env.step(turn.action)
            total += float(reward)
            same = same and observation == turn.result
            film.add(env.render(), f"[{number}] {turn.action}  {float(reward):+.2f}")  # type: ignore[arg-type]
            if terminated or truncated:
                break
    finally:
        env.close()
    return {"film": str(path), "frames": film.save(), "score": total, "as_recorded": same}


def nth_episode(path: Path, index: int, task_id: str | None) -> Episode:
    """Return one episode of a file: of a task, or by its place from 0.

    Raises:
        UserError: There is no such episode.
    """
    from thinkact.policies.episode import read_episodes

    if not path.exists():
        raise UserError(f"There is no file {path}; `thinkact rollout ENV --out {path.name}` writes one.")
    found: Iterator[Episode] = (each for each in read_episodes(path) if task_id is None or each.task_id == task_id)
    for number, episode in enumerate(found):
        if number == index:
            return episode
    raise UserError(f"{path} has no episode {index}{f' of {task_id}' if task_id else ''}.")
