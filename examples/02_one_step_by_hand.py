"""What happens in one LSTM step, forward and backward?

    python examples/02_one_step_by_hand.py

You should see: the gates and states of one step; the gradient of every pre-activation; and the same
gradient from the complex step, an independent way with no rounding to speak of, equal to 16 digits.
"""

import numpy as np

from minilstm.bptt.lstm import LSTMCell

rng = np.random.default_rng(0)
B, H = 1, 2
xw = rng.normal(size=(B, 4 * H))  # x @ W + b
hu = rng.normal(size=(B, 4 * H))  # h_prev @ U
h_prev, c_prev = rng.normal(size=(2, B, H))

cell = LSTMCell()
(h, c), gates = cell.forward(xw, hu, (h_prev, c_prev))
for name, gate in zip("ifgo", gates, strict=True):
    print(f"{name} = {gate}")
print(f"c = f * c_prev + i * g = {c}")
print(f"h = o * tanh(c)        = {h}")

# Let the loss be L = sum(h), so that dL/dh = 1 and nothing reaches c from later steps.
dh, dc = np.ones((B, H)), np.zeros((B, H))
step = cell.backward((dh, dc), (h_prev, c_prev), (h, c), gates)
print(f"\ntotal dL/dc      = {step.total[1]}")
print(f"dL/dc_prev = f * = {step.dprev[1]}   the constant-error carousel")

print("\npre-activation   backward by hand        complex step")
for k in range(4 * H):
    nudged = xw.astype(complex)
    nudged[0, k] += 1e-30j
    (h, _), _ = cell.forward(nudged, hu, (h_prev, c_prev))
    found, by_hand = h.sum().imag / 1e-30, step.dxw[0, k]
    print(f"z_{'ifgo'[k // H]}[{k % H}]   {by_hand:22.16f}  {found:22.16f}")
    assert abs(found - by_hand) < 1e-15
