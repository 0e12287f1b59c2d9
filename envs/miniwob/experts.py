"""The expert scripts of MiniWoB, all of them: each knows the goal and the page's text, nothing else."""

from thinkact.envs.miniwob import experts_choose, experts_click, experts_mail, experts_type, experts_work
from thinkact.envs.miniwob.scripts import SCRIPTS

__all__ = ["SCRIPTS", "experts_choose", "experts_click", "experts_mail", "experts_type", "experts_work"]
