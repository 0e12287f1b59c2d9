"""Somebody who uses an application over HTTP, without a browser: to try an application of one's own, and in tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from thinkact.envs.web.site import App, Knobs, Site

if TYPE_CHECKING:
    import httpx


def ask(site: Site, method: str, path: str, *, follow: bool = False, **request: Any) -> httpx.Response:
    """Ask a site for something, and return its answer.

    Args:
        site: The site.
        method: ``"GET"``, say.
        path: Path and query.
        follow: Whether to go where the answer sends one.
        **request: What :meth:`httpx.AsyncClient.request` takes besides: ``data``, ``params``, ``headers``.
    """
    import httpx

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=site)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{site.app.host}") as client:
            return await client.request(method, path, follow_redirects=follow, **request)

    return asyncio.run(go())


class Visitor:
    """A visitor of an application, with a database of its own.

    Attributes:
        site: The application, in an episode of its own.
        db: Its database, as it is now; see :meth:`thinkact.envs.web.store.Store.changes` for what differs.
    """

    def __init__(self, app: App, seed: str = "test/1", knobs: Knobs | None = None) -> None:
        knobs = knobs or Knobs()
        self.site = Site(app, app.start(seed, knobs), knobs)
        self.db = self.site.store.db

    def ask(self, method: str, path: str, **form: Any) -> httpx.Response:
        """Send a form (or none) and return the page that it leads to.

        Raises:
            Exception: What left the page's function: a bug of the application's.
        """
        reply = ask(self.site, method, path, follow=True, data=form or None)
        if self.site.fault is not None:
            raise self.site.fault
        return reply

    def one(self, sql: str, *params: Any) -> Any:
        """Return the first value of the first row of a query."""
        return self.db.execute(sql, params).fetchone()[0]

    def close(self) -> None:
        """Free the database. Idempotent."""
        self.site.store.close()
