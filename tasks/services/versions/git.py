"""git as a program: one call, by the workspace's rules alone.

What a user has set for himself (ignored files, ends of lines, colours, hooks, signing) does not change what the loop
commits: his settings and those of the machine are not read, except for his name and, when a history is cloned, for
how he signs in. A workspace may have come from somebody else, its `.git` with it: settings of its own that are not
known to be harmless are refused.
"""

import os
import pwd
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from labelwise.tasks.errors import WorkspaceError

# What stands in `.git/config` too, or holds where nothing is set. They win over every file of settings.
SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.excludesFile": os.devnull,  # unset, git reads ~/.config/git/ignore
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.eol": "lf",
    "core.quotePath": "false",
    "core.pager": "cat",
    "color.ui": "false",
    "color.branch": "false",
    "color.diff": "false",
    "color.status": "false",
    "column.ui": "never",
    "column.status": "never",
    "column.branch": "never",
    "column.tag": "never",
    "commit.gpgSign": "false",
    "commit.cleanup": "whitespace",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "diff.mnemonicPrefix": "false",
    "diff.noprefix": "false",
    "diff.relative": "false",
    "diff.ignoreSubmodules": "none",
    "log.follow": "false",
    "log.showSignature": "false",
    "status.showUntrackedFiles": "normal",
    "tag.gpgSign": "false",
    "tag.forceSignAnnotated": "false",
}

# Settings of a repository that run nothing and lead nowhere else, or that the above overrule. All others are refused.
HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|abbrev"
    r"|autocrlf|safecrlf|eol|quotepath|pager|editor|commentchar|hookspath|fsmonitor|excludesfile|attributesfile"
    r"|untrackedcache|preloadindex|longpaths|protecthfs|protectntfs|sharedrepository|compression|bigfilethreshold"
    r"|packedgit.*|deltabasecachelimit|checkstat|trustctime|whitespace|multipackindex|commitgraph|fsync.*|warnambiguousrefs)"
    r"|extensions\.objectformat"
    r"|(user|author|committer)\.(name|email|useconfigonly|signingkey)"
    r"|remote\.(.*\.(url|pushurl|fetch|push|tagopt|prune|prunetags|mirror|skipdefaultupdate|skipfetchall|gh-resolved)"
    r"|pushdefault)"
    r"|branch\..*|submodule\.(active|recurse|.*\.(active|url|branch))"
    r"|(gpg\.(program|format|.*\.(program|allowedsignersfile|defaultkeycommand)))"
    r"|url\..*\.(insteadof|pushinsteadof)|uploadpack\.(allow.*|hiderefs)"
    r"|lfs\.(repositoryformatversion|url|pushurl|locksverify|.*\.(access|locksverify))"
    r"|http\.(proxy|sslverify|postbuffer|version|lowspeed.*|.*\.(extraheader|proxy|sslverify))"
    r"|diff\.(renames|renamelimit|algorithm|noprefix|mnemonicprefix|relative|colormoved.*|context|interhunkcontext"
    r"|ignoresubmodules|submodule|statgraphwidth|suppressblankempty|tool|guitool|wserrorhighlight|indentheuristic)"
    r"|merge\.(ff|conflictstyle|tool|guitool|log|renames|stat|verifysignatures|autostash|directoryrenames)"
    r"|(advice|alias|apply|clean|color|column|commit|feature|fetch|format|gc(?!\.recentobjectshook)|gui|help|i18n|index|init|log|magit|maintenance"
    r"|pack|pull|push|rebase|receive|rerere|stash|status|tag|transfer|versionsort|gitlens|vscode)\..*"
)

OWN = ("GIT_AUTHOR_", "GIT_COMMITTER_")  # variables of git that are the user's to set
FILES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
NETWORK = ("GIT_SSH", "GIT_ASKPASS", "GIT_SSL", "GIT_HTTP", "GIT_PROXY", *FILES)


def run(
    root: Path,
    *words: str,
    users: bool = False,
    given: bytes = b"",
    extra: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """One call of git in a folder. users: by the user's own settings too, and over the network: to clone, and to ask
    for his name. given: its input. extra: variables. settings: of git, beside those above."""
    environment = _environment(root, users, settings or {}) | dict(extra or {})
    return subprocess.run(
        ["git", "-C", str(root), *words], input=given, capture_output=True, env=environment, check=False
    )


def refuse_strange_settings(root: Path) -> None:
    """WorkspaceError where the repository itself says anything to git that is not known to be harmless."""
    folder = root / ".git"
    if not folder.exists() and not folder.is_symlink():
        return  # a folder without a history, where a clone is about to be made
    fresh = "use a clone of it (`git clone OLD NEW`), which has none"
    if folder.is_symlink() or not folder.is_dir() or (folder / "commondir").exists():
        raise WorkspaceError(
            f"{folder} leads to another folder",
            expected="the workspace's own .git",
            fix="make a clone of its own, `git clone OLD NEW`, instead of a link or a work tree",
        )
    for name in ("config", "config.worktree"):
        if (folder / name).is_symlink():
            raise WorkspaceError(f"{folder / name} is a link", expected="a file of its own", fix=fresh)
    words = ("--file", str(folder / "config"), "--no-includes", "--list", "--name-only", "-z")
    listed = run(root, "config", *words, extra={"GIT_DIR": os.devnull})  # the file is read, and not yet followed
    if listed.returncode and (folder / "config").exists():
        said = listed.stderr.decode(errors="replace").strip()
        raise WorkspaceError(f"{folder}/config cannot be read", got=said, fix=fresh)
    names = dict.fromkeys(name for name in listed.stdout.decode(errors="replace").split("\0") if name)
    if strange := [name for name in names if not HARMLESS.fullmatch(name)]:
        raise WorkspaceError(
            f"{folder}/config has settings that could make git run programs or read other files",
            expected="settings that are known to be harmless",
            got=", ".join(strange[:5]),
            fix=f"use a fresh clone, which has none; or remove each by `git config --local --unset-all {strange[0]}`,"
            " and set those that you need by `git config --global`",
        )
    alternates = folder / "objects" / "info" / "alternates"
    if alternates.exists():
        raise WorkspaceError(
            f"{folder} borrows its objects from another folder ({alternates.relative_to(root)})",
            fix=f"`git repack -a -d && rm {alternates.relative_to(root)}` in {root} copies them",
        )
    attributes = folder / "info" / "attributes"
    if attributes.is_file() and any(
        line.strip() and not line.startswith("#") for line in attributes.read_text(errors="replace").splitlines()
    ):
        raise WorkspaceError(
            f"{attributes} changes how files are committed", fix="move it away; `.gitattributes` says what holds here"
        )


def author(root: Path) -> dict[str, str]:
    """Variables that name the user as git knows him, by his settings or variables; Labelwise where it knows nobody."""
    found: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        known = run(root, "var", f"GIT_{role}_IDENT", users=True, settings={"user.useConfigOnly": "true"})
        said = re.fullmatch(r"(.+) <(.+)> \d+ [+-]\d+\n", known.stdout.decode(errors="replace"))
        name, email = said.groups() if said else ("Labelwise", "labelwise@localhost")
        found |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}
    return found


def owner(root: Path) -> str:
    """Who owns a repository, where that is not the user who runs us; '' where it is. git itself works for its owner
    alone: anyone who writes there as another leaves files that the owner cannot change."""
    uid = (root / ".git").stat().st_uid
    if uid == os.geteuid():
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def reading(place: Path) -> list[str]:
    """The option by which git fetches from a repository of this machine that is another user's, without a rule that
    stays; none for one of our own."""
    if not owner(place):
        return []
    return ["--upload-pack", shlex.join(["git", "-c", f"safe.directory={place / '.git'}", "upload-pack"])]


@contextmanager
def ours(root: Path) -> Iterator[None]:
    """Our settings for what reads git's in this process: DVC asks dulwich or libgit2 what is ignored, and the latter
    knows no variables."""
    from pygit2 import settings
    from pygit2.enums import ConfigLevel

    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        settings.search_path[level] = ""
    settings.owner_validation = False  # as for git's command line, see _isolated
    wanted = _isolated(root, {})
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _environment(root: Path, users: bool, settings: Mapping[str, str]) -> dict[str, str]:
    """git finds the programs of this environment, asks nobody for a password, speaks English, and works in no other
    repository, as the variables of a hook that calls us would have it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = OWN + NETWORK * users
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    inherited |= {name: value for name, value in os.environ.items() if name.startswith(kept)}
    isolated = _isolated(root, settings)
    if users:
        isolated = {name: value for name, value in isolated.items() if name not in FILES}
        isolated["GIT_ALLOW_PROTOCOL"] = "file:git:http:https:ssh"
    return inherited | isolated | {"PATH": path, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _isolated(root: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables by which git reads no settings but these and the repository's, and talks to nobody."""
    # The owner of the folder does not matter where nothing in it is run, see refuse_strange_settings.
    chosen = SETTINGS | {"safe.directory": str(root.resolve())} | dict(settings)
    numbered = list(enumerate(chosen.items()))
    return {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_COUNT": str(len(numbered)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in numbered},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in numbered},
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CEILING_DIRECTORIES": str(root.resolve().parent),
    }
