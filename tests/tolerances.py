"""How far apart two computations of one thing may be: the one table of the tests, per dtype.

Every bound is relative to the largest entry of the same tensor, or of the same time step where an
array has steps (`check`'s `axis`). Weights are drawn with a scale of at most 0.7.
"""

from __future__ import annotations

import numpy as np

STEP = {"float64": 1e-13}  # one step of a cell: forward, or backward against complex steps
PARITY = {"float64": 1e-12, "float32": 1e-5}  # whole sequences, against another implementation
TRAINING = {"float64": 1e-9, "float32": 1e-5}  # losses and weights after epochs of training
ULPS = {"float32": 3.0, "float64": 3.0}  # sigmoid and tanh of the kernels; measured: 2.3 and 2.4, 1.9 and 2.4


def distance(found: object, expected: object, steps: int | None = None) -> float:
    """Largest error relative to the largest expected entry; of the same step, along axis `steps`."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{found.shape} is not {expected.shape}"
    if found.size == 0:
        return 0.0
    assert np.isfinite(found).all(), "not finite"
    axes = tuple(axis for axis in range(found.ndim) if steps is None or axis != steps)
    error = np.abs(found.astype(np.float64) - expected).max(axis=axes)
    largest = np.abs(expected).max(axis=axes)
    assert (error[largest == 0] == 0).all() if np.ndim(error) else largest or not error, "exact zeros differ"
    return float((error / np.where(largest == 0, 1, largest)).max())


def check(found: object, expected: object, bound: float, steps: int | None = None, what: str = "") -> None:
    """Assert that `distance` is at most `bound`."""
    measured = distance(found, expected, steps)
    assert measured <= bound, f"{what} is off by {measured:.2e}, allowed {bound:.0e}"
