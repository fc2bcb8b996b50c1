"""Sentences of BBC News with what a rule can find in them: sums of money, shares, dates, people by their titles,
countries and organisations by a list.

Nobody has marked them; the rules below have, and what they miss (a name without a title, a company that is not listed)
is not marked. So a model is measured by how well it learns these rules, no more.
"""

import json
import re
from pathlib import Path

import pandas as pd

from labelwise.flows.demos import Edition, Material
from labelwise.flows.demos.news import bbc_news
from labelwise.tasks.kinds import spans
from labelwise.tasks.records import content_id

ABOUT = (
    "what is marked was found by rules: sums of money, shares, dates, people by a title before the name, countries and "
    "organisations by a list"
)
COUNTRIES = (
    "Afghanistan|Africa|Argentina|Australia|Austria|Belgium|Brazil|Britain|Bulgaria|Canada|Chile|China|Croatia|Denmark|"
    "Egypt|England|Ethiopia|Europe|Finland|France|Germany|Greece|Hong Kong|Hungary|India|Indonesia|Iran|Iraq|Ireland|"
    "Israel|Italy|Japan|Kenya|Mexico|Netherlands|New Zealand|Nigeria|Northern Ireland|Norway|Pakistan|Poland|Portugal|"
    "Romania|Russia|Scotland|Singapore|South Africa|South Korea|Spain|Sri Lanka|Sweden|Switzerland|Thailand|Turkey|"
    "Ukraine|United Kingdom|United States|UK|US|Wales|Zimbabwe"
)
ORGANISATIONS = (
    "AC Milan|Apple|Arsenal|Barcelona|BBC|Boeing|BT|Chelsea|Commons|Conservatives|Deutsche Boerse|Downing Street|EU|"
    "European Commission|European Union|Everton|FIFA|Fifa|Gazprom|Google|House of Lords|IAAF|IBM|IMF|Intel|Labour|"
    "Lib Dems|Liberal Democrats|Liverpool|London Stock Exchange|Manchester United|Microsoft|MPs|MSPs|Newcastle|Nokia|"
    "Parliament|Real Madrid|Sony|Tories|Treasury|Uefa|UN|Unicef|Walmart|White House|WTO|Yahoo|Yukos"
)
NAME = r"[A-Z][a-z]+(?:-[A-Z][a-z]+|[A-Z][a-z]+)*"
MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
DAY = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
RULES = {
    "money": r"(?:[£$€]\s?\d[\d,.]*\d|[£$€]\s?\d)(?:\s?(?:bn|m|billion|million))?\b|"
    r"\b\d[\d,.]*\s?(?:bn|m|billion|million)?\s?(?:euros|pounds|dollars|pence|roubles)\b",
    "share": r"\b\d+(?:\.\d+)?(?:%|\s?per cent\b|\s?percent\b)",
    "date": rf"\b(?:\d{{1,2}} )?(?:{MONTH})(?: \d{{1,2}}\b(?!\d))?(?:,? (?:19|20)\d\d)?\b|\b(?:{DAY})\b|"
    r"(?<=\b[Ii]n )(?:19|20)\d\d\b",
    "person": rf"\b(?:Mr|Mrs|Ms|Dr|Sir|Lord|Lady|Dame|Prince|President|Chancellor) {NAME}(?: {NAME})?\b",
    "country": rf"\b(?:{COUNTRIES})\b",
    "organisation": rf"\b(?:{ORGANISATIONS})\b",
}
DESCRIPTIONS = {  # in the order of a new workspace
    "country": "a country, a part of the world, a part of the United Kingdom",
    "date": "a day of the week, a month with its day and year, a year after `in`",
    "money": "a sum with its currency",
    "organisation": "a party, company, club or body, such as Labour, Microsoft, Chelsea or the EU",
    "person": "a name with the title before it, the title too",
    "share": "a number in per cent",
}
PATTERNS = {name: re.compile(rule) for name, rule in RULES.items()}
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'£])")
SHORT, LONG = 40, 240  # characters of a sentence
MOST = 2000  # sentences


def found(text: str) -> str:
    """The label that the rules make of a text.

    >>> found("Mr Brown spent £2.5bn in May, 3% more than Germany.")
    '[[0, 8, "person"], [15, 21, "money"], [25, 28, "date"], [30, 32, "share"], [43, 50, "country"]]'
    """
    return spans.label_of(
        (match.start(), match.end(), name) for name, rule in PATTERNS.items() for match in rule.finditer(text)
    )


def sentences(news: pd.DataFrame) -> pd.DataFrame:
    """Sentences of articles (column text), one of each wording, drawn by their content: the same ones always."""
    parts = [part.strip() for text in news.text for line in text.splitlines() for part in SENTENCE.split(line)]
    kept = sorted({part for part in parts if SHORT <= len(part) <= LONG}, key=content_id)
    return pd.DataFrame({"text": kept[:MOST]})


def make(asked: Edition, source: Path) -> Material:
    """A pool of sentences without labels, a gold set, and the answers, kept apart."""
    rows = sentences(bbc_news())
    rows["label"] = [json.loads(found(text)) for text in rows.text]
    is_gold = rows.text.map(lambda text: int(content_id(f"gold {text}"), 16) % 100 < 100 * asked.gold)
    source.mkdir(parents=True, exist_ok=True)
    for name, part in (("pool", rows[~is_gold][["text"]]), ("gold", rows[is_gold]), ("answers", rows[~is_gold])):
        part.to_json(source / f"{name}.jsonl", orient="records", lines=True, force_ascii=False)
    pool, gold, answers = (source / f"{name}.jsonl" for name in ("pool", "gold", "answers"))
    return Material(pool, gold, answers, {"classes": DESCRIPTIONS})
