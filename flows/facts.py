"""The labels of the second demo: facts of an article, any number of which may hold.

Nobody has said them; they are made by rules, which are these. `politics` and `sport` hold where BBC News has filed the
article there. Each of the others holds where words of its subject stand in the article at least twice. So a third of
the articles have several, and a quarter none.
"""

import json
import re

import pandas as pd

FILED = {"politics": "politics", "sport": "sports"}  # fact -> section
SUBJECTS = {  # fact -> words, which may have a plural
    "court": ["court", "judge", "trial", "lawyer", "lawsuit", "jury", "prosecutor", "convicted"],
    "election": ["election", "voter", "vote", "voting", "poll", "ballot"],
    "film": ["film", "movie", "cinema", "box office", "director", "actor", "actress"],
    "injury": ["injury", "injuries", "injured", "knee", "ankle", "hamstring", "surgery", "hospital"],
    "internet": ["internet", "online", "web", "website", "broadband", "e-mail", "net user"],
    "music": ["music", "album", "song", "singer", "band", "concert"],
    "prize": ["award", "prize", "oscar", "grammy", "nomination", "nominated"],
}
PATTERNS = {fact: re.compile(rf"\b(?:{'|'.join(words)})(?:e?s)?\b", re.IGNORECASE) for fact, words in SUBJECTS.items()}
TWICE = 2
ABOUT = (
    f"the labels are facts of an article, made by rules: filed under {' or '.join(FILED)} by the BBC; words of "
    f"{', '.join(SUBJECTS)} in it at least twice"
)


def facts(section: str, text: str) -> list[str]:
    """Those that hold of an article.

    >>> facts("sports", "The judge fined the club. The trials went on for a week. A film was shown.")
    ['court', 'sport']
    >>> facts("business", "Profits rose.")
    []
    """
    filed = [fact for fact, name in FILED.items() if name == section]
    return sorted([*filed, *(fact for fact, words in PATTERNS.items() if len(words.findall(text)) >= TWICE)])


def descriptions() -> dict[str, str]:
    """What reviewers are told of each fact."""
    filed = {fact: f"the article's section is {name}" for fact, name in FILED.items()}
    named = {fact: f"at least two of such words: {', '.join(words)}" for fact, words in SUBJECTS.items()}
    return dict(sorted({**filed, **named}.items()))


def with_facts(news: pd.DataFrame) -> pd.DataFrame:
    """Articles with columns text and label, which is a section: it becomes a JSON list of facts."""
    pairs = zip(news.label, news.text, strict=True)
    return news.assign(label=[json.dumps(facts(section, text)) for section, text in pairs])
