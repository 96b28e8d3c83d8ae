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
]  # fmt: skip
