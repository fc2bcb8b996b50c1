"""Past versions, read: a clone of a history, files at many commits at once, and whether data is what its hash says."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from labelwise.tasks.errors import InputError, ServiceError, SettingsError
from labelwise.tasks.records import round_tags, tag
from labelwise.tasks.services.urls import public
from labelwise.tasks.services.versions import git
from labelwise.tasks.services.versions.dvc import inside, remote_errors
from labelwise.tasks.services.versions.repository import TRACKED, Repository
from labelwise.tasks.settings import Settings, parse

NAMING = (*(f"{path}.dvc" for path in TRACKED), "dvc.lock")  # the files of git that name what DVC keeps


@dataclass(frozen=True)
class Commit:
    """A commit, and the round's tag on it, '' for none."""

    id: str
    date: str  # ISO 8601
    message: str
    tag: str = ""

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


# git


def tagged_rounds(versions: Repository) -> dict[str, Commit]:
    """The commits that have a round's tag, by tag, in the history of what is checked out or not."""
    lines = versions.git(
        "for-each-ref", "--format=%(refname:short)%00%(objectname)%00%(*objectname)", "refs/tags/round-*"
    )
    named = [line.split("\0") for line in lines.splitlines() if round_tags(line.partition("\0")[0])]
    commits = log(versions, "--no-walk=unsorted", *(tag for tag, _, _ in named)) if named else []
    by_id = {commit.id: commit for commit in commits}
    found = {tag: by_id.get(peeled or own) for tag, own, peeled in named}
    return {tag: Commit(each.id, each.date, each.message, tag) for tag, each in found.items() if each}


def meant(name: str, tags: Mapping[str, Commit], command: str) -> Commit:
    """The commit of a round, by its tag or by its number alone. InputError where there is none among the `tags`."""
    given = re.fullmatch(r"(?:round-)?(\d{1,9})", name)
    found = tags.get(tag(int(given[1]))) if given else None
    if found is None:
        expected = f"one of {min(tags)} to {max(tags)}" if tags else "a history with rounds"
        raise InputError(command, expected=expected, got=repr(name[:60]), fix="`git tag --list 'round-*'` names them")
    return found


def log(versions: Repository, *words: str, path: str = "") -> list[Commit]:
    """The commits that `git log WORDS` finds, in its order; of one path, those that changed it."""
    lines = versions.git("log", "--format=%H%x00%cI%x00%B%x1e", *words, "--", *[path] * bool(path))
    return [Commit(*entry.strip("\n").split("\0")) for entry in lines.split("\x1e") if entry.strip("\n")]


def contents(versions: Repository, path: str, revisions: Iterable[str]) -> dict[str, bytes]:
    """The file at `path` in each of the revisions that have it. One process for all."""
    asked = list(dict.fromkeys(revisions))
    wanted = "".join(f"{revision}:{path}\n" for revision in asked).encode()
    versions.trusted()
    done = git.run(versions.root, "cat-file", "--batch", given=wanted)
    if done.returncode:
        raise ServiceError("git cat-file failed", got=done.stderr.decode(errors="replace")[:200])
    found, rest = {}, done.stdout
    for revision in asked:
        head, _, rest = rest.partition(b"\n")
        if head.endswith(b" missing"):
            continue
        size = int(head.split()[-1])
        found[revision], rest = rest[:size], rest[size + 1 :]
    return found


# DVC


def settings_at(versions: Repository, revisions: Iterable[str]) -> list[Settings]:
    """params.yaml in each of the revisions where it can be read."""
    found = []
    for content in contents(versions, Settings.FILE, revisions).values():
        with suppress(SettingsError, YAMLError, ValueError):
            found.append(parse(YAML(typ="safe").load(content.decode())))
    return found


def outputs(versions: Repository) -> dict[str, str]:
    """DVC's hash of each folder and file that the present version names, by path."""
    files = [versions.root / name for name in NAMING]
    return _named(file.read_bytes() for file in files if file.exists())


def cached(
    versions: Repository, folder: str, names: Collection[str], revisions: Iterable[str]
) -> dict[str, list[Path]]:
    """Those files of a stage's folder that have these names, in each of the revisions, read-only, from DVC's cache. A
    revision of which something is not at hand is left out."""
    known: dict[str, list[Path] | None] = {}
    found = {}
    for revision, lock in contents(versions, "dvc.lock", revisions).items():
        md5 = _named([lock]).get(folder, "")
        if md5 not in known:
            known[md5] = _cached(versions, md5, names) if md5 else None
        if (files := known[md5]) is not None:
            found[revision] = files
    return found


def tracked(content: bytes) -> dict[str, Any]:
    """What a `.dvc` file says of its folder: md5, nfiles, ..."""
    return dict(YAML(typ="safe").load(content)["outs"][0])


def objects(versions: Repository, revisions: Iterable[str]) -> dict[str, str]:
    """DVC's hash of every file that these revisions name, with the first revision that names it."""
    revisions = list(revisions)
    by_file = [contents(versions, name, revisions) for name in NAMING]
    in_git = set(versions.git("ls-files").splitlines())  # figures that git keeps itself
    found: dict[str, str] = {}
    for revision in revisions:
        outs = _named(each[revision] for each in by_file if revision in each)
        for path, md5 in outs.items():
            if path not in in_git:
                found.setdefault(md5, revision)
    for md5, revision in list(found.items()):
        if md5.endswith(".dir") and (listing := _listing(versions, md5)):
            for entry in json.loads(listing):
                found.setdefault(entry["md5"], revision)
    return found


def at_remote(versions: Repository, digests: Iterable[str]) -> set[str]:
    """Which of these files the DVC remote has. ServiceError when it does not answer."""
    with remote(versions) as store:
        return set(store.oids_exist(list(digests)))


def remotes(versions: Repository) -> list[str]:
    """The addresses of the DVC remotes."""
    return [public(str(each["url"])) for each in versions.repo.config["remote"].values()]


def strangers(versions: Repository, path: str, md5: str) -> list[str]:
    """The files at `path` that are not what the hash says: changed, gone or too many. DVC itself trusts its remote."""
    place = versions.root / path
    if not md5.endswith(".dir"):
        return [] if place.is_file() and _md5(place) == md5 else [path]
    listing = _listing(versions, md5)
    if listing is None or f"{hashlib.md5(listing).hexdigest()}.dir" != md5:  # noqa: S324  (DVC's own)
        return [f"{path}/ (its list of files)"]
    wanted = {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}
    present = {str(file.relative_to(place)): _md5(file) for file in place.rglob("*") if file.is_file()}
    return [f"{path}/{name}" for name in sorted(wanted.keys() | present) if wanted.get(name) != present.get(name)]


def _named(files: Iterable[bytes]) -> dict[str, str]:
    """What `.dvc` files and dvc.lock name: DVC's hash by path."""
    found: dict[str, str] = {}
    for content in files:
        read = YAML(typ="safe").load(content)
        if "stages" in read:
            outs = [out for stage in read["stages"].values() for out in stage.get("outs", [])]
        else:
            outs = [out | {"path": f"data/{out['path']}"} for out in read["outs"]]
        found |= {str(out["path"]): str(out["md5"]) for out in outs}
    return found


def _cached(versions: Repository, md5: str, names: Collection[str]) -> list[Path] | None:
    """The files of these names in a folder, in DVC's cache; None where it lacks one, or the list of them."""
    place = versions.repo.cache.local.oid_to_path
    listing = Path(place(md5))
    if not listing.is_file():
        return None
    files = [Path(place(entry["md5"])) for entry in json.loads(listing.read_bytes()) if entry["relpath"] in names]
    return files if all(file.is_file() for file in files) else None


def _listing(versions: Repository, md5: str) -> bytes | None:
    """DVC's list of the files of a folder, from its cache or else from its remote; None where neither has it."""
    file = Path(versions.repo.cache.local.oid_to_path(md5))
    if file.is_file():
        return file.read_bytes()
    with remote(versions) as store:
        return bytes(store.fs.cat_file(store.oid_to_path(md5))) if store.exists(md5) else None


@contextmanager
def remote(versions: Repository) -> Iterator[Any]:
    """The store behind the DVC remote, and its errors as ours."""
    with remote_errors("the DVC remote cannot be read"), inside(versions.root):
        yield versions.repo.cloud.get_remote_odb(hash_name="md5")


def _md5(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()
