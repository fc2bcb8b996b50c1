"""Every registered model to its run, its commit, its data and the labels it learned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from labelwise.tasks.made_with import CODE
from labelwise.tasks.past.audit.part import Part
from labelwise.tasks.past.replay import at_odds
from labelwise.tasks.records import run_of
from labelwise.tasks.services.mlflow import Registered
from labelwise.tasks.services.versions.history import Commit


@dataclass(frozen=True)
class Traced:
    """A registered version and what made it. rows, reviewers: of the ledger, up to its round. made_by: the code and the
    libraries."""

    version: str
    round: str
    run: str
    commit: str
    rows: int
    reviewers: list[str]
    code: str
    made_by: dict[str, str]


@dataclass(frozen=True)
class Past:
    """What git says. tags: the rounds' commits by tag; history: ids of all commits; inputs: by tag, the digest of
    params.yaml and dvc.lock; hashes: by tag, DVC's of pool, gold and labels."""

    tags: Mapping[str, Commit]
    history: Collection[str]
    inputs: Mapping[str, str]
    hashes: Mapping[str, Mapping[str, str]]


def rounds_part(past: Past, versions: Collection[Registered]) -> Part:
    """Every round's tag to the run that its commit names, and to a registered version."""
    found = Part("rounds", len(past.tags))
    known = {each.run_id: each for each in versions}
    for tag, commit in past.tags.items():
        run_id = run_of(commit.message)
        if run_id and run_id not in known:
            found.missing.append(f"{tag}: no registered version of run {run_id}, which its commit names")
        elif run_id and known[run_id].tags is None:
            found.missing.append(f"{tag}: run {run_id} is gone from MLflow")
        if commit.id not in past.history:
            found.surplus.append(f"{tag}: its commit {commit.id[:10]} is not in the history of what is checked out")
    return found


def models(past: Past, versions: Collection[Registered], present: str) -> Part:
    """Every registered version to a round's tag. present: the tag of the round that the ledger is in: while it does not
    exist its version waits for it."""
    found = Part("models", len(versions))
    for each in versions:
        tags = each.tags if each.tags is not None else each.facts
        tag = tags.get("labelwise.tag", "")
        commit = past.tags.get(tag)
        name = f"version {each.version}"
        if each.tags is None:
            found.missing.append(f"{name}: its run {each.run_id} is gone from MLflow")
        if commit is None and tag == present:
            found.waiting += 1
        elif commit is None:
            found.surplus.append(f"{name}: the history has no {tag or 'round it belongs to'}")
        elif run_of(commit.message) != each.run_id:
            found.surplus.append(f"{name}: {tag} was made by another run than its own, {each.run_id}")
        else:
            found.changed += [f"{name}: {said}" for said in _unlike(tags, tag, past)] + at_odds(each)
    return found


def traced(versions: Collection[Registered], rows: pd.DataFrame) -> list[Traced]:
    """The versions with what made them. rows: the ledger, with the column `shard`."""
    learned: dict[str, tuple[int, list[str]]] = {}
    people: set[str] = set()
    so_far = 0
    for shard, part in rows.groupby("shard", sort=True):
        so_far += len(part)
        people |= set(part.annotator.dropna())
        learned[str(shard)] = so_far, sorted(people)
    made = []
    for each in versions:
        tags = each.tags or each.facts
        count, reviewers = learned.get(tags.get("labelwise.round", ""), (0, []))
        named = tags.get("labelwise.tag", "?"), each.run_id, tags.get("mlflow.source.git.commit", "?")
        libraries = {name.removeprefix("version."): tags[name] for name in sorted(tags) if name.startswith("version.")}
        made.append(Traced(each.version, *named, count, reviewers, tags.get(CODE, "?"), libraries))
    return made


def _unlike(tags: Mapping[str, str], tag: str, past: Past) -> list[str]:
    """What git and MLflow say differently of a round."""
    said = []
    if tags.get("mlflow.source.git.commit") not in past.history:
        said.append(f"the commit it was made from, {tags.get('mlflow.source.git.commit', '?')[:10]}, is not in git")
    if tags.get("labelwise.inputs") != past.inputs.get(tag):
        said.append(f"params.yaml or dvc.lock of {tag} is not the one that MLflow has seen")
    for name, digest in past.hashes.get(tag, {}).items():
        if tags.get(f"dvc.{name}", digest) != digest:
            said.append(f"{name} of {tag} has the DVC hash {digest[:12]}, MLflow has seen {tags[f'dvc.{name}'][:12]}")
    return said
