"""Every example runs, and prints what its docstring promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROMISES = {
    "01_pad_and_mask": ["PaddingWarning: pad_sequences changed 40 of 40 values", "0.000"],
    "02_one_step_by_hand": ["constant-error carousel"],
    "03_vanishing": [
        "vanishing     1.2e-60          1  1.00            1     7 of 200",
        "2.21  1.00         2.21    15 of 200",
        "14.3  1.00         14.3",
        "103  1.00          103",
        "the gradient reaches 1 step of 200",
        "arrives by: 100% recurrent weights",
    ],
    "04_exploding": [
        "NonFiniteError: epoch 1, batch 1: the gradient of rec/kernel is not finite: Inf in dh of layer",
        "the norm of dh passed 1e+06 at time step",
        "with global_clipnorm=1: loss",
    ],
    "05_check_your_own_backward": [
        "Likely cause: df uses c_t where c_{t-1} belongs: off by one step.",
        "Likely cause: truncated after 30 steps: steps 0 to 9 get no gradient.",
        "5. A layer object\n\nEvery gradient holds: 38 of 38 entries",
        "6. The loss inside\n\nEvery gradient holds: 8 of 8 entries",
    ],
    "06_short_sequences": ["of the gradient arises at padding", "change the answer by 0.000"],
    "07_longer_and_longer": [
        "             0                   1                             0.0",
        "held out",
    ],
    "08_truncation": ["0.693", "different answers: 1", "last 100 of 500 steps: accuracy held out"],
    "10_error_carousel": [
        "truncated: the same at every step, to the last bit: True",
        "today, forget bias 0   k = 1: 0.5,",
    ],
    "11_stream_a_digit": ["someone says 0, in 20 frames", "those of predict over the whole recordings: True"],
    "12_a_cell_of_your_own": [
        "leaky: every gradient holds: True",
        "a backward by hand: taken",
        "got dxw of gate 'f' off by 1 in what it makes of dL/dh",
        "reaches 28 of 60 steps; it comes by 20% recurrent weights, 80% past all weights",
    ],
    "09_which_forgets_first": [
        "8e-05  z      0.50  0.38 to 0.62",
        "min_lstm      untrained: 6e-06 of the memory's gradient 20 steps back",
    ],
}


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PROMISES)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISES)
def test_example(name, tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for promise in PROMISES[name]:
        assert promise in done.stdout
