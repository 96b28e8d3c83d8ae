# ruff: noqa: E501
"""Styles mixed as nobody planned: adapters in adapters, dicts on columns, layers over time, the loss inside.

Right code, and the same with a mistake, as in `right_zoo`; the code shares nothing with the package.
"""

from __future__ import annotations

from right_zoo import LOSS_INSIDE, SIGMOID, Right, Wrong, changed

GRU_COLUMNS_DICT = (
    SIGMOID
    + """
def forward(x, h0, p):
    h, tape = h0, []
    hs = []
    n = h0.shape[0]
    for t in range(x.shape[2]):
        xt = x[:, :, t]
        z = sigmoid(p["Wz"] @ xt + p["Uz"] @ h + p["bz"])
        r = sigmoid(p["Wr"] @ xt + p["Ur"] @ h + p["br"])
        g = np.tanh(p["Wh"] @ xt + p["Uh"] @ (r * h) + p["bh"])
        tape.append((xt, h, z, r, g))
        h = (1 - z) * h + z * g
        hs.append(h)
    return np.stack(hs, axis=2), (tape, p)
def backward(dh, cache):
    tape, p = cache
    G = {k: 0 for k in ("Wz","Wr","Wh","Uz","Ur","Uh","bz","br","bh")}
    dx, dn = [], 0
    for t in reversed(range(len(tape))):
        x, h, z, r, g = tape[t]
        d = dh[:, :, t] + dn
        az = d * (g - h) * z * (1 - z)
        ag = d * z * (1 - g ** 2)
        drh = p["Uh"].T @ ag
        ar = drh * h * r * (1 - r)
        for k, a, s in (("z", az, h), ("r", ar, h), ("h", ag, r * h)):
            G["W"+k] = G["W"+k] + a @ x.T
            G["U"+k] = G["U"+k] + a @ s.T
            G["b"+k] = G["b"+k] + a.sum(axis=1, keepdims=True)
        dx.append(p["Wz"].T @ az + p["Wr"].T @ ar + p["Wh"].T @ ag)
        dn = d * (1 - z) + p["Uz"].T @ az + p["Ur"].T @ ar + drh * r
    return np.stack(dx[::-1], axis=2), dn, {"d"+k: v for k, v in G.items()}
"""
)

TIME_MAJOR_DICT = (
    SIGMOID
    + """
def forward(xs, h0, c0, p):
    T = len(xs)
    hs, cs, gates = np.zeros((T,)+h0.shape), np.zeros((T,)+h0.shape), []
    for t in range(T):
        hp, cp = (hs[t-1], cs[t-1]) if t else (h0, c0)
        a = xs[t] @ p["Wx"] + hp @ p["Wh"] + p["b"]
        i, f, g, o = np.split(a, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cs[t] = f * cp + i * g
        hs[t] = o * np.tanh(cs[t])
        gates.append((i, f, g, o))
    return hs, (xs, h0, c0, hs, cs, gates, p)
def backward(dhs, cache):
    xs, h0, c0, hs, cs, gates, p = cache
    dp = {"dWx": np.zeros_like(p["Wx"]), "dWh": np.zeros_like(p["Wh"]), "db": np.zeros_like(p["b"])}
    dh, dc, dxs = 0, 0, np.zeros_like(xs)
    for t in range(len(xs)-1, -1, -1):
        hp, cp = (hs[t-1], cs[t-1]) if t else (h0, c0)
        i, f, g, o = gates[t]
        d = dhs[t] + dh
        tc = np.tanh(cs[t])
        dc = dc + d * o * (1 - tc ** 2)
        da = np.hstack([dc*g*i*(1-i), dc*cp*f*(1-f), dc*i*(1-g**2), d*tc*o*(1-o)])
        dp["dWx"] += xs[t].T @ da
        dp["dWh"] += hp.T @ da
        dp["db"] += da.sum(axis=0)
        dxs[t] = da @ p["Wx"].T
        dh = da @ p["Wh"].T
        dc = dc * f
    return dxs, dh, dc, dp
"""
)

GRU_LOSS = (
    SIGMOID
    + """
class Net:
    def __init__(self, D, H):
        r = np.random.default_rng(0)
        self.p = {k: r.normal(size=s)*.5 for k, s in dict(Wz=(D,H),Wr=(D,H),Wh=(D,H),Uz=(H,H),Ur=(H,H),Uh=(H,H),bz=H,br=H,bh=H,V=(H,1)).items()}
    def loss(self, x, y):
        p = self.p
        N, T, D = x.shape
        h = np.zeros((N, len(p["Uz"])))
        tape = []
        for t in range(T):
            z = sigmoid(x[:,t] @ p["Wz"] + h @ p["Uz"] + p["bz"])
            r = sigmoid(x[:,t] @ p["Wr"] + h @ p["Ur"] + p["br"])
            g = np.tanh(x[:,t] @ p["Wh"] + (r*h) @ p["Uh"] + p["bh"])
            tape.append((x[:,t], h, z, r, g))
            h = (1-z)*g + z*h
        e = h @ p["V"] - y
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        grads["V"] += h.T @ (2*e/N)
        d = (2*e/N) @ p["V"].T
        for x_t, h, z, r, g in reversed(tape):
            ag = d*(1-z)*(1-g**2)
            az = d*(h-g)*z*(1-z)
            drh = ag @ p["Uh"].T
            ar = drh*h*r*(1-r)
            for k, a, s in (("z",az,h),("r",ar,h),("h",ag,r*h)):
                grads["W"+k] += x_t.T @ a
                grads["U"+k] += s.T @ a
                grads["b"+k] += a.sum(0)
            d = d*z + az @ p["Uz"].T + ar @ p["Ur"].T + drh*r
        return (e**2).mean(), grads
net = Net(2, 3)
x, y = np.random.default_rng(1).normal(size=(4,7,2)), np.random.default_rng(2).normal(size=(4,1))
"""
)

LAYER_OF_ONE_SAMPLE = (
    SIGMOID
    + """
class LSTM:
    def __init__(self, W, U, b):
        self.W, self.U, self.b = W, U, b
        self.dW, self.dU, self.db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
    def forward(self, xs, h, c):
        self.tape, hs = [], []
        for x in xs:
            i, f, g, o = np.split(x @ self.W + h @ self.U + self.b, 4)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            cn = f*c + i*g
            self.tape.append((x,h,c,i,f,g,o,cn))
            h, c = o*np.tanh(cn), cn
            hs.append(h)
        return np.array(hs), h, c
    def backward(self, dhs, dh, dc):
        dx = []
        for t in reversed(range(len(self.tape))):
            x,h,c,i,f,g,o,cn = self.tape[t]
            dh = dh + dhs[t]
            tc = np.tanh(cn)
            dc = dc + dh*o*(1-tc**2)
            dz = np.concatenate([dc*g*i*(1-i), dc*c*f*(1-f), dc*i*(1-g**2), dh*tc*o*(1-o)])
            self.dW += np.outer(x, dz); self.dU += np.outer(h, dz); self.db += dz
            dx.insert(0, dz @ self.W.T)
            dh = dz @ self.U.T
            dc = dc*f
        return np.array(dx), dh, dc
"""
)

JOINED_FORGET_BIAS = (
    SIGMOID
    + """
def forward(x, h, c, W, b):
    T = x.shape[1]; hs = []; tape = []
    for t in range(T):
        v = np.concatenate([h, x[:, t]], axis=1)
        a = v @ W + b
        H = h.shape[1]
        f, i, o = sigmoid(a[:, :H] + 1.0), sigmoid(a[:, H:2*H]), sigmoid(a[:, 3*H:])
        g = np.tanh(a[:, 2*H:3*H])
        cn = f*c + i*g
        tape.append((v, c, f, i, g, o, cn))
        c = cn; h = o*np.tanh(cn)
        hs.append(h)
    return np.stack(hs, 1), (h, c), (tape, W)
def backward(dhs, dlast, cache):
    tape, W = cache
    dh, dc = dlast
    H = dh.shape[1]
    dW = np.zeros_like(W); db = 0
    dxs = np.zeros((len(dhs), len(tape), len(W)-H))
    for t in range(len(tape)-1, -1, -1):
        v, c, f, i, g, o, cn = tape[t]
        dh = dh + dhs[:, t]
        tc = np.tanh(cn)
        dc = dc + dh*o*(1-tc*tc)
        da = np.concatenate([dc*c*f*(1-f), dc*g*i*(1-i), dc*i*(1-g*g), dh*tc*o*(1-o)], axis=1)
        dv = da @ W.T
        dW += v.T @ da; db = db + da.sum(0)
        dxs[:, t] = dv[:, H:]
        dh = dv[:, :H]
        dc = dc*f
    return {"dx": dxs, "dh0": dh, "dc0": dc, "dW": dW, "db": db}
"""
)

IDS_LSTM = (
    SIGMOID
    + """
def forward(ids, h, c, W, U, b):
    hs, tape = [], []
    for t in range(ids.shape[1]):
        i, f, g, o = np.split(W[ids[:, t]] + h @ U + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cn = f*c + i*g
        tape.append((ids[:, t], h, c, i, f, g, o, cn))
        h, c = o*np.tanh(cn), cn
        hs.append(h)
    return np.stack(hs, 1), (tape, W, U)
def backward(dhs, cache):
    tape, W, U = cache
    dW, dU, db, dh, dc = np.zeros_like(W), np.zeros_like(U), 0, 0, 0
    for t in reversed(range(len(tape))):
        ids, h, c, i, f, g, o, cn = tape[t]
        dh = dh + dhs[:, t]
        tc = np.tanh(cn)
        dc = dc + dh*o*(1-tc**2)
        dz = np.hstack([dc*g*i*(1-i), dc*c*f*(1-f), dc*i*(1-g**2), dh*tc*o*(1-o)])
        np.add.at(dW, ids, dz); dU += h.T @ dz; db = db + dz.sum(0)
        dh, dc = dz @ U.T, dc*f
    return dh, dc, dW, dU, db
"""
)

GRU_LAYER_TIME_MAJOR = (
    SIGMOID
    + """
class GRU:
    def __init__(self, W, U, b):
        self.params = [W, U, b]
        self.grads = [np.zeros_like(p) for p in self.params]
    def forward(self, xs, h):
        W, U, b = self.params
        H = h.shape[1]
        self.tape, hs = [], np.zeros((len(xs),)+h.shape)
        for t, x in enumerate(xs):
            zr = sigmoid(x @ W[:, :2*H] + h @ U[:, :2*H] + b[:2*H])
            z, r = zr[:, :H], zr[:, H:]
            g = np.tanh(x @ W[:, 2*H:] + (r*h) @ U[:, 2*H:] + b[2*H:])
            self.tape.append((x, h, z, r, g))
            h = z*h + (1-z)*g
            hs[t] = h
        return hs
    def backward(self, dhs):
        W, U, b = self.params
        H = len(U)
        dh, dxs = 0, []
        for t in reversed(range(len(dhs))):
            x, h, z, r, g = self.tape[t]
            dh = dh + dhs[t]
            ag = dh*(1-z)*(1-g**2)
            az = dh*(h-g)*z*(1-z)
            drh = ag @ U[:, 2*H:].T
            ar = drh*h*r*(1-r)
            da = np.hstack([az, ar, ag])
            self.grads[0] += x.T @ da
            self.grads[1] += np.hstack([h.T @ az, h.T @ ar, (r*h).T @ ag])
            self.grads[2] += da.sum(0)
            dxs.insert(0, da @ W.T)
            dh = dh*z + az @ U[:, :H].T + ar @ U[:, H:2*H].T + drh*r
        return np.array(dxs), dh
"""
)

PEEPHOLES = (
    SIGMOID
    + """
pi, pf, po = np.linspace(-.5, .5, 3), np.linspace(.2, .7, 3), np.linspace(-.3, .6, 3)

def step_forward(x, h, c, W, U, b):
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    i, f, g = sigmoid(i + pi * c), sigmoid(f + pf * c), np.tanh(g)
    c2 = f * c + i * g
    o = sigmoid(o + po * c2)
    return o * np.tanh(c2), c2, (x, h, c, W, U, i, f, g, o, c2)

def step_backward(dh, dc, cache):
    x, h, c, W, U, i, f, g, o, c2 = cache
    t = np.tanh(c2)
    do = dh * t * o * (1 - o)
    dc = dc + dh * o * (1 - t ** 2) + do * po
    di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g ** 2)
    dz = np.hstack([di, df, dg, do])
    return dz @ W.T, dz @ U.T, dc * f + di * pi + df * pf, x.T @ dz, h.T @ dz, dz.sum(axis=0)

def forward(x, h, c, W, U, b):
    hs, tape = [], []
    for t in range(x.shape[1]):
        h, c, kept = step_forward(x[:, t], h, c, W, U, b)
        hs.append(h); tape.append(kept)
    return np.stack(hs, axis=1), c, tape

def backward(dhs, dc, tape):
    dh, dx, sums = 0, [], [0, 0, 0]
    for t in reversed(range(len(tape))):
        dx_t, dh, dc, *grads = step_backward(dhs[:, t] + dh, dc, tape[t])
        dx.append(dx_t)
        sums = [s + g for s, g in zip(sums, grads)]
    return np.stack(dx[::-1], axis=1), dh, dc, *sums
"""
)

STATE = (
    SIGMOID
    + """
def step_forward(x, state, W, U, b):
    h, c = state
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c2 = f * c + i * g
    h2 = o * np.tanh(c2)
    return h2, (h2, c2), (x, h, c, W, U, i, f, g, o, c2)

def step_backward(dh, dstate, cache):
    x, h, c, W, U, i, f, g, o, c2 = cache
    dh, dc = dh + dstate[0], dstate[1]
    t = np.tanh(c2)
    dc = dc + dh * o * (1 - t * t)
    dz = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)])
    return dz @ W.T, (dz @ U.T, dc * f), x.T @ dz, h.T @ dz, dz.sum(0)

def forward(x, state, W, U, b):
    tape, hs = [], []
    for t in range(x.shape[1]):
        h, state, kept = step_forward(x[:, t], state, W, U, b)
        tape.append(kept)
        hs.append(h)
    return np.stack(hs, 1), state, tape

def backward(dhs, dstate, tape):
    dx, sums = [], [0, 0, 0]
    for t in reversed(range(len(tape))):
        d, dstate, *grads = step_backward(dhs[:, t], dstate, tape[t])
        dx.append(d)
        sums = [a + b for a, b in zip(sums, grads)]
    return np.stack(dx[::-1], 1), dstate, *sums
"""
)

SEPARATE = (
    SIGMOID
    + """
def step_forward(x, h_prev, c_prev, Wf, Wi, Wc, Wo, bf, bi, bc, bo):
    z = np.hstack([h_prev, x])
    f, i, g, o = sigmoid(z@Wf + bf), sigmoid(z@Wi + bi), np.tanh(z@Wc + bc), sigmoid(z@Wo + bo)
    c = f*c_prev + i*g
    return o*np.tanh(c), c, (z, c_prev, f, i, g, o, c, Wf, Wi, Wc, Wo, h_prev.shape[1])
def step_backward(dh, dc, cache):
    z, c_prev, f, i, g, o, c, Wf, Wi, Wc, Wo, H = cache
    t = np.tanh(c)
    do = dh*t*o*(1-o)
    dc = dc + dh*o*(1-t**2)
    df, di, dg = dc*c_prev*f*(1-f), dc*g*i*(1-i), dc*i*(1-g**2)
    dz = df@Wf.T + di@Wi.T + dg@Wc.T + do@Wo.T
    return dz[:, H:], dz[:, :H], dc*f, z.T@df, z.T@di, z.T@dg, z.T@do, df.sum(0), di.sum(0), dg.sum(0), do.sum(0)
"""
)

NAMED = (
    SIGMOID
    + """
def step_forward(x, h, c, params):
    z = {k: x@params["W"+k] + h@params["U"+k] + params["b"+k] for k in "ifco"}
    i, f, o = (sigmoid(z[k]) for k in "ifo"); g = np.tanh(z["c"])
    cn = f*c + i*g
    return o*np.tanh(cn), cn, dict(x=x, h=h, c=c, i=i, f=f, g=g, o=o, cn=cn, p=params)
def step_backward(dh, dc, k):
    t = np.tanh(k["cn"])
    dc = dc + dh*k["o"]*(1-t*t)
    d = {"i": dc*k["g"]*k["i"]*(1-k["i"]), "f": dc*k["c"]*k["f"]*(1-k["f"]), "c": dc*k["i"]*(1-k["g"]**2), "o": dh*t*k["o"]*(1-k["o"])}
    grads = {}
    for n, v in d.items():
        grads["W"+n] = k["x"].T@v; grads["U"+n] = k["h"].T@v; grads["b"+n] = v.sum(0)
    return sum(v@k["p"]["W"+n].T for n, v in d.items()), sum(v@k["p"]["U"+n].T for n, v in d.items()), dc*k["f"], grads
"""
)

STEPS_OF_COLUMNS = """
import numpy as np

def forward(xs, h0, Wxh, Whh, bh):
    hs = {-1: h0}
    for t in range(len(xs)):
        hs[t] = np.tanh(Wxh@xs[t] + Whh@hs[t-1] + bh)
    return [hs[t] for t in range(len(xs))], (xs, hs, Wxh, Whh)
def backward(dhs, cache):
    xs, hs, Wxh, Whh = cache
    dW = np.zeros_like(Wxh); dU = np.zeros_like(Whh); db = np.zeros((len(Whh), 1)); dn = 0; dx = []
    for t in reversed(range(len(xs))):
        d = (dhs[t] + dn)*(1-hs[t]**2)
        dW += d@xs[t].T; dU += d@hs[t-1].T; db += d.sum(axis=1, keepdims=True); dn = Whh.T@d
        dx.append(Wxh.T@d)
    return dx[::-1], dn, dW, dU, db
"""

COMPILED = """
import numpy as np
from numba import njit

@njit
def new_state(z):
    return np.tanh(z)

def step_forward(x, h, p):
    new = new_state(x @ p.W + h @ p.U + p.b)
    return new, (x, h, p, new)

def step_backward(dh, cache):
    x, h, p, new = cache
    dz = dh * (1 - new**2)
    return dz @ p.W.T, dz @ p.U.T, x.T @ dz, h.T @ dz, dz.sum(0)
"""

MASKED = (
    SIGMOID
    + """
def forward(x, h0, c0, W, U, b, mask):
    h, c = h0, c0; hs = []; kept = []
    for t in range(x.shape[1]):
        m = mask[:, t, None].astype(float)
        i, f, g, o = np.split(x[:, t]@W + h@U + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        cn = f*c + i*g; hn = o*np.tanh(cn)
        kept.append((x[:, t], h, c, i, f, g, o, cn, m))
        h, c = m*hn + (1-m)*h, m*cn + (1-m)*c
        hs.append(h)
    return np.stack(hs, 1), c, (kept, W, U)
def backward(dhs, dc, cache):
    kept, W, U = cache
    dh = 0; dx = []; dW = dU = db = 0
    for t in reversed(range(len(kept))):
        x, h, c, i, f, g, o, cn, m = kept[t]
        dh = dh + dhs[:, t]
        dhm, dcm = dh*m, dc*m
        tc = np.tanh(cn); d = dcm + dhm*o*(1-tc**2)
        dz = np.hstack([d*g*i*(1-i), d*c*f*(1-f), d*i*(1-g**2), dhm*tc*o*(1-o)])
        dx.append(dz@W.T); dW = dW + x.T@dz; dU = dU + h.T@dz; db = db + dz.sum(0)
        dh, dc = dh*(1-m) + dz@U.T, dc*(1-m) + d*f
    return np.stack(dx[::-1], 1), dh, dc, dW, dU, db
MASK = np.arange(9)[None] < np.array([9, 5, 3, 1])[:, None]
"""
)

RELU = """
import numpy as np

def forward(x, h0, W, U, b):
    h = h0; hs = []; cache = []
    for t in range(x.shape[1]):
        a = x[:, t]@W + h@U + b
        hn = np.maximum(a, 0)
        cache.append((x[:, t], h, a)); h = hn; hs.append(h)
    return np.stack(hs, 1), (cache, W, U)
def backward(dh, c):
    cache, W, U = c
    dn = 0; dW = dU = db = 0; dx = []
    for t in reversed(range(len(cache))):
        x, h, a = cache[t]
        d = (dh[:, t] + dn)*(a > 0)
        dW = dW + x.T@d; dU = dU + h.T@d; db = db + d.sum(0); dx.append(d@W.T); dn = d@U.T
    return np.stack(dx[::-1], 1), dn, dW, dU, db
"""


def mixed(style: str, cell: str, source: str, pair: str, more: str = ", length=9") -> Right:
    """A sequence, checked through these adapters."""
    return Right(style, cell, "sequence", source, f"check_sequence({pair}, {cell!r}{more})")


COLUMNS_DICT = "*adapters.dictionary(*adapters.columns(forward, backward), letters='zrh')"
OF_ONE_SAMPLE = "*adapters.single(*adapters.layer(LSTM))"
LAYER = "*adapters.time_major(*adapters.layer(GRU))"
LOSS = "*adapters.loss_inside(net.loss, net.p, x, y)"
DICT_TIME_MAJOR = "*adapters.time_major(*adapters.dictionary(forward, backward))"
PLAIN = "forward, backward"
CHARACTERS = "*adapters.loss_inside(loss_and_gradients, parameters, inputs, targets, hprev)"
RIGHT = [
    mixed("columns, a dict of gates, reset before", "gru", GRU_COLUMNS_DICT, COLUMNS_DICT),
    mixed("time first, a dict", "lstm", TIME_MAJOR_DICT, DICT_TIME_MAJOR),
    mixed("a dict, time first", "lstm", TIME_MAJOR_DICT, "*adapters.dictionary(*adapters.time_major(forward, backward))"),
    mixed("loss inside, reset before", "gru", GRU_LOSS, LOSS, ""),
    mixed("layer object of one sample", "lstm", LAYER_OF_ONE_SAMPLE, OF_ONE_SAMPLE),
    mixed("one matrix, forget bias, (h, c) as a pair", "lstm", JOINED_FORGET_BIAS, PLAIN),
    mixed("integer ids", "lstm", IDS_LSTM, "*adapters.ids(forward, backward)", ", length=9, features=5"),
    mixed("layer object, time first, reset before", "gru", GRU_LAYER_TIME_MAJOR, LAYER),
    mixed("peepholes in globals", "lstm", PEEPHOLES, PLAIN),
    Right("peepholes in globals", "lstm", "step", PEEPHOLES, "check_step(step_forward, step_backward, 'lstm')"),
    Right("(h, c) as one argument", "lstm", "step", STATE, "check_step(*adapters.states(step_forward, step_backward))"),
    mixed("(h, c) as one argument", "lstm", STATE, "*adapters.states(forward, backward)"),
    Right("each gate's weights as arguments", "lstm", "step", SEPARATE, "check_step(*adapters.separate(step_forward, step_backward))"),
    Right("gates in dicts, gradients by the same keys", "lstm", "step", NAMED, "check_step(*adapters.dictionary(step_forward, step_backward, 'ifco'))"),
    mixed("a list of columns over time", "simple_rnn", STEPS_OF_COLUMNS, "*adapters.columns(forward, backward, time_first=True)"),
    Right("compiled by Numba, weights as attributes", "simple_rnn", "step", COMPILED, "check_step(*adapters.dictionary(step_forward, step_backward), 'simple_rnn')"),
    mixed("a mask as numbers", "lstm", MASKED, PLAIN, ", length=9, mask=MASK"),
    mixed("relu", "simple_rnn", RELU, PLAIN),
]  # fmt: skip


def wrong(style: str, like: str, words: str | None, *pairs: tuple[str, str]) -> Wrong:
    """That right code with a mistake."""
    code = next(code for code in RIGHT if code.style == like)
    return Wrong(code._replace(style=style, source=changed(code.source, *pairs)), words)


ONLY_LAST = " * (x_t is tape[-1][0])"
WRONG = [
    wrong("no direct path", "columns, a dict of gates, reset before", "missing direct path", ("d * (1 - z)", "0 * d")),
    wrong("no reset gate in dh_prev", "columns, a dict of gates, reset before", "missing reset gate in the path to h_prev", ("drh * r\n", "drh\n")),
    wrong("no reset gate in dU", "columns, a dict of gates, reset before", "missing reset gate in dU", ('("h", ag, r * h)', '("h", ag, h)')),
    wrong("h of index -1", "time first, a dict", "h of step 0 is read from index -1",
          ("else (h0, c0)\n        i, f, g, o = gates[t]", "else (hs[-1], c0)\n        i, f, g, o = gates[t]")),
    wrong("dh never used", "time first, a dict", "dh is never used", ("d = dhs[t] + dh", "d = dh + 0 * dhs[t]")),
    wrong("dWh =", "a dict, time first", "gradient of U not accumulated over the steps", ('dp["dWh"] += hp.T @ da', 'dp["dWh"] = hp.T @ da')),
    wrong("weights of the last step only", "loss inside, reset before", None,
          ("+= x_t.T @ a", "+= x_t.T @ a" + ONLY_LAST), ("+= s.T @ a", "+= s.T @ a" + ONLY_LAST), ("+= a.sum(0)", "+= a.sum(0)" + ONLY_LAST)),
    wrong("dc added after the step", "layer object of one sample", "the incoming dc is added after the step",
          ("dc = dc + dh*o*(1-tc**2)", "dn = dc; dc = dh*o*(1-tc**2)"), ("dc = dc*f", "dc = (dc + dn)*f")),
    wrong("dx summed", "one matrix, forget bias, (h, c) as a pair", "dx is summed over the steps",
          ("dxs[:, t] = dv[:, H:]", "dxs[:, t] = dv[:, H:] + (dxs[:, t+1] if t+1 < len(tape) else 0)")),
    wrong("i' at f", "one matrix, forget bias, (h, c) as a pair", "gate i is taken at gate f's value", ("dc*g*i*(1-i)", "dc*g*f*(1-f)")),
    wrong("a misplaced bracket", "integer ids", "backward(0) is not 0", ("dh*tc*o*(1-o)", "dh*tc*o*1-o")),
    wrong("states not passed", "layer object, time first, reset before", "every step is on its own", ("            dh = dh*z + az", "            dh = 0 * h; dn = dh*z + az")),
    wrong("dr without h", "layer object, time first, reset before", "dr lacks h_{t-1}", ("drh*h*r*(1-r)", "drh*r*(1-r)")),
    wrong("do of the peephole", "peepholes in globals", None, ("+ do * po", "")),
    Wrong(mixed("weights updated in the loop", "simple_rnn",
                changed(LOSS_INSIDE, ("        dhnext = Whh.T @ draw", "        Whh[...] -= 0.1 * draw @ hs[t - 1].T\n        dhnext = Whh.T @ draw")), CHARACTERS, ""), None),
    wrong("dx in the order of backward", "relu", "dx has its steps in reverse order", ("np.stack(dx[::-1], 1)", "np.stack(dx, 1)")),
    wrong("backward in forward order", "relu", "goes through the steps in forward order",
          ("reversed(range(len(cache)))", "range(len(cache))"), ("dx[::-1]", "dx")),
    wrong("cut before most steps", "relu", "the gradient is cut before steps ... 2, 3, 4, 5, 6",
          ("x, h, a = cache[t]", "x, h, a = cache[t]; dn = dn * (t > len(cache) - 4)")),
    wrong("masked steps learn", "a mask as numbers", None, ("dhm, dcm = dh*m, dc*m", "dhm, dcm = dh, dc")),
]  # fmt: skip
