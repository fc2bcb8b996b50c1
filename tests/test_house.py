"""The house: imports point one way. flows -> commands over whole workspaces -> stages -> rooms -> ground; no circle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = [
    "pull",
    "embed",
    "agree",
    "train",
    "evaluate",
    "score",
    "select",
    "prove",
    "push",
    "wait",
    "snapshot",
    "promote",
    "report",
    "stop",
    "finish",
]
# What every stage stands on. Of the services it needs where this program keeps its own things, and how it asks itself.
GROUND = [
    "errors",
    "records",
    "settings",
    "workspace",
    "figures",
    "stage",
    "progress",
    "terminal",
    "made_with",
    "services.home",
    "services.urls",
    "threads",
]
# Commands over whole workspaces: they play the stages' pure functions again, so they stand above the stages.
COMMANDS = ("reporting", "past", "upkeep", "trial")
LEVELS = ("ground", "rooms", "stages", "commands", "flows")
# Where outside systems are imported. One of the services serves Prefect's own page.
SYSTEMS = {
    ("tasks/services/",): ["label_studio_sdk", "mlflow", "dvc", "configobj", "great_expectations", "psutil", "honcho"],
    ("flows/", "tasks/services/guard.py"): ["prefect"],
}


def modules() -> dict[str, Path]:
    """The modules of the package, by their names without `labelwise.`."""
    files = [path for folder in ("tasks", "flows", "infra") for path in (ROOT / folder).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, also inside functions; not what is imported for type hints alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def graph() -> dict[str, set[str]]:
    """What each module imports of the others."""
    known = modules()

    def module_of(imported: str) -> str:
        name = imported.removeprefix("labelwise.")
        return name if name in known else name.rpartition(".")[0]

    return {
        name: {found for each in imports(path) if (found := module_of(each)) in known and found != name}
        for name, path in known.items()
    }


def level(module: str) -> str:
    """The storey on which a module stands."""
    first, _, rest = module.partition(".")
    if first != "tasks":
        return "flows" if first == "flows" else "ground"
    if rest in GROUND or not rest:
        return "ground"
    if rest in STAGES:
        return "stages"
    return "commands" if rest.partition(".")[0] in COMMANDS else "rooms"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, in their order; none where there is none.

    >>> circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    ['b', 'c', 'b']
    """
    left = {name: set(found) for name, found in graph.items()}
    while leaves := [name for name, found in left.items() if not found & left.keys()]:
        for name in leaves:
            del left[name]
    way = [min(left)] if left else []
    while way and way[-1] not in way[:-1]:
        way.append(min(left[way[-1]] & left.keys()))
    return way[way.index(way[-1]) :] if way else []


def test_no_circle() -> None:
    found = circle(graph())
    assert not found, f"a circle: {' -> '.join(found)}"


def test_nothing_runs_back_up() -> None:
    wrong = [
        f"{module} ({level(module)}) imports {other} ({level(other)})"
        for module, others in graph().items()
        for other in others
        if LEVELS.index(level(other)) > LEVELS.index(level(module))
    ]
    assert not wrong, "; ".join(wrong)


def test_a_service_knows_no_other_room() -> None:
    """What an outside system is asked for is passed in."""
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if module.startswith("tasks.services") and level(other) == "rooms" and not other.startswith("tasks.services")
    ]
    assert not wrong, "; ".join(wrong)


def test_a_strategy_knows_nothing_of_files_and_servers() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in others
        if module.startswith("tasks.strategies") and (other == "tasks.workspace" or "services" in other)
    ]
    assert not wrong, "; ".join(wrong)


def test_at_the_top_of_tasks_stands_a_stage_or_the_ground() -> None:
    top = {path.stem for path in (ROOT / "tasks").glob("*.py")} - {"__init__"}
    strangers = top - {*STAGES, *GROUND}
    assert not strangers, f"tasks/{min(strangers)}.py is neither a stage nor the ground: it wants a room"


def test_an_outside_system_is_imported_in_its_place_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {each}"
        for path in modules().values()
        for each in imports(path)
        for places, systems in SYSTEMS.items()
        if each.partition(".")[0] in systems and not str(path.relative_to(ROOT)).startswith(places)
    ]
    assert not wrong, "; ".join(wrong)


def test_one_module_reads_and_writes_the_figures() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} reaches into metrics/: tasks/figures.py does that"
        for path in modules().values()
        if path.name not in ("figures.py", "workspace.py")
        and re.search(r"\.metrics /", path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "; ".join(wrong)


def test_every_folder_is_installed() -> None:
    said = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    folders = {path.parent for path in modules().values() if path.name == "__init__.py"}
    missing = sorted(
        name for path in folders if f'"{(name := ".".join(("labelwise", *path.relative_to(ROOT).parts)))}"' not in said
    )
    assert not missing, f"`packages` in pyproject.toml lacks {', '.join(missing)}"
