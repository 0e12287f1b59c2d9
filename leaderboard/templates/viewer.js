"use strict";
(() => {
  const CLIP = 1200;
  const MARKS = { solved: "✓", failed: "✗", error: "!" };
  const byId = (id) => document.getElementById(id);
  const listing = JSON.parse(byId("listing").textContent);
  const items = listing.items.map(([status, task, score], index) => ({ status, task, score, index }));
  let filter = "all";
  let current = 0;
  let tokens = false;
  let opened = null;

  // Text only ever becomes text nodes.
  const h = (tag, className, ...children) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);
  const matches = (item) => filter === "all" || item.status === filter;

  function block(label, text, className) {
    const body = h("pre", "text", text.length > CLIP * 1.25 ? text.slice(0, CLIP) + "…" : text);
    const box = h("div", "block " + className, h("p", "label", label), body);
    if (text.length > CLIP * 1.25) {
      const more = h("button", "more", `Show all ${text.length.toLocaleString("en")} characters`);
      more.type = "button";
      more.addEventListener("click", () => {
        body.textContent = text;
        more.remove();
      });
      box.append(more);
    }
    return box;
  }

  function callView(call) {
    if (call.error) return h("div", "call broken", h("span", "name", "unreadable call"), h("p", "", call.error));
    const short = call.arguments.every(([, value]) => value.length < 70 && !value.includes("\n"));
    if (short) {
      const line = h("div", "call", h("span", "name", call.name || "(no name)"), h("span", "paren", "("));
      call.arguments.forEach(([key, value], at) => {
        if (at) line.append(", ");
        if (key) line.append(h("span", "key", key + "="));
        line.append(h("span", "value", value));
      });
      line.append(h("span", "paren", ")"));
      return line;
    }
    return h("div", "call", h("span", "name", call.name || "(no name)"),
      ...call.arguments.map(([key, value]) => block(key, value, "argument")));
  }

  function tokenView(turn) {
    const flow = h("div", "tokens");
    if (turn.fed_tokens.length) {
      const fed = h("span", "fed");
      fed.title = `fed to the model, mask 0: ${turn.fed} tokens`;
      fed.textContent = turn.fed_tokens.join("");
      flow.append(fed);
    }
    turn.sampled_tokens.forEach((text, at) => {
      const logprob = turn.logprobs[at] ?? null;
      const token = h("span", "token", text);
      if (logprob !== null) {
        token.classList.add("p" + Math.min(9, Math.floor(10 * Math.exp(Math.min(0, logprob)))));
        token.title = `log-prob ${logprob.toFixed(3)} · p ${Math.exp(logprob).toFixed(3)} · mask 1`
          + (turn.advantage === null ? "" : ` · advantage ${signed(turn.advantage)}`);
      }
      flow.append(token);
    });
    const scale = h("span", "scale", "p = 0 ");
    for (let step = 0; step < 10; step++) scale.append(h("span", "token p" + step, "\u00a0\u00a0"));
    scale.append(" 1");
    const missing = turn.sampled - turn.sampled_tokens.length + turn.fed - turn.fed_tokens.length;
    return h("div", "block", h("p", "label", `tokens · ${turn.fed} fed (mask 0), ${turn.sampled} sampled (mask 1)`
      + (missing ? ` · ${missing} not shown` : "")), scale, flow);
  }

  function turnView(turn, number, prompt) {
    const head = h("header", "", h("h2", "", `Turn ${number}`));
    if (turn.invalid) head.append(h("span", "tag bad", "invalid action"));
    for (const fault of turn.faults) head.append(h("span", "tag", fault.replaceAll("_", " ")));
    if (turn.stop !== "stop") head.append(h("span", "tag", "stopped: " + turn.stop));
    if (turn.advantage !== null)
      head.append(h("span", "tag " + (turn.advantage > 0 ? "good" : turn.advantage < 0 ? "bad" : ""),
        "advantage " + signed(turn.advantage)));
    head.append(h("span", "reward " + (turn.reward > 0 ? "good" : turn.reward < 0 ? "bad" : "none"),
      signed(turn.reward)));
    const box = h("section", "turn", head);
    box.id = "turn-" + number;
    if (turn.observation && !prompt) box.append(block("observation", turn.observation, "observation"));
    if (tokens && turn.sampled_tokens) box.append(tokenView(turn));
    else {
      if (turn.thought) box.append(block("thought", turn.thought, "thought"));
      const readable = turn.calls.filter((call) => !call.error);
      if (turn.calls.length)
        box.append(h("div", "block", h("p", "label", turn.calls.length > 1 ? "calls" : "call"),
          ...turn.calls.map(callView)));
      if (turn.action && !readable.length) box.append(block("action as written", turn.action, "action"));
      if (!turn.action && !turn.calls.length) box.append(h("p", "dim", "No action."));
    }
    if (turn.result) box.append(block("result", turn.result, "result"));
    if (turn.checks.length)
      box.append(h("ul", "checks", ...turn.checks.map((check) =>
        h("li", check.passed ? "passed" : "open", h("span", "mark", check.passed ? "✓" : "✗"),
          h("span", "check", check.name, check.weight ? h("span", "weight", check.weight) : null,
            check.evidence ? h("span", "evidence", check.evidence) : null)))));
    return box;
  }

  function scoreline(turns) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "scoreline");
    svg.setAttribute("viewBox", `0 0 ${turns.length - 0.06} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "score after each turn");
    let total = 0;
    turns.forEach((turn, at) => {
      total += turn.reward;
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = Math.max(0.04, Math.min(1, total));
      rect.setAttribute("x", String(at));
      rect.setAttribute("width", "0.94");
      rect.setAttribute("y", String(1 - height));
      rect.setAttribute("height", String(height));
      rect.setAttribute("class", turn.reward > 0 ? "gain" : turn.reward < 0 ? "loss" : "same");
      svg.append(rect);
    });
    return svg;
  }

  function render() {
    const source = byId("episode-" + current);
    const episode = JSON.parse(source.textContent);
    const facts = h("dl", "facts");
    for (const [name, value] of episode.facts) facts.append(h("div", "", h("dt", "", name), h("dd", "", value)));
    const head = h("header", "episode", h("p", "eyebrow", episode.env),
      h("h1", "", episode.task),
      h("p", "outcome", h("span", "status " + episode.status, episode.status), episode.ending === "cut by a limit" ? h("span", "dim", episode.ending) : null),
      facts);
    if (episode.turns.length > 1) head.append(scoreline(episode.turns));
    if (episode.turns.some((turn) => turn.sampled_tokens)) {
      const toggle = h("button", "toggle", tokens ? "Show calls (t)" : "Show tokens (t)");
      toggle.type = "button";
      toggle.setAttribute("aria-pressed", String(tokens));
      toggle.addEventListener("click", flip);
      head.append(toggle);
    }
    const nodes = [head];
    if (episode.error) nodes.push(h("div", "fault", block("error", episode.error, "error")));
    if (episode.turns.length && episode.turns[0].observation)
      nodes.push(h("section", "task", block("task", episode.turns[0].observation, "prompt")));
    episode.turns.forEach((turn, at) => nodes.push(turnView(turn, at + 1, at === 0)));
    if (!episode.turns.length && !episode.error) nodes.push(h("p", "dim", "This episode has no turns."));
    byId("transcript").replaceChildren(...nodes);
  }

  function flip() {
    tokens = !tokens;
    render();
  }

  function drawList() {
    const counts = { all: items.length, solved: 0, failed: 0, error: 0 };
    for (const item of items) counts[item.status] += 1;
    byId("filters").replaceChildren(...Object.entries(counts).map(([name, count]) => {
      const label = name === "error" ? "Errors" : name[0].toUpperCase() + name.slice(1);
      const button = h("button", "", label + " ", h("span", "", String(count)));
      button.type = "button";
      button.setAttribute("aria-pressed", String(name === filter));
      button.addEventListener("click", () => {
        filter = name;
        history.replaceState(null, "", hash(current));
        drawList();
      });
      return button;
    }));
    byId("list").replaceChildren(...items.filter(matches).map((item) => {
      const link = h("a", "", h("span", "number", String(item.index + 1)),
        h("span", "mark " + item.status, MARKS[item.status]), h("span", "name", item.task),
        h("span", "score", item.score === null ? "–" : item.score.toFixed(2)));
      link.href = address(item.index);
      if (item.index === current) link.setAttribute("aria-current", "true");
      return h("li", "", link);
    }));
    byId("up").hash = filter;
    follow();
  }

  const hash = (index) => `#${index}` + (filter === "all" ? "" : `/${filter}`);
  const page = (index) => Math.floor(index / listing.chunk);
  const address = (index) => `episodes-${page(index)}.html${hash(index)}`;

  function step(direction) {
    for (let at = current + direction; at >= 0 && at < items.length; at += direction)
      if (matches(items[at])) {
        if (byId("episode-" + at)) {
          location.hash = hash(at);
          open(); // at once: a second key press must not wait for the hashchange event
        } else location.href = address(at);
        return;
      }
  }

  function follow() {
    const shown = items.filter(matches);
    const place = shown.findIndex((item) => item.index === current);
    byId("position").textContent = place < 0 ? `${shown.length} listed` : `${place + 1} / ${shown.length}`;
    byId("previous").disabled = !shown.some((item) => item.index < current);
    byId("next").disabled = !shown.some((item) => item.index > current);
    const link = document.querySelector("#list [aria-current]");
    if (link) {
      const list = byId("list");
      const top = link.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 40)
        list.scrollTop = top - list.clientHeight / 2;
    }
  }

  function open() {
    opened = location.hash;
    const [index, wanted] = location.hash.slice(1).split("/");
    filter = ["solved", "failed", "error"].includes(wanted) ? wanted : "all";
    const first = Number(document.querySelector('script[id^="episode-"]').id.slice(8));
    current = /^\d+$/.test(index) ? Number(index) : first;
    if (!byId("episode-" + current)) {
      if (current < items.length && page(current) !== page(first)) {
        location.replace(address(current));
        return;
      }
      current = first;
    }
    render();
    drawList();
    window.scrollTo(0, 0);
    byId("transcript").scrollTop = 0;
    byId("transcript").focus({ preventScroll: true });
  }

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  window.addEventListener("hashchange", () => location.hash !== opened && open());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
    if (event.key === "j" || event.key === "ArrowRight") step(1);
    else if (event.key === "k" || event.key === "ArrowLeft") step(-1);
    else if (event.key === "t") flip();
  });
  open();
})();
