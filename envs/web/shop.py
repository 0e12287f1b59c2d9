"""The shop "Northwind Goods": catalogue, product pages, reviews and the wish list; the other pages are beside it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from thinkact.envs.web import shop_account, shop_buy, shop_data
from thinkact.envs.web.site import App, Knobs, Page, Reply, Web
from thinkact.envs.web.tasks import register_app

_SORTS = {
    "relevance": ("Relevance", "name"),
    "price": ("Price: low to high", "price"),
    "price-down": ("Price: high to low", "price DESC"),
    "rating": ("Rating", "rating DESC, reviews DESC, name"),
    "newest": ("Newest", "added DESC, name"),
}
_PER_PAGE, _REVIEWS_PER_PAGE = 12, 4


class ShopApp(App):
    """A shop with one customer, who is signed in."""

    name = "shop"
    host = "shop.northwind.test"
    title = "Northwind Goods"
    schema = shop_data.SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert goods, customer and orders."""
        shop_data.fill(db, rng, knobs)

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        return [
            Page("GET", "/", home),
            Page("GET", "/search", search),
            Page("GET", "/product/{id:int}", product),
            Page("GET", "/product/{id:int}/reviews", reviews),
            Page("GET", "/product/{id:int}/review", review_form),
            Page("POST", "/product/{id:int}/review", review_save),
            Page("GET", "/offers", offers),
            *shop_buy.PAGES,
            *shop_account.PAGES,
        ]

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the menu; the cart shows how many pieces are in it."""
        pieces = web.value("SELECT coalesce(sum(quantity), 0) FROM cart")
        return (
            ("Products", "/search"),
            ("Offers", "/offers"),
            ("Orders", "/orders"),
            ("Wish list", "/wishes"),
            ("Account", "/account"),
            (f"Cart ({pieces})", "/cart"),
        )

    def common(self, web: Web) -> Mapping[str, Any]:
        """Return what the search box shows."""
        return {"query": web.query.get("q", "")}

    def user(self, web: Web) -> str:
        """Return the customer's name."""
        return str(web.value("SELECT name FROM customer"))


def home(web: Web) -> Reply:
    """The start page: categories and what is new."""
    categories = web.rows("SELECT category AS name, count(*) AS n FROM product GROUP BY category ORDER BY category")
    newest = web.rows("SELECT * FROM product ORDER BY added DESC, name LIMIT 4")
    return web.render("home.html", categories=categories, newest=newest)


def search(web: Web) -> Reply:
    """The catalogue, searched, filtered and sorted by what the query parameters say."""
    where, params = ["1"], list[Any]()
    for word in web.query.get("q", "").split()[:8]:
        where.append("instr(lower(name || ' ' || material || ' ' || category), ?)")
        params.append(word.lower())
    for column in ("category", "brand"):
        if value := web.query.get(column, ""):
            where.append(f"{column} = ?")
            params.append(value)
    for name, sign in (("low", ">="), ("high", "<=")):
        if web.query.get(name, "").isascii() and web.query.get(name, "").isdecimal():
            where.append(f"price {sign} ?")
            params.append(web.number(name) * 100)
    if stars := web.number("stars", 0, high=5):
        where.append("rating >= ?")
        params.append(stars)
    if color := web.query.get("color", ""):
        where.append("EXISTS (SELECT 1 FROM variant WHERE product_id = product.id AND color = ?)")
        params.append(color)
    if web.query.get("stock"):
        where.append("EXISTS (SELECT 1 FROM variant WHERE product_id = product.id AND stock > 0)")
    sort = web.query.get("sort", "")
    order = _SORTS.get(sort, _SORTS["relevance"])[1]
    found = web.rows(f"SELECT * FROM product WHERE {' AND '.join(where)} ORDER BY {order}", *params)
    return web.render(
        "search.html",
        found=web.paged(found, _PER_PAGE),
        sorts=[(key, words) for key, (words, _) in _SORTS.items()],
        categories=[("", "All")] + [(each.name, each.name) for each in shop_data.CATEGORIES],
        brands=[("", "All")] + [(each, each) for each in shop_data.BRANDS],
        colors=[("", "All")]
        + [(row[0], row[0]) for row in web.rows("SELECT DISTINCT color FROM variant ORDER BY color")],
        stars=[("", "All")] + [(str(n), f"{n} and more") for n in (4, 3, 2)],
    )


def product(web: Web, id: int) -> Reply:
    """A product with its variants."""
    item = web.need("SELECT * FROM product WHERE id = ?", id)
    variants = web.rows("SELECT * FROM variant WHERE product_id = ? ORDER BY id", id)
    wished = web.value("SELECT 1 FROM wish WHERE product_id = ?", id)
    related = web.rows("SELECT * FROM product WHERE category = ? AND id != ? ORDER BY id LIMIT 3", item["category"], id)
    return web.render(
        "product.html",
        item=item,
        variants=variants,
        colors=list(dict.fromkeys(row["color"] for row in variants)),
        sizes=list(dict.fromkeys(row["size"] for row in variants)),
        wished=wished,
        related=related,
    )


def reviews(web: Web, id: int) -> Reply:
    """The reviews of a product, newest first, also those of one number of stars."""
    item = web.need("SELECT * FROM product WHERE id = ?", id)
    stars = web.number("stars", 0, high=5)
    sql = "SELECT * FROM review WHERE product_id = ? AND (? = 0 OR stars = ?) ORDER BY day DESC, id"
    found = web.rows(sql, id, stars, stars)
    counts = [
        (n, web.value("SELECT count(*) FROM review WHERE product_id = ? AND stars = ?", id, n)) for n in range(5, 0, -1)
    ]
    return web.render("reviews.html", item=item, found=web.paged(found, _REVIEWS_PER_PAGE), counts=counts)


def review_form(web: Web, id: int) -> Reply:
    """The form for a review of one's own."""
    item = web.need("SELECT * FROM product WHERE id = ?", id)
    return web.render("review.html", item=item, errors={}, form={})


def review_save(web: Web, id: int) -> Reply:
    """Publish a review."""
    item = web.need("SELECT * FROM product WHERE id = ?", id)
    form = {"stars": web.text("stars"), "title": web.text("title", most=80), "body": web.text("body", most=1000)}
    errors = {}
    if form["stars"] not in ("1", "2", "3", "4", "5"):
        errors["stars"] = "Choose 1 to 5 stars."
    if not form["title"]:
        errors["title"] = "A title is needed."
    if errors:
        return web.render("review.html", item=item, errors=errors, form=form)
    web.write(
        "INSERT INTO review (product_id, author, stars, title, body, day, mine) VALUES (?, ?, ?, ?, ?, ?, 1)",
        id, web.user, int(form["stars"]), form["title"], form["body"], web.now.date().isoformat(),
    )  # fmt: skip
    mean = web.value("SELECT round(avg(stars), 1) FROM review WHERE product_id = ?", id)
    count = web.value("SELECT count(*) FROM review WHERE product_id = ?", id)
    web.write("UPDATE product SET rating = ?, reviews = ? WHERE id = ?", mean, count, id)
    return web.redirect(f"/product/{id}/reviews", "Thank you for your review.")


def offers(web: Web) -> Reply:
    """The coupons and their terms."""
    return web.render("offers.html", coupons=web.rows("SELECT * FROM coupon ORDER BY code"))


SHOP = register_app(ShopApp())
