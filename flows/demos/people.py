"""Several labellers of different worth: three reviewers, two of whom answer each item, and rules, one of which is
wrong."""

ABOUT = (
    "three reviewers, two of whom answer each article, and who err in 2, 10 and 30 % of their answers; and rules, one "
    "of which is wrong"
)
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
