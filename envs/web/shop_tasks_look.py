"""Tasks of the shop whose result is an answer: nothing may change."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import BRANDS, CATEGORIES
from thinkact.envs.web.shop_moves import FIRST_LISTED, items, narrow, open_product
from thinkact.envs.web.tasks import Answer, Draw, Moves, Pilot, WebTask, template

PRICE = r"\$([0-9,]+\.[0-9]{2})"


def dollars(cents: int) -> Answer:
    """Return the answer that is an amount."""
    return Answer("number", f"{cents / 100:.2f}", unit="$")


def plain(amount: str) -> str:
    """Return an amount as it is answered: without thousands' commas."""
    return amount.replace(",", "")


@template("shop/product-price", app="shop", level=0)
def product_price(draw: Draw) -> WebTask | None:
    """What a product costs."""
    item = draw.pick("SELECT * FROM product ORDER BY id")
    assert item is not None

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, item["name"])
        yield from p.answer(plain(p.read(rf"^[ -]*{PRICE}$")))

    return WebTask(
        draw.say(
            f"What does the {item['name']} cost, in dollars?",
            f"Find the price of the {item['name']} (a number, in dollars).",
            indirect=[f"I want a {item['name']}. How many dollars do I need for one, without shipping?"],
        ),
        solve,
        answer=dollars(item["price"]),
    )


@template("shop/detail-of", app="shop", level=0)
def detail_of(draw: Draw) -> WebTask | None:
    """A detail of a product: weight, warranty or material."""
    item = draw.pick("SELECT * FROM product ORDER BY id")
    assert item is not None
    label, question, answer = draw.rng.choice(
        (
            ("Weight", "How many grams does the {} weigh?", Answer("number", str(item["weight"]))),
            ("Warranty", "For how many years is there a warranty on the {}?", Answer("number", str(item["warranty"]))),
            ("Material", "What is the {} made of?", Answer("name", item["material"])),
        )
    )

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, item["name"])
        value = p.read(rf"{label} \| (.+)$")
        yield from p.answer(value if label == "Material" else value.split()[0])

    return WebTask(
        draw.say(
            question.format(item["name"]),
            indirect=(
                f"My interest is in {hints.product(draw, item['id'], without='material')}. "
                f"{question.format('product')}",
            ),
        ),
        solve,
        answer=answer,
    )


@template("shop/stock-of", app="shop", level=0)
def stock_of(draw: Draw) -> WebTask | None:
    """How many of a variant there are."""
    item = next(iter(items(draw, 1, where="stock > 0")), None)
    if item is None:
        return None
    stock = draw.rows("SELECT stock FROM variant WHERE id = ?", item.variant)[0][0]

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, item.name)
        yield from p.answer(p.read(rf"{item.color} \| {item.size} \| ([0-9]+)$"))

    return WebTask(
        draw.say(
            f"How many pieces of the {item.words} are in stock?",
            f"The {item.words}: how many are left?",
            indirect=[f"Could our club buy the {item.words} for all of us? Tell me how many there are at most."],
        ),
        solve,
        answer=Answer("number", str(stock)),
    )


@template("shop/coupon-terms", app="shop", level=0)
def coupon_terms(draw: Draw) -> WebTask | None:
    """Until when a coupon holds, or from which subtotal."""
    coupon = draw.pick("SELECT * FROM coupon ORDER BY code")
    assert coupon is not None
    if draw.rng.random() < 0.5:
        question, column = f"On which date does the coupon {coupon['code']} end?", 3
        answer = Answer("date", coupon["expires"])
    else:
        question, column = f"From which subtotal on, in dollars, can the coupon {coupon['code']} be used?", 2
        answer = dollars(coupon["minimum"])

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Offers")
        cells = p.read(rf"({coupon['code']} \| .*)$").split(" | ")
        yield from p.answer(plain(cells[column].removeprefix("$")))

    prompt = draw.say(question, indirect=(f"I was given {coupon['code']} and know nothing about it. {question}",))
    return WebTask(prompt, solve, answer=answer)


@template("shop/cheapest-of", app="shop", level=1)
def cheapest_of(draw: Draw) -> WebTask | None:
    """The cheapest or dearest product of a brand or colour in a category."""
    category = draw.rng.choice(CATEGORIES)
    down = draw.rng.random() < 0.4
    if draw.rng.random() < 0.5:
        brand = draw.rng.choice(BRANDS)
        where, value, choices = "brand = ?", brand, {"Brand": brand}
        words = f"by {brand}"
    else:
        color = draw.rng.choice(category.colors)
        where = "EXISTS (SELECT 1 FROM variant WHERE product_id = product.id AND color = ?)"
        value, choices, words = color, {"Colour": color}, f"that come in {color.lower()}"
    found = draw.rows(f"SELECT * FROM product WHERE category = ? AND {where} ORDER BY price", category.name, value)
    if len(found) < 3:
        return None
    best = found[-1 if down else 0]["name"]
    sort = "Price: high to low" if down else "Price: low to high"

    def solve(p: Pilot) -> Moves:
        yield from narrow(p, {"Category": category.name, **choices, "Sort by": sort})
        yield from p.answer(p.read(FIRST_LISTED))

    adjective = "most expensive" if down else "cheapest"
    return WebTask(
        draw.say(
            f"Which of the {category.name.lower()} {words} is the {adjective}? Answer with its full name.",
            f"Name the {adjective} of all {category.name.lower()} {words}.",
            indirect=[
                f"I am looking at {category.name.lower()} {words} and "
                + ("money does not matter: which one costs most?" if down else "must count every cent: which one?")
            ],
        ),
        solve,
        answer=Answer("name", best),
        steps=7,
    )


@template("shop/count-of", app="shop", level=1)
def count_of(draw: Draw) -> WebTask | None:
    """How many products of a category lie within a price, and are rated well."""
    category = draw.rng.choice(CATEGORIES)
    high = draw.rng.randrange(category.prices[0] + 5, category.prices[1])
    stars = draw.rng.choice((0, 3, 4))
    sql = "SELECT count(*) FROM product WHERE category = ? AND price <= ? AND rating >= ?"
    count = draw.rows(sql, category.name, high * 100, stars)[0][0]
    if count < 2:
        return None

    def solve(p: Pilot) -> Moves:
        choices = {"Rating": f"{stars} and more"} if stars else {}
        yield from narrow(p, {"Category": category.name, **choices}, high=high)
        yield from p.answer(p.read(r"^[ -]*([0-9]+) products$"))

    rated = f" and are rated {stars} or better" if stars else ""
    return WebTask(
        draw.say(
            f"How many of the {category.name.lower()} cost {high} dollars or less{rated}?",
            f"Count the {category.name.lower()} that cost at most {high} dollars{rated}.",
            indirect=(
                f"I have {high} dollars for one of the "
                f"{category.name.lower()}{', and take nothing that buyers rate below ' + str(stars) if stars else ''}. "
                "Between how many can I choose?",
            ),
        ),
        solve,
        answer=Answer("number", str(count)),
        steps=7,
    )


@template("shop/review-count", app="shop", level=0)
def review_count(draw: Draw) -> WebTask | None:
    """How many reviews of so many stars a product has."""
    item = draw.pick("SELECT * FROM product WHERE reviews >= 3 ORDER BY id")
    assert item is not None
    stars = draw.rng.randint(1, 5)
    count = draw.rows("SELECT count(*) FROM review WHERE product_id = ? AND stars = ?", item["id"], stars)[0][0]

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, item["name"])
        yield from p.click("link", f"Read {item['reviews']} reviews")
        yield from p.answer(p.read(rf'"{stars} stars"[: -]*\s*[: -]*([0-9]+)'))

    return WebTask(
        draw.say(
            f"How many {stars}-star reviews does the {item['name']} have?",
            indirect=(
                f"How often did buyers give {stars} {'star' if stars == 1 else 'stars'} to "
                f"{hints.product(draw, item['id'])}?",
            ),
        ),
        solve,
        answer=Answer("number", str(count)),
    )


@template("shop/reviewer", app="shop", level=1)
def reviewer(draw: Draw) -> WebTask | None:
    """Who wrote the newest review of so many stars; the reviews have to be read."""
    row = draw.pick(
        "SELECT product_id, stars, name, product.reviews AS n FROM review JOIN product ON product.id = product_id"
        " WHERE reviews >= 4 GROUP BY product_id, stars ORDER BY product_id, stars"
    )
    assert row is not None
    author = draw.rows(
        "SELECT author FROM review WHERE product_id = ? AND stars = ? ORDER BY day DESC, id",
        row["product_id"],
        row["stars"],
    )[0][0]

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, row["name"])
        yield from p.click("link", f"Read {row['n']} reviews")
        yield from p.click("link", f"{row['stars']} stars")
        yield from p.answer(p.read(rf"{row['stars']} of 5, by ([^,]+),"))

    return WebTask(
        draw.say(
            f"Who wrote the newest {row['stars']}-star review of the {row['name']}?",
            indirect=(
                f"Of those who gave {row['stars']} {'star' if row['stars'] == 1 else 'stars'} to "
                f"{hints.product(draw, row['product_id'])}, who was the last to do so?",
            ),
        ),
        solve,
        answer=Answer("name", author),
    )


@template("shop/lightest", app="shop", level=2)
def lightest(draw: Draw) -> WebTask | None:
    """Which of several products weighs least: each has to be opened."""
    chosen = draw.some(draw.rows("SELECT * FROM product ORDER BY id"), 5)
    if len({row["weight"] for row in chosen}) < len(chosen):
        return None
    heavy = draw.rng.random() < 0.5
    ranked = sorted(chosen, key=lambda row: row["weight"], reverse=heavy)

    def solve(p: Pilot) -> Moves:
        seen = {}
        for row in chosen:
            yield from open_product(p, row["name"])
            seen[row["name"]] = int(p.read(r"Weight \| ([0-9]+) g"))
        yield from p.answer((max if heavy else min)(seen, key=lambda name: seen[name]))

    names = "; ".join(row["name"] for row in chosen)
    return WebTask(
        draw.say(
            f"Which of these is the {'heaviest' if heavy else 'lightest'}: {names}?",
            indirect=(
                f"I have to {'keep a door open with' if heavy else 'carry'} one of these and care about nothing but "
                f"its weight: {names}. Which one do I take?",
            ),
        ),
        solve,
        answer=Answer("choice", ranked[0]["name"], options=tuple(row["name"] for row in chosen)),
        steps=12,
    )
