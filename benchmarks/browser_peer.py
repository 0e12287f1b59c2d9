"""BrowserGym on MiniWoB, measured from its own interpreter; `browser.py --browsergym-python` runs this.

    PEER_PYTHON benchmarks/browser_peer.py CHROME STEPS TASK,TASK,… [--fast]

Prints one JSON object: milliseconds of every reset and step, and CPU milliseconds of a step over the process tree. The
pages are served from this process, as BrowserGym's documentation has it; the browser is the one that is given. --fast
takes away what it waits for between action and observation (500 ms) and Playwright's slow motion.
"""

import functools
import http.server
import importlib.util
import json
import logging
import os
import pathlib
import random
import re
import sys
import threading
import time


def serve() -> str:
    spec = importlib.util.find_spec("miniwob")
    assert spec is not None and spec.origin is not None

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = pathlib.Path(spec.origin).parent / "html"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/miniwob/"


def cpu() -> float:
    import psutil

    total, me = 0.0, psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.Error:
            pass
    return total


def main() -> None:
    chrome, steps, tasks = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
    fast = "--fast" in sys.argv
    os.environ["MINIWOB_URL"] = serve()
    import playwright.sync_api as playwright

    launch = playwright.BrowserType.launch

    def with_chrome(self, **options):  # type: ignore[no-untyped-def]
        options["executable_path"] = chrome
        # An old Playwright asks for a headless mode that a new headless shell does not have.
        quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--headless")
        options["args"] = [*quiet, *(options.get("args") or [])]
        return launch(self, **options)

    playwright.BrowserType.launch = with_chrome  # type: ignore[method-assign]
    logging.disable(logging.WARNING)
    import browsergym.miniwob  # noqa: F401
    import gymnasium as gym
    from browsergym.utils.obs import flatten_axtree_to_str

    options = {"slow_mo": 0, "pre_observation_delay": 0.0} if fast else {}
    resets, stepped, spent = [], [], 0.0
    rng = random.Random(0)
    for task in tasks:
        env = gym.make(f"browsergym/miniwob.{task}", disable_env_checker=True, **options)
        begin = time.perf_counter()
        observation, _ = env.reset(seed=0)
        resets.append((time.perf_counter() - begin) * 1e3)
        for _ in range(steps):
            tree = flatten_axtree_to_str(observation["axtree_object"])
            found = re.findall(r"\[(\w+)\] (?:button|textbox|checkbox|link|radio|generic)", tree)
            action = f"click('{rng.choice(found)}')" if found else "noop(0)"
            before, begin = cpu(), time.perf_counter()
            observation, _, terminated, truncated, _ = env.step(action)
            flatten_axtree_to_str(observation["axtree_object"])
            stepped.append((time.perf_counter() - begin) * 1e3)
            spent += cpu() - before
            if terminated or truncated:
                break
        env.close()
    print(json.dumps({"reset_ms": resets, "step_ms": stepped, "step_cpu_ms": spent * 1e3 / len(stepped)}))


if __name__ == "__main__":
    main()
