"""A language model at an address that speaks OpenAI's protocol: https://platform.openai.com/docs/api-reference/chat.

Of that protocol we need one request, so that this is httpx and no further client: what is tried again, and what may
have been paid although no answer came, is decided by us (services/patience.py, labels/llm.py).
"""

import json
import os
import ssl
import time
from dataclasses import dataclass
from typing import Any

import httpx

from labelwise.tasks.errors import InputError, ServiceBusy, ServiceDown, ServiceError, plain
from labelwise.tasks.services.patience import seconds_asked
from labelwise.tasks.services.urls import public

KEY = "LABELWISE_LLM_KEY"
LONGEST = 1_000_000  # bytes of an answer that are read


@dataclass(frozen=True)
class Reply:
    """What came. text: '' where there was none; tokens: None where the server does not say."""

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None


class Unknown(ServiceError):
    """A request that was sent, and no answer came: it may have been answered, and paid."""


class Declined(ServiceError):
    """The server takes no such request: this prompt is too long for it, or against its rules. Nothing was answered."""


class Chat:
    """One model at one address. seconds: that an answer may take. InputError where the key cannot be sent."""

    def __init__(self, address: str, model: str, seconds: float) -> None:
        self.where, self.model = f"the language model at {public(address)}", model
        key = os.environ.get(KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise InputError(KEY, expected="printable characters of ASCII")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._key, self._seconds = key, seconds
        timeout = httpx.Timeout(seconds, connect=min(seconds, 10.0))
        try:
            self._http = httpx.Client(base_url=address.rstrip("/"), headers=headers, timeout=timeout)
        except (httpx.InvalidURL, ValueError) as error:
            raise InputError("params.yaml: `llm.address`", expected="http://NAME/v1", got=str(error)) from None

    def ask(self, prompt: str, max_tokens: int) -> Reply:
        """Its answer. ServiceDown and ServiceBusy where it cannot now, and nothing was answered; Unknown; Declined;
        ServiceError where it will not, whatever is asked."""
        body = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
        try:
            status, headers, content = self._sent(body | {"temperature": 0})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            if isinstance(error.__cause__ and error.__cause__.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error):
                fix = "SSL_CERT_FILE names a file with the certificates that you trust"
                raise ServiceError(
                    f"{self.where} has a certificate that is not trusted", got=str(error), fix=fix
                ) from None
            fix = "start it, or mend llm.address"
            raise ServiceDown(
                f"{self.where} does not answer", got=str(error) or type(error).__name__, fix=fix
            ) from None
        except httpx.UnsupportedProtocol as error:
            raise InputError("params.yaml: `llm.address`", expected="http://NAME/v1", got=str(error)) from None
        except httpx.HTTPError as error:
            raise Unknown(f"{self.where} did not end its answer", got=str(error) or type(error).__name__) from None
        if not 200 <= status < 300:
            raise self._refusal(status, headers, content)
        return _reply(content)

    def _sent(self, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Send a request; status, headers and the beginning of what came."""
        end, content = time.monotonic() + self._seconds, b""
        with self._http.stream("POST", "/chat/completions", json=body) as said:
            for part in said.iter_bytes():
                content += part
                if len(content) > LONGEST:
                    break
                if time.monotonic() > end:  # byte by byte it would take forever
                    raise httpx.ReadTimeout(f"no end after {self._seconds:g} s")
            return said.status_code, said.headers, content

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _refusal(self, status: int, headers: httpx.Headers, content: bytes) -> ServiceError:
        got = content.decode("utf-8", "replace")
        got = plain((got.replace(self._key, "***") if self._key else got)[:160])
        if status in (400, 413, 422):
            return Declined(f"{self.where} does not take the request ({status})", got=got)
        if status == 504:
            return Unknown(f"{self.where} did not end its answer ({status})", got=got)
        if status == 429 or status >= 500:
            wait = seconds_asked(headers)
            return ServiceBusy(
                f"{self.where} cannot answer now ({status})", got=got, retry_after=wait, fix="run it later"
            )
        if status in (401, 403):
            how = f"{KEY} holds no key that it takes" if self._key else f"set {KEY}, which is not set, to your key"
            return ServiceError(f"{self.where} refuses us ({status})", fix=how)
        if status == 404:
            fix = "llm.address ends in /v1 with most servers; `curl ADDRESS/models` lists the names for llm.model"
            return ServiceError(
                f"{self.where} has no model {self.model!r}, or is another address (404)", got=got, fix=fix
            )
        return ServiceError(f"{self.where} answered {status}", got=got, fix="mend llm.address")


def _reply(said: bytes) -> Reply:
    """What is in an answer, of whatever form: what is none has no text, so that nothing is read out of it."""
    try:
        content: Any = json.loads(said)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return Reply("")
    choices = content.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    usage = content.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    used = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    counts = [each if isinstance(each, int) and not isinstance(each, bool) and each >= 0 else None for each in used]
    return Reply(text if isinstance(text, str) else "", *counts)
