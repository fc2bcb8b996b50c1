"""The digits of scikit-learn as pictures: 1,797 that people wrote (Alpaydin & Kaynak 1998), of 8 pixels a side, made
larger so that reviewers can see them."""

from io import BytesIO
from pathlib import Path

import numpy as np

from labelwise.flows.demos import Edition, Material
from labelwise.tasks.records import content_id

ABOUT = "the handwritten digits of scikit-learn, 8 pixels a side, made larger by a script so that people can see them"
SIDE = 96
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def make(asked: Edition, source: Path) -> Material:
    """A folder of pictures, and two with class folders: the gold set, and the answers, kept apart."""
    from PIL import Image
    from sklearn.datasets import load_digits

    pool, gold, answers = (source / name for name in ("pool", "gold", "answers"))
    pool.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    for grey, digit in zip(digits.images, digits.target, strict=True):
        name = content_id(grey.tobytes().hex())
        picture = Image.fromarray(np.rint(255 - grey * 255 / 16).astype(np.uint8))
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(larger := BytesIO(), "PNG")
        content = larger.getvalue()
        is_gold = int(name, 16) % 100 < 100 * asked.gold
        for folder in [gold / NAMES[digit]] if is_gold else [pool, answers / NAMES[digit]]:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(content)
    return Material(pool, gold, answers, {})
