"""What the tests of submissions share: a small suite, an agent that can be made to die, and a run of both."""

from thinkact.leaderboard.runner import run_submission
from thinkact.leaderboard.suites import Cell, Suite
from thinkact.policies.scripted import RandomPolicy

CREDIT = "thinkact/Credit-v0"
SUITE = Suite(name="small", cells=(Cell(env=CREDIT, public=4, hidden=3),))


class Agent(RandomPolicy):
    """Random, under a name of its own; ``dies`` when so many episodes have ended."""

    name = "mine"

    def __init__(self, dies=None, error=KeyboardInterrupt):
        self.turns, self.dies, self.error, self.episodes = 0, dies, error, []

    def act(self, conversations):
        self.turns += 1
        if self.dies is not None and len(self.episodes) >= self.dies:
            raise self.error
        return super().act(conversations)

    def release(self, conversation_id):
        self.episodes.append(conversation_id.partition("#")[0])


def submit(board, agent=None, suite=SUITE, **options):
    return run_submission(board, agent or Agent(), suite, **{"baselines": False, "concurrency": 2, **options})
