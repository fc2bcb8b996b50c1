"""Label Studio: one project a workspace, one task an item and round, looked for before it is made.

Label Studio refuses no duplicates and has no key of ours, so a task carries item id and round in its data and every
import is preceded by a look and followed by a count. A request may also go through long after we gave it up: of two
projects or tabs of one title the older stays, see `settle` and `tab`.

What the model thinks of an item is a line of text in its task's data, which reviewers read. Only what it marks in an
item is a prediction of Label Studio's beside that: a class would be chosen in advance, and its key would take it back.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.addresses import known
from labelwise.tasks.services.label_studio.exported import MOMENT, ROUND_OF_ESCALATED, annotated, ask_of, in_utc
from labelwise.tasks.services.label_studio.look import LabelStudioLook
from labelwise.tasks.services.label_studio.wire import connected, gone_is_well
from labelwise.tasks.services.patience import patiently
from labelwise.tasks.services.urls import is_loopback, public
from labelwise.tasks.settings import Settings

TIMEOUT_S = 300  # an import of some thousand tasks takes a while on SQLite
TITLE = 50  # characters that a project's title may have
PAGE = 1000
COUNTED = "id,data,total_annotations,cancelled_annotations"
TABS = 20  # rounds that keep their tab: Label Studio reads all tabs whenever it is asked for one
# What is asked of a project; left to itself Label Studio counts all its tasks by eight measures too.
BRIEFLY: Any = {"additional_query_parameters": {"include": "id,label_config,parsed_label_config,expert_instruction"}}
IDS_A_REQUEST = 200  # keeps the address of an export short
HIDDEN = [  # columns of the data manager that would push the text out of sight
    *("tasks:inner_id", "tasks:annotations_ids", "tasks:predictions_model_versions", "tasks:total_predictions"),
    *("tasks:annotations_results", "tasks:predictions_results", "tasks:predictions_score"),  # raw JSON, and of no use
    *("tasks:file_upload", "tasks:storage_filename", "tasks:created_at", "tasks:updated_at", "tasks:updated_by"),
    *("tasks:avg_lead_time", "tasks:draft_exists", "tasks:data.item", "tasks:data.round"),
    "tasks:data.context",  # HTML
    "tasks:data.cell",
]
EVENTS = {  # after which there may be something to do
    "actions": ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"],
    "send_for_all_actions": False,
}
# The filter that leaves out tasks which somebody else made with a `round` of their own: they have no `item`.
# Both are needed: whether '' counts as none depends on the task that Label Studio happens to find first.
_ITEM: dict[str, Any] = {"filter": "filter:tasks:data.item", "type": "String"}
NAMED: list[dict[str, Any]] = [
    {**_ITEM, "operator": "empty", "value": False},
    {**_ITEM, "operator": "not_equal", "value": ""},
]
# On a busy SQLite Label Studio may store an annotation and give up before it has counted it. It may also take a count
# back: a change of a task (see `ask_again`) stores all of it, with the count that it had read before.
ANNOTATED = {"filter": "filter:tasks:annotators", "operator": "empty", "type": "List", "value": False}
NOT_OURS = "somebody changed the labelling interface, and it stays, for there are answers by it"
ESCALATED = "Escalated"  # the title of a tab
WHOSE, EXPERTS = "for", "experts"  # what a task's data may say: who is to answer it, see labels/queues.py
PLACE_HOLDER = -1  # the round of an empty task that only keeps a number from being given again
OUR_INSTRUCTIONS = "<!-- labelwise -->"  # how they begin: others are somebody's own, and stay


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is: tasks that exist, and those that a reviewer is done with (`answered`), by an answer or by a
    skip alone (`skipped`).

    >>> str(BatchProgress(25, 20, skipped=3)), str(BatchProgress(25, 25))
    ('17 of 25 answered, 3 skipped', '25 of 25 answered')
    """

    total: int
    answered: int
    skipped: int = 0

    def __str__(self) -> str:
        with_answer = f"{self.answered - self.skipped} of {self.total} answered"
        return with_answer + (f", {self.skipped} skipped" if self.skipped else "")


@dataclass(frozen=True)
class Queue:
    """Tasks of a batch that have a tab of their own. whose: EXPERTS, or the number of the account that may answer them;
    called: in words."""

    whose: str
    called: str


class LabelStudioProject:
    """A project of one workspace. Its title ends in the workspace's id, and in `kind` where there is more than one; its
    labelling interface has both as well, by which it is known when people give it another title.

    Its tasks come in batches: one a round, and in the gold project one an ask; the task's data calls the number of
    either `round`.

    title: what it is called when it is made. called: what people call it; '' while none is found. people: how many are
    to answer each task of a batch, see `share`. looking: only look, which takes no second to import the SDK.
    """

    def __init__(self, name: str, workspace_id: str, kind: str = "", looking: bool = False, people: int = 1) -> None:
        self.people = people
        self._began: dict[int, tuple[int, int]] = {}  # of batches: no task has a lower number, and how many there are
        self.end = f" · {workspace_id}" + (f" · {kind}" if kind else "")
        self.mark = " ".join(filter(None, ("labelwise", workspace_id, kind)))
        self.title = name[: TITLE - len(self.end)] + self.end
        self.called = ""
        where = known("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")
        self.url = public(where["LABEL_STUDIO_URL"])
        self.client: Any
        with connected(self.url):
            if looking:
                self.client = LabelStudioLook(where["LABEL_STUDIO_URL"], where["LABEL_STUDIO_API_KEY"])
                return
            from label_studio_sdk import LabelStudio as Client

            make: Any = Client  # its constructor is untyped
            # Its own retries are off, see tasks/services/patience.py.
            key = where["LABEL_STUDIO_API_KEY"]
            self.client = make(base_url=where["LABEL_STUDIO_URL"], api_key=key, timeout=TIMEOUT_S, max_retries=0)

    @cached_property
    def found(self) -> int | None:
        """The number of the project, None when there is none yet."""
        return self._first(self._ours())

    def settle(self) -> int | None:
        """Look again for the project, and remove others of its title that are empty: requests of ours to make it that
        went through though no answer came."""
        with connected(self.url):
            ours = self._ours()
            for project in ours[1:]:
                if project.title == self.title and not project.task_number:
                    with gone_is_well():
                        self.client.projects.delete(project.id)
        self.found = self._first(ours)
        return self.found

    @property
    def number(self) -> int:
        """The number of the project. ServiceError when it has been deleted under us."""
        if self.found is None:
            raise ServiceError(
                f"Label Studio at {self.url} has no project {self.title!r} (deleted, or another server?)",
                fix="set LABEL_STUDIO_URL to the server that has it; or let `labelwise run` make it anew",
            )
        return self.found

    def require(self) -> None:
        """ServiceError when the project has been deleted under us."""
        _ = self.number

    def create(self, interface: ET.Element, answers: int = 1, description: str = "") -> None:
        """Make the project, unless it is there. interface: see tasks/kinds/interface.py. answers: people who are
        to answer each task."""
        if self.settle() is not None:
            return
        with connected(self.url):
            made = self.client.projects.create(
                title=self.title,
                label_config=self.marked(interface),
                show_collab_predictions=False,
                maximum_annotations=answers,
                description=description,
                sampling="Sequential sampling",  # first the item we want to know first
            )
        self.found, self.called = made.id, self.title

    def update(self, **settings: Any) -> None:
        """Change settings of the project: description, label_config..."""
        with connected(self.url):
            self.client.projects.update(self.number, request_options=BRIEFLY, **settings)

    def call(self, url: str, headers: dict[str, str]) -> bool:
        """Let Label Studio call `url`, with these headers, whenever an answer has changed. Whether anything was to do.

        Ours is known by the path of its address: one from an earlier port is changed, a second one removed.
        ServiceError when Label Studio refuses the address.
        """
        wanted: Any = {"url": url, "headers": headers, "is_active": True, "send_payload": False, **EVENTS}
        self._refuse_another_loopback(url)
        with connected(self.url):
            ours = [hook for hook in self.client.webhooks.list(project=str(self.number)) if _same_path(hook.url, url)]
            for surplus in ours[1:]:
                self.client.webhooks.delete(surplus.id or 0)
            if not ours:
                self.client.webhooks.create(project=self.number, **wanted)
                return True
            if all(_plain(getattr(ours[0], name)) == _plain(value) for name, value in wanted.items()):
                return len(ours) > 1
            self.client.webhooks.update(ours[0].id or 0, **wanted)
            return True

    def call_no_more(self, url: str) -> None:
        """Take back `call`: nobody listens there any longer."""
        with connected(self.url), gone_is_well():
            for hook in self.client.webhooks.list(project=str(self.number)):
                if _same_path(hook.url, url):
                    self.client.webhooks.delete(hook.id or 0)

    def _refuse_another_loopback(self, url: str) -> None:
        """ServiceError rather than that a Label Studio elsewhere gives our secret to anyone who listens on its own
        loopback."""
        if is_loopback(url) and not is_loopback(self.url):
            raise ServiceError(
                f"Label Studio at {self.url} cannot call {url}",
                fix="`labelwise serve --listen HOST:PORT` with an address of this machine that it can reach",
            )

    def offer(self, interface: ET.Element) -> bool:
        """Put our labelling interface back, whatever somebody made of it. False where Label Studio does not take it,
        since there are answers by the other one."""
        try:
            self.update(label_config=self.marked(interface))
        except ServiceError as error:
            if "label_config" not in str(error):
                raise
            return False
        return True

    def marked(self, interface: ET.Element) -> str:
        """A labelling interface as XML that says whose it is."""
        root = copy(interface)
        root.set("className", self.mark)
        return ET.tostring(root, encoding="unicode")

    def choices(self) -> list[str]:
        """What reviewers choose from now, by whatever interface."""
        with connected(self.url):
            project = self.client.projects.get(self.number, request_options=BRIEFLY)
        controls = getattr(project, "parsed_label_config", None) or {}
        return [str(name) for control in controls.values() for name in control.get("labels") or ()]

    def shown(self) -> str:
        """The labelling interface that reviewers see, as XML: ours where it is just what `marked` gives."""
        with connected(self.url):
            return str(self.client.projects.get(self.number, request_options=BRIEFLY).label_config)

    def instruct(self, instructions: str) -> None:
        """Show reviewers these instructions (HTML) before they begin, unless somebody has written other ones. Whether
        they are shown unasked is an administrator's to change."""
        with connected(self.url):
            now = self.client.projects.get(self.number, request_options=BRIEFLY).expert_instruction or ""
        wanted = OUR_INSTRUCTIONS + instructions
        if not now:
            self.update(expert_instruction=wanted, show_instruction=True)
        elif now.startswith(OUR_INSTRUCTIONS) and now != wanted:
            self.update(expert_instruction=wanted)

    # Tasks

    def tasks(self, batch_number: int) -> pd.DataFrame:
        """The tasks of a batch, but for those that somebody else made: columns `task_id`, `id`, `answers` (annotations
        and skips), `data`."""
        found = list(self._list(self._of(batch_number), PAGE, COUNTED))
        if not self._are_there(batch_number, len(found)):
            found = list(self._list(self._of(batch_number), PAGE, COUNTED))
        if found:  # where it begins stays: an import that was cut off may still go through
            began, _ = self._began.get(batch_number, (min(task.id for task in found), 0))
            self._began[batch_number] = began, len(found)
        answers = self._answers(found, batch_number)
        rows = [(task.id, item, answers[task.id], task.data) for task in found if (item := ask_of(task.data)[0])]
        return pd.DataFrame(rows, columns=["task_id", "id", "answers", "data"])

    def count(self, batch_number: int) -> int:
        """How many tasks a batch has."""
        with connected(self.url):
            if batch_number in self._began:
                total = int(self._page(self._of(batch_number), 1, "id").response.total)
                if self._are_there(batch_number, total):
                    return total
            newest = self._page([], 1, "id", newest=True).items  # before: what comes meanwhile has a higher number
            found = self._page(self._of(batch_number), 1, "id")
            total = int(found.response.total)
            if first := found.items or newest:
                self._began[batch_number] = first[0].id, total
        return total

    def count_between(self, first: int, last: int) -> int:
        """How many tasks the batches from the first to the last have."""
        numbers = list(range(first, last + 1))
        inside = {"filter": "filter:tasks:data.round", "operator": "in_list", "type": "Unknown", "value": numbers}
        return self._total([inside, *NAMED])

    def touched(self, since: pd.Timestamp | None) -> pd.DataFrame:
        """The tasks that were made, or whose annotations were given, changed or deleted, after a moment (None: ever):
        columns as of `tasks`, `round`, and `updated_at` (ISO 8601, UTC). `id` is '' where somebody else made it."""
        filters = [] if since is None else [_after("updated_at", since)]
        rows = [
            (task.id, *ask_of(task.data), _answer_count(task), in_utc(task.updated_at))
            for task in self._list(filters, PAGE, f"{COUNTED},updated_at")
        ]
        return pd.DataFrame(rows, columns=["task_id", "id", "round", "answers", "updated_at"])

    @patiently
    def progress(self, batch_number: int) -> BatchProgress:
        """How far the reviewers are. Two to four cheap requests, whatever the size of the project; where several people
        answer an item, one that lists the batch."""
        if self.people > 1:
            listed = "id,overlap,total_annotations,cancelled_annotations"
            found = list(self._list(self._of(batch_number), PAGE, listed))
            answers = self._answers(found, batch_number)
            over = [task for task in found if answers[task.id] >= (task.overlap or 1)]
            return BatchProgress(len(found), len(over), sum(map(_only_skipped, over)))
        total = self.count(batch_number)
        without_answer = [_equal("total_annotations", 0), *self._of(batch_number)]  # the quick conditions first
        done = total - self._total([_equal("cancelled_annotations", 0), *without_answer])
        with_answer = total - self._total(without_answer) if done else 0
        uncounted = len(self._annotators(batch_number, UNANSWERED)) if done < total else 0
        return BatchProgress(total, done + uncounted, skipped=done - with_answer)

    def _answers(self, found: list[Any], batch_number: int) -> dict[int, int]:
        """How many annotations and skips tasks of a batch have, by their number: at least as many as people who gave
        one, whatever Label Studio counts."""
        counted = {task.id: _answer_count(task) for task in found}
        lacks = any(count < self.people for count in counted.values())
        people = self._annotators(batch_number) if lacks else {}
        return {task: max(count, people.get(task, 0)) for task, count in counted.items()}

    def _annotators(self, batch_number: int, filters: Sequence[dict[str, Any]] = ()) -> dict[int, int]:
        """How many people have annotated or skipped a task of a batch, where anybody has."""
        asked = [*filters, *self._of(batch_number), ANNOTATED]
        return {task.id: len(task.annotators or ()) for task in self._list(asked, PAGE, "id,annotators")}

    def add(self, tasks: list[Any]) -> None:
        """Import tasks, all in one request."""
        with connected(self.url):
            self.client.projects.import_tasks(self.number, request=tasks)
        held = [*UNANSWERED, *_of_batch(PLACE_HOLDER)]  # the quick conditions first
        self.remove([task.id for task in self._list(held, PAGE, "id")])

    def change(self, task_id: int, data: dict[str, Any]) -> None:
        """Change what a task shows. One that is gone is no error."""
        with connected(self.url), gone_is_well():
            self.client.tasks.update(str(task_id), data=data)

    def predictions(self, batch_number: int) -> dict[int, list[Any]]:
        """What is marked in advance in each task of a batch, by the number of the task: a result a prediction."""
        found = self._list(self._of(batch_number), PAGE, "id,predictions", "all")
        return {task.id: [_field(each, "result") for each in task.predictions or []] for task in found}

    def predict(self, task_id: int, predictions: list[dict[str, Any]]) -> None:
        """Let a task have these predictions and no others."""
        with connected(self.url):
            for before in self.client.predictions.list(task=task_id):
                with gone_is_well():
                    self.client.predictions.delete(before.id or 0)
            for prediction in predictions:
                self.client.predictions.create(task=task_id, **prediction)

    def ask_again(self, task_id: int, people: int) -> None:
        """Let a task be answered by so many people."""
        with connected(self.url):
            self.client.tasks.update(str(task_id), overlap=people, is_labeled=False)

    def accounts(self) -> dict[str, str]:
        """The addresses of all who can sign in, by number."""
        with connected(self.url):
            return {str(one.id): str(one.email) for one in self.client.users.list()}

    def share(self, batch_number: int) -> int:
        """Let each task of a batch be answered by `people` people, or all where there are fewer accounts, and one for
        experts by one of them; a task that has so many answers stays as it is. Returns how many people that is. Whoever
        labels the tasks of the tab gets none twice, and sees nobody else's answer."""
        reachable = min(self.people, len(self.accounts()))
        for task in self._list(self._of(batch_number), PAGE, f"{COUNTED},overlap"):
            wanted = 1 if is_hard(task.data) else reachable
            if task.overlap != wanted and _answer_count(task) < wanted:
                self.ask_again(task.id, wanted)
        return reachable

    def count_for(self, whose: str, batch_number: int, open_alone: bool = False) -> int:
        """How many tasks of a batch are for somebody, see Queue; open_alone: of these those that nobody has
        answered."""
        return self._total([*(UNANSWERED if open_alone else ()), *self._of(batch_number), _for(whose)])

    def remove(self, task_ids: Iterable[int]) -> None:
        """Delete tasks. One that is gone already is no error.

        Label Studio on SQLite numbers a new task after the highest that is there, and a page that still shows a deleted
        task would then answer the new one. So before the project's highest goes, an empty task takes the next number;
        `add` deletes it.
        """
        gone = list(task_ids)
        if not gone:
            return
        with connected(self.url):
            for highest in self._page([], 1, "id,data", newest=True).items:
                if highest.id in gone:
                    nothing = dict.fromkeys(highest.data, "") | {"round": PLACE_HOLDER}
                    self.client.projects.import_tasks(self.number, request=[{"data": nothing}])
            for task_id in gone:
                with gone_is_well():
                    self.client.tasks.delete(str(task_id))

    def take_back(self, batch_number: int) -> None:
        """Remove the tasks of a batch that nobody has answered. Each is looked at once more right before: an answer
        goes with its task."""
        found = self.tasks(batch_number)
        for task_id in found.task_id[found.answers == 0].tolist():
            with connected(self.url), gone_is_well():
                now = self.client.tasks.get(str(task_id))
                unanswered = not (_answer_count(now) or now.annotators)
            if unanswered:
                self.remove([task_id])

    def answered(self, task_ids: list[int]) -> list[dict[str, Any]]:
        """These tasks with their annotations, as exported; those without any are left out, deleted ones too."""
        exported: list[dict[str, Any]] = []
        for start in range(0, len(task_ids), IDS_A_REQUEST):
            # The SDK's own `ids` is ignored by the server, which listens to `ids[]` and else exports everything.
            wanted: Any = {"additional_query_parameters": {"ids[]": task_ids[start : start + IDS_A_REQUEST]}}
            with connected(self.url):
                ask = self.client.projects.exports.download_sync
                chunks = ask(self.number, export_type="JSON", request_options=wanted)
                exported += annotated(b"".join(chunks), self.url)
        return exported

    def tasks_of(self, items: Iterable[str]) -> list[int]:
        """The tasks of these items, in whatever round."""
        asked = [
            {"filter": "filter:tasks:data.item", "operator": "equal", "type": "String", "value": each} for each in items
        ]
        return [task.id for one in asked for task in self._list([one], PAGE, "id")]

    def escalated(self, items: Iterable[str]) -> dict[str, int]:
        """The task of each of these items that the model at work gave to people, where there is one."""
        found = {}
        for item in items:
            named = {"filter": "filter:tasks:data.item", "operator": "equal", "type": "String", "value": item}
            if tasks := [each.id for each in self._list([*_of_batch(ROUND_OF_ESCALATED), named], PAGE, "id")]:
                found[item] = min(tasks)
        return found

    def everything(self) -> list[dict[str, Any]]:
        """All tasks that have annotations, with these, as exported. In parts: a large project takes minutes."""
        return self.answered([task.id for task in self._list([], PAGE, "id")])

    # Tabs of the data manager

    def tab_now(self, batch_number: int, word: str = "Round") -> str:
        """The address of the batch's tab, that of the project where it has none. Only looks."""
        return self._tab_now(f"{word} {batch_number}")

    def _tab_now(self, title: str) -> str:
        with connected(self.url):
            named = [view.id for view in self.client.views.list(project=self.number) if _title(view) == title]
        return f"{self.url}/projects/{self.number}" + (f"/data?tab={min(named)}" if named else "")

    def tab(self, batch_number: int, word: str = "Round", filters: Sequence[dict[str, Any]] = ()) -> str:
        """The address of the batch's tab, which is made when it is not there: of those of its tasks that pass the
        filters. Of two of any batch the older stays, for one may be made after we gave it up; tabs of batches long past
        go, their tasks stay."""
        with connected(self.url):
            views: Any = self.client.views.list(project=self.number)
            title = re.compile(f"{re.escape(word)} ([1-9][0-9]{{0,8}})")
            named = [(view.id, title.fullmatch(_title(view))) for view in views]
            ours = sorted((view, int(found[1])) for view, found in named if found)
            oldest = {number: view for view, number in reversed(ours)}
            doubled = [view for view, number in ours if view != oldest[number]]
            past = [view for number, view in oldest.items() if number <= batch_number - TABS]
            for surplus in [*doubled, *past]:
                with gone_is_well():
                    self.client.views.delete(str(surplus))
            found = oldest.get(batch_number)
            if found is None:
                data = _tab(f"{word} {batch_number}", batch_number)
                data["filters"]["items"] += filters
                found = self.client.views.create(project=self.number, data=data).id
        return f"{self.url}/projects/{self.number}/data?tab={found}"

    def tab_for(self, queue: Queue, batch_number: int, word: str) -> str:
        """The address of the tab with what is for somebody, which is made when it is not there."""
        return self.tab(batch_number, _title_for(queue, word), [_for(queue.whose)])

    def tab_for_now(self, queue: Queue, batch_number: int, word: str) -> str:
        """The same, that of the project where there is none. Only looks."""
        return self.tab_now(batch_number, _title_for(queue, word))

    def escalations(self) -> int:
        """How many of the items that the model at work gave to people nobody has answered."""
        return self._total([*_of_batch(ROUND_OF_ESCALATED), *UNANSWERED])

    def escalated_now(self) -> str:
        """The address of the tab with these, that of the project where there is none. Only looks."""
        return self._tab_now(ESCALATED)

    def tab_of_escalated(self) -> str:
        """The address of the tab with what the model at work gave to people and nobody has answered: the first of all
        tabs, since somebody waits. It is made when it is not there. *Label Tasks As Displayed* shows these alone."""
        with connected(self.url):
            views: Any = self.client.views.list(project=self.number)
            found = [view.id for view in views if _title(view) == ESCALATED]
            if not found:
                data = _tab(ESCALATED, ROUND_OF_ESCALATED)
                data["filters"]["items"] += UNANSWERED
                found = [self.client.views.create(project=self.number, data=data).id]
                others = [view.id for view in views]
                self.client.views.update_order(project=self.number, ids=[*found, *others])
        return f"{self.url}/projects/{self.number}/data?tab={min(found)}"

    def _ours(self) -> list[Any]:
        """The workspace's projects: those that hold tasks first, then those of our title, then the older. Where no
        title ends as ours, those whose interface has our mark."""
        with connected(self.url):
            # `title` matches parts too.
            found: Any = self.client.projects.list(title=self.end.strip(), include="id,title,task_number")
            ours = [project for project in found if project.title.endswith(self.end)]
            if not ours:
                found = self.client.projects.list(include="id,title,task_number,label_config")
                ours = [project for project in found if f'className="{self.mark}"' in (project.label_config or "")]
        return sorted(ours, key=lambda project: (not project.task_number, project.title != self.title, project.id))

    def _first(self, ours: list[Any]) -> int | None:
        self.called = ours[0].title if ours else ""
        return ours[0].id if ours else None

    def _of(self, batch_number: int) -> list[dict[str, Any]]:
        """The filters of a batch's tasks, but for those that somebody else made. For these alone Label Studio reads
        every task of the project; once it is known where the batch begins, it reads those from there on, for a new
        task has a higher number than all that are there."""
        first = self._began.get(batch_number)
        later = [] if first is None else [_equal("id", first[0]) | {"operator": "greater_or_equal"}]
        return [*later, *_of_batch(batch_number), *NAMED]

    def _are_there(self, batch_number: int, tasks: int) -> bool:
        """Whether a batch has as many tasks, from where it begins, as it had. If not, some were deleted; or Label
        Studio was put back to what it was before, and gives numbers again: so all tasks are to be looked at."""
        first, before = self._began.get(batch_number, (0, 0))
        if tasks < before:
            del self._began[batch_number]
        elif first:
            self._began[batch_number] = first, tasks
        return tasks >= before

    def _total(self, filters: list[dict[str, Any]]) -> int:
        """How many tasks there are. The newest is asked for with it, since what is asked about is new mostly: to find
        the oldest, Label Studio would read all that are there a second time."""
        with connected(self.url):
            response: Any = self._page(filters, 1, "id", newest=True).response
            return int(response.total)

    def _list(self, filters: list[dict[str, Any]], page: int, include: str, fields: str = "task_only") -> Iterator[Any]:
        with connected(self.url):
            found = self._page(filters, page, include, fields)
            # Left to itself the SDK asks for one page more, which is not there.
            yield from found if found.response.total > page else found.items

    def _page(
        self, filters: list[dict[str, Any]], size: int, include: str, fields: str = "task_only", newest: bool = False
    ) -> Any:
        order = {"ordering": ["-tasks:id"]} if newest else {}
        query = json.dumps({"filters": {"conjunction": "and", "items": filters}} | order)
        return self.client.tasks.list(project=self.number, page_size=size, fields=fields, include=include, query=query)


def changed(before: Sequence[str], classes: Sequence[str], renamed: Mapping[str, str]) -> str:
    """What is new about the choices of reviewers, in words; '' for nothing.

    >>> changed(["billing", "bug"], ["invoices", "bug", "login"], {"billing": "invoices"})
    "the choices are up to date: 'billing' is called 'invoices' now, 'login' is new"
    """
    new, gone = [name for name in classes if name not in before], [name for name in before if name not in classes]
    called = {old: renamed[old] for old in gone if old in renamed}
    said = [f"{old!r} is called {name!r} now" for old, name in called.items()]
    said += [f"{name!r} is new" for name in new if name not in called.values()]
    said += [f"{name!r} is gone" for name in gone if name not in called]
    return f"the choices are up to date: {', '.join(said)}" if said else ""


def _field(found: Any, name: str) -> Any:
    """A part of what the SDK gives as an object or as it came."""
    return found.get(name) if isinstance(found, dict) else getattr(found, name, None)


def _same_path(one: str, other: str) -> bool:
    return urlsplit(one).path == urlsplit(other).path


def _plain(value: Any) -> Any:
    """Lists compare as sets."""
    return sorted(value) if isinstance(value, list) else value


def _answer_count(task: Any) -> int:
    """How many annotations and skips Label Studio counts for a task."""
    return (task.total_annotations or 0) + (task.cancelled_annotations or 0)


def _only_skipped(task: Any) -> bool:
    return bool(task.cancelled_annotations) and not task.total_annotations


def _title_for(queue: Queue, word: str) -> str:
    """How a tab for somebody is called, less the number."""
    return f"{queue.called[:1].upper()}{queue.called[1:]}, {word.lower()}"


def is_hard(data: Mapping[str, Any]) -> bool:
    """Whether a task with this data is for experts."""
    return bool(data.get(WHOSE) == EXPERTS)


def _of_batch(number: int) -> list[dict[str, Any]]:
    """Tasks whose `round` is this number. As a Number it would be made one of every task's `round` first, which
    PostgreSQL refuses where somebody else's task has a word there."""
    return [_equal("data.round", number) | {"type": "Unknown"}]


def _title(view: Any) -> str:
    """What somebody called a tab, whatever that may be."""
    return str((view.data or {}).get("title"))


def _tab(title: str, batch_number: int) -> dict[str, Any]:
    """A tab of the data manager: the tasks of one round, and of their columns those that a reviewer can use."""
    return {
        "title": title,
        "filters": {"conjunction": "and", "items": [_equal("data.round", batch_number)]},  # as its page shows it
        "hiddenColumns": {"explore": HIDDEN, "labeling": [*HIDDEN, "tasks:id"]},
        "columnsWidth": {  # a screen of 1280 pixels shows all of them
            "tasks:id": 80,
            "tasks:completed_at": 130,
            "tasks:annotators": 110,
            "tasks:data.text": 500,
            "tasks:data.suggestion": 220,
        },
    }


def labelling(tab: str) -> str:
    """Where the tasks of a tab are labelled one after the other; the address of a project stays as it is.

    >>> labelling("http://127.0.0.1:8080/projects/7/data?tab=3"), labelling("http://127.0.0.1:8080/projects/7")
    ('http://127.0.0.1:8080/projects/7/data?tab=3&labeling=1', 'http://127.0.0.1:8080/projects/7')
    """
    return f"{tab}&labeling=1" if "?tab=" in tab else tab


def _after(field: str, moment: pd.Timestamp) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{field}",
        "operator": "greater",
        "type": "Datetime",
        "value": moment.strftime(MOMENT),
    }


def _equal(field: str, value: int) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{field}", "operator": "equal", "type": "Number", "value": value}


def _for(whose: str) -> dict[str, Any]:
    """Tasks that are for somebody."""
    found = {"filter": f"filter:tasks:data.{WHOSE}", "type": "String"}
    if whose == EXPERTS:
        return {**found, "operator": "equal", "value": EXPERTS}
    return {**found, "operator": "contains", "value": f" {whose} "}


NOT_EXPERTS = {**_for(EXPERTS), "operator": "not_equal"}  # tasks that are not for them
UNANSWERED = [_equal("total_annotations", 0), _equal("cancelled_annotations", 0)]  # as Label Studio counts


def open_project(settings: Settings, looking: bool = False) -> LabelStudioProject:
    """The workspace's project, whether it exists or not. looking: for a look, see LabelStudioProject."""
    name, number = settings.project.name, settings.project.id
    return LabelStudioProject(name, number, looking=looking, people=settings.people.overlap)


def open_gold_project(settings: Settings) -> LabelStudioProject:
    """The project in which people give trusted labels, whether it exists or not."""
    return LabelStudioProject(settings.project.name, settings.project.id, "gold")
