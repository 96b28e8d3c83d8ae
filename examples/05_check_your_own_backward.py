"""I wrote an LSTM step by hand. Is its backward pass right?

    python examples/05_check_your_own_backward.py
    minilstm gradcheck --file examples/05_check_your_own_backward.py  # the right ones

You should see: a backward pass with a typical mistake (the forget gate's gradient reads c_t where c_{t-1}
belongs), the verdict that names it, and the corrected step passing; then a backward pass over 40 steps that
stops after 30, which torch.autograd.gradcheck accepts at its defaults (benchmarks/gradcheck_power.py).
"""

import numpy as np

from minilstm import check_sequence, check_step


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step_forward(x, h_prev, c_prev, W, U, b):
    """x (B, D), h_prev and c_prev (B, H), W (D, 4H), U (H, 4H), b (4H,), blocks i, f, g, o."""
    z_i, z_f, z_g, z_o = np.split(x @ W + h_prev @ U + b, 4, axis=-1)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c, (x, h_prev, c_prev, W, U, i, f, g, o, c)


def step_backward(dh, dc, cache):
    """dh, dc: what later steps and the loss say of h and c. One gradient for each input of forward."""
    x, h_prev, c_prev, W, U, i, f, g, o, c = cache
    tanh_c = np.tanh(c)
    dc = dc + dh * o * (1 - tanh_c**2)
    dz_i = dc * g * i * (1 - i)
    dz_f = dc * c_prev * f * (1 - f)
    dz_g = dc * i * (1 - g**2)
    dz_o = dh * tanh_c * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)
    return dz @ W.T, dz @ U.T, dc * f, x.T @ dz, h_prev.T @ dz, dz.sum(axis=0)


def wrong_step_backward(dh, dc, cache):
    x, h_prev, _, W, U, i, f, g, o, c = cache
    return step_backward(dh, dc, (x, h_prev, c, W, U, i, f, g, o, c))  # c stands where c_prev belongs


def forward(x, h0, c0, W, U, b):
    """The step over a sequence: x (B, T, D) -> h of every step (B, T, H), and the last c."""
    h, c, outputs, caches = h0, c0, [], []
    for t in range(x.shape[1]):
        h, c, cache = step_forward(x[:, t], h, c, W, U, b)
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


if __name__ == "__main__":
    print("1. A step with a mistake\n")
    print(check_step(step_forward, wrong_step_backward))
    print("\n2. The same step, corrected\n")
    print(check_step(step_forward, step_backward).verdict)
    print("\n3. A sequence of 40 steps whose backward pass stops after 30\n")
    print(check_sequence(forward, last_30_steps, length=40).verdict.splitlines()[1])
    print("\n4. The whole sequence, corrected\n")
    print(check_sequence(forward, backward, length=40).verdict)
