"""How the servers have fared, by their logs and by honcho's, which says which one ended first."""

import re
from pathlib import Path

from labelwise.tasks.errors import InputError
from labelwise.tasks.services.home import home
from labelwise.tasks.services.local.layout import RUNNER, TITLES, Server, ServerProcesses, log_file, tail


def how_it_ended() -> str:
    """Which server ended by itself and the end of its log, as one line; empty when none did."""
    died = first_to_end(home())
    return f"{cause_in_words(died)}; its log ends: {last_lines(home(), died[0])}" if died else ""


def log_tail(name: str, lines: int = 15) -> list[str]:
    """The last lines of a server's log, of its last start only; none where it has none yet."""
    if name not in TITLES:
        raise InputError(f"no such server: {name}", expected="one of " + ", ".join(TITLES))
    return tail(log_file(home(), name))[-lines:]


def why_stopped(folder: Path, record: ServerProcesses, server: Server) -> str:
    """Why it does not run, where that is known: it died, another died, honcho died."""
    died = first_to_end(folder)
    if died is None:
        entry = record.get(RUNNER)
        return "its runner was killed" if entry and entry.pid and "SIGTERM" not in honcho_log(folder) else ""
    return ending(died[1]) if died[0] == server.name else f"stopped because {TITLES[died[0]]} ended"


def first_to_end(folder: Path) -> tuple[str, int] | None:
    """Name and exit code of the server that ended by itself first; None when none did or somebody stopped them."""
    for line in honcho_log(folder).splitlines():
        if re.search(r"\| SIG(TERM|INT) received", line):
            return None
        if found := re.search(r"\| (\S+)\.1 stopped \(rc=(-?\d+)\)", line):
            return found[1], int(found[2])
    return None


def honcho_log(folder: Path) -> str:
    """What honcho has told since its start."""
    try:
        return log_file(folder, RUNNER).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def cause_in_words(died: tuple[str, int]) -> str:
    """In words: what `first_to_end` found."""
    return f"{TITLES[died[0]]} {ending(died[1])}"


def ending(code: int) -> str:
    """In words: how a process of this exit code ended."""
    return f"was killed by signal {-code}" if code < 0 else f"ended by itself with code {code}"


def last_lines(folder: Path, name: str) -> str:
    """The last three lines that say more than 'I am healthy', short enough for an error of one line."""
    words = [line.strip()[:200] for line in tail(log_file(folder, name)) if line.strip() and "/health" not in line]
    return " | ".join(words[-3:]) or "(nothing)"
