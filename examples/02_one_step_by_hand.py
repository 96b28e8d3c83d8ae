"""What happens in one LSTM step, forward and backward?

    python examples/02_one_step_by_hand.py

You should see: the gates and states of one step; the gradient of every pre-activation; and the same
gradient from the complex step, an independent way with no rounding to speak of, equal to 16 digits.
"""

import numpy as np

from minilstm.cells import State, lstm

rng = np.random.default_rng(1)
B, H = 1, 2
xw = rng.normal(size=(B, 4 * H))  # x @ W + b
hu = rng.normal(size=(B, 4 * H))  # h_prev @ U
prev = State(h=rng.normal(size=(B, H)), c=rng.normal(size=(B, H)))

state, saved = lstm.forward(xw, hu, prev)
for name in "ifgo":
    print(f"{name} = {getattr(saved, name)}")
print(f"c = f * c_prev + i * g = {state.c}")
print(f"h = o * tanh(c)        = {state.h}")

# Let the loss be L = sum(h), so that dL/dh = 1 and nothing reaches c from later steps.
dz, dc_prev, total = lstm.backward(State(h=np.ones((B, H)), c=np.zeros((B, H))), saved)
print(f"\ntotal dL/dc      = {total.c}")
print(f"dL/dc_prev = f * = {dc_prev}   the constant-error carousel")

print("\npre-activation   backward by hand        complex step")
for k in range(4 * H):
    nudged = xw.astype(complex)
    nudged[0, k] += 1e-30j
    found = lstm.forward(nudged, hu, prev)[0].h.sum().imag / 1e-30
    print(f"z_{'ifgo'[k // H]}[{k % H}]   {dz[0, k]:22.16f}  {found:22.16f}")
    assert abs(found - dz[0, k]) < 1e-15
