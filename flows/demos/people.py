"""Several labellers of different worth: three reviewers, two of whom answer each item, one of them an expert; rules,
one of which is wrong; and a language model."""

from collections.abc import Callable
from pathlib import Path

from labelwise.flows.demos import language_model
from labelwise.tasks import settings
from labelwise.tasks.upkeep import llm
from labelwise.tasks.workspace import Workspace

ABOUT = (
    "three reviewers, two of whom answer each article, who err in 2, 10 and 30 % of their answers; the first is an "
    "expert and answers what the others differ on; rules, one of which is wrong; and a small language model"
)
EXPERT = "{number}: {{name: reviewer-1, rate: 90, expert: true}}  # the account in Label Studio\n"
NOISES = (0.02, 0.1, 0.3)  # shares of wrong answers
SETTINGS = {"people.overlap": 2}
ASKED = 40  # items, of the language model
LANGUAGE_MODEL = {
    "llm.model": language_model.NAME,
    "llm.prices": {"input": 0.0, "output": 0.0, "as_of": "2026-11-29"},
    "llm.prompt": "{classes}\n\n{item}\n\nAnswer with one word: business, entertainment, politics, sports or tech.",
    "llm.examples": 0,
    "llm.max_tokens": 8,
    "llm.timeout_s": 300.0,
    "llm.at_once": 1,
}
RULES = '''\
"""Rules of the demo: `labelwise rules` says how often each is right."""

from labelwise import rule


def has(item, *words):
    return not set(words).isdisjoint(item.text.lower().split())


@rule
def matches(item):
    return "sports" if has(item, "cup", "match", "coach", "striker", "champion", "olympic", "wales", "injury") else None


@rule
def parliament(item):
    return "politics" if has(item, "mps", "labour", "tory", "tories", "blair", "minister", "election") else None


@rule
def stage_and_screen(item):
    return "entertainment" if has(item, "film", "films", "album", "band", "oscar", "singer", "actor") else None


@rule
def machines(item):
    return "tech" if has(item, "software", "broadband", "computer", "internet", "users", "mobile") else None


@rule
def percentages(item):
    """Wrong: where there are percentages, it is rather business."""
    return "sports" if "%" in item.text else None
'''


def ask_language_model(folder: Path, tell: Callable[[str], None]) -> None:
    """Ask it about some of the workspace's items. It is at its address no longer than that."""
    if not language_model.is_here():
        tell("demo: no language model is here: `make demo ARGS=--people` in a checkout brings a small one (95 MB)")
        return
    tell(f"demo: {language_model.NAME}, which runs here, is asked about {ASKED} articles (a minute or two)")
    with language_model.speaking() as address:
        settings.change(folder / "params.yaml", LANGUAGE_MODEL | {"llm.address": address})
        try:
            llm.run(Workspace.open(folder), ASKED, False, lambda _question: True, tell)
        finally:
            settings.change(folder / "params.yaml", {"llm.address": None})
