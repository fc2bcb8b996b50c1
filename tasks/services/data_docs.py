"""How the pages of the Data Docs look: Great Expectations' content in templates of our own.

Its own templates fetch styles and scripts from the web, without which a page is blank or bare, and tell strangers who
looks. Great Expectations loads this module by name when it builds a site; nothing else imports it, since that costs
seconds.
"""

from pathlib import Path
from typing import Any

from great_expectations.render.view.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader

from labelwise import infra

TEMPLATES = Path(infra.__file__).parent / "data_docs"


class Page(DefaultJinjaPageView):
    """Every page of a site, the first one too: what infra/data_docs has comes before what Great Expectations has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        theirs = self.env.loader
        assert theirs is not None
        self.env.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), theirs])
