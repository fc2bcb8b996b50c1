"""What is refused before any server is asked."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import SettingsError
from tasks.settings import Project
from tasks.workspace import Workspace


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"select": {"strategy": "margn"}}, r"`select\.strategy`: expected one of .*, got 'margn'.*mean `margin`"),
        ({"select": {"cold_start": "medoid"}}, r"`select\.cold_start`: expected one of .*mean `medoids`"),
        ({"train": {"learner": "frozn"}}, r"`train\.learner`: expected one of .*, got 'frozn'.*mean `frozen`"),
    ],
)
def test_a_name_that_nobody_knows_stops_the_loop_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], said: str
) -> None:
    from flows.steps import Steps

    monkeypatch.setattr(Steps, "project", property(lambda _self: pytest.fail("no server is asked")))
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content | section))
    with pytest.raises(SettingsError, match=said):
        Steps(Workspace(tmp_path), SimpleNamespace()).check(unfinished=False)


@pytest.mark.parametrize("project_id", ["a_b", "v1.2", "Team-7", "0", "_.-"])
def test_prefect_takes_the_key_of_every_id_that_settings_allow(project_id: str) -> None:
    from prefect.client.schemas.actions import ArtifactCreate

    from flows.steps import artifact_key

    Project(name="n", id=project_id)
    key = artifact_key("learning-curve", project_id)
    assert ArtifactCreate(key=key).key == key
