"""Playing episodes from the command line: one to watch, or many to count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from thinkact.cli_common import UserError, env_class, err, make_policy, out
from thinkact.cli_film import Film
from thinkact.envs import Action, Conversation, Message, Policy, Split, ToolEnv
from thinkact.leaderboard.inert import inert
from thinkact.policies.episode import Episode
from thinkact.policies.rollout import rollout


class HumanPolicy:
    """A person at the terminal who types JSON calls."""

    name = "human"

    def act(self, conversations: list[Conversation]) -> list[Action]:
        """Ask for one line per conversation. Raises ``EOFError`` at the end of input or on ``quit``."""
        actions = []
        for conversation in conversations:
            text = ""
            while not text.strip():
                text = out.input("[bold cyan]call>[/] ")
                if text.strip() in ("?", "help", "tools"):
                    show_tools(conversation.tools)
                    text = ""
            if text.strip() in ("quit", "exit"):
                raise EOFError
            actions.append(Action(text=text))
        return actions

    def release(self, conversation_id: str) -> None:
        """Nothing is held."""


def show_tools(tools: list[dict[str, Any]]) -> None:
    """Print each tool with an example call."""
    for tool in tools:
        function = tool["function"]
        arguments = function["parameters"].get("properties", {})
        example = json.dumps({function["name"]: {name: "…" for name in arguments}}, ensure_ascii=False)
        out.print(Text(f"  {example}", style="cyan"), Text(f"  {function['description']}", style="dim"))


def play_episode(
    env_id: str, spec: str, *, task_id: str | None, seed: int, kwargs: dict[str, Any], film: Path | None = None
) -> None:
    """Play one episode and show it turn by turn; ``film`` is where its pictures go.

    Raises:
        UserError: On an unknown task or policy, and on a film of what cannot be seen.
    """
    shots = None
    if film is not None:
        if "rgb_array" not in env_class(env_id).metadata["render_modes"]:
            raise UserError(f"{env_id} has nothing to see: films are for environments in a browser.")
        shots = Film(film)
        kwargs = {**kwargs, "render_mode": "rgb_array"}
    policy: Policy = HumanPolicy() if spec == "human" else make_policy(spec, concurrency=1)  # type: ignore[assignment]
    env = gym.make(env_id, **kwargs)
    try:
        tool_env = cast(ToolEnv[Any], env.unwrapped)
        try:
            prompt, info = env.reset(seed=seed, options={"task_id": task_id} if task_id else None)
        except ValueError as error:
            raise UserError(str(error)) from error
        conversation = Conversation("play", env_id, info["task_id"], seed, info["tools"], [Message("user", prompt)])
        begin = getattr(policy, "begin", None)
        if begin is not None:
            begin(conversation.id, tool_env)
        out.print(Panel(Text(inert(prompt)), title=escape(f"{env_id} · {info['task_id']}"), title_align="left"))
        show_tools(info["tools"])
        if spec == "human":
            out.print("Type a call as one line of JSON; tools lists them, quit leaves.", style="dim")
        if shots is not None:
            shots.add(cast(Any, env.render()), tool_env.task.prompt)
        _turns(env, policy, conversation, shown=spec != "human", film=shots)
        if shots is not None:
            out.print(f"{film}: {shots.save()} frames", markup=False, highlight=False)
    finally:
        env.close()


def _turns(
    env: gym.Env[str, str], policy: Policy, conversation: Conversation, *, shown: bool, film: Film | None = None
) -> None:
    ended, turn, total = False, 0, 0.0
    streams = hasattr(policy, "on_text")
    if streams:
        cast(Any, policy).on_text = lambda _, piece: out.print(Text(inert(piece), style="italic dim"), end="")
    while not ended:
        try:
            action = policy.act([conversation])[0]
        except EOFError:
            out.print("\nLeft before the end; nothing is kept.", style="dim")
            return
        turn += 1
        if streams:
            out.print()
        elif action.thought:
            out.print(Text(inert(action.thought.strip()), style="italic dim"))
        if shown:
            out.print(Text(f"[{turn}] "), Text(inert(action.text), style="cyan"), sep="")
        result, reward, terminated, truncated, info = env.step(action.text)
        total += float(reward)
        if film is not None:
            film.add(cast(Any, env.render()), f"[{turn}] {action.text}  {float(reward):+.2f}")
        out.print(Text(inert(result), style="yellow" if info["invalid_action"] else ""))
        for check in info["checks"]:
            mark = Text("  ✓ ", style="green") if check["passed"] else Text("  ✗ ", style="red")
            out.print(mark, Text(inert(f"{check['name']}  {check['evidence']}")), sep="")
        out.print(Text(f"  reward {float(reward):+.3f}, score {info['score']:.3f}", style="bold"))
        conversation.messages += [Message("assistant", action.text), Message("tool", result)]
        ended = terminated or truncated or action.stop in ("context", "budget")
    ending = "solved" if info["success"] else "cut by a limit" if truncated else "not solved"
    style = "bold green" if info["success"] else "bold red"
    out.print(Text(f"{ending}: score {info['score']:.3f} in {turn} turns, rewards sum to {total:.3f}", style=style))


def play_many(
    env_id: str,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    split: str,
    concurrency: int,
    kwargs: dict[str, Any],
    processes: int = 1,
) -> list[Episode]:
    """Play episodes under a progress bar; on Ctrl-C return those that ended.

    Raises:
        UserError: The policy cannot be copied into several processes.
    """
    done: list[Episode] = []
    solved = 0
    columns = (
        TextColumn(escape(policy.name)),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        bar = progress.add_task("play", total=episodes, note="")

        def note(episode: Episode) -> None:
            nonlocal solved
            done.append(episode)
            solved += bool(episode.success)
            progress.update(bar, advance=1, note=f"solved {100 * solved / len(done):.0f} %")

        try:
            return rollout(
                env_id,
                policy,
                episodes=episodes,
                seed=seed,
                concurrency=concurrency,
                processes=processes,
                split=cast(Split, split),
                env_kwargs=kwargs,
                on_episode=note,
            )
        except TypeError as error:
            if processes == 1:
                raise
            raise UserError(f"--processes: {error}") from error
        except KeyboardInterrupt:
            err.print(f"Interrupted after {len(done)} of {episodes} episodes.")
            return done
