"use strict";
(() => {
  // Where storage is refused (a page opened from disk in some browsers) the choice lasts as long as the page.
  const read = () => {
    try { return localStorage.getItem("theme") || "system"; } catch { return "system"; }
  };
  const LABELS = { system: "◐", light: "☀", dark: "☾" };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  let theme = read();
  apply(theme);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const label = () => {
      button.textContent = LABELS[theme] || LABELS.system;
      button.setAttribute("aria-label", "Colours: " + theme);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const order = dark ? ["system", "light", "dark"] : ["system", "dark", "light"];
      theme = order[(order.indexOf(theme) + 1) % 3];
      apply(theme);
      label();
      try { localStorage.setItem("theme", theme); } catch { /* see above */ }
    });
    label();
  });
})();
