# ruff: noqa: E501
"""Right code in the styles that people write: each backward pass is the derivative of its forward pass.

Every entry is a text, as it stands in a student's file, and a line that checks it. The code shares
nothing with the package. Not a test by itself: `test_right_code` and benchmarks/gradcheck_power.py run it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SIGMOID = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))
"""

# ------------------------------------------------------------------------------ course function pairs

PAIR = (
    SIGMOID
    + """
def step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H:2*H]), sigmoid(a[:, 2*H:3*H])
    g = np.tanh(a[:, 3*H:])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)

def step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    dnext_c += dnext_h * o * (1 - t * t)
    do = dnext_h * t
    df, di, dg = dnext_c * prev_c, dnext_c * g, dnext_c * i
    dprev_c = dnext_c * f
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g * g)])
    return da.dot(Wx.T), da.dot(Wh.T), dprev_c, x.T.dot(da), prev_h.T.dot(da), da.sum(axis=0)
"""
)

PAIR_SEQUENCE = (
    PAIR
    + """
def forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h, c = h0, np.zeros_like(h0)
    hs, cache = np.zeros((N, T, h0.shape[1])), []
    for t in range(T):
        h, c, kept = step_forward(x[:, t], h, c, Wx, Wh, b)
        hs[:, t] = h
        cache.append(kept)
    return hs, cache

def backward(dh, cache):
    N, T, H = dh.shape
    D = cache[0][0].shape[1]
    dx, dWx, dWh, db = np.zeros((N, T, D)), np.zeros((D, 4*H)), np.zeros((H, 4*H)), np.zeros(4*H)
    dprev_h, dprev_c = np.zeros((N, H)), np.zeros((N, H))
    for t in reversed(range(T)):
        dx[:, t], dprev_h, dprev_c, a, b, c = step_backward(dh[:, t] + dprev_h, dprev_c, cache.pop())
        dWx += a
        dWh += b
        db += c
    return dx, dprev_h, dWx, dWh, db
"""
)

RNN_PAIR = """
import numpy as np

def step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)

def step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    dnext_h *= 1 - next_h ** 2
    return dnext_h @ Wx.T, dnext_h @ Wh.T, x.T @ dnext_h, prev_h.T @ dnext_h, np.sum(dnext_h, axis=0, keepdims=True)

def forward(x, h0, Wx, Wh, b):
    h, cache = np.zeros((x.shape[0], x.shape[1] + 1, h0.shape[1])), []
    h[:, -1] = h0
    for t in range(x.shape[1]):
        h[:, t], kept = step_forward(x[:, t], h[:, t - 1].copy(), Wx, Wh, b)
        cache.append(kept)
    return h[:, :-1], cache

def backward(dh, cache):
    dh = dh.copy()
    N, T, H = dh.shape
    sums, dx = [0, 0, 0], []
    dprev = 0
    for t in range(T - 1, -1, -1):
        x_t, dprev, *grads = step_backward(dh[:, t] + dprev, cache[t])
        dx.insert(0, x_t)
        sums = [s + g for s, g in zip(sums, grads)]
    return np.array(dx).transpose(1, 0, 2), dprev, *sums
"""

# ------------------------------------------------------------------------------ states and outputs

ALL_STATES = (
    SIGMOID
    + """
def forward(x, h0, c0, W, U, b):
    N, T, _ = x.shape
    H = h0.shape[1]
    h, c = np.zeros((N, T, H)), np.zeros((N, T, H))
    gates = np.zeros((N, T, 4 * H))
    for t in range(T):
        h_prev, c_prev = (h0, c0) if t == 0 else (h[:, t-1], c[:, t-1])
        a = x[:, t] @ W + h_prev @ U + b
        a[:, :2*H] = sigmoid(a[:, :2*H]); a[:, 2*H:3*H] = np.tanh(a[:, 2*H:3*H]); a[:, 3*H:] = sigmoid(a[:, 3*H:])
        gates[:, t] = a
        c[:, t] = a[:, H:2*H] * c_prev + a[:, :H] * a[:, 2*H:3*H]
        h[:, t] = a[:, 3*H:] * np.tanh(c[:, t])
    return h, c, (x, h0, c0, W, U, h, c, gates)

def backward(dh, cache):
    x, h0, c0, W, U, h, c, gates = cache
    N, T, H = h.shape
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(4 * H)
    dh_next, dc_next = np.zeros((N, H)), np.zeros((N, H))
    for t in reversed(range(T)):
        i, f, g, o = np.split(gates[:, t], 4, axis=1)
        h_prev, c_prev = (h0, c0) if t == 0 else (h[:, t-1], c[:, t-1])
        d = dh[:, t] + dh_next
        tc = np.tanh(c[:, t])
        dc = dc_next + d * o * (1 - tc**2)
        dz = np.concatenate([dc*g*i*(1-i), dc*c_prev*f*(1-f), dc*i*(1-g**2), d*tc*o*(1-o)], axis=1)
        dx[:, t] = dz @ W.T
        dh_next, dc_next = dz @ U.T, dc * f
        dW += x[:, t].T @ dz; dU += h_prev.T @ dz; db += dz.sum(0)
    return dx, dh_next, dc_next, dW, dU, db
"""
)

LAST_ONLY = (
    SIGMOID
    + """
def forward(x, W, U, b):
    h = np.zeros((len(x), U.shape[0])); c = np.zeros_like(h)
    tape = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        tape.append((x[:, t], h, c, i, f, g, o, c_new))
        h, c = o * np.tanh(c_new), c_new
    return h, (tape, W, U)

def backward(dh, cache):
    tape, W, U = cache
    dc, grads, dx = 0, None, []
    for x, h, c, i, f, g, o, c_new in tape[::-1]:
        t = np.tanh(c_new)
        dc = dc + dh * o * (1 - t ** 2)
        dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2), dh * t * o * (1 - o)])
        now = x.T @ dz, h.T @ dz, dz.sum(0)
        grads = now if grads is None else tuple(a + b for a, b in zip(grads, now))
        dx.append(dz @ W.T)
        dh, dc = dz @ U.T, dc * f
    return np.stack(dx[::-1], axis=1), *grads
"""
)

NO_BIAS = (
    SIGMOID
    + """
def step_forward(x, h, c, W, U):
    i, f, g, o = np.split(x @ W + h @ U, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c2 = f * c + i * g
    return o * np.tanh(c2), c2, (x, h, c, W, U, i, f, g, o, c2)

def step_backward(dh, dc, cache):
    x, h, c, W, U, i, f, g, o, c2 = cache
    t = np.tanh(c2)
    dc = dc + dh * o * (1 - t ** 2)
    dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2), dh * t * o * (1 - o)])
    return dz @ W.T, dz @ U.T, dc * f, x.T @ dz, h.T @ dz
"""
)

JOINED = (
    SIGMOID
    + """
def step_forward(x, h_prev, c_prev, W, b):
    hx = np.hstack([{order}])
    z = hx @ W + b
    i, f, g, o = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c_prev + i * g
    return o * np.tanh(c), c, dict(hx=hx, c_prev=c_prev, i=i, f=f, g=g, o=o, c=c, W=W, D=x.shape[1])

def step_backward(dh, dc, cache):
    v = cache
    t = np.tanh(v["c"])
    dc = dc + dh * v["o"] * (1 - t ** 2)
    i, f, g, o = v["i"], v["f"], v["g"], v["o"]
    dz = np.hstack([dc*g*i*(1-i), dc*v["c_prev"]*f*(1-f), dc*i*(1-g**2), dh*t*o*(1-o)])
    dhx = dz @ v["W"].T
    D, H = v["D"], dh.shape[1]
    dx, dh_prev = {split}
    return {{"dx": dx, "dh_prev": dh_prev, "dc_prev": dc * f, "dW": v["hx"].T @ dz, "db": dz.sum(axis=0)}}
"""
)
HX = JOINED.format(order="h_prev, x", split="dhx[:, H:], dhx[:, :H]")
XH = JOINED.format(order="x, h_prev", split="dhx[:, :D], dhx[:, D:]")

# ------------------------------------------------------------------------------ GRU in its forms

GRU_STEP = (
    SIGMOID
    + """
def step_forward(x, h_prev, W, U, b):
    H = h_prev.shape[1]
    xw = x @ W + b
    z = sigmoid(xw[:, :H] + h_prev @ U[:, :H])
    r = sigmoid(xw[:, H:2*H] + h_prev @ U[:, H:2*H])
    g = np.tanh(xw[:, 2*H:] + {candidate})
    h = {keep} * h_prev + {write} * g
    return h, (x, h_prev, W, U, z, r, g)

def step_backward(dh, cache):
    x, h_prev, W, U, z, r, g = cache
    H = dh.shape[1]
    Uz, Ur, Ug = U[:, :H], U[:, H:2*H], U[:, 2*H:]
    dag = dh * {write} * (1 - g ** 2)
    daz = dh * ({difference}) * z * (1 - z)
    {backward}
    dxw = np.hstack([daz, dar, dag])
    return dxw @ W.T, dh_prev, x.T @ dxw, dU, dxw.sum(axis=0)

def forward(x, h0, W, U, b):
    h, hs, tape = h0, [], []
    for t in range(x.shape[1]):
        h, kept = step_forward(x[:, t], h, W, U, b)
        hs.append(h); tape.append(kept)
    return np.stack(hs, axis=1), tape

def backward(dh, tape):
    dh_next, dx, dW, dU, db = 0, [], 0, 0, 0
    for t in reversed(range(len(tape))):
        dx_t, dh_next, a, b, c = step_backward(dh[:, t] + dh_next, tape[t])
        dx.append(dx_t); dW = dW + a; dU = dU + b; db = db + c
    return np.stack(dx[::-1], axis=1), dh_next, dW, dU, db
"""
)
AFTER = {
    "candidate": "r * (h_prev @ U[:, 2*H:])",
    "backward": """dar = dag * (h_prev @ Ug) * r * (1 - r)
    dh_prev = dh * KEEP + daz @ Uz.T + dar @ Ur.T + (dag * r) @ Ug.T
    dU = np.hstack([h_prev.T @ daz, h_prev.T @ dar, h_prev.T @ (dag * r)])""",
}
BEFORE = {
    "candidate": "(r * h_prev) @ U[:, 2*H:]",
    "backward": """drh = dag @ Ug.T
    dar = drh * h_prev * r * (1 - r)
    dh_prev = dh * KEEP + daz @ Uz.T + dar @ Ur.T + drh * r
    dU = np.hstack([h_prev.T @ daz, h_prev.T @ dar, (r * h_prev).T @ dag])""",
}
Z_KEEPS = {"keep": "z", "write": "(1 - z)", "difference": "h_prev - g"}
Z_WRITES = {"keep": "(1 - z)", "write": "z", "difference": "g - h_prev"}


def gru(reset: dict[str, str], update: dict[str, str]) -> str:
    parts = reset | update
    return GRU_STEP.format(**parts | {"backward": parts["backward"].replace("KEEP", parts["keep"])})


# ------------------------------------------------------------------------------ layer objects

LAYER = (
    SIGMOID
    + """
class LSTM:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev, c_prev):
        Wx, Wh, b = self.params
        N, H = h_prev.shape
        A = np.dot(x, Wx) + np.dot(h_prev, Wh) + b
        f, g, i, o = A[:, :H], A[:, H:2*H], A[:, 2*H:3*H], A[:, 3*H:]
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        c_next = f * c_prev + g * i
        h_next = o * np.tanh(c_next)
        self.cache = (x, h_prev, c_prev, i, f, g, o, c_next)
        return h_next, c_next

    def backward(self, dh_next, dc_next):
        Wx, Wh, b = self.params
        x, h_prev, c_prev, i, f, g, o, c_next = self.cache
        tanh_c = np.tanh(c_next)
        ds = dc_next + (dh_next * o) * (1 - tanh_c ** 2)
        di, df, do, dg = ds * g, ds * c_prev, dh_next * tanh_c, ds * i
        di *= i * (1 - i); df *= f * (1 - f); do *= o * (1 - o); dg *= (1 - g ** 2)
        dA = np.hstack((df, dg, di, do))
        self.grads[0][...] = np.dot(x.T, dA)
        self.grads[1][...] = np.dot(h_prev.T, dA)
        self.grads[2][...] = dA.sum(axis=0)
        return np.dot(dA, Wx.T), np.dot(dA, Wh.T), ds * f
"""
)

TIME_LAYER = (
    LAYER
    + """
class TimeLSTM:
    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.layers, self.h, self.c, self.dh, self.stateful = None, None, None, None, stateful

    def forward(self, xs):
        N, T, D = xs.shape
        H = self.params[1].shape[0]
        self.layers, hs = [], np.empty((N, T, H), dtype='f')
        if not self.stateful or self.h is None:
            self.h, self.c = np.zeros((N, H), dtype='f'), np.zeros((N, H), dtype='f')
        for t in range(T):
            layer = LSTM(*self.params)
            self.h, self.c = layer.forward(xs[:, t, :], self.h, self.c)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        N, T, H = dhs.shape
        D = self.params[0].shape[0]
        dxs, dh, dc, grads = np.empty((N, T, D), dtype='f'), 0, 0, [0, 0, 0]
        for t in reversed(range(T)):
            dx, dh, dc = self.layers[t].backward(dhs[:, t, :] + dh, dc)
            dxs[:, t, :] = dx
            for k, grad in enumerate(self.layers[t].grads):
                grads[k] += grad
        for k, grad in enumerate(grads):
            self.grads[k][...] = grad
        self.dh = dh
        return dxs
"""
)

KEEPS_ON_SELF = """
import numpy as np

class RNN:
    def __init__(self, D, H):
        self.W, self.U, self.b = np.zeros((D, H)), np.zeros((H, H)), np.zeros(H)
        self.dW, self.dU, self.db = np.zeros((D, H)), np.zeros((H, H)), np.zeros(H)
        self.hs = []

    def forward(self, x, h0):
        self.x, self.hs = x, [h0]
        for t in range(x.shape[1]):
            self.hs.append(np.tanh(x[:, t] @ self.W + self.hs[-1] @ self.U + self.b))
        return np.stack(self.hs[1:], axis=1)

    def backward(self, dh):
        dx, dnext = np.zeros(self.x.shape), np.zeros(self.hs[0].shape)
        for t in reversed(range(self.x.shape[1])):
            dz = (dh[:, t] + dnext) * (1 - self.hs[t + 1] ** 2)
            self.dW += self.x[:, t].T @ dz
            self.dU += self.hs[t].T @ dz
            self.db += dz.sum(axis=0)
            dx[:, t] = dz @ self.W.T
            dnext = dz @ self.U.T
        return dx, dnext

rnn = RNN(2, 3)
"""

BOUND = """
import numpy as np

class Net:
    def __init__(self):
        self.calls, self.stack, self.total = 0, [], 0.0

    def forward(self, x, h, W, U, b):
        self.calls += 1
        new = np.tanh(x @ W + h @ U + b)
        self.stack.append((x, h, W, U, new))
        return new, None

    def backward(self, dh, cache):
        assert cache is None
        x, h, W, U, new = self.stack.pop()
        dz = dh * (1 - new ** 2)
        self.total = self.total + dz.sum(axis=0)
        return dz @ W.T, dz @ U.T, x.T @ dz, h.T @ dz, self.total

net = Net()
"""

GLOBALS = (
    SIGMOID
    + """
tape = []
dW_sum = None

def forward(x, h0, c0, W, U, b):
    global weights
    weights = W, U
    h, c, hs = h0, c0, []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        tape.append((x[:, t], h, c, i, f, g, o, c_new))
        h, c = o * np.tanh(c_new), c_new
        hs.append(h)
    return np.stack(hs, axis=1), (h, c)

def backward(dh, dc):
    W, U = weights
    dW, dU, db, dx, dh_next = 0, 0, 0, [], 0
    for t in reversed(range(dh.shape[1])):
        x, h, c, i, f, g, o, c_new = tape.pop()
        d, tc = dh[:, t] + dh_next, np.tanh(c_new)
        dc = dc + d * o * (1 - tc ** 2)
        dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2), d * tc * o * (1 - o)])
        dW, dU, db = dW + x.T @ dz, dU + h.T @ dz, db + dz.sum(0)
        dx.append(dz @ W.T)
        dh_next, dc = dz @ U.T, dc * f
    return np.stack(dx[::-1], axis=1), dh_next, dc, dW, dU, db
"""
)

# ------------------------------------------------------------------------------ other layouts

COLUMNS = (
    SIGMOID
    + """
def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    Wf, bf, Wi, bi = parameters["Wf"], parameters["bf"], parameters["Wi"], parameters["bi"]
    Wc, bc, Wo, bo = parameters["Wc"], parameters["bc"], parameters["Wo"], parameters["bo"]
    Wy, by = parameters["Wy"], parameters["by"]
    concat = np.concatenate((a_prev, xt), axis=0)
    ft, it = sigmoid(Wf @ concat + bf), sigmoid(Wi @ concat + bi)
    cct, ot = np.tanh(Wc @ concat + bc), sigmoid(Wo @ concat + bo)
    c_next = ft * c_prev + it * cct
    a_next = ot * np.tanh(c_next)
    scores = np.exp(Wy @ a_next + by)
    return a_next, c_next, scores / scores.sum(axis=0), (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)

def lstm_cell_backward(da_next, dc_next, cache):
    a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters = cache
    n_a = a_next.shape[0]
    t = np.tanh(c_next)
    dc = dc_next + ot * (1 - t ** 2) * da_next
    dot, dcct = da_next * t * ot * (1 - ot), dc * it * (1 - cct ** 2)
    dit, dft = dc * cct * it * (1 - it), dc * c_prev * ft * (1 - ft)
    concat = np.concatenate((a_prev, xt), axis=0)
    back = (parameters["Wf"].T @ dft + parameters["Wi"].T @ dit
            + parameters["Wc"].T @ dcct + parameters["Wo"].T @ dot)
    grads = {"dxt": back[n_a:], "da_prev": back[:n_a], "dc_prev": dc * ft}
    for name, d in (("f", dft), ("i", dit), ("c", dcct), ("o", dot)):
        grads["dW" + name], grads["db" + name] = d @ concat.T, d.sum(axis=1, keepdims=True)
    return grads
"""
)

COLUMN_RNN = """
import numpy as np

def forward(x, h0, Wx, Wh, b):
    D, B, T = x.shape
    h, hs = h0, []
    for t in range(T):
        h = np.tanh(Wx @ x[:, :, t] + Wh @ h + b)
        hs.append(h)
    return np.stack(hs, axis=2), (x, h0, Wx, Wh, hs)

def backward(dh, cache):
    x, h0, Wx, Wh, hs = cache
    dx, dWx, dWh, db, dnext = np.zeros_like(x), 0, 0, 0, 0
    for t in reversed(range(x.shape[2])):
        dz = (dh[:, :, t] + dnext) * (1 - hs[t] ** 2)
        before = hs[t - 1] if t else h0
        dWx, dWh, db = dWx + dz @ x[:, :, t].T, dWh + dz @ before.T, db + dz.sum(axis=1, keepdims=True)
        dx[:, :, t], dnext = Wx.T @ dz, Wh.T @ dz
    return dx, dnext, dWx, dWh, db
"""

TIME_MAJOR = """
import numpy as np

def forward(xs, h0, W, U, b):
    hs = [h0]
    for x in xs:
        hs.append(np.tanh(x @ W + hs[-1] @ U + b))
    return np.array(hs[1:]), (xs, hs, W, U)

def backward(dhs, cache):
    xs, hs, W, U = cache
    dW, dU, db, dxs, dh = np.zeros_like(W), np.zeros_like(U), 0, [], 0
    for t in range(len(xs) - 1, -1, -1):
        dz = (dhs[t] + dh) * (1 - hs[t + 1] ** 2)
        dW += xs[t].T @ dz; dU += hs[t].T @ dz; db += dz.sum(0)
        dxs.append(dz @ W.T); dh = dz @ U.T
    return np.array(dxs[::-1]), dh, dW, dU, db
"""

LIST_OUTPUT = (
    TIME_MAJOR.replace("for x in xs:", "for x in xs.transpose(1, 0, 2):")
    .replace("np.array(hs[1:]), (xs", "hs[1:], (xs.transpose(1, 0, 2)")
    .replace("np.array(dxs[::-1])", "np.stack(dxs[::-1], axis=1)")
)

SINGLE = (
    SIGMOID
    + """
def forward(x, h0, c0, W, U, b):
    h, c, hs, tape = h0, c0, [], []
    for x_t in x:
        i, f, g, o = np.split(W.T @ x_t + U.T @ h + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        tape.append((x_t, h, c, i, f, g, o, c_new))
        h, c = o * np.tanh(c_new), c_new
        hs.append(h)
    return np.array(hs), c, (tape, W, U)

def backward(dh, dc, cache):
    tape, W, U = cache
    dW, dU, db, dx, dnext = np.zeros_like(W), np.zeros_like(U), 0, [], 0
    for t in reversed(range(len(tape))):
        x, h, c, i, f, g, o, c_new = tape[t]
        d, tc = dh[t] + dnext, np.tanh(c_new)
        dc = dc + d * o * (1 - tc ** 2)
        dz = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2), d * tc * o * (1 - o)])
        dW += np.outer(x, dz); dU += np.outer(h, dz); db = db + dz
        dx.insert(0, W @ dz); dnext = U @ dz; dc = dc * f
    return np.array(dx), dnext, dc, dW, dU, db
"""
)

IDS = """
import numpy as np

def forward(ids, h0, W, U, b):
    h, hs = h0, [h0]
    for t in range(ids.shape[1]):
        h = np.tanh(W[ids[:, t]] + h @ U + b)
        hs.append(h)
    return np.stack(hs[1:], axis=1), (ids, hs, W, U)

def backward(dh, cache):
    ids, hs, W, U = cache
    dW, dU, db, dnext = np.zeros_like(W), np.zeros_like(U), 0, 0
    for t in reversed(range(ids.shape[1])):
        dz = (dh[:, t] + dnext) * (1 - hs[t + 1] ** 2)
        np.add.at(dW, ids[:, t], dz)
        dU += hs[t].T @ dz
        db = db + dz.sum(axis=0)
        dnext = dz @ U.T
    return None, dnext, dW, dU, db
"""

DICTIONARY = """
import numpy as np

def forward(x, h0, p):
    h, hs = h0, [h0]
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ p["W_xh"] + h @ p["W_hh"] + p["b_h"])
        hs.append(h)
    return np.stack(hs[1:], axis=1), (x, hs, p)

def backward(dh, cache):
    x, hs, p = cache
    grads = {"dW_xh": 0, "dW_hh": 0, "db_h": 0}
    dx, dnext = np.zeros_like(x), 0
    for t in reversed(range(x.shape[1])):
        dz = (dh[:, t] + dnext) * (1 - hs[t + 1] ** 2)
        grads["dW_xh"] = grads["dW_xh"] + x[:, t].T @ dz
        grads["dW_hh"] = grads["dW_hh"] + hs[t].T @ dz
        grads["db_h"] = grads["db_h"] + dz.sum(axis=0)
        dx[:, t], dnext = dz @ p["W_xh"].T, dz @ p["W_hh"].T
    return dx, dnext, grads
"""

LOSS_INSIDE = """
import numpy as np

rng = np.random.default_rng(0)
V, H = 5, 4
Wxh, Whh, Why = rng.normal(size=(H, V)) * 0.3, rng.normal(size=(H, H)) * 0.3, rng.normal(size=(V, H)) * 0.3
bh, by = rng.normal(size=(H, 1)) * 0.1, rng.normal(size=(V, 1)) * 0.1
inputs, targets = [0, 2, 4, 1, 3, 2, 2], [2, 4, 1, 3, 2, 2, 0]

def loss_and_gradients(inputs, targets, hprev):
    xs, hs, ps, loss = {}, {-1: np.copy(hprev)}, {}, 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((V, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        y = Why @ hs[t] + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dhnext = np.zeros_like(bh), np.zeros_like(by), np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        draw = (1 - hs[t] * hs[t]) * (Why.T @ dy + dhnext)
        dbh += draw
        dWxh += draw @ xs[t].T
        dWhh += draw @ hs[t - 1].T
        dhnext = Whh.T @ draw
    for d in (dWxh, dWhh, dWhy, dbh, dby):
        np.clip(d, -5, 5, out=d)
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]

parameters = {"Wxh": Wxh, "Whh": Whh, "Why": Why, "bh": bh, "by": by}
hprev = np.zeros((H, 1))
"""

LOSS_IN_OBJECT = (
    SIGMOID
    + """
class Model:
    def __init__(self, D, H, seed):
        rng = np.random.default_rng(seed)
        self.params = {"Wx": rng.normal(size=(D, 4*H)) * .5, "Wh": rng.normal(size=(H, 4*H)) * .5,
                       "b": rng.normal(size=4*H) * .5, "v": rng.normal(size=(H, 1))}

    def loss(self, x, y):
        p = self.params
        N, T, D = x.shape
        h = np.zeros((N, p["Wh"].shape[0])); c = np.zeros_like(h)
        tape = []
        for t in range(T):
            i, f, g, o = np.split(x[:, t] @ p["Wx"] + h @ p["Wh"] + p["b"], 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c_new = f * c + i * g
            tape.append((x[:, t], h, c, i, f, g, o, c_new))
            h, c = o * np.tanh(c_new), c_new
        error = h @ p["v"] - y
        loss = (error ** 2).mean()
        dout = 2 * error / N
        grads = {"v": h.T @ dout, "Wx": 0, "Wh": 0, "b": 0}
        dh, dc = dout @ p["v"].T, 0
        for x_t, h, c, i, f, g, o, c_new in reversed(tape):
            tc = np.tanh(c_new)
            dc = dc + dh * o * (1 - tc ** 2)
            dz = np.hstack([dc*g*i*(1-i), dc*c*f*(1-f), dc*i*(1-g**2), dh*tc*o*(1-o)])
            grads["Wx"] = grads["Wx"] + x_t.T @ dz
            grads["Wh"] = grads["Wh"] + h.T @ dz
            grads["b"] = grads["b"] + dz.sum(axis=0)
            dh, dc = dz @ p["Wh"].T, dc * f
        return loss, grads

model = Model(2, 3, 0)
x, y = np.random.default_rng(1).normal(size=(4, 6, 2)), np.random.default_rng(2).normal(size=(4, 1))
"""
)


def changed(source: str, *pairs: tuple[str, str]) -> str:
    """The text with pieces replaced, each of which must stand in it once."""
    for old, new in pairs:
        assert source.count(old) == 1, (old, source.count(old))
        source = source.replace(old, new)
    return source


class Right(NamedTuple):
    """Right code: its style, its cell, a step or a sequence, the text, and the expression that checks it."""

    style: str
    cell: str
    kind: str
    source: str
    check: str

    def report(self, **options: Any) -> Any:
        """The check's report."""
        from minilstm import check_sequence, check_step

        return self.run(check_step, check_sequence, **options)

    def run(self, step: Any, sequence: Any, **options: Any) -> Any:
        """The text is run, and then the line that checks it, with these two in place of the checks."""
        from minilstm.gradient_check import adapters

        namespace: dict[str, Any] = {}
        exec(compile(self.source, "<student>", "exec"), namespace)
        known = {"check_step": step, "check_sequence": sequence, "adapters": adapters}
        text = self.check[:-1] + "".join(f", {key}={value!r}" for key, value in options.items()) + ")"
        return eval(text, namespace | known)


STEP = "check_step(step_forward, step_backward, {cell!r})"
SEQUENCE = "check_sequence(forward, backward, {cell!r}, length=12)"


def pair(style: str, cell: str, kind: str, source: str) -> Right:
    return Right(style, cell, kind, source, (STEP if kind == "step" else SEQUENCE).format(cell=cell))


def by(style: str, cell: str, kind: str, source: str, adapter: str, **options: Any) -> Right:
    more = "".join(f", {key}={value!r}" for key, value in options.items())
    if kind == "sequence" and "length" not in options and "loss_inside" not in adapter:
        more += ", length=12"
    return Right(style, cell, kind, source, f"check_{kind}(*adapters.{adapter}, {cell!r}{more})")


FLOAT32 = changed(
    PAIR,
    (
        "    return next_h, next_c, (x,",
        "    next_h, next_c = next_h.astype('f'), next_c.astype('f')\n    return next_h, next_c, (x,",
    ),
)
RIGHT = [
    pair("dc += in place", "lstm", "step", PAIR),
    pair("c0 = 0, no dc, cache.pop()", "lstm", "sequence", PAIR_SEQUENCE),
    pair("dh *= in place, db (1, H)", "simple_rnn", "step", RNN_PAIR),
    pair("h[:, -1] = h0", "simple_rnn", "sequence", RNN_PAIR),
    pair("all h and all c, no dc", "lstm", "sequence", ALL_STATES),
    pair("last h only", "lstm", "sequence", LAST_ONLY),
    pair("no bias", "lstm", "step", NO_BIAS),
    pair("one matrix of [h, x], dict", "lstm", "step", HX),
    pair("one matrix of [x, h], dict", "lstm", "step", XH),
    pair("reset after, z keeps, one bias", "gru", "step", gru(AFTER, Z_KEEPS)),
    pair("reset after, z writes, one bias", "gru", "step", gru(AFTER, Z_WRITES)),
    pair("reset before, z keeps, one bias", "gru", "step", gru(BEFORE, Z_KEEPS)),
    pair("reset before, z writes, one bias", "gru", "step", gru(BEFORE, Z_WRITES)),
    pair("reset before, z writes, one bias", "gru", "sequence", gru(BEFORE, Z_WRITES)),
    pair("reset after, z keeps, one bias", "gru", "sequence", gru(AFTER, Z_KEEPS)),
    by("layer object, grads", "lstm", "step", LAYER, "layer(LSTM)"),
    by("layer object over time, dtype='f'", "lstm", "sequence", TIME_LAYER, "layer(TimeLSTM)"),
    by("one object, dW +=", "simple_rnn", "sequence", KEEPS_ON_SELF, "layer(rnn, ['W', 'U', 'b'])"),
    Right("bound methods, cache None", "simple_rnn", "step", BOUND, "check_step(net.forward, net.backward, 'simple_rnn')"),
    pair("cache in globals", "lstm", "sequence", GLOBALS),
    by("columns, dict of gates, prediction", "lstm", "step", COLUMNS,
       "course(lstm_cell_forward, lstm_cell_backward)"),
    by("columns (D, B, T)", "simple_rnn", "sequence", COLUMN_RNN, "columns(forward, backward)"),
    by("time first", "simple_rnn", "sequence", TIME_MAJOR, "time_major(forward, backward)"),
    pair("h as a list over time", "simple_rnn", "sequence", LIST_OUTPUT),
    by("one sample", "lstm", "sequence", SINGLE, "single(forward, backward)"),
    by("integer ids", "simple_rnn", "sequence", IDS, "ids(forward, backward)", features=5),
    by("weights in a dict", "simple_rnn", "sequence", DICTIONARY, "dictionary(forward, backward)"),
    by("loss inside, globals", "simple_rnn", "sequence", LOSS_INSIDE,
       "loss_inside(loss_and_gradients, parameters, inputs, targets, hprev)"),
    by("loss inside, object", "lstm", "sequence", LOSS_IN_OBJECT, "loss_inside(model.loss, model.params, x, y)"),
    pair("h as float32", "lstm", "step", FLOAT32),
    pair("None for dx", "lstm", "step", changed(PAIR, ("return da.dot(Wx.T), da", "return None, da"))),
    pair("returns dx only with weights", "lstm", "sequence",
         changed(PAIR_SEQUENCE, ("return dx, dprev_h, dWx", "return dx, dWx"))),
    pair("prints and sorts its gradients otherwise", "lstm", "step",
         changed(PAIR, ("return da.dot(Wx.T), da.dot(Wh.T), dprev_c, x.T.dot(da), prev_h.T.dot(da), da.sum(axis=0)",
                        "print('hello')\n    return x.T.dot(da), prev_h.T.dot(da), da.sum(axis=0), da.dot(Wx.T), da.dot(Wh.T), dprev_c"))),
    pair("forget bias inside", "lstm", "step", changed(PAIR, ("sigmoid(a[:, H:2*H])", "sigmoid(a[:, H:2*H] + 0.7)"))),
    pair("h = o * c", "lstm", "step", changed(PAIR, ("t = np.tanh(next_c)", "t = next_c"), ("(1 - t * t)", "1"))),
    pair("coupled gates", "lstm", "step",
         changed(PAIR, ("next_c = f * prev_c", "next_c = (1 - i) * prev_c"),
                 ("df, di, dg = dnext_c * prev_c, dnext_c * g, dnext_c * i", "df, di, dg = 0 * g, dnext_c * (g - prev_c), dnext_c * i"),
                 ("dprev_c = dnext_c * f", "dprev_c = dnext_c * (1 - i)"))),
]  # fmt: skip


class Wrong(NamedTuple):
    """A style with a mistake: the text and the check as of `Right`, and words of the cause; None if unnamed."""

    code: Right
    words: str | None


FORGET_BIAS = changed(PAIR, ("sigmoid(a[:, H:2*H])", "sigmoid(a[:, H:2*H] + 0.7)"))
WRONG = [
    Wrong(pair("dc_prev with i", "lstm", "step", changed(PAIR, ("dprev_c = dnext_c * f", "dprev_c = dnext_c * i"))), "input gate i instead of f"),
    Wrong(pair("di with i", "lstm", "step", changed(PAIR, ("dnext_c * prev_c, dnext_c * g, dnext_c * i", "dnext_c * prev_c, dnext_c * i, dnext_c * i"))), "di uses i"),
    Wrong(pair("forget bias inside, no tanh'", "lstm", "step", changed(FORGET_BIAS, ("dg * (1 - g * g)", "dg"))), "missing derivative of the activation, in gate g"),
    Wrong(pair("dWx =", "lstm", "sequence", changed(PAIR_SEQUENCE, ("dWx += a", "dWx = a"))), "gradient of W not accumulated over the steps"),
    Wrong(pair("dc of later steps", "lstm", "sequence", changed(PAIR_SEQUENCE, ("dprev_h, dprev_c, cache.pop()", "dprev_h, 0 * dprev_h, cache.pop()"))), "dc of later steps is dropped"),
    Wrong(pair("dh of later steps", "simple_rnn", "sequence", changed(RNN_PAIR, ("dh[:, t] + dprev, cache[t]", "dh[:, t] + 0, cache[t]"))), "dh is not accumulated"),
    Wrong(pair("sign of dz", "gru", "step", changed(gru(BEFORE, Z_WRITES), ("(g - h_prev)", "(h_prev - g)"))), "dz has the wrong sign"),
    Wrong(pair("no direct path", "gru", "sequence", changed(gru(AFTER, Z_KEEPS), ("dh_prev = dh * z + daz", "dh_prev = daz"))), "missing direct path"),
    Wrong(pair("reset gate not in dU", "gru", "sequence", changed(gru(AFTER, Z_WRITES), ("h_prev.T @ (dag * r)", "h_prev.T @ dag"))), None),
    Wrong(by("tanh of c in do", "lstm", "step", changed(LAYER, ("dh_next * tanh_c", "dh_next * c_next")), "layer(LSTM)"), "tanh missing in do"),
    Wrong(by("dh not passed, dtype='f'", "lstm", "sequence", changed(TIME_LAYER, ("dhs[:, t, :] + dh, dc)", "dhs[:, t, :], dc)")), "layer(TimeLSTM)"), "dh is not accumulated"),
    Wrong(by("db =", "simple_rnn", "sequence", changed(KEEPS_ON_SELF, ("self.db += dz", "self.db = dz")), "layer(rnn, ['W', 'U', 'b'])"), "gradient of b not accumulated over the steps"),
    Wrong(Right("1 - h", "simple_rnn", "step", changed(BOUND, ("(1 - new ** 2)", "(1 - new)")), "check_step(net.forward, net.backward, 'simple_rnn')"), "the square is missing"),
    Wrong(pair("db averaged", "lstm", "sequence", changed(GLOBALS, ("db + dz.sum(0)", "db + dz.mean(0)"))), "averaged"),
    Wrong(by("df with c_t", "lstm", "step", changed(COLUMNS, ("dc * c_prev * ft", "dc * c_next * ft")), "course(lstm_cell_forward, lstm_cell_backward)"), "df uses c_t"),
    Wrong(by("h of index -1", "simple_rnn", "sequence", changed(COLUMN_RNN, ("hs[t - 1] if t else h0", "hs[t - 1]")), "columns(forward, backward)"), "h of step 0 is read from index -1"),
    Wrong(by("dU with h_t", "simple_rnn", "sequence", changed(TIME_MAJOR, ("hs[t].T @ dz", "hs[t + 1].T @ dz")), "time_major(forward, backward)"), "h_t used where"),
    Wrong(by("no forget gate", "lstm", "sequence", changed(SINGLE, ("dc = dc * f", "dc = dc")), "single(forward, backward)"), "without the factor f"),
    Wrong(by("dW of repeated ids", "simple_rnn", "sequence", changed(IDS, ("np.add.at(dW, ids[:, t], dz)", "dW[ids[:, t]] += dz")), "ids(forward, backward)", features=5), None),
    Wrong(by("1 - h in a dict", "simple_rnn", "sequence", changed(DICTIONARY, ("(1 - hs[t + 1] ** 2)", "(1 - hs[t + 1])")), "dictionary(forward, backward)"), "the square is missing"),
    Wrong(by("loss inside, no dhnext", "simple_rnn", "sequence", changed(LOSS_INSIDE, ("(Why.T @ dy + dhnext)", "(Why.T @ dy)")), "loss_inside(loss_and_gradients, parameters, inputs, targets, hprev)"), None),
    Wrong(by("loss inside, half", "lstm", "sequence", changed(LOSS_IN_OBJECT, ("2 * error / N", "error / N")), "loss_inside(model.loss, model.params, x, y)"), "factor 1/2"),
    Wrong(pair("one matrix, no forget gate", "lstm", "step", changed(HX, ("dc * f, \"dW\"", "dc, \"dW\""))), "without the factor f"),
    Wrong(pair("no bias, no tanh'", "lstm", "step", changed(NO_BIAS, ("dc * i * (1 - g ** 2)", "dc * i"))), "missing derivative of the activation, in gate g"),
    Wrong(pair("last h only, no forget gate", "lstm", "sequence", changed(LAST_ONLY, ("dz @ U.T, dc * f", "dz @ U.T, dc"))), "without the factor f"),
    Wrong(pair("h and c of index -1", "lstm", "sequence", changed(ALL_STATES, ("        i, f, g, o = np.split(gates[:, t], 4, axis=1)\n        h_prev, c_prev = (h0, c0) if t == 0 else (h[:, t-1], c[:, t-1])", "        i, f, g, o = np.split(gates[:, t], 4, axis=1)\n        h_prev, c_prev = h[:, t-1], c[:, t-1]"))), "h and c of step 0 is read from index -1"),
]  # fmt: skip
