"""Several labellers of different worth: three reviewers, two of whom answer each item, one of them an expert; rules,
one of which is wrong; and a language model."""

ABOUT = (
    "three reviewers, two of whom answer each article, who err in 2, 10 and 30 % of their answers; the first is an "
    "expert and answers what the others differ on; rules, one of which is wrong; and a small language model"
)
EXPERT = "{number}: {{name: reviewer-1, rate: 90, expert: true}}  # the account in Label Studio\n"
NOISES = (0.02, 0.1, 0.3)  # shares of wrong answers
SETTINGS = {"people.overlap": 2}
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
