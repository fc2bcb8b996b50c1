"""The `labelwise` command. Heavy libraries are imported where they are needed: `--help` must not take seconds."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from gc import set_threshold
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelwise.flows.prefect_server import prefect_may_go, prepare
from labelwise.tasks.errors import REFUSED, LabelwiseError, plain, refused_by_machine, without_secrets
from labelwise.tasks.terminal import settle

if TYPE_CHECKING:
    from labelwise.tasks.workspace import Workspace

app = typer.Typer(
    help="Spends people's labelling time where it teaches a model most, and proves what it saved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
HERE = Path()
WORKSPACE = ContextVar("WORKSPACE", default=HERE)  # the one that the command is about


def _noted(folder: Path) -> Path:
    WORKSPACE.set(folder)
    return folder


Folder = Annotated[Path, typer.Option("--workspace", "-w", callback=_noted, help="The workspace; default: here.")]
Said = Annotated[
    str,
    typer.Option(
        help="What is said of an item: choice (one class), multilabel (any number), or spans (parts of a text, each "
        "with a class)."
    ),
]
PictureColumn = Annotated[
    str, typer.Option(help="With --item image, the column of paths, addresses or bytes; a folder has none.")
]
Shown = Annotated[str, typer.Option(help="What an item is: text, image, or row (figures, categories, signals).")]
Features = Annotated[
    list[str] | None,
    typer.Option(
        help="Of rows: the columns to learn from, with commas between them, where not all but id, label, group and "
        "context; NAME=category, or such as 'NAME=signal at 128 Hz', says what one is; -NAME leaves one out."
    ),
]
Delimiter = Annotated[
    str,
    typer.Option(help="Multilabel: what stands between the labels of a cell, such as ';'; default: a JSON list."),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Encoding = Annotated[
    str, typer.Option(help="Of files that are not UTF-8 and do not say so by a mark: cp1252, gbk, utf-16-le, ...")
]
GARBAGE = 100_000  # new objects, after which Python looks for cycles nobody holds


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"labelwise {version('labelwise')}")
        raise typer.Exit


@app.callback()
def start(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")] = False,
) -> None:
    """Spends people's labelling time where it teaches a model most, and proves what it saved."""


def main() -> None:
    """Run a command; an error that a user can cause is one line and a non-zero exit, never a traceback."""
    settle()
    WORKSPACE.set(HERE)
    # Imports make a million objects and no garbage; looking for it every 700 of them is a fifth of their time.
    set_threshold(GARBAGE)
    try:
        app()
    except LabelwiseError as error:
        _end(str(error), error.exit_code)
    except Exception as error:
        if said := refused_by_machine(error):
            _end(said, REFUSED)
        # Nobody foresaw it. Where files were changed it may come of them, else it is a fault of ours.
        if (changed := _changed(WORKSPACE.get())) is None:
            raise
        _end(f"{changed}. {_kept(WORKSPACE.get(), error)}", changed.exit_code)


def _changed(root: Path) -> LabelwiseError | None:
    """Which files of a workspace are not as its last version has them, by the hashes of git and DVC. None: none, or it
    is no workspace, or a loop is at work or died there, so that its files are between two versions."""
    from labelwise.tasks.workspace import Workspace

    try:
        Workspace.open(root)
    except LabelwiseError:
        return None
    try:
        intact_workspace(root)
    except LabelwiseError as changed:
        return changed
    except Exception:
        return None  # that cannot be told either; the caller raises what it came with
    return None


def intact_workspace(root: Path) -> "Workspace":
    """The workspace. WorkspaceError where files of it are not as the last version has them: figures and texts that come
    of them would be wrong, and nobody would see it."""
    from labelwise.tasks.services.versions.differences import refuse_unlike
    from labelwise.tasks.services.versions.workspace import Versions
    from labelwise.tasks.workspace import Workspace, unfinished

    here = Workspace.open(root)
    _ = here.settings  # what is said of a params.yaml that cannot be read says more
    if not unfinished(here):
        refuse_unlike(Versions(here.root))
    return here


def _kept(root: Path, error: Exception) -> str:
    """What was said of an error nobody foresaw, and the file that has its traceback."""
    from traceback import format_exception

    brief = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    said = f"If it then fails again ({brief}), it is a fault of ours"
    file = root.resolve() / ".labelwise" / "traceback.txt"
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(without_secrets("".join(format_exception(error))), encoding="utf-8", errors="replace")
    except OSError:  # one may only read there
        return said
    return f"{said}: {file} says where"


def _end(line: str, code: int) -> None:
    print(f"labelwise: {plain(line)}", file=sys.stderr)
    sys.exit(code)


# Servers


@app.command()
def up(
    database: Annotated[
        str | None,
        typer.Option(
            envvar="LABELWISE_DATABASE",
            show_envvar=False,
            help="for a team: postgresql://USER:PASSWORD@HOST/NAME; or postgresql, started here; or sqlite. Kept from "
            "then on. An address in LABELWISE_DATABASE shows its password to no process list",
        ),
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="where MLflow keeps models: s3://BUCKET/FOLDER, or files. Kept from then on")
    ] = None,
) -> None:
    """Start Label Studio, MLflow and Prefect on this machine, and wait until they answer."""
    from labelwise.tasks.services.home import home
    from labelwise.tasks.services.local import servers

    where = servers.up(_tell, database, artifacts)
    print(f"Label Studio  {where.label_studio_url}")
    print(f"MLflow        {where.mlflow_tracking_uri}")
    print(f"Prefect       {where.prefect_api_url.removesuffix('/api')}")
    print(f"The sign-in for Label Studio is in {home() / 'secrets.env'}")


@app.command()
def down() -> None:
    """Stop the servers that `up` started."""
    from labelwise.tasks.services.local import servers

    servers.down()


@app.command()
def ps() -> None:
    """Say which servers run, where, and where their logs are. Exits 1 when one is not running."""
    from labelwise.tasks.services.local import servers, story

    states = servers.ps()
    for state in states:
        print(f"{state.name:<13} {state.state:<9} {state.url or '-':<28} pid {state.pid or '-':<8} {state.log}")
        if state.note:
            tail = map(plain, story.log_tail(state.name, 5))  # what strangers asked a server stands in it
            print("\n".join([f"    {state.note}; the end of its log:", *tail]))
    if any(state.state != "running" for state in states):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print the four addresses as lines for a shell: eval "$(labelwise env)"."""
    import shlex

    from labelwise.tasks.services.addresses import addresses

    for name, value in addresses().as_environment().items():
        print(f"export {name}={shlex.quote(value)}")


# Workspaces


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    pool: Annotated[
        str, typer.Option(help="What to label: CSV, TSV, JSON, JSONL, Parquet; file, folder, glob, s3://, hf://")
    ],
    gold: Annotated[str, typer.Option(help="Labelled rows to measure with; never trained on.")],
    labelled: Annotated[
        str, typer.Option(help="Rows of the pool that have a label already; learned from at once.")
    ] = "",
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="The classes, with commas between them (a name that has one in double quotes), or the option once a "
            "class; default: those of the gold set."
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="The column to label.")] = "text",
    image_column: PictureColumn = "image",
    label_column: Annotated[str, typer.Option(help="The gold set's label column.")] = "label",
    annotator_column: Annotated[
        str, typer.Option(help="Who gave each label of --labelled: several people may have labelled one row.")
    ] = "",
    id_column: Annotated[str, typer.Option(help="Your own key, if there is one; gold may lack it.")] = "",
    group_column: Annotated[
        str, typer.Option(help="Thread, customer, recording: its items never stand in both pool and gold set.")
    ] = "",
    context: Annotated[
        list[str] | None,
        typer.Option(help="Columns that reviewers see above the text, with commas between them; no model learns them."),
    ] = None,
    features: Features = None,
    encoding: Encoding = "",
    answer: Said = "choice",
    item: Shown = "text",
    delimiter: Delimiter = "",
    name: Annotated[str, typer.Option(help="The project's name on the three screens; default: the folder's.")] = "",
    remote: Annotated[str, typer.Option(help="Where DVC keeps the data; default: FOLDER.remote.")] = "",
) -> None:
    """Make a workspace: a git + DVC repository for one labelling project."""
    from labelwise.tasks.reporting.status import command
    from labelwise.tasks.settings import columns_of, kind_of
    from labelwise.tasks.upkeep import init as stage

    classes = stage.names(labels or []) or None
    beside: dict[str, Any] = {"group": group_column or None, "context": stage.names(context or [])}
    beside |= _features(stage.names(features or []))
    columns = columns_of(text=text_column, image=image_column, label=label_column, id=id_column or None, **beside)
    wanted = pool, gold, classes, name, remote or None, columns, labelled or None, _tell, encoding or None
    made = stage.run(folder, *wanted, kind_of(item, answer, delimiter), delimiter or None, annotator_column or None)
    count = len(made.settings.classes)
    print(f"{made.root} is ready: {count} class{'es' if count > 1 else ''}. Next: {command('run', made.root)}")


@app.command()
def run(
    workspace: Folder = HERE,
    rounds: Annotated[
        int | None, typer.Option(min=0, help="Stop after so many; default: when the pool is empty.")
    ] = None,
    max_wait: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait for reviewers; 0: do what can be done.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Play here from now on, and no more in the other clone.")
    ] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="With --take-over: what the other one saved last is lost for good.")
    ] = False,
) -> None:
    """Play rounds: choose, ask, wait, learn, measure, and again."""
    from labelwise.tasks.workspace import Workspace, refuse_running

    workspace = workspace.resolve()
    refuse_running(Workspace.open(workspace))
    prepare(workspace)
    from labelwise.flows.loop import loop

    with _to_go_on(), prefect_may_go():
        print(plain(loop(str(workspace), rounds, max_wait, take_over, lost)))
        _then("status", workspace)


@app.command()
def finish(
    wrong: Annotated[float, typer.Option(help="The share of all labels that may be wrong, such as 0.02.")] = 0.05,
    confidence: Annotated[float, typer.Option(help="Of that.")] = 0.95,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Take back what was begun; labels stay.")] = False,
    max_wait: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait for reviewers; 0: do what can be done.")
    ] = None,
    workspace: Folder = HERE,
) -> None:
    """Have every item labelled: people answer an exam and what the model must not label, the model the rest."""
    from labelwise.flows import finish as stage
    from labelwise.tasks.workspace import Workspace, refuse_running

    workspace = workspace.resolve()
    if dry_run:
        print("\n".join(stage.forecast(intact_workspace(workspace), wrong, confidence)))
        return
    refuse_running(Workspace.open(workspace))
    if abandon:
        print(plain(stage.abandon(Workspace.open(workspace), _tell)))
        return
    prepare(workspace)
    from labelwise.flows.loop import finish as flow

    with _to_go_on(), prefect_may_go():
        print(plain(flow(str(workspace), wrong, confidence, max_wait)))
        _then("status", workspace)


@app.command()
def rehearse(
    pool: Annotated[str, typer.Option(help="Labelled rows to learn from, as for `init`.")],
    gold: Annotated[str, typer.Option(help="Labelled rows to measure with; default: a third of the pool.")] = "",
    strategies: Annotated[str, typer.Option(help="Separated by commas; `random` is what others are compared with.")] = (
        "random,auto"
    ),
    learner: Annotated[str, typer.Option(help="One, or several separated by commas.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Items a round.")] = 25,
    rounds: Annotated[int, typer.Option(min=1)] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each; five give an interval worth having.")] = 5,
    noise: Annotated[
        float, typer.Option(min=0, max=1, help="Share of answers that are wrong, in the runs and in the whole pool.")
    ] = 0.0,
    first: Annotated[int | None, typer.Option(min=1, help="Items in the first round; default: --batch.")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
    out: Annotated[Path, typer.Option(help="Vectors, runs, figures and picture; go on by giving it again.")] = Path(
        "rehearsal"
    ),
    params: Annotated[str, typer.Option(help="Follow the settings of this params.yaml.")] = "",
    text_column: Annotated[str, typer.Option(help="The column to label.")] = "text",
    image_column: PictureColumn = "image",
    label_column: Annotated[str, typer.Option(help="The label column of both.")] = "label",
    group_column: Annotated[
        str, typer.Option(help="Thread, customer, recording: its rows are all learned from, or all measured with.")
    ] = "",
    id_column: Annotated[str, typer.Option(help="Of rows: your own key, which is no feature.")] = "",
    features: Features = None,
    encoding: Encoding = "",
    answer: Said = "choice",
    item: Shown = "text",
    delimiter: Delimiter = "",
    measure: Annotated[
        str,
        typer.Option(
            help="What models are judged by, as `evaluate.measure`; for a rare class f1:CLASS, "
            "or 'recall:CLASS at precision 0.9'."
        ),
    ] = "",
) -> None:
    """Play the rounds against labels you already have, without servers: will it save me anything, and which
    strategy?"""
    from labelwise.flows import rehearse as flow
    from labelwise.tasks.settings import columns_of
    from labelwise.tasks.trial.plan import Plan
    from labelwise.tasks.upkeep import init as stage

    def names(given: str) -> list[str]:
        return list(dict.fromkeys(part.strip() for part in given.split(",") if part.strip()))

    beside = {"id": id_column or None, **_features(stage.names(features or []))}
    named = {"text": text_column, "image": image_column, "label": label_column, "group": group_column or None}
    columns = columns_of(**named, **beside)
    asked = names(strategies), names(learner)
    plan = Plan(pool, gold or None, *asked, batch, rounds, seeds, noise, first, columns, params or None)
    plan = replace(plan, encoding=encoding or None, item=item, answer=answer, delimiter=delimiter or None)
    plan = replace(plan, measure=measure or None)
    with _to_go_on():
        flow.rehearse(plan, out, json_to, _tell)


@app.command()
def synthesise(
    count: Annotated[int, typer.Argument(min=1, help="How many texts at most.")],
    to: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    workspace: Folder = HERE,
) -> None:
    """Make texts that lie between two classes out of the pool's own, marked as synthetic. The loop never asks them."""
    from labelwise.tasks.trial import synthesise as stage

    print(stage.run(intact_workspace(workspace), count, to))


@app.command()
def status(
    workspace: Folder = HERE, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Say where the workspace stands."""
    from labelwise.tasks.reporting import status as stage
    from labelwise.tasks.workspace import Workspace

    seen = stage.status(Workspace.open(workspace))
    print(seen.json() if as_json else "\n".join(map(plain, stage.lines(seen))))


@app.command("next")
def coming(
    workspace: Folder = HERE, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    """Show the open batch, or the one that comes next: why each item is asked, and what the model thinks of it."""
    from labelwise.tasks.reporting import coming as stage

    seen = stage.run(intact_workspace(workspace))
    print(stage.as_json(*seen) if as_json else "\n".join(stage.lines(*seen)))


@app.command()
def report(
    workspace: Folder = HERE,
    reviewers: Annotated[
        bool, typer.Option("--reviewers", help="The page for reviewers: what their labels did.")
    ] = False,
) -> None:
    """Write the report of the present round: one HTML file that needs no network. Prints where it is."""
    from labelwise.tasks.reporting import page
    from labelwise.tasks.reporting.reviewers import fresh
    from labelwise.tasks.services.versions.workspace import Versions

    here = intact_workspace(workspace)
    write = fresh if reviewers else page.write
    print(write(here, Versions(here.root)))
    _then("next", here.root)


@app.command()
def stop(workspace: Folder = HERE) -> None:
    """Answer the question whether to stop: the loop ends, now and when it is started, until the advice changes."""
    _keep_answer(workspace, "stop")


@app.command()
def go_on(workspace: Folder = HERE) -> None:
    """Answer the question whether to stop: the loop goes on, and does not ask again until the advice changes."""
    _keep_answer(workspace, "go on")


def _keep_answer(workspace: Path, said: str) -> None:
    from labelwise.tasks import stop as stage

    print(stage.run(intact_workspace(workspace), said))


@app.command()
def rollback(
    workspace: Folder = HERE,
    to: Annotated[str, typer.Option(help="A registered version, earlier or later; default: the one before.")] = "",
) -> None:
    """Make the champion before the present one champion again, or another registered version."""
    from labelwise.tasks import promote
    from labelwise.tasks.workspace import Workspace

    print(promote.rollback(Workspace.open(workspace), to))


@app.command()
def gc(
    workspace: Folder = HERE,
    keep: Annotated[int, typer.Option(min=2, help="So many of the last rounds stay as they are.")] = 10,
    rebuildable: Annotated[
        bool, typer.Option("--rebuildable", help="Also what `dvc repro` can make again of earlier rounds.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this it is only said.")] = False,
) -> None:
    """Say what can go from DVC's cache and MLflow: what no version needs, and models long surpassed."""
    from labelwise.tasks.upkeep import gc as stage
    from labelwise.tasks.workspace import Workspace

    print("\n".join(stage.run(Workspace.open(workspace), keep, rebuildable, remove)))


@app.command()
def serve(
    workspace: Folder = HERE,
    cron: Annotated[str, typer.Option(help="When, as in crontab, in this machine's time zone.")] = "*/10 * * * *",
    webhook: Annotated[bool, typer.Option(help="Also run when Label Studio says that somebody has answered.")] = True,
    listen: Annotated[str, typer.Option(help="HOST:PORT where Label Studio's events come in; port 0: a free one.")] = (
        "127.0.0.1:0"
    ),
    webhook_url: Annotated[
        str, typer.Option(help="http://NAME:PORT under which Label Studio finds it; default: --listen.")
    ] = "",
) -> None:
    """Run the loop on a schedule and whenever somebody has answered, through a Prefect deployment, until stopped."""
    workspace = workspace.resolve()
    prepare(workspace)
    from labelwise.flows.serve import serve as start
    from labelwise.flows.wake import Listen

    os.chdir(sys.prefix)  # each run is a process that begins here, and takes modules and settings from here
    start(workspace, cron, Listen.parse(listen, webhook_url) if webhook else None, _tell)


@app.command()
def review(
    answers: Annotated[Path, typer.Option(help="A file with the text and label columns of the workspace.")],
    workspace: Folder = HERE,
    noise: Annotated[str, typer.Option(help="Share of wrong answers; or of each reviewer, separated by commas.")] = "0",
    users: Annotated[int, typer.Option(min=1, max=50, help="How many reviewers share the batch.")] = 1,
    rate: Annotated[float, typer.Option(min=0, help="Answers a minute; 0: as fast as it goes.")] = 0.0,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Answer so many, waiting for each; left out: the one that is open.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which answers are wrong.")] = 0,
    gold: Annotated[bool, typer.Option("--gold", help="Answer what is put up for trusted labels instead.")] = False,
) -> None:
    """Stand in for people: sign in to Label Studio and answer the open batch from a file."""
    from labelwise.tasks.trial import review as stage
    from labelwise.tasks.workspace import Workspace

    play = stage.run_gold if gold else stage.run
    shares = stage.shares(noise)
    one, each = (shares[0], ()) if len(shares) == 1 else (0.0, shares)
    play(Workspace.open(workspace), answers, stage.Manner(one, users, rate, batches, seed, each), _tell)


# Trusted labels

gold_app = typer.Typer(help="Grow the gold set by trusted labels, and put doubtful ones before people.")
app.add_typer(gold_app, name="gold", no_args_is_help=True)


@gold_app.command("grow")
def gold_grow(
    n: Annotated[int, typer.Argument(metavar="N", help="How many items.")],
    of: Annotated[
        str | None,
        typer.Option("--for", metavar="CLASS", help="Draw where this class may be, as tells most of how it is found."),
    ] = None,
    workspace: Folder = HERE,
) -> None:
    """Draw N items of the reserve that tell most of `evaluate.measure`, for two people at least to label: where the
    model is likely to be wrong, or where a rare class may be."""
    from labelwise.tasks.gold import asking
    from labelwise.tasks.workspace import Workspace

    with _to_go_on():
        print(plain(asking.run_grow(Workspace.open(workspace), n, _tell, of)))


@gold_app.command("review")
def gold_review(
    n: Annotated[int, typer.Argument(metavar="N", help="How many rows.")], workspace: Folder = HERE
) -> None:
    """Put N rows of your own gold set before people: those that the model is surest to be labelled wrongly."""
    from labelwise.tasks.gold import asking
    from labelwise.tasks.workspace import Workspace

    with _to_go_on():
        print(plain(asking.run_review(Workspace.open(workspace), n, _tell)))


@gold_app.command("collect")
def gold_collect(workspace: Folder = HERE) -> None:
    """Take in the answers given so far; where two people differ, ask a third. The next round measures by them."""
    from labelwise.tasks.gold import asking
    from labelwise.tasks.workspace import Workspace

    with _to_go_on():
        print(plain(asking.run_collect(Workspace.open(workspace), _tell)))


# Classes

classes_app = typer.Typer(help="List the classes, or change them once people have answered.")
app.add_typer(classes_app, name="classes")
Dry = Annotated[bool, typer.Option("--dry-run", help="Only say what would follow from it.")]


@classes_app.callback(invoke_without_command=True)
def list_classes(context: typer.Context, workspace: Folder = HERE, as_json: Json = False) -> None:
    """List the classes: key, labels, gold rows, earlier names. The commands change them once people have answered."""
    context.obj = workspace  # for `labelwise classes --workspace DIR add NAME`
    if context.invoked_subcommand:
        return
    from labelwise.tasks.upkeep import classes as stage

    here = intact_workspace(workspace)
    found, several = stage.table(here), here.settings.kind.answer != "choice"
    print(stage.as_json(found) if as_json else "\n".join(stage.lines(found, several)))


@classes_app.command("add")
def classes_add(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    workspace: Folder = HERE,
    dry_run: Dry = False,
) -> None:
    """Add a class; one that was dropped or split, or is an earlier name of another, is a class again."""
    _change(context, workspace, "add", names, dry_run)


@classes_app.command("rename")
def classes_rename(context: typer.Context, old: str, new: str, workspace: Folder = HERE, dry_run: Dry = False) -> None:
    """Give a class another name. Labels and gold follow."""
    _change(context, workspace, "rename", [old, new], dry_run)


@classes_app.command("merge")
def classes_merge(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME... INTO")],
    workspace: Folder = HERE,
    dry_run: Dry = False,
) -> None:
    """Make one class of several: INTO, one of them or a new name. Labels and gold follow."""
    _change(context, workspace, "merge", names, dry_run)


@classes_app.command("drop")
def classes_drop(context: typer.Context, name: str, workspace: Folder = HERE, dry_run: Dry = False) -> None:
    """Take a class out. What was labelled by it is put up to be labelled again."""
    _change(context, workspace, "drop", [name], dry_run)


@classes_app.command("split")
def classes_split(
    context: typer.Context,
    old: str,
    into: Annotated[list[str], typer.Argument(metavar="NAME NAME...")],
    workspace: Folder = HERE,
    dry_run: Dry = False,
) -> None:
    """Put several classes in the place of one. What was labelled by it is put up to be labelled again."""
    _change(context, workspace, "split", [old, *into], dry_run)


def _change(context: typer.Context, workspace: Path, verb: str, names: list[str], dry_run: bool) -> None:
    from labelwise.tasks.upkeep import classes as stage
    from labelwise.tasks.workspace import Workspace

    folder = context.obj if workspace == HERE else workspace
    WORKSPACE.set(folder)
    with _to_go_on():
        print("\n".join(map(plain, stage.run(Workspace.open(folder), verb, names, dry_run, _tell))))
        if not dry_run:
            _then("run", folder)


@app.command()
def seed(
    name: Annotated[str, typer.Argument(metavar="[CLASS]", help="A class that is hard to find.")] = "",
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|TEXT]...",
            help="A few texts of this class, or words for it; or files: a text a line, or rows with a text column.",
        ),
    ] = None,
    workspace: Folder = HERE,
    list_them: Annotated[bool, typer.Option("--list", help="List what was given, of this class or of all.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take these texts, or their ids, back; without any, all of the class.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a class that is hard to find looks like: the next batches ask near it, until it has been found. Nothing
    is learned from these texts, and nothing measured by them."""
    from labelwise.tasks.errors import InputError
    from labelwise.tasks.upkeep import seeds as stage
    from labelwise.tasks.workspace import Workspace

    if list_them or not (given or remove):
        found = stage.listed(intact_workspace(workspace), name)
        print(stage.as_json(found) if as_json else "\n".join(stage.lines(found)))
        return
    if not name:
        raise InputError("seed --remove", expected="the class whose texts are to go", fix="`labelwise seed --list`")
    here = Workspace.open(workspace)
    with _to_go_on():
        change = stage.remove if remove else stage.give
        print("\n".join(map(plain, change(here, name, given or [], _tell))))
        if not remove:
            _then("run", here.root)


@app.command()
def rules(workspace: Folder = HERE, dry_run: Dry = False, as_json: Json = False) -> None:
    """Run the rules of rules.py over the pool: what each covers, how often it is right, where people say otherwise.
    What they say is learned from the next round on, beneath what people say. The loop does this in each round."""
    from labelwise.tasks.items import stored
    from labelwise.tasks.upkeep import rules as stage
    from labelwise.tasks.workspace import Workspace

    here = Workspace.open(workspace)
    with _to_go_on():
        found = stage.run(here, dry_run, typer.confirm if sys.stdin.isatty() else None, _tell)
        print(stage.as_json(found) if as_json else "\n".join(map(plain, stage.lines(found, stored.items(here)))))


@app.command()
def llm(
    workspace: Folder = HERE,
    items: Annotated[int | None, typer.Option(min=1, help="How many at most; default: llm.items.")] = None,
    dry_run: Dry = False,
    as_json: Json = False,
) -> None:
    """Ask a language model (`llm` in params.yaml) about items of the pool, and measure it by what people say. What it
    says is learned from the next round on, beneath what people say. The loop does this in each round."""
    from labelwise.tasks.upkeep import llm as stage
    from labelwise.tasks.workspace import Workspace

    here = Workspace.open(workspace)
    with _to_go_on():
        found = stage.run(here, items, dry_run, typer.confirm if sys.stdin.isatty() else None, _tell)
        if found is not None:
            print(stage.as_json(found) if as_json else "\n".join(map(plain, stage.lines(found, here.settings))))


# Labels and the model, elsewhere


@app.command()
def export(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="FILE_OR_FOLDER", help=".csv, .jsonl, .parquet, .conll, .json (Label Studio), a folder."
        ),
    ],
    named: Annotated[
        str,
        typer.Option(
            "--format", help="csv, jsonl, parquet, conll, label-studio, hugging-face; default: by the ending."
        ),
    ] = "",
    number: Annotated[int | None, typer.Option("--round", min=0, help="As they were then; default: now.")] = None,
    gold: Annotated[
        bool, typer.Option("--gold", help="The gold set, too: column `gold`, or the split `test`.")
    ] = False,
    finished: Annotated[bool, typer.Option("--finished", help="The finished pool instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no earlier export.")] = False,
    workspace: Folder = HERE,
) -> None:
    """Write the labels, each with its item and where it comes from, for other programs."""
    from labelwise.tasks.exports import run as stage

    said = stage.run(intact_workspace(workspace), place, named, number, gold, finished, force)
    print("\n".join(map(plain, said)))


@app.command()
def agree(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A table with a row for each answer of a person.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .jsonl or .parquet.")],
    item: Annotated[str, typer.Option("--id", help="The column of the item's key.")] = "id",
    annotator: Annotated[str, typer.Option(help="The column that says who answered.")] = "annotator",
    label: Annotated[str, typer.Option(help="The column of the label.")] = "label",
    answer: Annotated[
        str, typer.Option(help="choice: one class; multilabel: any number of them; spans: parts of a text.")
    ] = "choice",
    delimiter: Delimiter = "",
    text: Annotated[str, typer.Option(help="The column of the text, so that a model is heard, too.")] = "",
    by: Annotated[str, typer.Option(help="auto, dawid_skene, majority or latest.")] = "auto",
    people: Annotated[Path | None, typer.Option(help="A file for how often each person is right.")] = None,
    encoding: Encoding = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Take together what several people said of the same items: one label each, and how far it can be trusted."""
    from labelwise.tasks.labels import agreement as stage

    asked = stage.Asked(item, annotator, label, text, by, encoding, answer, delimiter or None)
    print("\n".join(map(plain, stage.run(source, out, asked, people, force))))


@app.command()
def people(workspace: Folder = HERE) -> None:
    """Say how often each person who labels is right, where several have labelled the same items. In no report."""
    from labelwise.tasks.labels import people as stage

    print("\n".join(stage.run(intact_workspace(workspace))))


RuntimeName = Annotated[
    str,
    typer.Option(
        metavar="torch|onnx|int8|static",
        help="What runs the encoder of texts: torch, onnxruntime, the same with 8 bits, a table of tokens made of it."
        " Default: see docs/answering.md.",
    ),
]
Least = Annotated[
    float, typer.Option(help="With --runtime: the share of labels that must stay as torch has them, or it is refused.")
]


@app.command()
def bundle(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")],
    version: Annotated[str, typer.Option(metavar="N", help="A registered version; default: the champion.")] = "",
    runtime: RuntimeName = "",
    least: Least = 0.99,
    workspace: Folder = HERE,
) -> None:
    """Write the champion as a folder for MLflow that needs neither Labelwise nor, for most texts, torch."""
    from labelwise.tasks.answering import bundle as stage
    from labelwise.tasks.answering.quick import Runtime

    wanted = Runtime(runtime, least) if runtime else None
    print(plain(stage.run(intact_workspace(workspace), out, version, _tell, wanted)))


@app.command()
def predict(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="File, folder, glob, archive or address, as for `init`.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write: .csv, .jsonl or .parquet.")],
    version: Annotated[
        str, typer.Option(metavar="N|round-NNNN", help="A registered version, or a round; default: the champion.")
    ] = "",
    column: Annotated[
        str, typer.Option(help="That of the text or picture, where FILE calls it otherwise than your sources do.")
    ] = "",
    encoding: Encoding = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is no earlier output.")] = False,
    runtime: RuntimeName = "torch",
    least: Least = 0.99,
    workspace: Folder = HERE,
) -> None:
    """Have the champion label new items: a row out for each row in, with label and confidence."""
    from labelwise.tasks.answering import predict as stage
    from labelwise.tasks.answering.quick import Runtime

    read = version, column, encoding, force, _tell, Runtime(runtime, least)
    said = stage.run(intact_workspace(workspace), source, out, *read)
    print("\n".join(map(plain, said)))


@app.command()
def answer(
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0: a free one.")] = "127.0.0.1:8900",
    version: Annotated[
        str, typer.Option(help="A registered version, 3, or a round, round-0003; left out: the champion of the day.")
    ] = "",
    webhook: Annotated[
        str, typer.Option(help="Who is told what people said: an address, called with JSON, signed.")
    ] = "",
    runtime: RuntimeName = "",
    least: Least = 0.99,
    workspace: Folder = HERE,
) -> None:
    """Answer items over HTTP: label, confidence, and a ticket for those that people get."""
    from labelwise.flows.answer import Manner
    from labelwise.flows.answer import answer as serve_answers
    from labelwise.flows.wake import Listen
    from labelwise.tasks.answering.quick import Runtime

    where = Listen.parse(listen, "http://127.0.0.1")
    manner = Manner(Listen(where.host, where.port), version, webhook, Runtime(runtime, least))
    serve_answers(intact_workspace(workspace).root, manner, _tell)


# The past

From = Annotated[str, typer.Option("--from", help="A git address to take the history from, instead of the workspace.")]


@app.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="ROUND", help="Its tag, round-0007, or its number.")],
    source: From = "",
    workspace: Folder = HERE,
    encode: Annotated[bool, typer.Option("--encode", help="Encode the texts anew, too.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild a past round from its tag alone and compare it part by part. Exits 1 when something differs."""
    from labelwise.flows import replay as flow
    from labelwise.tasks.past.replay import DIFFERS

    seen = flow.replay(workspace, name, source, encode, _tell)
    print(seen.json() if as_json else "\n".join(flow.lines(seen)))
    if seen.verdict == DIFFERS:
        raise typer.Exit(1)


@app.command()
def audit(source: From = "", workspace: Folder = HERE, as_json: Json = False) -> None:
    """Account for the whole history: models, labels, answers. Exits 1 when something is missing or surplus."""
    from labelwise.tasks.past.audit import run as stage

    seen = stage.run(workspace, source)
    print(seen.json() if as_json else "\n".join(stage.lines(seen)))
    if not seen.in_order:
        raise typer.Exit(1)


@app.command()
def lineage(
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="Its id (16 hexadecimal digits), your own key, or its text.")
    ],
    workspace: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Tell one item's life: when it came, when and why it was asked, who answered, which models learned from it."""
    from labelwise.tasks.past import lineage as stage

    seen = stage.run(intact_workspace(workspace), item)
    print(seen.json() if as_json else "\n".join(stage.lines(seen)))


@app.command()
def forget(
    items: Annotated[list[str], typer.Argument(metavar="ITEM_ID...", help="16 hexadecimal digits each.")],
    workspace: Folder = HERE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; it cannot be undone.")] = False,
) -> None:
    """Forget items from now on, a request of data protection; say what learned from them and what still has them."""
    from labelwise.tasks.errors import InputError
    from labelwise.tasks.upkeep import forget as stage
    from labelwise.tasks.workspace import Workspace

    def agreed(shown: list[str]) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise InputError("forget cannot be undone", expected="--yes, or a terminal on which to ask")
        print("\n".join(shown))
        return typer.confirm("These items and all answers about them will be forgotten. It cannot be undone. Go on?")

    print("\n".join(stage.run(Workspace.open(workspace), items, agreed)))


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where the demo's workspace is, or will be; default: demo, or demo-KIND, or demo-rare."),
    ] = None,
    answer: Said = "choice",
    item: Shown = "text",
    rare: Annotated[
        bool, typer.Option("--rare", help="One article in forty is of a section that is to be found.")
    ] = False,
    people: Annotated[
        bool, typer.Option("--people", help="Three reviewers of different worth, and rules, one of which is wrong.")
    ] = False,
) -> None:
    """The whole loop on BBC News, or on another kind of item: servers, three rounds of 25, a stand-in for the
    reviewers."""
    from labelwise.flows.demo import demo as play

    play(folder, _tell, answer, rare, item, people)


def _then(name: str, root: Path) -> None:
    """Say the next command, as a shell takes it."""
    from labelwise.tasks.reporting.status import command

    _tell(f"next: {command(name, root)}")


@contextmanager
def _to_go_on() -> Iterator[None]:
    """For a command that goes on from where it was when it is run again."""
    try:
        yield
    except KeyboardInterrupt:
        _end("stopped; run the same command again to go on", 130)


def _features(given: list[str]) -> dict[str, Any]:
    """What `--features` says of the columns of rows."""
    from labelwise.tasks.settings import features_named, left_out

    named, without = left_out(given)
    return {"features": features_named(named), "without": without}


def _tell(line: str) -> None:
    print(plain(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
