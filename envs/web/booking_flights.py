"""Booking's flight pages: search, calendar of prices, fares, and the form that books."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from thinkact.envs.web.booking_data import (
    BAG_PRICE,
    CABINS,
    EMAIL,
    FARES,
    HORIZON,
    Itinerary,
    cards,
    cities,
    clock,
    itineraries,
    month_grid,
    plus,
    read_day,
)

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

MAX_ADULTS = 4


@dataclass(frozen=True)
class Search:
    """What the visitor looks for; ``out`` and ``back`` are the itineraries picked so far."""

    origin: int
    dest: int
    day: str
    back: str = ""
    adults: int = 1
    cabin: str = "economy"
    stops: str = "any"
    latest: str = ""
    sort: str = "price"
    out_key: str = ""
    back_key: str = ""
    fare: str = ""

    def link(self, path: str, **changes: Any) -> str:
        """Return the address of a page about this search, with some of it changed."""
        return f"{path}?{urlencode(replace(self, **changes).fields)}"

    @property
    def fields(self) -> list[tuple[str, Any]]:
        """What is set, as the fields of a form."""
        return [(name, value) for name, value in vars(self).items() if value != ""]


def read_search(web: Web, source: dict[str, Any]) -> Search | str | None:
    """Read the search from a query or form: what is wrong with it as text, None where there is none yet."""
    value = {name: str(source.get(name, "")).strip() for name in vars(Search(0, 0, ""))}
    if not any(value[name] for name in ("origin", "dest", "day")):
        return None
    known = {str(city["id"]) for city in web.rows("SELECT id FROM city")}
    if value["origin"] not in known or value["dest"] not in known:
        return "Choose where you fly from and to."
    if value["origin"] == value["dest"]:
        return "The two cities are the same."
    today = web.now.date().isoformat()
    day, back = read_day(value["day"]), read_day(value["back"]) if value["back"] else ""
    if day is None or back is None:
        return "Write dates as YYYY-MM-DD."
    if not today < day <= plus(today, HORIZON) or (back and not day <= back <= plus(today, HORIZON)):
        return f"Flights are sold from tomorrow to {plus(today, HORIZON)}; the return is not before the departure."
    latest = value["latest"]
    if latest and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", latest):
        return "Write the latest arrival as HH:MM."
    adults = value["adults"] or "1"
    if adults not in map(str, range(1, MAX_ADULTS + 1)):
        return f"1 to {MAX_ADULTS} adults can be booked together."
    return Search(
        int(value["origin"]), int(value["dest"]), day, back, int(adults),
        value["cabin"] if value["cabin"] in CABINS else "economy",
        value["stops"] if value["stops"] in ("any", "direct") else "any", latest,
        value["sort"] if value["sort"] in SORTS else "price",
        value["out_key"], value["back_key"], value["fare"],
    )  # fmt: skip


SORTS = {
    "price": lambda cabin: lambda each: (each.price(cabin), each.departs, each.key),
    "duration": lambda cabin: lambda each: (each.minutes, each.departs, each.key),
    "departure": lambda cabin: lambda each: (each.departs, each.price(cabin), each.key),
}


def found(web: Web, search: Search, way: str) -> list[Itinerary]:
    """Return what the search finds for one way, filtered and sorted."""
    ends = (search.origin, search.dest) if way == "out" else (search.dest, search.origin)
    day = search.day if way == "out" else search.back
    ways = itineraries(web.db, *ends, day, stops=0 if search.stops == "direct" else 1)
    if search.latest:
        ways = [each for each in ways if clock(each.arrives) <= clock(search.latest)]
    return sorted(ways, key=SORTS[search.sort](search.cabin))


def flights(web: Web) -> Reply:
    """Show the search form and what it finds."""
    search = read_search(web, web.query)
    return web.render(
        "flights.html",
        cities=cities(web.db),
        value={**vars(Search(0, 0, "")), **web.query},
        error=search if isinstance(search, str) else "",
        search=search if isinstance(search, Search) else None,
        found=found(web, search, "out") if isinstance(search, Search) else [],
        next_page="/flights/return" if isinstance(search, Search) and search.back else "/flights/fares",
        cabins=list(CABINS),
        sorts=list(SORTS),
        names=city_names(web),
    )


def city_names(web: Web) -> dict[int, str]:
    """Return the names of the cities by id."""
    return {city["id"]: city["name"] for city in web.rows("SELECT * FROM city")}


def _wanted(web: Web, source: dict[str, Any]) -> Search | Reply:
    search = read_search(web, source)
    return search if isinstance(search, Search) else web.refuse(400, search or "Search for a flight first.")


def flights_return(web: Web) -> Reply:
    """Show the flights back, after the flight out was picked."""
    search = _wanted(web, web.query)
    if not isinstance(search, Search):
        return search
    if not search.back:
        return web.refuse(400, "This search has no return date.")
    return web.render("return.html", search=search, found=found(web, search, "back"), names=city_names(web))


def picked(web: Web, search: Search) -> list[tuple[str, Itinerary]] | None:
    """Return the itineraries that were picked, or None where one of them is not on sale (any more)."""
    chosen = []
    for way, key in (("out", search.out_key), *((("back", search.back_key),) if search.back else ())):
        # Filters are for finding; what was picked stays on sale whatever they say.
        ways = {each.key: each for each in found(web, replace(search, stops="any", latest=""), way)}
        if key not in ways:
            return None
        chosen.append((way, ways[key]))
    if len(chosen) == 2 and chosen[1][1].day == chosen[0][1].day and chosen[1][1].departs < chosen[0][1].arrives:
        return None
    return chosen


def _total(search: Search, ways: list[tuple[str, Itinerary]], fare: str, bags: int = 0) -> int:
    return sum(each.price(search.cabin, fare) for _, each in ways) * search.adults + bags * BAG_PRICE


def fares(web: Web) -> Reply:
    """Show the fare families of what was picked, with their rules and totals."""
    search = _wanted(web, web.query)
    if not isinstance(search, Search):
        return search
    ways = picked(web, search)
    if ways is None:
        return web.refuse(404, "That flight is not on sale.")
    offers = [(key, fare, _total(search, ways, key)) for key, fare in FARES.items()]
    return web.render("fares.html", search=search, ways=ways, offers=offers, names=city_names(web))


def passengers(web: Web) -> Reply:
    """Show the form that books."""
    return _passengers(web, web.query, {})


def _passengers(web: Web, source: dict[str, Any], errors: dict[str, str]) -> Reply:
    search = _wanted(web, source)
    if not isinstance(search, Search):
        return search
    ways = picked(web, search)
    if ways is None or search.fare not in FARES:
        return web.refuse(404, "That flight or fare is not on sale.")
    return web.render(
        "passengers.html",
        search=search,
        ways=ways,
        names=city_names(web),
        fare=FARES[search.fare],
        total=_total(search, ways, search.fare),
        travellers=web.rows("SELECT * FROM traveller ORDER BY last, first"),
        cards=cards(web.db),
        email=EMAIL,
        value=source,
        errors=errors,
        bag_price=BAG_PRICE,
    )


def book(web: Web) -> Reply:
    """Check the form and book, or show the form again with what is wrong."""
    form = {name: web.text(name) for name in web.form}
    search = _wanted(web, form)
    if not isinstance(search, Search):
        return search
    ways = picked(web, search)
    if ways is None or search.fare not in FARES:
        return web.refuse(404, "That flight or fare is not on sale.")
    errors: dict[str, str] = {}
    people = [_person(web, form, number, errors) for number in range(1, search.adults + 1)]
    bags = form.get("bags", "0")
    if bags not in ("0", "1", "2", "3"):
        errors["bags"] = "Choose 0 to 3 extra bags."
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", form.get("email", "")):
        errors["email"] = "Enter an e-mail address."
    card = web.row("SELECT id FROM card WHERE id = ?", form.get("card", ""))
    if card is None:
        errors["card"] = "Choose a card."
    if not form.get("terms"):
        errors["terms"] = "Accept the fare rules to book."
    if len(set(people)) < len(people) and None not in people:
        errors["saved_2"] = "Two passengers are the same person."
    if errors or card is None:
        return _passengers(web, form, errors)
    return _write(web, search, ways, [each for each in people if each], int(bags), form["email"], card["id"])


def _person(web: Web, form: dict[str, str], number: int, errors: dict[str, str]) -> tuple[str, ...] | None:
    """Read a passenger: a saved traveller, or the four fields."""
    saved = form.get(f"saved_{number}", "")
    if saved:
        known = web.row("SELECT first, last, born, passport FROM traveller WHERE id = ?", saved)
        if known is None:
            errors[f"saved_{number}"] = "Choose a saved traveller or fill in the fields."
            return None
        return tuple(known)
    values = {name: form.get(f"{name}_{number}", "") for name in ("first", "last", "born", "passport")}
    wrong = check_person(web, values)
    errors.update({f"{name}_{number}": message for name, message in wrong.items()})
    return None if wrong else clean_person(values)


def check_person(web: Web, values: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with a traveller's fields, by field."""
    wrong = {}
    for name, what in (("first", "first name"), ("last", "last name")):
        if not values[name].strip():
            wrong[name] = f"Enter the {what}."
    born = read_day(values["born"])
    if born is None or not "1900-01-01" <= born < web.now.date().isoformat():
        wrong["born"] = "Enter the date of birth as YYYY-MM-DD."
    if not re.fullmatch(r"[A-Z]\d{8}", values["passport"].strip().upper()):
        wrong["passport"] = "A passport number is one letter and eight digits."
    return wrong


def clean_person(values: dict[str, str]) -> tuple[str, ...]:
    """Return checked fields in the form in which they are kept."""
    first, last, born, passport = (values[name].strip() for name in ("first", "last", "born", "passport"))
    return first, last, born, passport.upper()


def _write(
    web: Web,
    search: Search,
    ways: list[tuple[str, Itinerary]],
    people: list[tuple[str, ...]],
    bags: int,
    email: str,
    card: int,
) -> Reply:
    number = web.value("SELECT coalesce(max(id), 0) + 1 FROM trip")
    reference = f"NEW{number:03d}"
    total = _total(search, ways, search.fare, bags)
    web.write(
        "INSERT INTO trip VALUES (?, ?, 'confirmed', ?, ?, ?, ?, ?, ?, 0, ?)",
        number, reference, search.cabin, search.fare, bags, email, card, total, web.now.date().isoformat(),
    )  # fmt: skip
    for way, each in ways:
        for flight in each.flights:
            web.write("INSERT INTO segment VALUES (NULL, ?, ?, ?, ?)", number, flight["id"], each.day, way)
    for person in people:
        web.write("INSERT INTO passenger VALUES (NULL, ?, ?, ?, ?, ?)", number, *person)
    return web.redirect(f"/trip/{reference}", f"Booked: {reference}, EUR {total}. Seats can be chosen now.")


def calendar(web: Web) -> Reply:
    """Show a month with the lowest price of every day on one route."""
    search = read_search(web, {"day": plus(web.now.date().isoformat(), 1), **web.query})
    if not isinstance(search, Search):
        return web.refuse(400, search or "Choose where you fly from and to.")
    month = web.query.get("month") or search.day[:7]
    grid = month_grid(month, web.now.date().isoformat())
    if grid is None:
        return web.refuse(404, "That month is not on sale.")
    cells = []
    for week in grid.weeks:
        line = []
        for day in week:
            ways = found(web, replace(search, day=day, sort="price"), "out") if day in grid.sold else []
            line.append((day, ways[0].price(search.cabin) if ways else None))
        cells.append(line)
    return web.render("calendar.html", search=search, grid=grid, cells=cells, names=city_names(web))
