"""What the demos play: made sources that say what they are."""

from pathlib import Path

import numpy as np
import pandas as pd

from labelwise.flows.demo import edition
from labelwise.flows.demos import recordings


def test_recordings_are_the_same_each_time_and_stay_whole(tmp_path: Path) -> None:
    asked = edition("choice", False, "row")
    made = asked.make(asked, tmp_path)
    pool, gold, answers = (pd.read_parquet(path) for path in (made.pool, made.gold, made.answers))
    assert "label" not in pool and answers.window.equals(pool.window) and asked.answers(tmp_path) == made.answers
    assert not set(pool.recording) & set(gold.recording)
    assert set(gold.label) == set(recordings.STATES)
    again = recordings.recorded(3, 4, seed=5)
    pd.testing.assert_frame_equal(again, recordings.recorded(3, 4, seed=5))
    assert all(len(wave) == recordings.RATE * recordings.SECONDS and np.isfinite(wave).all() for wave in again.front)
