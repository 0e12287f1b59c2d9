"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const table = byId("board");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = byId("search");
  const compare = byId("compare");
  const pairs = table.dataset.pairs;
  const available = new Set(pairs.split(" "));
  const chosen = [];
  byId("tools").hidden = false;

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    const on = (name) => document.querySelector(`[data-toggle="${name}"]`).getAttribute("aria-pressed") === "true";
    let shown = 0;
    for (const row of rows) {
      row.hidden = (wanted && !row.querySelector(".agent").textContent.toLowerCase().includes(wanted))
        || (!on("baseline") && row.classList.contains("baseline")) || (on("flagged") && !("flagged" in row.dataset));
      shown += !row.hidden;
    }
    byId("nothing").hidden = shown > 0;
  }

  const value = (row, key) => key === "name" ? row.querySelector(".agent a").textContent.toLowerCase() : Number(row.dataset[key]);
  function sort(head) {
    const key = head.dataset.sort;
    const before = head.getAttribute("aria-sort");
    const upFirst = key === "name" || key === "rank";
    const up = before ? before === "descending" : upFirst;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const sorted = rows.map((row, at) => [value(row, key), at, row]);
    sorted.sort(([a, i], [b, j]) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1) || i - j);
    body.append(...sorted.map(([, , row]) => row));
  }

  function link() {
    const [a, b] = [...chosen].sort((one, other) => one.dataset.order - other.dataset.order);
    const pair = b ? `${a.dataset.id}-${b.dataset.id}` : "";
    const there = b && (pairs === "*" || available.has(pair));
    compare.textContent = !b ? (chosen.length ? "Choose one more" : "Compare two…") : there ? "Compare" : "Not in this export";
    if (there) compare.href = `${table.dataset.root}compare/${table.dataset.on}-${pair}.html`;
    else compare.removeAttribute("href");
    compare.setAttribute("aria-disabled", String(!there));
  }

  for (const row of rows) {
    const box = row.querySelector("input");
    box.disabled = false;
    box.checked = false;
    box.addEventListener("change", () => {
      if (box.checked) chosen.push(row);
      else chosen.splice(chosen.indexOf(row), 1);
      if (chosen.length > 2) chosen.shift().querySelector("input").checked = false;
      link();
    });
  }
  search.addEventListener("input", filter);
  for (const button of document.querySelectorAll("[data-toggle]"))
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  for (const head of table.querySelectorAll("[data-sort]")) {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort(head);
      }
    });
  }
  for (const button of document.querySelectorAll("[data-plot]"))
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[data-plot]"))
        other.setAttribute("aria-pressed", String(other === button));
      for (const figure of document.querySelectorAll("figure[data-amount]"))
        figure.hidden = figure.dataset.amount !== button.dataset.plot;
    });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input")) {
      event.preventDefault();
      search.focus();
    }
  });
})();
