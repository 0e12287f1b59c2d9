"use strict";
(() => {
  const filters = document.getElementById("filters");
  const rows = [...document.querySelectorAll("#episodes tbody tr")];
  const show = (wanted) => {
    if (![...filters.children].some((button) => button.dataset.filter === wanted)) wanted = "all";
    for (const button of filters.children)
      button.setAttribute("aria-pressed", String(button.dataset.filter === wanted));
    for (const row of rows) {
      row.hidden = wanted !== "all" && row.dataset.status !== wanted;
      const link = row.querySelector("a");
      link.hash = link.hash.split("/")[0] + (wanted === "all" ? "" : "/" + wanted);
    }
  };
  filters.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    show(button.dataset.filter);
    history.replaceState(null, "", "#" + button.dataset.filter);
  });
  show(location.hash.slice(1));
})();
