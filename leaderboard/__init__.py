"""Store episodes, judge agents with intervals and paired tests, and show them in a terminal or as a site."""

from thinkact.leaderboard.records import Kind, RejectedSubmission
from thinkact.leaderboard.show import as_dict, table
from thinkact.leaderboard.site import export_site
from thinkact.leaderboard.statistics import (
    Comparison,
    Interval,
    Outcome,
    Summary,
    bootstrap,
    compare,
    holm,
    paired_p_value,
    ranks,
    summarise,
    task_means,
    wilson,
)
from thinkact.leaderboard.store import Board, BoardLocked, Row

__all__ = [
    "Board",
    "BoardLocked",
    "Comparison",
    "Interval",
    "Kind",
    "Outcome",
    "RejectedSubmission",
    "Row",
    "Summary",
    "as_dict",
    "bootstrap",
    "compare",
    "export_site",
    "holm",
    "paired_p_value",
    "ranks",
    "summarise",
    "table",
    "task_means",
    "wilson",
]
