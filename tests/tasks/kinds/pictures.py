"""Pictures for tests, made by Pillow."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def drawn(colour: tuple[int, int, int], number: int = 0, side: int = 24) -> Image.Image:
    """A square of one colour with noise of its own, so that no two numbers give the same picture."""
    noise = np.random.default_rng(number).integers(-40, 40, (side, side, 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def as_bytes(picture: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, form, **more)
    return written.getvalue()


RED, BLUE = (200, 60, 60), (60, 60, 200)


def folder_of(folder: Path, count: int, first: int = 0) -> Path:
    """A folder with the class folders `blue` and `red`, of `count` pictures each."""
    for name, colour in (("blue", BLUE), ("red", RED)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            (folder / name / f"{number:03}.png").write_bytes(as_bytes(drawn(colour, number)))
    return folder
