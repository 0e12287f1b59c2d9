"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const pairs = JSON.parse(byId("pairs").textContent);
  let current = -1;
  let drawn = [];

  function open() {
    const asked = new URLSearchParams(location.hash.slice(1)).get("d") ?? "";
    const at = /^\d+$/.test(asked) ? Math.min(Number(asked), pairs.length - 1) : 0;
    if (!pairs.length) {
      byId("task").textContent = "Nothing to show: they differ nowhere that may be shown.";
      return;
    }
    if (at === current) return;
    current = at;
    byId("task").textContent = pairs[at].task;
    byId("position").textContent = `${at + 1} / ${pairs.length}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === pairs.length - 1;
    drawn.forEach((one) => one.end());
    drawn = pairs[at].sides.map((episode, side) => {
      const box = byId(side ? "right" : "left");
      box.scrollTop = 0;
      const view = Transcript.draw(box, episode);
      box.prepend(Transcript.h("p", side ? "who side-b" : "who side-a", episode.agent));
      return view;
    });
    window.scrollTo(0, 0);
  }

  function step(by) {
    const at = current + by;
    if (at < 0 || at >= pairs.length) return;
    location.hash = "#d=" + at;
    open();
  }

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  window.addEventListener("hashchange", open);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !drawn.length) return;
    const { key } = event;
    if (key === "n" || key === "ArrowRight") step(1);
    else if (key === "p" || key === "ArrowLeft") step(-1);
    else if (key === "j" || key === "k") drawn.forEach((one) => one.step(key === "j" ? 1 : -1));
    else if (key === "t") drawn.forEach((one) => one.tokens());
    else if (key === "a") drawn.forEach((one) => one.colour());
  });
  open();
})();
