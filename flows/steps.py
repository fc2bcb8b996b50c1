"""The stages as Prefect tasks: each has its stage's name, is timed, and says in one line what it did."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from prefect import task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from labelwise.flows.question import Question
from labelwise.flows.stages import REPRODUCIBLE
from labelwise.tasks import evaluate, figures, finish, promote, pull, push, records, report, snapshot, stop, wait
from labelwise.tasks.errors import ServiceDown, ServiceError, plain, quantity
from labelwise.tasks.gold import asking
from labelwise.tasks.items import stored
from labelwise.tasks.labels import ledger, removed
from labelwise.tasks.reporting import finished_page, page, pictures, reviewers, rounds
from labelwise.tasks.reporting.rounds import in_words, markdown
from labelwise.tasks.services import mlflow, player
from labelwise.tasks.services.label_studio.delivery import without_doubles
from labelwise.tasks.services.label_studio.project import BatchProgress, LabelStudioProject, open_project
from labelwise.tasks.services.patience import patient
from labelwise.tasks.services.versions import differences, remote
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Finish, refuse_empty_rules
from labelwise.tasks.upkeep import beside, classes, forget, llm, names, rules, upgrade
from labelwise.tasks.workspace import Workspace, read_parquet

HELD = ("agree", "train", "prove")  # stages that see no label which came after the plan of a finish,
UNSEEN = {"data/labels", finish.KEY}  # so that changes of these alone do not concern them
console = Console(stderr=True, highlight=False, soft_wrap=True)
Result = TypeVar("Result")


class Steps:
    """What can be done in one workspace now. The order is the flow's."""

    def __init__(self, workspace: Workspace, versions: Versions) -> None:
        self.workspace = workspace
        self.versions = versions
        self.run_id = ""
        self.tab = ""  # of the open batch in Label Studio, once it was pushed

    @cached_property
    def project(self) -> LabelStudioProject:
        """The workspace's project in Label Studio, looked up once a run."""
        return open_project(self.workspace.settings)

    # Where we stand

    @property
    def round(self) -> int:
        """The number of batches whose labels are in the ledger."""
        return ledger.current_round(self.workspace.labels)

    @property
    def open_round(self) -> int:
        """The round that the batch which is asked now belongs to, as its tab is called."""
        return self.round + 1

    @cached_property
    def play(self) -> player.Play:
        """The right to play the workspace's rounds."""
        return player.Play(self.workspace, self.versions)

    def go_on_playing(self) -> None:
        """Stop when another copy of the workspace has taken over; else write down what we have saved."""
        patient(self.play.refuse, self._tell("check"))
        patient(self.play.keep, self._tell("check"))

    def check(self, unfinished: bool, of_loop: bool = True, take_over: bool = False, lost: bool = False) -> None:
        """Stop before anything is touched when settings are wrong, a server is down or files were changed by others.

        unfinished: whether the last holder's work is; of_loop: and whether that was the loop, or else another command.
        take_over, lost: see `player.Play.refuse`.
        """
        settings = self.workspace.settings
        refuse_empty_rules(settings)
        names.refuse_unknown(settings)
        patient(lambda: (self.project.found, mlflow.open_tracking(settings)), self._tell("check"), met=False)
        self.versions.clear()
        before, changed = patient(lambda: self.play.refuse(take_over, lost), self._tell("check"))
        if unfinished:
            self.say("check", "the last run did not end; going on from where it was")
            self.versions.restore()
        unfinished = unfinished and of_loop
        remote.refuse_lack(self.versions, [Path(before.path)] if before else [])
        remote.refuse_missing(self.workspace)
        removed.refuse(self.workspace, self.versions)
        differences.refuse_side_tracks(self.versions)
        if said := forget.resume(self.workspace, self.versions):
            self.say("forget", said)
        differences.refuse_rewriting(self.versions, "data/labels", "data/pool")
        if said := beside.resume(self.versions):
            self.say("labels", said)
        if not unfinished and (said := asking.resume(self.workspace, self.versions, self._tell("gold"))):
            self.say("gold", said)
        if unfinished:
            snapshot.recover(self.workspace, self.versions)
        else:
            differences.refuse_strange_changes(self.versions)
        if said := classes.keep(self.workspace, self.versions):
            self.say("classes", said)
        patient(self.play.keep, self._tell("check"))
        if said := self.versions.of_another():
            self.say("check", f"[yellow]{escape(said)}[/yellow]", markup=True)
        if changed:
            self.say("check", changed)

    def upgrade(self) -> None:
        """What an earlier version made of the workspace, as it is now."""
        if said := upgrade.run(self.workspace, self.versions):
            self.say("check", said)

    def learned(self) -> bool:
        """Whether the present round is complete: trained, measured, its next batch chosen and all of it tagged."""
        return self.versions.tagged(snapshot.tag(self.round))

    def nothing_to_ask(self) -> bool:
        """Whether the pool is used up."""
        return read_parquet(self.workspace.batch).empty

    # A pool that is being finished

    @property
    def finishing(self) -> Finish | None:
        """The plan, while the pool is being finished."""
        return self.workspace.settings.select.finish

    @property
    def finished(self) -> str:
        """The promise of the finished pool; '' where there is none, and where items came since."""
        return finish.done(self.workspace)

    def begin_finish(self, wrong: float, confidence: float) -> None:
        """Close the open batch, whose tasks that nobody has answered are taken back, and make the plan for the model
        that learns from it. A plan that is there already is gone on with."""
        if self.finishing:
            finish.refuse_other(self.finishing, wrong, confidence)
            return
        finish.wanted(self.workspace, wrong, confidence)
        finish.refuse_untrained(self.workspace)
        if self.learned():
            patient(self._take_back, self._tell("finish"))
            self.snapshot_labels()
        finish.keep(self.workspace, finish.wanted(self.workspace, wrong, confidence))

    def _take_back(self) -> None:
        if self.project.found is not None:
            self.project.take_back(self.open_round)

    def plan_finish(self) -> None:
        """Settle the exam by what the model thinks, where that is not settled."""
        if plan := self.finishing:
            self._step("finish", lambda: finish.prepare(self.workspace, plan))

    def finish(self) -> str:
        """Write the finished pool, keep it as a version, and be done with the plan. Returns the promise."""
        plan = self.finishing
        assert plan is not None
        done = finish.last(self.workspace, plan)
        if not done:
            found = finish.finished(self.workspace, plan)
            finish.write(self.workspace, found, finished_page.page(self.workspace, found))
            done = found.promise
        name = f"finished-{finish.number(self.workspace) - 1:04d}"
        if not self.versions.tagged(name):
            self.versions.add()
            self.versions.save(f"{name}: {done}")
            self.versions.push()
            run_id = records.run_of(self.versions.message(snapshot.tag(self.round)))
            patient(lambda: self._log_finish(run_id), self._tell("finish"))
            self.versions.save(f"{name}: {done}", name)
        finish.keep(self.workspace, None)
        self.say("finish", done)
        return done

    def _log_finish(self, run_id: str) -> None:
        if run_id:
            files = sorted(self.workspace.finished.iterdir())
            mlflow.open_tracking(self.workspace.settings).attach(run_id, files)

    # The stages

    def pull(self) -> None:
        """New items from the source; none while a pool is being finished, which is the pool of then."""
        if self.finishing:
            return

        def do() -> pull.Pulled:
            removed.refuse(self.workspace, self.versions)  # params.yaml may have changed while people answered
            pulled = pull.run(self.workspace)
            if said := patient(lambda: asking.pull(self.workspace), self._tell("gold")):
                self.say("gold", said)
            self.versions.add()
            return pulled

        pulled = self._step("pull", do)
        for line in pulled.warnings:
            self.say("pull", f"[yellow]{escape(line)}[/yellow]", markup=True)
        if pulled.docs:
            said = f"What the data were checked for: `{plain(str(pulled.docs))}`, on the machine of the loop."
            self._artifact(create_markdown_artifact, "data-docs", markdown=said, description="Data Docs")

    def reproduce(self, stage: str) -> None:
        """A stage, unless dvc.lock says that it has run on just this, or the workspace's dvc.yaml has no such stage."""
        if not self.versions.declares(stage):
            return

        def do() -> str:
            if not self.versions.changed(stage):
                return "unchanged"
            if self.finishing and self.finishing.model and stage in HELD and self.versions.changed_by(stage) <= UNSEEN:
                line = f"as in round {self.finishing.round}, until the pool is finished"
            else:
                line = REPRODUCIBLE[stage](self.workspace)
            self.versions.record(stage)
            return line

        self._step(stage, do)

    def run_rules(self) -> None:
        """The rules of the workspace, where it has any: what they say is weak labels. Not while a pool is finished."""
        if not (self.workspace.root / rules.FILE).is_file() or self.finishing:
            return
        self._step("rules", lambda: rules.of_round(self.workspace, self.versions))

    def ask_llm(self) -> None:
        """A language model, where params.yaml names one: what it says is a weak label. Not while a pool is finished."""
        if self.workspace.settings.llm.address is None or self.finishing:
            return
        self._step("llm", lambda: llm.of_round(self.workspace, self.versions, self.round, self._tell("llm")))

    def promote(self) -> None:
        """The round's MLflow run, its registered model, and the alias."""

        def do() -> str:
            self.run_id, line = promote.run(self.workspace, self.versions, figures.spent(self.workspace))
            return line

        self._step("promote", do, outside=True)

    def report(self) -> None:
        """The figures of all rounds, for Prefect's and MLflow's pages."""

        def do() -> str:
            before = self.versions.earlier("data/scores.parquet", snapshot.tag(self.round - 1))
            line = in_words(report.run(self.workspace, before), self.workspace.settings.measure.words)
            pages = {
                "report": page.write(self.workspace, self.versions, self.run_id),
                "reviewers": reviewers.write(self.workspace, self.versions),
            }
            with TemporaryDirectory() as scratch:
                drawn = pictures.pictures(self.workspace, Path(scratch))
                if drawn:
                    tracking = mlflow.open_tracking(self.workspace.settings)
                    tracking.attach(self.run_id, [*drawn, *pages.values()])
                    for name, written in pages.items():
                        link = tracking.artifact_url(self.run_id, written.name)
                        said = f"The {'report' if name == 'report' else 'page for reviewers'} of round {self.round}"
                        words = {"link_text": said, "description": f"{said}, in MLflow"}
                        self._artifact(create_link_artifact, name, link=link, **words)
                    picture = {"image_url": pictures.as_link(drawn[0]), "description": "Accuracy against labels"}
                    self._artifact(create_image_artifact, "learning-curve", **picture)
            return line

        self._step("report", do, outside=True)

    def snapshot_round(self) -> None:
        """Commit and tag what has been learned."""

        def do() -> str:
            score = evaluate.spoken(figures.gold_metrics(self.workspace), self.workspace.settings.measure)
            figures.keep_spent(self.workspace, self.round)
            return snapshot.run_round(self.workspace, self.versions, score, self.run_id)

        self._step("snapshot", do)
        figures.reset_spent(self.workspace)
        measure = self.workspace.settings.measure.words
        seconds = figures.seconds_by_stage(self.workspace)
        table = rounds.table(figures.curve(self.workspace), seconds, measure)
        said = f"The rounds of {self.workspace.settings.project.name}: {measure} on the gold set, seconds by stage"
        self._artifact(create_markdown_artifact, "rounds", markdown=markdown(table), description=said)

    def told_to_stop(self) -> str:
        """Why the loop ends here, '' when it goes on. The advice is said either way."""
        if self.finishing:
            return ""
        advice = stop.advised(self.workspace)
        answer = patient(lambda: stop.Answers(self.workspace).of_now(advice), self._tell("stop"))
        if advice.cause:
            said = f"you said {answer}" if answer else stop.HOW
            self.say("stop", f"[yellow]stopping is advised: {escape(f'{advice.why}; {said}')}[/yellow]", markup=True)
        else:
            self.say("stop", advice.words)
        return advice.verdict(answer)

    def push(self) -> None:
        """The batch, to the reviewers."""
        line = self._step("push", self._push, outside=True, of=self.open_round)
        self.tab = line.rsplit(" ", 1)[-1]
        words = {"link_text": f"The open batch: round {self.open_round}", "description": "Where reviewers answer"}
        self._artifact(create_link_artifact, "open-batch", link=self.tab, **words)

    def _push(self) -> str:
        return push.run(self.workspace, self.project, self._news())

    def wait(self, max_wait: float | None) -> wait.Waited:
        """For the reviewers."""
        settings = self.workspace.settings
        asked_at = self.versions.committed_at(snapshot.tag(self.round))
        size = len(read_parquet(self.workspace.batch))

        def do() -> wait.Waited:
            self.project.require()
            shown = self._progress_artifact()
            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            bars = Progress(*columns, console=console, transient=True)
            told: set[BatchProgress] = set()
            with bars as progress, self._asking(max_wait) as told_to_stop:
                bar = progress.add_task(f"round {self.open_round}", total=None)

                def tell(seen: BatchProgress) -> None:
                    if seen.total > size:  # an import that went through late
                        patient(lambda: without_doubles(self.project, self.open_round), self._tell("wait"))
                    said = f"round {self.open_round} · {seen}"
                    progress.update(bar, completed=seen.answered, total=seen.total, description=said)
                    shown(seen)
                    if seen not in told:
                        self._tell_reviewers(seen)
                        told.add(seen)

                batch = self.project, self.open_round, size
                return wait.wait(*batch, wait.rules(settings), asked_at, max_wait, tell, self._ask_anew, told_to_stop)

        return self._step("wait", do, of=self.open_round)  # each look is patient by itself

    def _tell_reviewers(self, seen: BatchProgress) -> None:
        """How far the batch is, on the page for them, here and in MLflow. Nothing depends on it: no fault ends the
        wait."""
        written = reviewers.tell(self.workspace, seen, self.tab)
        run_id = records.run_of(self.versions.message(snapshot.tag(self.round)))
        if written and run_id:
            with suppress(ServiceError):
                mlflow.open_tracking(self.workspace.settings).attach(run_id, [written])

    def _ask_anew(self, missing: int) -> None:
        """Tasks of the open batch that somebody deleted, to the reviewers once more."""
        self.say("wait", f"{quantity(missing, 'task')} deleted in Label Studio: asked anew", of=self.open_round)
        patient(self._push, self._tell("wait"))

    @contextmanager
    def _asking(self, max_wait: float | None) -> Iterator[Callable[[], bool]]:
        """Gives how to look whether a person wants the loop to end. While stopping is advised and nobody has answered,
        Prefect's page asks; a run that does not wait asks nobody."""
        if max_wait == 0 or self.finishing:
            yield lambda: False
            return
        advice = stop.advised(self.workspace)
        answers = patient(lambda: stop.Answers(self.workspace), self._tell("wait"))
        asked = advice.cause and not patient(lambda: answers.to(advice), self._tell("wait"))
        with Question(advice.why) if asked else nullcontext() as question:

            def told_to_stop() -> bool:
                try:
                    if question and (said := question.look()):
                        answers.keep(said, advice)
                    answer = answers.to(advice)
                except (ServiceDown, ServiceError):
                    return False  # it is the reviewers that we wait for
                if question and answer:
                    question.close()
                return answer == stop.STOP

            yield told_to_stop

    def snapshot_labels(self) -> None:
        """The answers, into the ledger, before anything else is done with them."""
        self._step("snapshot", self._save_labels, outside=True, of=self.open_round)

    def anything_new(self) -> bool:
        """Whether there is reason for another round when nothing was left to ask: late answers, new items, gold that no
        model was measured by, or anything else that a version lacks: rows refused, settings. Left uncommitted, the next
        run would take it for somebody else's."""
        look = patient(lambda: snapshot.look(self.workspace, self.project), self._tell("snapshot"))
        if not look.rows.empty:
            return True
        self.pull()
        grown = stored.items(self.workspace) > len(read_parquet(self.workspace.scores, columns=["id"]))
        files = "data/gold.dvc", "params.yaml"  # what has a version of its own between two rounds
        since = self.versions.git("diff", "--name-only", snapshot.tag(self.round), "--", *files)
        return grown or bool(since or self.versions.changes())

    def _news(self) -> str:
        """What the reviewers are told, with the address of their page where MLflow has one."""
        said = in_words(figures.curve(self.workspace), self.workspace.settings.measure.words)
        run_id = records.run_of(self.versions.message(snapshot.tag(self.round)))
        if not run_id:
            return said
        tracking = mlflow.open_tracking(self.workspace.settings)
        return f"{said} More: {tracking.artifact_url(run_id, reviewers.place(self.workspace).name)}"

    def _save_labels(self) -> str:
        return snapshot.run_labels(self.workspace, self.versions, self.project)

    # How a stage is run and shown

    def _step(self, stage: str, do: Callable[[], Result], outside: bool = False, of: int | None = None) -> Result:
        """Run a stage as a Prefect task. Stages that talk to a server outside try again when it does not answer: whole,
        since they find what they did before. of: the round that it is said of, where that is not the present one."""
        number = self.round if of is None else of

        def body() -> Result:
            result = patient(do, self._tell(stage)) if outside else do()
            get_run_logger().info(line(result))
            return result

        run = task(
            name=stage,
            task_run_name=f"{stage} · round {number}",
            cache_policy=NO_CACHE,
        )(body)
        started = time.perf_counter()
        result: Result = run()
        seconds = time.perf_counter() - started
        figures.spend(self.workspace, stage, seconds)
        self.say(stage, line(result), seconds, of=number)
        return result

    def say(
        self, stage: str, what: str, seconds: float | None = None, markup: bool = False, of: int | None = None
    ) -> None:
        """One line on the terminal. of: the round that it is said of, where that is not the present one."""
        took = "" if seconds is None else f"  ({seconds:.1f} s)"
        console.print(f"round {self.round if of is None else of} · {stage:<9}{plain(what)}{took}", markup=markup)

    def _tell(self, stage: str) -> Callable[[str], None]:
        """How a stage that waits for a server says so."""
        return lambda line: self.say(stage, f"[yellow]{escape(line)}[/yellow]", markup=True)

    def _artifact(self, create: Callable[..., Any], key: str, **content: Any) -> None:
        """Keep an artifact under a key of this workspace, so that those of another one stay apart."""
        create(key=artifact_key(key, self.workspace.settings.project.id), **content)

    def _progress_artifact(self) -> Callable[[BatchProgress], None]:
        """A progress bar on Prefect's page; returns how to move it."""
        made: Any = create_progress_artifact(
            progress=0.0,
            key=artifact_key("answers", self.workspace.settings.project.id),
            description=f"round {self.open_round}",
        )

        def move(seen: BatchProgress) -> None:
            said = f"round {self.open_round}: {seen}"
            update_progress_artifact(made, progress=100 * seen.answered / max(seen.total, 1), description=said)

        return move


def artifact_key(name: str, project_id: str) -> str:
    """A key that Prefect takes: small letters, digits and dashes. What else an id may hold is written as its number, so
    that two ids stay two keys.

    >>> artifact_key("rounds", "1f3a"), artifact_key("rounds", "a_b"), artifact_key("rounds", "a.b")
    ('rounds-1f3a', 'rounds-a-5f-b', 'rounds-a-2e-b')
    """
    return re.sub(r"[^a-z0-9-]", lambda found: f"-{ord(found[0]):x}-", f"{name}-{project_id}".lower())


def line(result: Any) -> str:
    """What a stage says of itself."""
    return result.summary() if isinstance(result, pull.Pulled) else str(result)
