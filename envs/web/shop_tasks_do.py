"""Tasks of the shop that change one thing about goods: wish list, cart, reviews."""

from __future__ import annotations

from thinkact.envs.web.shop_data import CATEGORIES
from thinkact.envs.web.shop_moves import (
    FIRST_LISTED,
    UNWISHED,
    Item,
    apply_coupon,
    ask_for_cart,
    ask_for_wish,
    cart_may_hold,
    fill_cart,
    in_cart,
    items,
    narrow,
    open_product,
)
from thinkact.envs.web.tasks import Allowed, Draw, Goal, Moves, Pilot, WebTask, template


def wished(product: int, name: str, weight: float = 1.0) -> Goal:
    """A product is on the wish list."""
    return Goal(f"on the wish list: {name}", "SELECT 1 FROM wish WHERE product_id = ?", (product,), weight)


def wish_for(p: Pilot, name: str) -> Moves:
    """Put a product on the wish list."""
    yield from open_product(p, name)
    yield from p.click("button", "Add to wish list")


@template("shop/wish-add", app="shop", level=0)
def wish_add(draw: Draw) -> WebTask | None:
    """Put a named product on the wish list."""
    item = draw.pick(UNWISHED)
    assert item is not None

    def solve(p: Pilot) -> Moves:
        yield from wish_for(p, item["name"])
        yield from p.done()

    return WebTask(
        ask_for_wish(draw, item["name"]),
        solve,
        goals=(wished(item["id"], item["name"]),),
        allowed=(Allowed("wish", f"product_id = {item['id']}", ops=("insert",)),),
    )


@template("shop/wish-remove", app="shop", level=0)
def wish_remove(draw: Draw) -> WebTask | None:
    """Take a product off the wish list."""
    item = draw.pick("SELECT product.* FROM wish JOIN product ON product.id = product_id ORDER BY wish.id")
    assert item is not None

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Wish list")
        yield from p.click("button", f"Remove {item['name']}")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Remove the {item['name']} from my wish list.",
            f"Take the {item['name']} off my wish list.",
            indirect=[f"Somebody gave me the {item['name']}, so nobody needs to any more."],
        ),
        solve,
        goals=(
            Goal("off the wish list", "SELECT NOT EXISTS (SELECT 1 FROM wish WHERE product_id = ?)", (item["id"],)),
        ),
        allowed=(Allowed("wish", f"product_id = {item['id']}", ops=("delete",)),),
    )


@template("shop/cart-add", app="shop", level=1)
def cart_add(draw: Draw) -> WebTask | None:
    """Put a variant into the cart, several of it."""
    item = next(iter(items(draw, 1, most=5)), None)
    if item is None:
        return None

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from p.done()

    return WebTask(
        ask_for_cart(draw, item),
        solve,
        goals=(in_cart(item),),
        allowed=(cart_may_hold([item]),),
    )


@template("shop/cart-cheapest", app="shop", level=1)
def cart_cheapest(draw: Draw) -> WebTask | None:
    """Put the cheapest product of a category in some colour into the cart, in the first size that there is."""
    category = draw.rng.choice([each for each in CATEGORIES if each.sizes == ("One size",)])
    color = draw.rng.choice(category.colors)
    row = draw.row(
        "SELECT variant.*, name FROM variant JOIN product ON product.id = product_id WHERE category = ? AND color = ?"
        " ORDER BY price",
        category.name,
        color,
    )
    if row is None or row["stock"] == 0:
        return None
    item = Item(row["id"], row["product_id"], row["name"], color, row["size"])

    def solve(p: Pilot) -> Moves:
        yield from narrow(p, {"Category": category.name, "Colour": color, "Sort by": "Price: low to high"})
        yield from p.click("link", p.read(FIRST_LISTED))
        yield from p.select("Colour", color)
        yield from p.click("button", "Add to cart")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Put the cheapest product in {category.name} that comes in {color.lower()} into the cart, in that colour.",
            f"Of everything in {category.name} that there is in {color.lower()}, add the cheapest to the cart (one, "
            f"{color.lower()}).",
            indirect=(
                f"I need something from {category.name}, it must be {color.lower()}, and it must cost as little as can "
                "be. Have one wait in the cart.",
            ),
        ),
        solve,
        goals=(in_cart(item),),
        allowed=(cart_may_hold([item]),),
    )


@template("shop/wish-best-rated", app="shop", level=1)
def wish_best_rated(draw: Draw) -> WebTask | None:
    """Put the best rated product of a category below a price on the wish list."""
    category = draw.rng.choice(CATEGORIES)
    high = draw.rng.randrange(category.prices[0] + 8, category.prices[1])
    found = draw.rows(
        "SELECT * FROM product WHERE category = ? AND price <= ? ORDER BY rating DESC", category.name, high * 100
    )
    if len(found) < 3 or found[0]["rating"] == found[1]["rating"]:
        return None
    best = found[0]
    if draw.row("SELECT 1 FROM wish WHERE product_id = ?", best["id"]):
        return None

    def solve(p: Pilot) -> Moves:
        yield from narrow(p, {"Category": category.name, "Sort by": "Rating"}, high=high)
        yield from p.click("link", p.read(FIRST_LISTED))
        yield from p.click("button", "Add to wish list")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Add the best rated of the {category.name.lower()} for at most {high} dollars to my wish list.",
            f"Which of the {category.name.lower()} up to {high} dollars is rated best? Put it on my wish list.",
            indirect=(
                f"Somebody wants to give me one of the {category.name.lower()} and will not spend more than {high} "
                "dollars. Let my wish list tell which of these buyers like most.",
            ),
        ),
        solve,
        goals=(wished(best["id"], best["name"]),),
        allowed=(Allowed("wish", f"product_id = {best['id']}", ops=("insert",)),),
    )


@template("shop/review-write", app="shop", level=1)
def review_write(draw: Draw) -> WebTask | None:
    """Publish a review with stars and a title."""
    line = draw.pick(
        "SELECT DISTINCT product_id, name FROM order_line JOIN variant ON variant.id = variant_id ORDER BY name"
    )
    assert line is not None
    stars = draw.rng.randint(1, 5)
    title = draw.rng.choice(
        ("Just right", "As described", "Could be better", "A nice surprise", "Not for me", "Sturdy")
    )

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, line["name"])
        yield from p.click("link", "Write a review")
        yield from p.select("Stars", str(stars))
        yield from p.fill("textbox", "Title", title)
        yield from p.click("button", "Publish")
        yield from p.done()

    product = line["product_id"]
    return WebTask(
        draw.say(
            f"Review the {line['name']}: {stars} {'star' if stars == 1 else 'stars'}, the title {title!r} and no text.",
            indirect=(
                f"Others should know what I think of the {line['name']}: {title!r}, {stars} of five stars, not a word "
                "more.",
            ),
        ),
        solve,
        goals=(
            Goal(
                "reviewed",
                "SELECT count(*) = 1 AND max(stars) = ? AND max(title) = ? AND max(body) = '' FROM review"
                " WHERE mine = 1 AND product_id = ?",
                (stars, title, product),
            ),
        ),
        allowed=(
            Allowed("review", f"mine = 1 AND product_id = {product}", ops=("insert",)),
            Allowed("product", f"id = {product}", ("rating", "reviews"), ("update",)),
        ),
    )


@template("shop/cart-three", app="shop", level=2)
def cart_three(draw: Draw) -> WebTask | None:
    """Put three variants into the cart."""
    wanted = items(draw, 3)
    if len(wanted) < 3:
        return None

    def solve(p: Pilot) -> Moves:
        for item in wanted:
            yield from fill_cart(p, item)
        yield from p.done()

    return WebTask(
        draw.say(
            f"Get the cart ready, but do not order: {'; '.join(item.order for item in wanted)}.",
            indirect=(
                "Get my cart ready so that I only have to pay. All I want: "
                f"{'; '.join(item.order for item in wanted)}.",
            ),
        ),
        solve,
        goals=tuple(in_cart(item) for item in wanted),
        allowed=(cart_may_hold(wanted),),
        steps=18,
    )


@template("shop/cart-coupon", app="shop", level=1)
def cart_coupon(draw: Draw) -> WebTask | None:
    """Put something into the cart and apply a coupon for its category."""
    coupon = draw.row("SELECT * FROM coupon WHERE category != ''")
    assert coupon is not None
    where = f"stock >= 5 AND category = '{coupon['category']}' AND price > {coupon['minimum']}"
    found = items(draw, 1, where=where)
    if not found:
        return None
    item = found[0]

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from apply_coupon(p, coupon["code"])
        yield from p.done()

    return WebTask(
        draw.say(
            f"Put {item.order} into the cart and apply the coupon that is only for {coupon['category']}. Do not order.",
            indirect=(
                f"I am about to buy {item.order} and will pay later today. One of the offers is for "
                f"{coupon['category']} alone: let the cart count with it.",
            ),
        ),
        solve,
        goals=(in_cart(item), Goal("coupon applied", "SELECT 1 FROM cart_coupon WHERE code = ?", (coupon["code"],))),
        allowed=(cart_may_hold([item]), Allowed("cart_coupon")),
    )
