"""A real server of chat completions that says what a test has written down, and policies that ask it."""

import asyncio
import json
import socket
import threading

import pytest

from thinkact.envs import Conversation, Message
from thinkact.policies.endpoint import EndpointPolicy

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "submit",
            "description": "End.",
            "parameters": {"type": "object", "properties": {"code": {"type": "string"}}},
        },
    }
]


class Server:
    """Answers each request with the next of ``script``, the last one for ever; a callable makes the answer."""

    def __init__(self):
        import uvicorn
        from starlette.applications import Starlette
        from starlette.routing import Route

        self.script = [self.completion({"content": "{}"})]
        self.requests, self.headers = [], []
        self.live, self.most = set(), 0
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    @staticmethod
    def completion(message, **more):
        return {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}], **more}

    async def answer(self, request):
        from starlette.responses import JSONResponse, Response

        asked = json.loads(await request.body())
        self.requests.append(asked)
        self.headers.append(dict(request.headers))
        live = self.live  # of this test: one that hangs may end in the middle of the next
        live.add(request)
        self.most = max(self.most, len(live))
        try:
            await asyncio.sleep(0)
            found = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if callable(found) and not isinstance(found, Response):
                found = found(asked)
            if asyncio.iscoroutine(found):
                found = await found
            return found if isinstance(found, Response) else JSONResponse(found)
        finally:
            live.discard(request)

    def close(self):
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def running():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def server(running):
    running.script = [running.completion({"content": "{}"})]
    running.requests.clear()
    running.headers.clear()
    running.live, running.most = set(), 0
    return running


@pytest.fixture
def policy(server):
    made = []

    def make(**options):
        policy = EndpointPolicy(server.url, "m", **{"timeout_s": 20.0, **options})
        policy.pauses = []

        async def sleep(seconds):
            policy.pauses.append(seconds)

        policy._sleep = sleep
        made.append(policy)
        return policy

    yield make
    for policy in made:
        policy.close()
        policy.close()


@pytest.fixture
def tools():
    return TOOLS


@pytest.fixture
def talk():
    """Make a conversation of these texts, the user's and then the model's and the tool's in turns."""

    def make(*texts, at=0):
        roles = ["user", *["assistant", "tool"] * len(texts)]
        said = [Message(*pair) for pair in zip(roles, texts, strict=False)]
        return Conversation(f"c{at}", "env", "eval/secret", 4711, TOOLS, said)

    return make


@pytest.fixture
def only(talk):
    """Ask a policy what it does in one conversation."""
    return lambda policy, *texts: policy.act([talk(*(texts or ("Do it.",)))])[0]
