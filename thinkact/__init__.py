"""thinkact: agentic RL environments over real tools, a batched policy, a trainer, a leaderboard."""

from gymnasium.envs.registration import register, registry

__version__ = "0.7.0"

#: Every environment of the package; a string each, so that nothing heavy is imported before ``make``.
ENV_ENTRY_POINTS = {
    "thinkact/Admin-v0": "thinkact.envs.web.admin_env:AdminEnv",
    "thinkact/AskQA-v0": "thinkact.envs.ask:AskQAEnv",
    "thinkact/Booking-v0": "thinkact.envs.web.booking_env:BookingEnv",
    "thinkact/CodeRepair-v0": "thinkact.envs.code.repair:CodeRepairEnv",
    "thinkact/CodeWrite-v0": "thinkact.envs.code.write:CodeWriteEnv",
    "thinkact/Credit-v0": "thinkact.envs.diagnostic.env:CreditEnv",
    "thinkact/DataQA-v0": "thinkact.envs.data_qa.env:DataQAEnv",
    "thinkact/DocsQA-v0": "thinkact.envs.docs.env:DocsQAEnv",
    "thinkact/FactbookQA-v0": "thinkact.envs.factbook.env:FactbookQAEnv",
    "thinkact/Inbox-v0": "thinkact.envs.web.inbox_env:InboxEnv",
    "thinkact/Math-v0": "thinkact.envs.math.env:MathEnv",
    "thinkact/MiniWoB-v0": "thinkact.envs.miniwob.env:MiniWoBEnv",
    "thinkact/Portal-v0": "thinkact.envs.web.portal_env:PortalEnv",
    "thinkact/Proof-v0": "thinkact.envs.proof.env:ProofEnv",
    "thinkact/PythonTask-v0": "thinkact.envs.python_task:PythonTaskEnv",
    "thinkact/Research-v0": "thinkact.envs.research.env:ResearchEnv",
    "thinkact/Shop-v0": "thinkact.envs.web.shop_env:ShopEnv",
    "thinkact/Terminal-v0": "thinkact.envs.terminal.env:TerminalEnv",
    "thinkact/Wiki-v0": "thinkact.envs.web.wiki_env:WikiEnv",
    "thinkact/WorldQA-v0": "thinkact.envs.world.env:WorldQAEnv",
    "thinkact/ZooHours-v0": "thinkact.envs.zoo.env:ZooHoursEnv",
}
ENV_IDS = tuple(ENV_ENTRY_POINTS)

for _id, _entry_point in ENV_ENTRY_POINTS.items():
    if _id not in registry:
        register(_id, entry_point=_entry_point, disable_env_checker=True, order_enforce=False)

__all__ = ["ENV_IDS", "__version__"]
