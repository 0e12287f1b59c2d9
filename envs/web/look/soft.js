"use strict";
(() => {
  // Links and forms of the site are fetched and the body is swapped: a page in a fraction of a full load.
  // data-pending on <html> counts what is under way, so that whoever drives the browser knows when to look.
  const root = document.documentElement;
  let pending = 0;
  const settle = (by) => {
    pending += by;
    if (pending) root.dataset.pending = pending;
    else delete root.dataset.pending;
  };
  const visit = async (url, options, push) => {
    settle(1);
    try {
      const reply = await fetch(url, { ...options, headers: { "X-Soft": "1" } });
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      if (push && (!options.method || reply.redirected)) history.pushState(null, "", reply.url);
      document.title = page.title;
      document.body.replaceWith(document.adoptNode(page.body));
      scrollTo(0, 0);
    } finally {
      settle(-1);
    }
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || link.origin !== location.origin || link.target || event.defaultPrevented) return;
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    visit(link.href, {}, true);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const url = new URL(form.getAttribute("action") || location.href, location.href);
    if (url.origin !== location.origin || event.defaultPrevented) return;
    event.preventDefault();
    const values = new URLSearchParams(new FormData(form, event.submitter));
    if (form.getAttribute("method") === "post") return visit(url, { method: "POST", body: values }, true);
    url.search = values;
    visit(url, {}, true);
  });
  addEventListener("popstate", () => visit(location.href, {}, false));
})();
