"""``thinkact serve``: a model behind an OpenAI-compatible address."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from thinkact import cli_common as common


def serve(
    model: Annotated[str, typer.Argument(help="smollm2-135m, a Hugging Face id, or a folder such as a run's model.")],
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8000,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable with the key that clients must send.")
    ] = None,
    slots: Annotated[int, typer.Option(help="Requests decoded at once.", callback=common.positive)] = 32,
    max_len: Annotated[int, typer.Option(help="Tokens of one conversation.", min=64)] = 4096,
    max_tokens: Annotated[int, typer.Option(help="Tokens of one answer, where the request does not say.", min=1)] = 256,
    max_kv_bytes: Annotated[int | None, common.MAX_KV_BYTES] = None,
    dtype: Annotated[str, typer.Option(help="bf16 or fp32.")] = "bf16",
    codec: Annotated[str, typer.Option(help="auto, chatml, or template: the model's own chat template.")] = "auto",
    history: Annotated[
        str, typer.Option(help="A conversation beyond --max-len: cut (refused), or summarize (summed up by the model).")
    ] = "cut",
) -> None:
    """Serve a model as an OpenAI-compatible endpoint, tool calls included.

    \b
    thinkact serve runs/default/model --port 8000
    thinkact rollout thinkact/FactbookQA-v0 --policy endpoint:http://127.0.0.1:8000/v1#default

    Requests that arrive together share a batch, and what a conversation's earlier requests computed is kept.
    """  # noqa: D301
    try:
        import uvicorn
    except ImportError as error:
        raise common.UserError("Serving needs the extra: pip install 'thinkact[serve,train]'.") from error
    import torch

    from thinkact.policies.endpoint import is_loopback
    from thinkact.policies.models import ModelLoadError, ModelNotFound, load_model
    from thinkact.policies.serving import ChatEngine
    from thinkact.policies.serving_http import chat_app

    key = os.environ.get(key_env, "") if key_env else None
    if key_env and not key:
        raise common.UserError(f"The environment variable {key_env} is not set; it must hold the key.")
    if key is None and not is_loopback(f"http://{f'[{host}]' if ':' in host else host}"):
        raise common.UserError(f"Whoever reaches {host} could use the model: name a key with --key-env.")
    if dtype not in ("bf16", "fp32"):
        raise common.UserError(f"--dtype must be bf16 or fp32, not {dtype}.")
    if codec not in ("auto", "chatml", "template"):
        raise common.UserError(f"--codec must be auto, chatml or template, not {codec}.")
    if history not in ("cut", "summarize"):
        raise common.UserError(f"--history must be cut or summarize, not {history}.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with common.err.status(f"Loading {model} …"):
            loaded = load_model(model, device=device)
            engine = ChatEngine(
                loaded,
                max_slots=slots,
                max_len=max_len,
                max_tokens=max_tokens,
                max_kv_bytes=max_kv_bytes,
                dtype=torch.bfloat16 if dtype == "bf16" else torch.float32,
                codec=codec,  # type: ignore[arg-type]
                history=history,  # type: ignore[arg-type]
            )
    except (ModelNotFound, ModelLoadError, ValueError) as error:
        raise common.UserError(str(error)) from error
    with engine:
        config = uvicorn.Config(chat_app(engine, token=key), host=host, port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        found = config.bind_socket()
        where = f"http://{host}:{found.getsockname()[1]}/v1"
        common.out.print(f"Serving {model} on {device} at [bold]{where}[/bold]   (Ctrl-C ends it)")
        server.run(sockets=[found])
