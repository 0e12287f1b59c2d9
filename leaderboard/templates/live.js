"use strict";
(() => {
  const EVERY_MS = 2000;
  const byId = (id) => document.getElementById(id);
  const h = (tag, className, ...children) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  };
  const time = (seconds) => seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : `${(seconds / 3600).toFixed(1)} h`;
  const STATES = { running: "running", stopped: "stopped; the same command goes on",
    gone: "its process is gone; the same command goes on" };

  function card(run) {
    const bar = h("progress", "");
    bar.max = Math.max(1, run.total);
    bar.value = run.done;
    const facts = [["done", `${run.done} of ${run.total}`], ["running for", time(run.seconds)]];
    if (run.state === "running" && run.eta !== null) facts.push(["still needs", time(run.eta)]);
    if (run.success !== null) facts.push(["solved so far", `${(100 * run.success).toFixed(1)} % `
      + `(${(100 * run.low).toFixed(0)}–${(100 * run.high).toFixed(0)})`], ["score", run.score.toFixed(3)]);
    facts.push(["errors", String(run.errors)], ["retries", String(run.retries)]);
    if (run.cost) facts.push(["cost", "$" + run.cost.toFixed(2)]);
    const list = h("dl", "facts", ...facts.map(([name, value]) => h("div", "", h("dt", "", name), h("dd", "", value))));
    const latest = h("table", "episodes", h("tbody", "", ...run.latest.map((one) => h("tr", "",
      h("td", "task", one.task + " ", h("span", "dim env", one.env)),
      h("td", "", h("span", "status " + one.status, one.status)),
      h("td", "n", one.score === null ? "–" : one.score.toFixed(2)), h("td", "n", `${one.turns} turns`)))));
    const card = h("section", "card", h("h2", "", run.agent + " ", h("small", "", run.suite)),
      h("p", "dim", STATES[run.state] + (run.message ? " · " + run.message : "")), bar, list);
    if (run.latest.length) card.append(latest);
    return card;
  }

  let last = null;
  async function poll() {
    try {
      const answer = await fetch("live.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const text = await answer.text();
      if (text !== last) {
        last = text;
        const { runs } = JSON.parse(text);
        byId("state").textContent = runs.length
          ? (runs.length === 1 ? "One submission is" : `${runs.length} submissions are`) + " not finished."
          : "Nothing is running. A run shows here as soon as it begins.";
        byId("runs").replaceChildren(...runs.map(card));
      }
    } catch {
      last = null;
      byId("state").textContent = "The server does not answer.";
    }
    // Hidden tabs do not poll.
    if (document.hidden) document.addEventListener("visibilitychange", poll, { once: true });
    else setTimeout(poll, EVERY_MS);
  }
  poll();
})();
