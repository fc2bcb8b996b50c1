"""Windows of recordings, made here: something like an electroencephalogram, of people who fall asleep. No person was
measured. What a window is follows from the strength of its rhythms; each recording has its own gain, its own rhythm
and its own noise, so that windows of one are alike, and a model that has learned some of them knows the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.flows.demos import Edition, Material
from labelwise.tasks.settings import Columns

ABOUT = (
    "two-second windows of two channels and what is known of the person, made by a script (flows/demos/recordings.py), "
    "as if people who fall asleep had been recorded; windows of a recording stay together"
)
RATE, SECONDS = 128, 2
RECORDINGS, WINDOWS = 40, 30
STATES = ("awake", "drowsy", "asleep", "artefact")
CHANNELS = {"front": 0.7, "back": 1.0}  # how strong rhythms are there
# How strong each rhythm is in each state, by the middle of its band in Hz.
RHYTHMS = {
    "awake": {6.0: 0.3, 10.0: 0.5, 20.0: 0.8},
    "drowsy": {6.0: 0.8, 10.0: 1.2, 20.0: 0.4},
    "asleep": {1.5: 2.0, 6.0: 0.7, 13.0: 0.4},
    "artefact": {1.5: 1.0, 10.0: 0.4, 40.0: 1.5},
}
STAYS = 0.85  # chance that the next window is of the same state


def make(asked: Edition, source: Path) -> Material:
    """A pool without labels, a gold set of other recordings, and the answers, kept apart."""
    windows = recorded(RECORDINGS, WINDOWS, seed=0)
    is_gold = windows.recording.isin(sorted(windows.recording.unique())[: round(asked.gold * RECORDINGS)])
    source.mkdir(parents=True, exist_ok=True)
    pool, gold, answers = (source / f"{name}.parquet" for name in ("pool", "gold", "answers"))
    windows[~is_gold].drop(columns="label").to_parquet(pool)
    windows[is_gold].to_parquet(gold)
    windows[~is_gold].to_parquet(answers)
    signals = dict.fromkeys(CHANNELS, f"signal at {RATE} Hz")
    features = {"age": "number", "electrodes": "category", **signals}
    return Material(pool, gold, answers, {}, Columns(id="window", group="recording", features=features))


def recorded(recordings: int, windows: int, seed: int) -> pd.DataFrame:
    """A row a window: `window`, `recording`, what is known of the person (`age`, not always; `electrodes`), a list of
    figures a channel, and `label`."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for recording in range(recordings):
        person: dict[str, Any] = {"age": float(rng.integers(18, 80)) if rng.random() < 0.8 else None}
        person["electrodes"] = str(rng.choice(["gel", "sponge", "dry"]))
        gain, shift, noise = np.exp(rng.normal(0, 0.5)), rng.normal(0, 0.7), rng.uniform(0.4, 1.0)
        noise *= 1.5 if person["electrodes"] == "dry" else 1.0
        state = STATES[rng.integers(3)]
        for number in range(windows):
            if rng.random() > STAYS:
                state = str(rng.choice(STATES, p=(0.32, 0.3, 0.3, 0.08)))
            signals = {name: gain * wave(state, share, shift, noise, rng) for name, share in CHANNELS.items()}
            name = f"r{recording:02d}"
            rows.append({"window": f"{name}-{number:02d}", "recording": name, **person, **signals, "label": state})
    return pd.DataFrame(rows)


def wave(state: str, share: float, shift: float, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """One channel of one window: rhythms whose pace and strength vary, and noise that falls with the frequency."""
    at = np.arange(RATE * SECONDS) / RATE
    total = np.zeros(len(at))
    for middle, strength in RHYTHMS[state].items():
        for _ in range(3):
            pace = max(0.5, middle * np.exp(rng.normal(0, 0.1)) + shift)
            total += (
                share * strength * np.exp(rng.normal(0, 0.4)) * np.sin(2 * np.pi * (pace * at + rng.random())) / 1.7
            )
    if state == "artefact":
        total += np.where(at > rng.uniform(0, SECONDS), rng.normal(0, 3), 0)
    white = np.fft.rfft(rng.normal(size=len(at)))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), len(at))
    return np.asarray(20 * (total + noise * pink / pink.std()), np.float32).round(2)
