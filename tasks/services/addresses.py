"""Where the four services answer, and with which token: the environment first, the local servers otherwise.

A team's own servers need nothing but the four variables; nobody who runs `labelwise up` needs to set any.
"""

import os

from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.services.home import NAMES, Addresses, enumerated, from_environment
from labelwise.tasks.services.urls import ask_directly, is_loopback


def addresses() -> Addresses:
    """Each address from the environment where it is set, else from the local servers.

    Nothing is asked over the network: a service that is set from outside may still not answer.
    ServiceDown where a variable is missing and the local server does not run.
    """
    return Addresses(**{name.lower(): value for name, value in known(*NAMES).items()})


def known(*names: str) -> dict[str, str]:
    """Just these of NAMES: who only reads MLflow need not have Label Studio. ServiceDown as above."""
    found = from_environment(names)
    if len(found) < len(names):
        from labelwise.tasks.services.local import servers, story  # not before: who sets all of them needs none

        found = {name: value for name, value in servers.running().items() if name in names} | found
        if missing := [name for name in names if name not in found]:
            wanted = enumerated([NAMES[name] for name in missing if name != "LABEL_STUDIO_API_KEY"])
            died = f" ({why})" if (why := story.how_it_ended()) else ""
            raise ServiceDown(
                f"no local server runs for {wanted}{died}",
                fix=f"`labelwise up`, or set {enumerated(missing)}",
            )
    ask_directly(*(value for name, value in found.items() if name.endswith(("URL", "URI")) and is_loopback(value)))
    return found


def is_local(name: str) -> bool:
    """Whether what we use for one of NAMES is what the local servers have, and not set from outside to something else.
    The environment alone does not tell: a loop hands all four to the processes it starts."""
    from labelwise.tasks.services.local import servers

    given = os.environ.get(name, "").strip().rstrip("/")
    return not given or given == servers.running().get(name)
