"""I wrote an LSTM step by hand. Is its backward pass right?

    python examples/05_check_your_own_backward.py
    minilstm gradcheck --file examples/05_check_your_own_backward.py  # the right ones
    minilstm gradcheck --folder SUBMISSIONS --file solution.py        # of a whole course

You should see: a backward pass with a typical mistake (the forget gate's gradient reads c_t where c_{t-1}
belongs), the verdict that names it, and the corrected step passing; a backward pass over 40 steps that
stops after 30, which torch.autograd.gradcheck accepts at its defaults (benchmarks/gradcheck_power.py); then
the two other common styles, a layer object and a training script's function with the loss inside, each
checked in one line.
"""

import numpy as np

from minilstm import check_sequence, check_step
from minilstm.gradient_check import adapters


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# Style 1, a pair of functions as in a course. Names and what is absent are found out.


def step_forward(x, prev_h, prev_c, Wx, Wh, b):
    """x (B, D), prev_h and prev_c (B, H), Wx (D, 4H), Wh (H, 4H), b (4H,), blocks i, f, g, o."""
    z_i, z_f, z_g, z_o = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=-1)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, g, o, next_c)


def step_backward(dnext_h, dnext_c, cache):
    """What later steps and the loss say of h and c -> one gradient for each input of forward."""
    x, prev_h, prev_c, Wx, Wh, i, f, g, o, next_c = cache
    tanh_c = np.tanh(next_c)
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    dz_i = dc * g * i * (1 - i)
    dz_f = dc * prev_c * f * (1 - f)
    dz_g = dc * i * (1 - g**2)
    dz_o = dnext_h * tanh_c * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)
    return dz @ Wx.T, dz @ Wh.T, dc * f, x.T @ dz, prev_h.T @ dz, dz.sum(axis=0)


def wrong_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, _, Wx, Wh, i, f, g, o, next_c = cache
    return step_backward(dnext_h, dnext_c, (x, prev_h, next_c, Wx, Wh, i, f, g, o, next_c))  # c for c_prev


def forward(x, h0, c0, Wx, Wh, b):
    """The step over a sequence: x (B, T, D) -> h of every step (B, T, H), and the last c."""
    h, c, outputs, caches = h0, c0, [], []
    for t in range(x.shape[1]):
        h, c, cache = step_forward(x[:, t], h, c, Wx, Wh, b)
        outputs.append(h)
        caches.append(cache)
    return np.stack(outputs, axis=1), c, caches


def backward(dh, dc_last, caches, first=0):
    """BPTT. dh (B, T, H): what the loss says of each output. Stops before step `first`."""
    B, T, _ = dh.shape
    dh_next, dc, sums, dx = 0, dc_last, [0, 0, 0], np.zeros((B, T, caches[0][0].shape[1]))
    for t in reversed(range(first, T)):
        dx[:, t], dh_next, dc, *grads = step_backward(dh[:, t] + dh_next, dc, caches[t])
        sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
    return dx, dh_next, dc, *sums


def last_30_steps(dh, dc_last, caches):
    return backward(dh, dc_last, caches, first=max(0, len(caches) - 30))


# Style 2, a layer object that keeps its cache and its gradients on itself.


class Cell:
    def __init__(self, W, U, b):
        self.weights, self.grads = (W, U, b), []

    def forward(self, x, h):
        W, U, b = self.weights
        self.cache = x, h, np.tanh(x @ W + h @ U + b)
        return self.cache[2]

    def backward(self, dh):
        W, U, _ = self.weights
        x, h, new = self.cache
        dz = dh * (1 - new**2)
        self.grads = [x.T @ dz, h.T @ dz, dz.sum(axis=0)]
        return dz @ W.T, dz @ U.T


# Style 3, the loss inside: a function of a training script.


def loss_and_gradients(x, y, weights):
    z = np.tanh(x @ weights["W"] + weights["b"])
    error = z - y
    dz = 2 * error / error.size * (1 - z**2)
    return (error**2).mean(), {"W": x.T @ dz, "b": dz.sum(axis=0)}


if __name__ == "__main__":
    print("1. A step with a mistake\n")
    print(check_step(step_forward, wrong_step_backward))
    print("\n2. The same step, corrected\n")
    print(check_step(step_forward, step_backward).verdict)
    print("\n3. A sequence of 40 steps whose backward pass stops after 30\n")
    print(check_sequence(forward, last_30_steps, length=40).verdict.splitlines()[1])
    print("\n4. The whole sequence, corrected\n")
    print(check_sequence(forward, backward, length=40).verdict)
    print("\n5. A layer object\n")
    print(check_step(*adapters.layer(Cell), "simple_rnn").verdict)
    print("\n6. The loss inside\n")
    rng = np.random.default_rng(0)
    weights = {"W": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    print(check_sequence(*adapters.loss_inside(loss_and_gradients, weights, x, y, weights)).verdict)
