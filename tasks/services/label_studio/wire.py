"""What goes wrong between us and Label Studio, as our errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from labelwise.tasks.errors import LabelwiseError, ServiceBusy, ServiceDown, ServiceError
from labelwise.tasks.services.addresses import is_local
from labelwise.tasks.services.patience import seconds_asked


@contextmanager
def connected(url: str) -> Iterator[None]:
    """The SDK's and the wire's errors as ours."""
    try:
        yield
    except LabelwiseError:
        raise
    except httpx.HTTPStatusError as error:
        said = error.response
        raise _refusal(url, said.status_code, said.text, said.headers) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceDown(
            f"Label Studio does not answer at {url}",
            got=str(error) or type(error).__name__,
            fix="`labelwise up`, or set LABEL_STUDIO_URL",
        ) from None
    except Exception as error:
        from label_studio_sdk.core.api_error import ApiError  # not before there is one: it takes a second to import

        if not isinstance(error, ApiError):
            raise
        raise _refusal(url, error.status_code or 0, _message(error.body), error.headers or {}) from None


def _message(body: Any) -> str:
    """What matters in the answer to a bad request."""
    return str(body.get("validation_errors") or body.get("detail") or body) if isinstance(body, dict) else str(body)


@contextmanager
def gone_is_well() -> Iterator[None]:
    """For deleting: what is not there any more need not be deleted."""
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except ApiError as error:
        if error.status_code != 404:
            raise


def _refusal(url: str, status: int, body: str, headers: Mapping[str, str]) -> ServiceError:
    if status == 429 or status >= 500:
        return ServiceBusy(
            f"Label Studio at {url} cannot answer now ({status})",
            got=body[:160],
            fix="run it again later; its log says what is wrong",
            retry_after=seconds_asked(headers),
        )
    if status in (401, 403):
        return ServiceError(
            f"Label Studio at {url} refuses our token ({status})",
            fix=_way_to_a_token(),
        )
    if status == 404:
        return ServiceError(f"Label Studio at {url} no longer has what we asked for (404)", got=body[:160])
    return ServiceError(f"Label Studio at {url} answered {status}", got=body[:160])


def _way_to_a_token() -> str:
    """How to get on when somebody has made a new one in Label Studio."""
    if not is_local("LABEL_STUDIO_URL"):
        return "set LABEL_STUDIO_API_KEY to the new token, from Account & Settings there"
    if not is_local("LABEL_STUDIO_API_KEY"):
        return "unset LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY: the local servers are known without them"
    return "`labelwise up` takes over the new one that was made there"
