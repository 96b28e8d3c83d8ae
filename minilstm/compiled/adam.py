"""Adam's step in one pass over the memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.compiled.jit import FLUSH, float_control
from minilstm.foundations.arrays import Array


def adam(w: Array, g: Array, m: Array, v: Array, a: Any, rate_1: Any, rate_2: Any, epsilon: Any) -> None:
    """The step of `optimizers.Adam`, with the roundings of NumPy's form; all 1-D.

    rate_1, rate_2 are 1 - beta_1, 1 - beta_2 rounded once: 1 - 0.999 in float32 is 1.3e-5 off.
    """
    control = float_control(np.uint32(0))
    float_control(control | FLUSH)
    for k in range(w.size):
        m[k] += rate_1 * (g[k] - m[k])
        v[k] += rate_2 * (g[k] * g[k] - v[k])
        w[k] -= a * (m[k] / (np.sqrt(v[k]) + epsilon))
    float_control(control)
