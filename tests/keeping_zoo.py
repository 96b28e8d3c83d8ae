# ruff: noqa: E501
"""Ways of keeping what backward needs: in place, in buffers of one length, in closures, in recursion.

Right code, and the same with a mistake, as in `right_zoo`; the code shares nothing with the package.
"""

from __future__ import annotations

from right_zoo import SIGMOID, Right, Wrong, changed, pair

IN_PLACE = (
    SIGMOID
    + """
def step_forward(x, h, W, U, b, rb):
    n = h.shape[1]
    a = x @ W
    a += b
    q = h @ U
    q += rb
    zr = a[:, :2*n] + q[:, :2*n]
    np.negative(zr, out=zr); np.exp(zr, out=zr); zr += 1; np.reciprocal(zr, out=zr)
    z, r = zr[:, :n], zr[:, n:]
    g = r * q[:, 2*n:]
    g += a[:, 2*n:]
    np.tanh(g, out=g)
    out = z * h
    out += (1 - z) * g
    return out, {'x': x, 'h': h, 'z': z, 'r': r, 'g': g, 'q': q[:, 2*n:], 'W': W, 'U': U}
def step_backward(dh, k):
    dg = dh * (1 - k['z']); dg *= 1 - k['g']**2
    dz = k['h'] - k['g']; dz *= dh; dz *= k['z']; dz *= 1 - k['z']
    dr = dg * k['q']; dr *= k['r']; dr *= 1 - k['r']
    dx_ = np.hstack([dz, dr, dg]); dh_ = np.hstack([dz, dr, dg * k['r']])
    dh *= k['z']
    dh += dh_ @ k['U'].T
    return dx_ @ k['W'].T, dh, k['x'].T @ dx_, k['h'].T @ dh_, dx_.sum(0), dh_.sum(0)
"""
)

BUFFERS = (
    SIGMOID
    + """
def make(B=4, T=12, D=2, H=3):
    h = np.zeros((T + 1, B, H)); z = np.zeros((T, B, H)); r = np.zeros((T, B, H)); g = np.zeros((T, B, H))
    keep = {}
    def forward(x, h0, W, U, b):
        h[0] = h0
        for t in range(T):
            a = x[:, t] @ W + b
            q = h[t] @ U[:, :2*H]
            z[t] = sigmoid(a[:, :H] + q[:, :H]); r[t] = sigmoid(a[:, H:2*H] + q[:, H:])
            g[t] = np.tanh(a[:, 2*H:] + (r[t] * h[t]) @ U[:, 2*H:])
            h[t+1] = (1 - z[t]) * h[t] + z[t] * g[t]
        keep.update(x=x, W=W, U=U)
        return h[1:].transpose(1, 0, 2)
    dx = np.zeros((B, T, D)); da = np.zeros((B, 3*H))
    def backward(dhs):
        x, W, U = keep['x'], keep['W'], keep['U']
        dh = np.zeros((B, H)); dW = np.zeros((D, 3*H)); dU = np.zeros((H, 3*H)); db = np.zeros(3*H)
        for t in range(T - 1, -1, -1):
            dh += dhs[:, t]
            da[:, :H] = dh * (g[t] - h[t]) * z[t] * (1 - z[t])
            da[:, 2*H:] = dh * z[t] * (1 - g[t]**2)
            drh = da[:, 2*H:] @ U[:, 2*H:].T
            da[:, H:2*H] = drh * h[t] * r[t] * (1 - r[t])
            dW += x[:, t].T @ da; db += da.sum(0)
            dU[:, :2*H] += h[t].T @ da[:, :2*H]; dU[:, 2*H:] += (r[t] * h[t]).T @ da[:, 2*H:]
            dx[:, t] = da @ W.T
            dh = dh * (1 - z[t]) + da[:, :2*H] @ U[:, :2*H].T + drh * r[t]
        return dx, dh, dW, dU, db
    return forward, backward
forward, backward = make()
"""
)

PULLBACK = """
import numpy as np
def cell(x, h, W, U, b):
    new = np.tanh(x @ W + h @ U + b)
    def pull(d):
        dz = d * (1 - new ** 2)
        return dz @ W.T, dz @ U.T, x.T @ dz, h.T @ dz, dz.sum(0)
    return new, pull
def forward(x, h, W, U, b):
    hs, pulls = [], []
    for t in range(x.shape[1]):
        h, pull = cell(x[:, t], h, W, U, b)
        hs.append(h); pulls.append(pull)
    def back(dhs):
        dh, dxs, sums = 0, [], [0, 0, 0]
        for t in reversed(range(len(pulls))):
            dx, dh, *g = pulls[t](dhs[:, t] + dh)
            dxs.append(dx); sums = [a + b for a, b in zip(sums, g)]
        return np.stack(dxs[::-1], 1), dh, *sums
    return np.stack(hs, 1), back
def backward(dhs, back):
    return back(dhs)
"""

RECURSION = """
import numpy as np
def forward(x, h, W, U, b):
    if x.shape[1] == 0:
        return np.zeros((len(x), 0, h.shape[1])), None
    new = np.tanh(x[:, 0] @ W + h @ U + b)
    rest, kept = forward(x[:, 1:], new, W, U, b)
    return np.concatenate([new[:, None], rest], 1), (x[:, 0], h, W, U, new, kept)
def backward(dhs, cache):
    if cache is None:
        return np.zeros((len(dhs), 0, 2)), 0, 0, 0, 0
    x, h, W, U, new, kept = cache
    dxs, dh, dW, dU, db = backward(dhs[:, 1:], kept)
    dz = (dhs[:, 0] + dh) * (1 - new ** 2)
    return np.concatenate([(dz @ W.T)[:, None], dxs], 1), dz @ U.T, dW + x.T @ dz, dU + h.T @ dz, db + dz.sum(0)
"""

MASKED_GRU = (
    SIGMOID
    + """
def forward(x, h0, W, U, b, mask):
    n = h0.shape[1]; h = h0; hs = []; tape = []
    for t in range(x.shape[1]):
        m = mask[:, t][:, None]
        a, q = x[:, t] @ W + b, h @ U
        z, r = sigmoid(a[:, :n] + q[:, :n]), sigmoid(a[:, n:2*n] + q[:, n:2*n])
        g = np.tanh(a[:, 2*n:] + r * q[:, 2*n:])
        tape.append((x[:, t], h, z, r, g, q[:, 2*n:], m))
        h = np.where(m, z * h + (1 - z) * g, h)
        hs.append(h)
    return np.stack(hs, 1), (tape, W, U)
def backward(dhs, cache):
    tape, W, U = cache
    dh, dx, dW, dU, db = 0, [], 0, 0, 0
    for t in reversed(range(len(tape))):
        x, h, z, r, g, q, m = tape[t]
        dh = dh + dhs[:, t]
        d = np.where(m, dh, 0)
        dg = d * (1 - z) * (1 - g**2); dz = d * (h - g) * z * (1 - z); dr = dg * q * r * (1 - r)
        a, k = np.hstack([dz, dr, dg]), np.hstack([dz, dr, dg * r])
        dW, dU, db = dW + x.T @ a, dU + h.T @ k, db + a.sum(0)
        dx.append(a @ W.T)
        dh = np.where(m, d * z + k @ U.T, dh)
    return np.stack(dx[::-1], 1), dh, dW, dU, db
"""
)

MASK = (
    "check_sequence(forward, backward, 'gru', length=12, mask=np.random.default_rng(0).random((4, 12)) < 0.7)"
)
# style, cell, kind, text, and mistakes: what is replaced, and words of the cause
KEPT = [
    ("out= and *=", "gru", "step", IN_PLACE, [("dh *= k['z']\n", "dh *= 1 - k['z']\n", "z and 1 - z exchanged in the direct path"), ("dg * k['r']])", "dg])", "missing reset gate in the path to h_prev")]),
    ("buffers of one length", "gru", "sequence", BUFFERS, [("+ drh * r[t]\n", "+ drh\n", "missing reset gate in the path to h_prev"), ("(r[t] * h[t]).T @", "h[t].T @", "missing reset gate in dU")]),
    ("a function as the cache", "simple_rnn", "sequence", PULLBACK, [("pulls[t](dhs[:, t] + dh)", "pulls[t](dhs[:, t] + dh * (t % 4 != 3))", "truncated after 4 steps")]),
    ("recursion over time", "simple_rnn", "sequence", RECURSION, [("(1 - new ** 2)", "(1 - h ** 2)", "off by one step")]),
    ("masked", "gru", "sequence", MASKED_GRU, [("d = np.where(m, dh, 0)", "d = dh", "masked steps count in the gradients"), ("dh = np.where(m, d * z + k @ U.T, dh)", "dh = d * z + k @ U.T", "at a masked step the gradient is cut"), ("(h - g) * z * (1 - z)", "(h - g) * z", "the activation's value instead of its derivative, in gate z")]),
]  # fmt: skip


def _code(style: str, cell: str, kind: str, source: str) -> Right:
    return Right(style, cell, kind, source, MASK) if style == "masked" else pair(style, cell, kind, source)


RIGHT = [_code(style, cell, kind, source) for style, cell, kind, source, _ in KEPT]
WRONG = [
    Wrong(_code(style, cell, kind, changed(source, (old, new)))._replace(style=f"{style}: {words}"), words)
    for style, cell, kind, source, mistakes in KEPT
    for old, new, words in mistakes
]
