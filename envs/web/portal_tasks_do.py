"""Tasks of the portal that decide something in one application by what another says."""

from __future__ import annotations

from thinkact.envs.answers import Answer
from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import REQUEST_COLUMNS, add_comment, change, find, listed, narrow
from thinkact.envs.web.admin_tasks_office import decided
from thinkact.envs.web.goals import of, together
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.portal_moves import APPS, comment, enter, look_up
from thinkact.envs.web.shop_moves import open_order, open_product
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import Book, fact_on, table_rows

_POLICIES = {"travel": "Travel policy", "training": "Training policy", "equipment": "Equipment policy",
             "software": "Expense policy"}  # fmt: skip


def _cents(text: str) -> int:
    return round(float(text.strip("$ ").replace(",", "")) * 100)


def _limit(draw: Draw, kind: str) -> int:
    return int(Book(draw, "wiki")[_POLICIES[kind]].facts["Limit"].split()[0]) * 100


@template("portal/decide-by-policy", apps=APPS, level=2)
def _decide_by_policy(draw: Draw) -> WebTask | None:
    """The wiki's policy says the limit; the requests are decided one by one."""
    kind = draw.rng.choice(list(_POLICIES))
    limit = _limit(draw, kind)
    rows = draw.rows("SELECT * FROM request WHERE status = 'pending' AND kind = ? ORDER BY id", kind, app="admin")
    yes, no = [row for row in rows if row["amount"] <= limit], [row for row in rows if row["amount"] > limit]
    note = draw.rng.choice(["over the limit", "above the limit of the policy", "limit exceeded"])
    steps = 8 + 2 * len(yes) + 3 * len(no)
    if not rows or not 10 <= steps <= 19:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, _POLICIES[kind])
        most = _cents(fact_on(pilot, "Limit").split()[0])
        yield from enter(pilot, "admin")
        yield from narrow(pilot, "Requests", Status="pending", Kind=kind)
        for number, *_, amount, _ in listed(pilot, REQUEST_COLUMNS):
            yield from pilot.goto(f"/requests/{number}")
            if _cents(amount) > most:
                yield from pilot.fill("textbox", "Note", note)
            yield from pilot.click("button", "Reject" if _cents(amount) > most else "Approve")
        yield from pilot.done()

    prompt = draw.say(
        f"Decide the pending requests for {kind} in Operations by the {_POLICIES[kind]} in the wiki: what costs no "
        f"more than its Limit is approved without a note, the rest is rejected with the note “{note}”.",
        f"The wiki's {_POLICIES[kind]} has a Limit. Approve (no note) every pending {kind} request in Operations that "
        f"keeps to it, and reject every other with the note “{note}”.",
        indirect=(
            f"People wait to hear whether they get their {kind}. The {_POLICIES[kind]} of the wiki has the Limit up to "
            f"which they do, and then there is nothing to say; all others should read “{note}” and get nothing.",
        ),
    )
    made = [decided(yes, "approved", app="admin"), decided(no, "rejected", note, app="admin")]
    return WebTask(prompt, solve, *together(*made), steps=steps)


@template("portal/decide-one", apps=APPS, level=1)
def _decide_one(draw: Draw) -> WebTask | None:
    kind = draw.rng.choice(list(_POLICIES))
    limit = _limit(draw, kind)
    row = draw.pick("SELECT * FROM request WHERE status = 'pending' AND kind = ? ORDER BY id", kind, app="admin")
    if row is None:
        return None
    note, over = f"decided by the {_POLICIES[kind]}", row["amount"] > limit
    goals, rules = decided([row], "rejected" if over else "approved", note, app="admin")

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, _POLICIES[kind])
        most = _cents(fact_on(pilot, "Limit").split()[0])
        yield from enter(pilot, "admin")
        yield from pilot.goto(f"/requests/{row['id']}")
        amount = _cents(pilot.read(r"Amount: (\S+)"))
        yield from pilot.fill("textbox", "Note", note)
        yield from pilot.click("button", "Reject" if amount > most else "Approve")
        yield from pilot.done()

    prompt = draw.say(
        f"Decide request {row['id']} in Operations: approved if it costs no more than the Limit of the "
        f"{_POLICIES[kind]} in the wiki, otherwise rejected. Either way the note is “{note}”.",
        f"Request {row['id']} in Operations falls under the wiki's {_POLICIES[kind]}. Approve it if it keeps to the "
        f"Limit there, else reject it; write the note “{note}” in both cases.",
        indirect=(
            f"Does request {row['id']} keep to the Limit of the {_POLICIES[kind]}? The wiki knows that, and whoever "
            f"asked should get it or not, accordingly; they read “{note}” in either case.",
        ),
    )
    return WebTask(prompt, solve, goals, rules)


@template("portal/office-to-team", apps=APPS, level=1)
def _office_to_team(draw: Draw) -> WebTask | None:
    """A team of the console moves to the city of an office that the wiki's list has to tell."""
    book = Book(draw, "wiki")
    team = draw.pick("SELECT * FROM team ORDER BY id", app="admin")
    offices = book.of("Offices", facts=True)
    column, words, sign = draw.rng.choice([
        ("Desks", "the most desks", -1), ("Desks", "the fewest desks", 0), ("Opened", "the latest year of opening", -1),
        ("Opened", "the earliest year of opening", 0),
    ])  # fmt: skip
    ranked = sorted(offices, key=lambda each: int(each.facts[column]))
    best = ranked[sign]
    if team is None or team["city"] == best.facts["City"]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, "List of offices")
        head, *rows = [row for row in table_rows(pilot) if len(row) > 2]
        at = head.index(column)
        city = sorted(rows, key=lambda row: int(row[at]))[sign][head.index("City")]
        yield from enter(pilot, "admin")
        yield from pilot.click("link", "Teams")
        yield from pilot.click("link", team["name"])
        yield from pilot.fill("textbox", "City", city)
        yield from pilot.click("button", "Save team")
        yield from pilot.done()

    prompt = draw.say(
        f"The team {team['name']} moves to the office with {words} (see the wiki's List of offices). Set the team's "
        "city in Operations to the city of that office.",
        f"In Operations, change the city of the team {team['name']} to the one where the office with {words} is, "
        "according to the wiki.",
        indirect=(
            f"The team {team['name']} packs: it goes where the office with {words} is, as the wiki's List of offices "
            "has it. Operations still believes in another city.",
        ),
    )
    goals, rules = change("team", [team], {"city": best.facts["City"]}, "name", app="admin")
    return WebTask(prompt, solve, goals, rules)


@template("portal/sum-of-two", apps=APPS, level=1)
def _sum_of_two(draw: Draw) -> WebTask | None:
    order = draw.pick("SELECT * FROM orders ORDER BY id DESC LIMIT 6", app="shop")
    asset = draw.pick("SELECT * FROM asset ORDER BY id", app="admin")
    if order is None or asset is None:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "shop")
        yield from open_order(pilot, order["id"])
        total = _cents(pilot.read(r"Total[ |]*(\$[\d,.]+)"))
        yield from enter(pilot, "admin")
        yield from find(pilot, "Assets", asset["serial"])
        total += _cents(listed(pilot, 8)[0][7])
        yield from pilot.answer(f"{total / 100:.2f}")

    prompt = draw.say(
        f"How much do order #{order['id']} in the shop (its total) and the {asset['kind']} {asset['serial']} in "
        "Operations cost together, in dollars? Give the number only.",
        f"Add the total of the shop's order #{order['id']} to the price of the asset {asset['serial']} in Operations. "
        "Give the number of dollars only.",
        indirect=(
            f"What would I still have if I had neither paid for order #{order['id']} in the shop nor for "
            f"{hints.asset(draw, asset, 'admin')}, of which Operations knows? The number of dollars that both took "
            "together will do.",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", f"{(order['total'] + asset['price']) / 100:.2f}"))


@template("portal/within-limit", apps=APPS, level=2)
def _within_limit(draw: Draw) -> WebTask | None:
    """Which products keep to a limit; what to do with them is a comment."""
    limit_page = draw.rng.choice(["Travel policy", "Gift policy", "Discount policy", "Remote work policy"])
    limit = int(Book(draw, "wiki")[limit_page].facts["Limit"].split()[0]) * 10  # a tenth, in cents
    products = draw.some(draw.rows("SELECT * FROM product ORDER BY id", app="shop"), 3)
    fits = [row for row in products if row["price"] <= limit]
    ticket = draw.pick("SELECT * FROM ticket ORDER BY id", app="admin")
    if len(fits) != 1 or ticket is None:
        return None
    goals, rules = comment(ticket["id"], fits[0]["name"])

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, limit_page)
        most = _cents(fact_on(pilot, "Limit").split()[0]) // 10
        yield from enter(pilot, "shop")
        prices = {}
        for row in products:
            yield from open_product(pilot, row["name"])
            prices[row["name"]] = _cents(pilot.read(r"(?m)^(\$[\d,.]+)"))
        yield from enter(pilot, "admin")
        yield from add_comment(pilot, ticket["id"], next(name for name in prices if prices[name] <= most))
        yield from pilot.done()

    said = ", ".join(row["name"] for row in products)
    prompt = draw.say(
        f"Only one of these products costs, in the shop, no more than a tenth of the Limit of the wiki's {limit_page}: "
        f"{said}. Add its name, and nothing else, as a comment to ticket {ticket['id']} in Operations.",
        f"A tenth of the Limit in the wiki's {limit_page} may be spent. Which of these products does that buy: {said}? "
        f"Put the name of the one into a comment on ticket {ticket['id']} in Operations, without other words.",
        indirect=(
            f"We give away something for a tenth of what the {limit_page} in the wiki has as its Limit, at most. Of "
            f"{said}, the shop has just one for so little. Whoever works on ticket {ticket['id']} in Operations waits "
            "to read its name there, and nothing else.",
        ),
    )
    return WebTask(prompt, solve, goals, rules, steps=16)


@template("portal/watch-page", apps=APPS, level=0)
def _watch_page(draw: Draw) -> WebTask | None:
    watched = {row["article_id"] for row in draw.rows("SELECT article_id FROM watch", app="wiki")}
    article = draw.rng.choice([each for each in Book(draw, "wiki").of() if each.id not in watched])

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, article.title)
        yield from pilot.click("button", "Watch")
        yield from pilot.done()

    prompt = draw.say(
        f"Put the wiki's page {article.title} on the watch list there.",
        f"In the wiki, start watching the page {article.title}.",
        indirect=(f"I want to hear of it whenever somebody edits {hints.article(draw, article, 'wiki')} in the wiki.",),
    )
    goal = Goal(f"{article.title} is watched", "SELECT count(*) FROM watch WHERE article_id = ?", (article.id,))
    rule = Allowed("watch", "article_id = ?", ops=("insert",), params=(article.id,))
    goals, rules = of("wiki", ((goal,), (rule,)))
    return WebTask(prompt, solve, goals, rules)


@template("portal/missing-policy", apps=APPS, level=0, infeasible=True)
def _missing_policy(draw: Draw) -> WebTask | None:
    title = draw.rng.choice(["Parking policy", "Lunch policy", "Relocation policy", "Phone policy", "Music policy",
                             "Garden policy", "Bicycle policy"])  # fmt: skip
    row = draw.pick("SELECT * FROM request WHERE status = 'pending' ORDER BY id", app="admin")
    assert row is not None

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, title)
        assert pilot.shows("0 pages"), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Decide request {row['id']} in Operations: approved if it costs no more than the Limit of the {title} in the "
        f"wiki, otherwise rejected. Either way the note is “by the {title}”.",
        f"Request {row['id']} in Operations falls under the wiki's {title}. Approve it if it keeps to the Limit there, "
        f"else reject it; write the note “by the {title}” in both cases.",
        indirect=(
            f"Does request {row['id']} keep to the Limit of the {title}? The wiki knows that, and whoever asked should "
            f"get it or not, accordingly; they read “by the {title}” in either case.",
        ),
    )
    return WebTask(prompt, solve, infeasible=True)
