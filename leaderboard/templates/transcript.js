"use strict";
// Draws an episode into a box. Text only ever becomes text nodes; a picture only ever a data: URL of a checked PNG.
const Transcript = (() => {
  const CLIP = 1200;
  const SVG = "http://www.w3.org/2000/svg";

  const h = (tag, className, ...children) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);
  const tone = (value) => value > 0 ? "good" : value < 0 ? "bad" : "none";

  function block(label, text, className) {
    const long = text.length > CLIP * 1.25;
    const body = h("pre", "text", long ? text.slice(0, CLIP) + "…" : text);
    const box = h("div", "block " + className, h("p", "label", label), body);
    if (long) {
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
    if (!short)
      return h("div", "call", h("span", "name", call.name || "(no name)"),
        ...call.arguments.map(([key, value]) => block(key, value, "argument")));
    const line = h("div", "call", h("span", "name", call.name || "(no name)"), h("span", "paren", "("));
    call.arguments.forEach(([key, value], at) => {
      if (at) line.append(", ");
      if (key) line.append(h("span", "key", key + "="));
      line.append(h("span", "value", value));
    });
    line.append(h("span", "paren", ")"));
    return line;
  }

  // Ids are words of their own; texts of tokens run together.
  const word = (token) => typeof token === "number" ? token + " " : token;

  function tokenView(turn, colour) {
    const { fed, sampled, logprobs, all } = turn.tokens;
    const flow = h("div", "tokens");
    if (fed.length) {
      const before = h("span", "fed", fed.map(word).join(""));
      before.title = `fed to the model, mask 0: ${all[0]} tokens`;
      flow.append(before);
    }
    const advantage = turn.advantage;
    sampled.forEach((one, at) => {
      const token = h("span", "token", word(one));
      const logprob = logprobs[at] ?? null;
      if (colour === "advantage" && advantage !== null)
        token.classList.add((advantage < 0 ? "m" : "q") + Math.min(9, Math.floor(5 * Math.abs(advantage))));
      else if (colour === "logprob" && logprob !== null)
        token.classList.add("p" + Math.min(9, Math.floor(10 * Math.exp(Math.min(0, logprob)))));
      token.title = (typeof one === "number" ? `id ${one} · ` : "") + "mask 1"
        + (logprob === null ? "" : ` · log-prob ${logprob.toFixed(3)} · p ${Math.exp(logprob).toFixed(3)}`)
        + (advantage === null ? "" : ` · advantage ${signed(advantage)}`);
      flow.append(token);
    });
    const scale = h("span", "scale");
    if (colour === "logprob") {
      scale.append("p = 0 ");
      for (let step = 0; step < 10; step++) scale.append(h("span", "token p" + step, "\u00a0\u00a0"));
      scale.append(" 1");
    } else scale.append(advantage === null ? "no advantage recorded" : `advantage of this turn ${signed(advantage)}`);
    const missing = all[0] - fed.length + all[1] - sampled.length;
    return h("div", "block", h("p", "label", `tokens · ${all[0]} fed (mask 0), ${all[1]} sampled (mask 1)`
      + (missing ? ` · ${missing} not shown` : "")), scale, flow);
  }

  function calls(turn) {
    const parts = [];
    if (turn.summary !== undefined) parts.push(block("summary of the context before this turn", turn.summary, "thought"));
    if (turn.thought) parts.push(block("thought", turn.thought, "thought"));
    const readable = turn.calls.filter((call) => !call.error);
    if (turn.calls.length)
      parts.push(h("div", "block", h("p", "label", turn.calls.length > 1 ? "calls" : "call"), ...turn.calls.map(callView)));
    if (turn.action && !readable.length) parts.push(block("action as written", turn.action, "action"));
    if (!turn.action && !turn.calls.length) parts.push(h("p", "dim", "No action."));
    return parts;
  }

  function pictures(turn) {
    return h("div", "pictures", ...turn.pictures.map((data) => {
      const picture = h("img", "");
      picture.src = "data:image/png;base64," + data;
      picture.alt = "screenshot after this turn";
      picture.loading = "lazy";
      picture.addEventListener("click", () => picture.classList.toggle("large"));
      return picture;
    }));
  }

  function film(turns, go) {
    const strip = h("div", "film");
    turns.forEach((turn, at) => (turn.pictures || []).forEach((data) => {
      const picture = h("img", "");
      picture.src = "data:image/png;base64," + data;
      picture.alt = `turn ${at + 1}`;
      picture.loading = "lazy";
      const frame = h("button", "frame", picture, h("span", "", String(at + 1)));
      frame.type = "button";
      frame.addEventListener("click", () => go(at + 1));
      strip.append(frame);
    }));
    return strip;
  }

  function turnView(turn, number, total, prompt) {
    const head = h("header", "", h("h2", "", `Turn ${number}`));
    if (turn.invalid) head.append(h("span", "tag bad", "invalid action"));
    for (const fault of turn.faults) head.append(h("span", "tag", fault.replaceAll("_", " ")));
    if (turn.stop !== "stop") head.append(h("span", "tag", "stopped: " + turn.stop));
    if (turn.advantage !== null) head.append(h("span", "tag " + tone(turn.advantage), "advantage " + signed(turn.advantage)));
    head.append(h("span", "reward " + tone(turn.reward), signed(turn.reward)),
      h("span", "running", "→ " + total.toFixed(2)));
    const box = h("section", "turn", head);
    box.dataset.turn = number;
    if (turn.observation && !prompt) box.append(block("observation", turn.observation, "observation"));
    box.append(h("div", "acted", ...calls(turn)));
    if (turn.result) box.append(block("result", turn.result, "result"));
    if (turn.pictures) box.append(pictures(turn));
    if (turn.checks.length)
      box.append(h("ul", "checks", ...turn.checks.map((check) =>
        h("li", check.passed ? "passed" : "open", h("span", "mark", check.passed ? "✓" : "✗"),
          h("span", "check", check.name, check.weight ? h("span", "weight", check.weight) : null,
            check.evidence ? h("span", "evidence", check.evidence) : null)))));
    return box;
  }

  function scoreline(turns, totals, go) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ class: "scoreline", viewBox: `0 0 ${turns.length - 0.06} 1`,
      preserveAspectRatio: "none", role: "img", "aria-label": "score after each turn" })) svg.setAttribute(key, value);
    turns.forEach((turn, at) => {
      const rect = document.createElementNS(SVG, "rect");
      const height = Math.max(0.04, Math.min(1, totals[at]));
      for (const [key, value] of Object.entries({ x: at, width: 0.94, y: 1 - height, height,
        class: turn.reward > 0 ? "gain" : turn.reward < 0 ? "loss" : "same" })) rect.setAttribute(key, value);
      rect.addEventListener("click", () => go(at + 1));
      svg.append(rect);
    });
    return svg;
  }

  // State of every check after each turn: the record says what changed, and only then.
  function checkStates(turns) {
    const names = [];
    const states = [];
    const now = new Map();
    for (const turn of turns) {
      for (const check of turn.checks) {
        if (!now.has(check.name)) names.push(check.name);
        now.set(check.name, check.passed);
      }
      states.push(new Map(now));
    }
    return { names, states };
  }

  // Returns { go(turn), step(by), turn, tokens(), colour() }; turns count from 1.
  function draw(box, episode, { tokens = false, colour = "logprob", onTurn = () => {} } = {}) {
    const turns = episode.turns;
    const totals = [];
    turns.reduce((sum, turn) => (totals.push(sum + turn.reward), sum + turn.reward), 0);
    const { names, states } = checkStates(turns);
    const facts = h("dl", "facts");
    for (const [name, value] of episode.facts) facts.append(h("div", "", h("dt", "", name), h("dd", "", value)));
    const head = h("header", "episode", h("p", "eyebrow", episode.env), h("h1", "", episode.task),
      h("p", "outcome", h("span", "status " + episode.status, episode.status),
        episode.ending === "cut by a limit" ? h("span", "dim", episode.ending) : null), facts);
    const state = { turn: 0 };
    const nodes = [head];
    if (turns.length > 1) head.append(scoreline(turns, totals, (turn) => go(turn)));
    if (turns.some((turn) => turn.pictures)) head.append(film(turns, (turn) => go(turn)));
    if (episode.error) nodes.push(h("div", "fault", block("error", episode.error, "error")));
    if (turns.length && turns[0].observation)
      nodes.push(h("section", "task", block("task", turns[0].observation, "prompt")));
    const boxes = turns.map((turn, at) => turnView(turn, at + 1, totals[at], at === 0));
    // What stands at the bottom of the screen: where one is, and which checks hold there.
    const place = h("span", "place");
    const ticks = h("span", "ticks", ...names.map((name) => {
      const tick = h("span", "tick", "");
      tick.title = name;
      return tick;
    }));
    const strip = h("div", "strip", place, ticks);
    if (!turns.length && !episode.error) nodes.push(h("p", "dim", "This episode has no turns."));
    box.replaceChildren(...nodes, ...boxes, ...(turns.length ? [strip] : []));

    // Tokens are many: those of a turn are drawn when it comes near the screen.
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) drawTokens(Number(entry.target.dataset.turn));
    }, { rootMargin: "800px", scrollMargin: "800px" });
    function drawTokens(number) {
      const turn = turns[number - 1];
      const part = boxes[number - 1].querySelector(".acted");
      if (part.dataset.drawn === colour || !turn.tokens) return;
      part.dataset.drawn = colour;
      part.replaceChildren(tokenView(turn, colour));
    }
    function showTokens() {
      seen.disconnect();
      boxes.forEach((one, at) => {
        const part = one.querySelector(".acted");
        if (!turns[at].tokens) return;
        delete part.dataset.drawn;
        if (tokens) seen.observe(one);
        else part.replaceChildren(...calls(turns[at]));
      });
      if (tokens && state.turn) drawTokens(state.turn);
    }
    const has = turns.some((turn) => turn.tokens);
    const toggle = h("button", "toggle", "");
    const shade = h("button", "toggle", "");
    function label() {
      toggle.textContent = tokens ? "Show calls (t)" : "Show tokens (t)";
      toggle.setAttribute("aria-pressed", String(tokens));
      shade.textContent = colour === "logprob" ? "Colour by advantage (a)" : "Colour by log-prob (a)";
      shade.hidden = !tokens;
    }
    function mark(number) {
      if (state.turn) boxes[state.turn - 1].classList.remove("current");
      state.turn = number;
      boxes[number - 1].classList.add("current");
      const holds = states[number - 1];
      const passed = names.filter((name) => holds.get(name)).length;
      place.textContent = `turn ${number} / ${turns.length} · score ${totals[number - 1].toFixed(2)}`
        + (names.length ? ` · checks ${passed} / ${names.length}` : "");
      [...ticks.children].forEach((tick, at) => tick.classList.toggle("on", holds.get(names[at]) === true));
    }
    function go(number, { scroll = true } = {}) {
      if (!turns.length) return;
      mark(Math.max(1, Math.min(turns.length, number)));
      if (tokens) drawTokens(state.turn);
      if (scroll) boxes[state.turn - 1].scrollIntoView({ block: "start" });
      onTurn(state.turn);
    }
    const drawn = {
      go,
      step: (by) => go(state.turn + by),
      get turn() { return state.turn; },
      get settings() { return { tokens, colour }; },
      tokens() {
        if (!has) return;
        tokens = !tokens;
        label();
        showTokens();
      },
      colour() {
        if (!has || !tokens) return;
        colour = colour === "logprob" ? "advantage" : "logprob";
        label();
        showTokens();
      },
      end: () => seen.disconnect(),
    };
    if (has) {
      toggle.type = shade.type = "button";
      toggle.addEventListener("click", drawn.tokens);
      shade.addEventListener("click", drawn.colour);
      head.append(h("div", "toggles", toggle, shade));
      label();
      if (tokens) showTokens();
    }
    if (turns.length) mark(1);
    boxes.forEach((one, at) => one.querySelector("h2").addEventListener("click", () => go(at + 1, { scroll: false })));
    return drawn;
  }

  return { draw, h };
})();
