"""thinkact: agentic RL environments over real tools, a batched policy, a trainer, a leaderboard."""

__version__ = "0.1.0"
