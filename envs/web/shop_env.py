"""``thinkact/Shop-v0``: tasks in a web shop."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    shop,
    shop_tasks_account,
    shop_tasks_cannot,
    shop_tasks_do,
    shop_tasks_long,
    shop_tasks_look,
    shop_tasks_order,
    shop_tasks_past,
)
from thinkact.envs.web.env import WebEnv

#: Imported for what they register: the application and its templates.
PARTS = (
    shop,
    shop_tasks_look,
    shop_tasks_do,
    shop_tasks_account,
    shop_tasks_order,
    shop_tasks_long,
    shop_tasks_cannot,
    shop_tasks_past,
)


class ShopEnv(WebEnv):
    """A shop: catalogue, reviews, cart, coupons, checkout, orders, returns, wish list, account."""

    family: ClassVar[str] = "shop"
