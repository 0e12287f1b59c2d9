"""The tasks of MiniWoB: their names, which split each is in, and what keeps text from being enough."""

from __future__ import annotations

import hashlib
import re

from thinkact.envs.types import Split

#: The tasks that the package registers: 125 of MiniWoB++ and the three of FlightWoB.
TASKS: tuple[str, ...] = tuple(
    """
    ascending-numbers bisect-angle book-flight book-flight-nodelay buy-ticket choose-date choose-date-easy
    choose-date-medium choose-date-nodelay choose-list circle-center click-button click-button-sequence
    click-checkboxes click-checkboxes-large click-checkboxes-soft click-checkboxes-transfer click-collapsible
    click-collapsible-2 click-collapsible-2-nodelay click-collapsible-nodelay click-color click-dialog click-dialog-2
    click-link click-menu click-menu-2 click-option click-pie click-pie-nodelay click-scroll-list click-shades
    click-shape click-tab click-tab-2 click-tab-2-easy click-tab-2-hard click-tab-2-medium click-test click-test-2
    click-test-transfer click-widget copy-paste copy-paste-2 count-shape count-sides daily-calendar drag-box
    drag-circle drag-cube drag-items drag-items-grid drag-shapes drag-shapes-2 drag-single-shape drag-sort-numbers
    draw-circle draw-line email-inbox email-inbox-delete email-inbox-forward email-inbox-forward-nl
    email-inbox-forward-nl-turk email-inbox-important email-inbox-nl-turk email-inbox-noscroll email-inbox-reply
    email-inbox-star-reply enter-date enter-password enter-text enter-text-2 enter-text-dynamic enter-time
    find-greatest find-midpoint find-word flight/AA flight/Alaska flight/Alaska-auto focus-text focus-text-2
    form-sequence form-sequence-2 form-sequence-3 generate-number grid-coordinate guess-number highlight-text
    highlight-text-2 hot-cold identify-shape login-user login-user-popup multi-layouts multi-orderings navigate-tree
    number-checkboxes odd-or-even order-food phone-book read-table read-table-2 resize-textarea right-angle
    scroll-text scroll-text-2 search-engine sign-agreement simple-algebra simple-arithmetic social-media
    social-media-all social-media-some stock-market terminal text-editor text-transform tic-tac-toe unicode-test
    use-autocomplete use-autocomplete-nodelay use-colorwheel use-colorwheel-2 use-slider use-slider-2 use-spinner
    visual-addition
    """.split()
)

_DRAG = "a drag of the mouse, which no call of the browser makes"
_POINT = "a point on a drawing, so pixels"
_PICTURE = "it shows a picture or shapes without words, so pixels"
_FLIGHT = "an airline's whole site in a frame; no script here"
_MISWORDED = "some of its requests name sender and receiver the wrong way round, so no reader is right every time"
#: What text and the browser's calls are not enough for, and why. Every other task has an expert script that solves it.
BEYOND_TEXT: dict[str, str] = {
    "bisect-angle": _POINT,
    "circle-center": _POINT,
    "click-pie-nodelay": "the slice that is chosen from the start cannot be clicked, and is asked for now and then",
    "count-sides": _PICTURE + " (a canvas)",
    "daily-calendar": _DRAG,
    "drag-box": _DRAG,
    "drag-circle": _DRAG,
    "drag-cube": _DRAG,
    "drag-items": _DRAG,
    "drag-items-grid": _DRAG,
    "drag-shapes": _DRAG,
    "drag-shapes-2": _DRAG,
    "drag-single-shape": _DRAG,
    "drag-sort-numbers": _DRAG,
    "draw-circle": _DRAG,
    "draw-line": _DRAG,
    "email-inbox-forward-nl-turk": _MISWORDED,
    "email-inbox-nl-turk": _MISWORDED,
    "find-midpoint": _POINT,
    "flight/AA": _FLIGHT,
    "flight/Alaska": _FLIGHT,
    "flight/Alaska-auto": _FLIGHT,
    "highlight-text": _DRAG + " (text is selected)",
    "highlight-text-2": _DRAG + " (text is selected)",
    "hot-cold": _POINT,
    "number-checkboxes": _PICTURE,
    "resize-textarea": _DRAG,
    "right-angle": _POINT,
    "tic-tac-toe": "the opponent plays by chance, so nobody wins every game",
    "visual-addition": _PICTURE,
}

#: Endings of names that make variants of one task; variants share a split.
_VARIANT = re.compile(r"(-(\d|nodelay|easy|medium|hard|large|soft|transfer|popup|all|some|noscroll|dynamic))+$")
_HIDDEN_SHARE = 0.25


def stem(name: str) -> str:
    """Return what a task and its variants have in common."""
    for family in ("email-inbox", "flight/", "drag-shape"):
        if name.startswith(family):
            return family
    return _VARIANT.sub("", name)


def _hidden() -> frozenset[str]:
    stems = sorted({stem(name) for name in TASKS}, key=lambda each: hashlib.sha256(each.encode()).digest())
    chosen: list[str] = []
    for each in stems:
        if len(chosen) < _HIDDEN_SHARE * len(TASKS):
            chosen += [name for name in TASKS if stem(name) == each]
    return frozenset(chosen)


#: A quarter of the tasks, fixed by their names: training and evaluation never draw them.
HIDDEN = _hidden()


#: Tasks whose text is the same for every seed: to evaluate on them is to repeat what was trained on.
ALIKE = frozenset({"click-button-sequence", "click-test", "click-test-2", "click-test-transfer", "tic-tac-toe"})


def names(split: Split) -> tuple[str, ...]:
    """Return the tasks of a split: ``train`` and ``eval`` share theirs, but for :data:`ALIKE`, and differ in seeds."""
    here = (name for name in TASKS if (name in HIDDEN) == (split == "hidden"))
    return tuple(name for name in here if split != "eval" or name not in ALIKE)


#: Turns that a task needs at most, where that is many.
_LONG = {"terminal": 40, "use-slider": 50, "use-slider-2": 50, "text-editor": 60, "stock-market": 60}
_TURNS = 20


def turns(name: str) -> int:
    """Return the budget of a task, in turns: what its expert needs at most, with room."""
    return _LONG.get(name, _TURNS)
