"""People in Label Studio, stood in for: each has an account, signs in by the form and answers through the API."""

import hashlib
import hmac
import re
from typing import Any

import httpx

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.addresses import addresses
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.wire import connected

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Reviewer:
    """One signed-in reviewer. The account is made on first use, by the owner's invitation link."""

    def __init__(self, number: int) -> None:
        where = addresses()
        self.url = where.label_studio_url
        self.browser = httpx.Client(base_url=self.url, follow_redirects=True, timeout=60)
        with connected(self.url):
            # Where the owner has made a new token since, the account of that name has another password.
            for name in (f"reviewer-{number}", f"reviewer-{number}-{_secret(where, '')[:8]}"):
                self.email = f"{name}@labelwise.local"
                self.password = _secret(where, self.email)[:24]
                self._form("/user/login/")
                if self._signed_in() or self._sign_up(where.label_studio_api_key):
                    return
        raise ServiceError(f"Label Studio at {self.url} did not let {self.email} in")

    @property
    def id(self) -> str:
        """Their number in Label Studio."""
        with connected(self.url):
            return str(self.browser.get("/api/current-user/whoami").raise_for_status().json()["id"])

    def answer(self, task_id: int, result: list[dict[str, Any]], lead_time_s: float) -> bool:
        """Submit an annotation. False where the task is gone: a batch that is closed early is taken back."""
        body = {"result": result, "lead_time": lead_time_s}
        with connected(self.url):
            answered = self._post(f"/api/tasks/{task_id}/annotations/", json=body)
            if answered.status_code != httpx.codes.NOT_FOUND:
                answered.raise_for_status()
        return answered.is_success

    def _signed_in(self) -> bool:
        return self.browser.get("/api/current-user/whoami").is_success

    def _sign_up(self, owner_token: str) -> bool:
        invited = httpx.get(f"{self.url}/api/invite", headers={"Authorization": f"Token {owner_token}"}, timeout=60)
        if invited.is_error:
            raise ServiceError(
                f"Label Studio at {self.url} lets us invite no reviewers ({invited.status_code})",
                fix="`labelwise review` needs the owner's legacy token, as local servers have it",
            )
        self._form(invited.json()["invite_url"])
        return self._signed_in()

    def _form(self, page: str) -> None:
        """Fill in and send the form on a page: sign-in and sign-up ask for the same."""
        found = TOKEN.search(self.browser.get(page).text)
        fields = {"email": self.email, "password": self.password, "csrfmiddlewaretoken": found[1] if found else ""}
        self.browser.post(page, data=fields, headers={"Referer": f"{self.url}{page}"})

    def _post(self, path: str, **body: Any) -> httpx.Response:
        headers = {"X-CSRFToken": self.browser.cookies.get("csrftoken") or "", "Referer": self.url}
        return self.browser.post(path, headers=headers, **body)


def _secret(where: Addresses, name: str) -> str:
    """What follows from the owner's token, so that it need not be kept anywhere and is the same next time."""
    return hmac.new(where.label_studio_api_key.encode(), name.encode(), hashlib.sha256).hexdigest()
