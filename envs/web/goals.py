"""Shapes that the goals of all applications share: what is wanted, with leave to do it and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from thinkact.envs.web.store import Allowed, Goal

#: Goals, and what may change on the way to them.
Wants = tuple[tuple[Goal, ...], tuple[Allowed, ...]]


def together(*wants: Wants) -> Wants:
    """Put goals and allowed changes together."""
    return tuple(goal for goals, _ in wants for goal in goals), tuple(each for _, rules in wants for each in rules)


def of(app: str, wants: Wants) -> Wants:
    """Say of goals and rules whose database they are about."""
    goals, rules = wants
    return tuple(replace(goal, app=app) for goal in goals), tuple(replace(rule, app=app) for rule in rules)


def added(name: str, table: str, /, **values: Any) -> Wants:
    """Want one row with these values, and give leave to insert it."""
    where, params = " AND ".join(f"{column} = ?" for column in values), tuple(values.values())
    goal = Goal(name, f"SELECT count(*) = 1 FROM {table} WHERE {where}", params)
    return (goal,), (Allowed(table, where, ops=("insert",), params=params),)


def removed(name: str, table: str, id: int) -> Wants:
    """Want a row to be gone, and give leave to delete it."""
    goal = Goal(name, f"SELECT count(*) = 0 FROM {table} WHERE id = {id}")
    return (goal,), (Allowed(table, f"id = {id}", ops=("delete",)),)
