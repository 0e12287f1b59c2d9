"use strict";
(() => {
  const MARKS = { solved: "✓", failed: "✗", error: "!" };
  const FILTERS = ["all", "solved", "failed", "error"];
  const { h } = Transcript;
  const byId = (id) => document.getElementById(id);
  const listing = JSON.parse(byId("listing").textContent);
  const items = listing.items.map(([status, task, score], index) => ({ status, task, score, index }));
  const first = Number(document.querySelector('script[id^="episode-"]').id.slice(8));
  const box = byId("transcript");
  let filter = "all";
  let current = -1;
  let opened = null;
  let drawn = null;
  let settings = {};

  const matches = (item) => filter === "all" || item.status === filter;
  const page = (index) => {
    let at = 0;
    while (at + 1 < listing.starts.length && listing.starts[at + 1] <= index) at++;
    return at;
  };
  const hash = (index, turn) => `#e=${index}` + (turn > 1 ? `&t=${turn}` : "") + (filter === "all" ? "" : `&f=${filter}`);
  const address = (index) => `episodes-${page(index)}.html${hash(index)}`;

  function remember(turn) {
    history.replaceState(null, "", hash(current, turn));
    opened = location.hash;
  }

  function open() {
    opened = location.hash;
    const asked = new URLSearchParams(location.hash.slice(1));
    const wanted = FILTERS.includes(asked.get("f")) ? asked.get("f") : "all";
    let index = /^\d+$/.test(asked.get("e") ?? "") ? Number(asked.get("e")) : first;
    if (!byId("episode-" + index)) {
      if (index < items.length && page(index) !== page(first)) {
        filter = wanted;
        location.replace(address(index) + (asked.get("t") ? "&t=" + asked.get("t") : ""));
        return;
      }
      index = first;
    }
    const turn = /^\d+$/.test(asked.get("t") ?? "") ? Number(asked.get("t")) : 1;
    const other = index !== current;
    if (other) {
      current = index;
      if (drawn) {
        settings = drawn.settings;
        drawn.end();
      }
      drawn = Transcript.draw(box, JSON.parse(byId("episode-" + index).textContent), { ...settings, onTurn: remember });
      window.scrollTo(0, 0);
      box.scrollTop = 0;
      box.focus({ preventScroll: true });
    }
    if (turn > 1 || !other) drawn.go(turn);
    if (byId("list").childElementCount === 0 || wanted !== filter) {
      filter = wanted;
      drawList();
    }
    follow();
  }

  function drawList() {
    const counts = { all: items.length, solved: 0, failed: 0, error: 0 };
    for (const item of items) counts[item.status] += 1;
    byId("filters").replaceChildren(...FILTERS.map((name) => {
      const label = name === "error" ? "Errors" : name[0].toUpperCase() + name.slice(1);
      const button = h("button", "", label + " ", h("span", "", String(counts[name])));
      button.type = "button";
      button.setAttribute("aria-pressed", String(name === filter));
      button.addEventListener("click", () => choose(name));
      return button;
    }));
    byId("list").replaceChildren(...items.filter(matches).map((item) => {
      const link = h("a", "", h("span", "number", String(item.index + 1)),
        h("span", "mark " + item.status, MARKS[item.status]), h("span", "name", item.task),
        h("span", "score", item.score === null ? "–" : item.score.toFixed(2)));
      link.href = address(item.index);
      link.dataset.index = item.index;
      return h("li", "", link);
    }));
    byId("up").hash = "f=" + filter;
  }

  function choose(name) {
    filter = name;
    drawList();
    follow();
    remember(drawn ? drawn.turn : 1);
  }

  function follow() {
    const shown = items.filter(matches);
    const place = shown.findIndex((item) => item.index === current);
    byId("position").textContent = place < 0 ? `${shown.length} listed` : `${place + 1} / ${shown.length}`;
    byId("previous").disabled = !shown.some((item) => item.index < current);
    byId("next").disabled = !shown.some((item) => item.index > current);
    const list = byId("list");
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const link = list.querySelector(`[data-index="${current}"]`);
    if (!link) return;
    link.setAttribute("aria-current", "true");
    const top = link.offsetTop - list.offsetTop;
    if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 40)
      list.scrollTop = top - list.clientHeight / 2;
  }

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

  const keys = byId("keys");
  const help = () => keys.open ? keys.close() : keys.showModal();
  const ACTIONS = {
    j: () => drawn.step(1), ArrowRight: () => drawn.step(1), k: () => drawn.step(-1), ArrowLeft: () => drawn.step(-1),
    g: () => drawn.go(1), G: () => drawn.go(Infinity), n: () => step(1), p: () => step(-1),
    t: () => drawn.tokens(), a: () => drawn.colour(), "?": help,
    f: () => choose(FILTERS[(FILTERS.indexOf(filter) + 1) % FILTERS.length]),
  };
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("help").addEventListener("click", help);
  keys.querySelector("button").addEventListener("click", () => keys.close());
  window.addEventListener("hashchange", () => location.hash !== opened && open());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
    if (keys.open && event.key !== "?") return;
    if (!Object.hasOwn(ACTIONS, event.key)) return;
    event.preventDefault();
    ACTIONS[event.key]();
  });
  open();
})();
