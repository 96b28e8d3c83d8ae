"""Counting back from the end of each sample."""

from __future__ import annotations

import numpy as np

from minilstm.trace.lags import by_lag, lags


def test_lags_count_real_steps_only():
    real = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]], bool)
    assert lags(real).tolist() == [[2, -1, 1, 0], [-1, -1, -1, -1], [2, 1, 0, -1]]
    assert by_lag(np.ones((3, 4)), real).tolist() == [np.sqrt(2)] * 3
    assert by_lag(np.ones((1, 4)), np.zeros((1, 4), bool)).shape == (0,)
