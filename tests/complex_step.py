"""The gradient of a layer against complex steps: exact, and independent of the code of backward.

f(x + ih) = f(x) + ih f'(x) + O(h^2): with h = 1e-30 the imaginary part of the output holds the
derivative, and nothing is subtracted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tolerances import check

STEP = 1e-30


def check_gradients(
    layer: Any, x: np.ndarray, mask: np.ndarray | None = None, seed: int | None = None, **options: Any
) -> None:
    """Assert that `layer.backward` gives the derivatives of sum(dy * output) by x and by every weight.

    `seed` makes the rng of a training pass, the same for every step; `options` go to `forward`.
    """

    def run(x: np.ndarray) -> tuple[Any, Any]:
        rng = None if seed is None else np.random.default_rng(seed)
        output, _, tape = layer.forward(x, mask, keep="boundaries", rng=rng, **options)
        return output, tape

    output, tape = run(x)
    dy = np.random.default_rng(11).normal(size=output.shape)
    dx, grads = layer.backward(dy, tape, need_dx=True)
    real = layer.params
    assert list(grads) == list(real)
    expected = {key: np.zeros_like(value) for key, value in real.items()} | {"x": np.zeros_like(x)}
    for key, derivative in expected.items():
        for place in np.ndindex(derivative.shape):
            moved = {name: value.astype(complex) for name, value in real.items()}
            moved_x = x.astype(complex)
            (moved_x if key == "x" else moved[key])[place] += STEP * 1j
            layer.params = moved
            derivative[place] = (dy * run(moved_x)[0]).sum().imag / STEP
    layer.params = real
    for key, found in (grads | {"x": dx}).items():
        check(found, expected[key], 1e-13, what=key)
