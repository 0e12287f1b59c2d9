"""``thinkact/Shop-v0``: tasks in a web shop."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import shop, shop_tasks_look
from thinkact.envs.web.env import WebEnv

#: What has to be imported for the family to be known.
PARTS = (shop, shop_tasks_look)


class ShopEnv(WebEnv):
    """A shop: catalogue, reviews, cart, coupons, checkout, orders, returns, wish list, account."""

    family: ClassVar[str] = "shop"
