"""The pictures of a round: learning curve, confusion, calibration; for the page's light and dark, and for paper."""

import base64
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from labelwise.tasks import figures, kinds, promote
from labelwise.tasks.figures import ACCURACY
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.reporting import marks
from labelwise.tasks.workspace import Workspace

OWN, CHANCE, IDEAL = "#3b86c8", "#d9772b", "#8b949e"  # seen on white and on black
MANY = 12  # classes that fit a picture as wide as a phone
MOST = 40  # classes of a picture: hundreds take a minute to draw, and nobody reads them
# Beside matplotlib's own: those that have the signs of Chinese, Japanese, Korean and pictures, where a machine has one.
WIDER = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Emoji", "Symbola")
FONTS = ["DejaVu Sans", *(name for name in WIDER if name in set(font_manager.get_font_names()))]
BASE: Any = {"font.family": FONTS} | {"font.size": 11, "axes.titlesize": 11, "legend.fontsize": 10, "savefig.dpi": 130}
CLEAR: Any = {"figure.facecolor": "none", "axes.facecolor": "none"}
WORDS = {
    "choice": {"xlabel": "predicted", "ylabel": "actual"},
    "multilabel": {"xlabel": "has this one, too", "ylabel": "of the items with"},
    "spans": {"xlabel": "marked by the model", "ylabel": "marked by people"},
}
NAMES = ("learning_curve", "confusion", "calibration")
PAPER = BASE  # white, for MLflow and Prefect
LIGHT = BASE | CLEAR | dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), "#1b2733")
DARK = BASE | CLEAR | dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), "#e6edf3")
DARK |= {"axes.edgecolor": "#9aa7b4", "grid.color": "#9aa7b4"}


def pictures(workspace: Workspace, folder: Path, theme: Any = PAPER, names: Sequence[str] = NAMES) -> list[Path]:
    """Draw what there is to draw of this round, of these pictures, into `folder`, on PAPER, LIGHT or DARK."""
    rounds = figures.curve(workspace).dropna(subset="score")
    if rounds.empty:
        return []
    files = [folder / f"{name}.png" for name in names]
    # matplotlib reads most of a theme when a picture is made, and some when it is saved.
    with mpl.rc_context(theme):
        for name, file in zip(names, files, strict=True):
            _draw(name, workspace, rounds).savefig(file)
    return files


def _draw(name: str, workspace: Workspace, rounds: pd.DataFrame) -> Figure:
    if name == "confusion":
        return confusion(figures.predictions(workspace), kinds.answer(workspace.settings.kind.answer))
    if name == "calibration":
        return calibration(figures.calibration(workspace))
    measured = figures.proof(workspace).get("savings")
    arms = {arm: pd.DataFrame(points) for arm, points in measured["curves"].items()} if measured else {}
    measure = workspace.settings.measure.words
    return learning_curve(rounds, arms, measured["control"] if measured else 0, measure)


def learning_curve(
    rounds: pd.DataFrame, arms: dict[str, pd.DataFrame] | None = None, seen: int = 0, measure: str = ACCURACY
) -> Figure:
    """The mean score against labels, with 95 % intervals. arms: curves of the savings meter with 90 % bands (columns
    labels, middle, low, high): `loop`, and `random`, which was measured up to `seen` labels and extrapolated beyond."""
    picture = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = picture.subplots()
    for name, color, said in (
        ("loop", OWN, "the loop, by the meter's learner (90 %)"),
        ("random", CHANCE, "labels by chance, same learner (90 %)"),
    ):
        if not arms or name not in arms:
            continue
        arm = arms[name]
        known = arm.labels <= (seen if name == "random" else arm.labels.max())
        axes.fill_between(arm.labels, arm.low, arm.high, color=color, alpha=0.2, linewidth=0)
        axes.plot(arm.labels[known], arm.middle[known], color=color, label=said)
        if not known.all():
            axes.plot(
                arm.labels[~known], arm.middle[~known], color=color, linestyle=":", label="the same, extrapolated"
            )
    ends = [(rounds.score - rounds.low).clip(lower=0), (rounds.high - rounds.score).clip(lower=0)]
    ink = mpl.rcParams["text.color"]
    said = "the loop's own model (95 %)"
    axes.errorbar(rounds.labels, rounds.score, ends, color=ink, marker="o", markersize=4, capsize=2, label=said)
    axes.set(xlabel="labels", ylabel=f"{measure} on the gold set")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    picture.legend(loc="outside lower center", frameon=False)
    return picture


def confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Which class is taken for which, gold items weighed: a row a class of the truth, summing to 1 if gold has
    it."""
    weighed = promote.weighed(predictions)
    counts = pd.crosstab(weighed.actual, weighed.predicted, weighed.weight, aggfunc="sum")
    names = sorted(set(counts.index) | set(counts.columns))
    counts = counts.reindex(index=names, columns=names).fillna(0.0)
    return counts.div(counts.sum(axis=1).replace(0.0, 1.0), axis=0)


def companions(predictions: pd.DataFrame, members: Callable[[str], list[str]]) -> pd.DataFrame:
    """Which classes stand beside which in the labels of the gold set, items weighed: a row a class, the share of its
    items that have the other one too; 1 on the diagonal."""
    weighed = promote.weighed(predictions)
    named = weighed.assign(name=weighed.actual.map(members)).explode("name").dropna(subset="name")
    pairs = named.merge(named[["id", "name"]], on="id", suffixes=("", "_other"))
    counts = pd.crosstab(pairs.name, pairs.name_other, pairs.weight, aggfunc="sum").fillna(0.0)
    return counts.div(np.diag(counts), axis=0)


def shares_of(predictions: pd.DataFrame, answer: Answer) -> pd.DataFrame:
    """How classes go together in predictions: which is taken for which, or where an item may have several, which stand
    beside which; of marks in it, which is marked where."""
    if answer.PLACES:
        return marks.taken_for(promote.weighed(predictions))
    return confusions(predictions) if answer is choice else companions(predictions, answer.members)


def confusion(predictions: pd.DataFrame, answer: Answer = choice) -> Figure:
    """The picture of `shares_of`; of very many classes, those that go together most."""
    shares = shares_of(predictions, answer)
    if len(shares) > MOST and not answer.PLACES:
        erring = shares.sum(axis=1) - np.diag(shares) + shares.sum(axis=0) - np.diag(shares)
        kept = sorted(erring.sort_values(ascending=False, kind="stable").index[:MOST])
        shares = shares.loc[kept, kept]
    names, across = shares.index.tolist(), shares.columns.tolist()
    size = 5.4 if len(names) <= MANY else min(3 + 0.25 * len(names), 22)
    picture = Figure(figsize=(size, size * 0.9), layout="constrained")
    axes = picture.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(**WORDS[answer.NAME])
    axes.set_xticks(range(len(across)), _short(across), rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), _short(names))
    picture.colorbar(image, label="share of the class", shrink=0.8)
    return picture


def calibration(bins: pd.DataFrame) -> Figure:
    """How often the model is right against how sure it is; on the line is honest."""
    picture = Figure(figsize=(5.4, 4.9), layout="constrained")
    axes = picture.subplots()
    axes.plot([0, 1], [0, 1], color=IDEAL, linestyle="--", label="honest")
    axes.scatter(bins.confidence, bins.correct, s=20 + 200 * bins["items"] / bins["items"].sum(), color=OWN)
    axes.plot(bins.confidence, bins.correct, color=OWN, label="this model (dots grow with items)")
    axes.set(xlabel="how sure the model is", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.05))
    axes.spines[["top", "right"]].set_visible(False)
    picture.legend(loc="outside lower center", frameon=False)
    return picture


def _short(names: list[str], most: int = 18) -> list[str]:
    """Names that fit an axis; `$` would start a formula, and a line break or another sign that is not shown a mess. A
    sign that no font of this machine has would be an empty box: its number stands there."""
    shown = ["".join(_sign(sign) if sign.isprintable() else " " for sign in name) for name in names]
    return [(name if len(name) <= most else name[: most - 1] + "…").replace("$", r"\$") for name in shown]


def _sign(sign: str) -> str:
    return sign if sign.isascii() or ord(sign) in _drawable() else f"U+{ord(sign):X} "


@cache
def _drawable() -> frozenset[int]:
    """The signs that the fonts of FONTS have, as numbers."""
    found = (FT2Font(font_manager.findfont(name)).get_charmap() for name in FONTS)
    return frozenset().union(*found)


def as_link(picture: Path) -> str:
    """The picture as a data address, so that a page needs no further server to show it."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
