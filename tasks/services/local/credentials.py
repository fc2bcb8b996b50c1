"""What its owner alone may read under home(): `secrets.env` (Label Studio's sign-in and token), `webhook.secret`."""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from labelwise.tasks.errors import InputError, ServiceDown, ServiceError
from labelwise.tasks.services.home import home
from labelwise.tasks.services.local import stores
from labelwise.tasks.services.local.layout import database_file, locked, write_private


def sign_in() -> tuple[str, str]:
    """The e-mail address and password of Label Studio's owner, as made at the first start."""
    kept = read(home())
    return kept["LABEL_STUDIO_USERNAME"], kept["LABEL_STUDIO_PASSWORD"]


def webhook_secret() -> str:
    """What Label Studio's events must carry: LABELWISE_WEBHOOK_SECRET, else one made once, in `webhook.secret`.

    Not in secrets.env, which every server is given. InputError when the variable cannot be a header.
    """
    return _given_or_made("LABELWISE_WEBHOOK_SECRET", "webhook.secret")


def answer_token() -> str:
    """What callers of `labelwise answer` must send: LABELWISE_ANSWER_TOKEN, else one made once, in `answer.token`.
    InputError when the variable cannot be a header."""
    return _given_or_made("LABELWISE_ANSWER_TOKEN", "answer.token")


def _given_or_made(variable: str, name: str) -> str:
    given = os.environ.get(variable, "").strip()
    if given:
        if len(given) < 16 or not (given.isascii() and given.isprintable()):
            raise InputError(variable, expected="16 or more printable characters of ASCII")
        return given
    folder = home()
    path = folder / name
    with locked(folder):
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()


def make(folder: Path) -> dict[str, str]:
    """Sign-in and token of Label Studio's owner, made once: Label Studio keeps those of its first start."""
    if database_file(folder).exists():
        raise ServiceError(
            f"{folder / 'secrets.env'} is gone, and the data in {folder / 'label-studio'} knows its old token",
            fix="restore the file, or move that folder away to start anew",
        )
    made = {
        "LABEL_STUDIO_USERNAME": "owner@labelwise.local",
        "LABEL_STUDIO_PASSWORD": secrets.token_urlsafe(18),
        "LABEL_STUDIO_USER_TOKEN": secrets.token_hex(20),
    }
    _write(folder, made)
    return made


def _write(folder: Path, content: dict[str, str]) -> None:
    write_private(folder / "secrets.env", "\n".join(f"{name}={value}" for name, value in content.items()))


def read(folder: Path) -> dict[str, str]:
    """What `make` wrote."""
    path = folder / "secrets.env"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ServiceDown(f"{path} is missing", fix="`labelwise up`") from None
    kept = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    for name in ("LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"):
        if not kept.get(name):
            raise ServiceError(f"{path} has no {name}", fix="restore the file")
    return kept


def take_over_token(folder: Path) -> bool:
    """Write down the owner's token as Label Studio knows it: somebody may have made a new one on its page, and a start
    does not put the old one back. Whether it was another."""
    kept = read(folder)
    mail, token = kept["LABEL_STUDIO_USERNAME"], kept["LABEL_STUDIO_USER_TOKEN"]
    try:
        if server := stores.kept(folder).postgresql(folder):
            known = stores.owner_tokens(server, mail)
        else:
            known = _tokens_in_file(database_file(folder), mail)
    except (sqlite3.Error, ServiceDown):  # busy, or none: then the next request says what is wrong
        return False
    if not known or token in known:
        return False
    _write(folder, kept | {"LABEL_STUDIO_USER_TOKEN": known[0]})
    return True


def _tokens_in_file(database: Path, mail: str) -> list[str]:
    asked = "SELECT key FROM authtoken_token JOIN htx_user ON htx_user.id = user_id WHERE email = ?"
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
        return [str(key) for (key,) in opened.execute(asked, [mail])]
