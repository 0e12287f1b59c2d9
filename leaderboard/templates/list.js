"use strict";
(() => {
  const filters = document.getElementById("filters");
  const search = document.getElementById("search");
  const buttons = [...filters.querySelectorAll("button")];
  const rows = [...document.querySelectorAll("#episodes tbody tr")];
  let wanted = "all";
  const show = () => {
    const text = search.value.trim().toLowerCase();
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.filter === wanted));
    for (const row of rows) {
      const link = row.querySelector("a");
      row.hidden = (wanted !== "all" && row.dataset.status !== wanted)
        || !row.cells[1].textContent.toLowerCase().includes(text);
      link.hash = link.hash.split("&f=")[0] + (wanted === "all" ? "" : "&f=" + wanted);
    }
  };
  filters.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    wanted = button.dataset.filter;
    show();
    history.replaceState(null, "", "#f=" + wanted);
  });
  search.addEventListener("input", show);
  const asked = new URLSearchParams(location.hash.slice(1)).get("f");
  if (buttons.some((button) => button.dataset.filter === asked)) wanted = asked;
  show();
})();
