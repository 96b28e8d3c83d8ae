# ruff: noqa: E501
"""Weights in other layouts: transposed, in a list, a gate an axis, the bias in the matrix, given by keyword.

Right code, and the same with a mistake, as in `right_zoo`; the code shares nothing with the package.
"""

from __future__ import annotations

from right_zoo import SIGMOID, Right, Wrong, by, changed, pair

TORCH_STEP = (
    SIGMOID
    + """
def step_forward(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    i, f, g, o = np.split(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    cy = f * c + i * g
    ty = np.tanh(cy)
    return o * ty, cy, (x, h, c, weight_ih, weight_hh, i, f, g, o, ty)
def step_backward(dhy, dcy, cache):
    x, h, c, w_ih, w_hh, i, f, g, o, ty = cache
    dcy = dcy + dhy * o * (1 - ty * ty)
    dgates = np.concatenate([dcy*g*i*(1-i), dcy*c*f*(1-f), dcy*i*(1-g*g), dhy*ty*o*(1-o)], axis=1)
    db = dgates.sum(0)
    return dgates @ w_ih, dgates @ w_hh, dcy * f, dgates.T @ x, dgates.T @ h, db, db.copy()
"""
)

TORCH_GRU = (
    SIGMOID
    + """
def forward(xs, hx, w_ih, w_hh, b_ih, b_hh):
    ys, tape = [], []
    for x in xs:
        xr, xz, xn = np.split(x @ w_ih.T + b_ih, 3, axis=1)
        hr, hz, hn = np.split(hx @ w_hh.T + b_hh, 3, axis=1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = np.tanh(xn + r * hn)
        tape.append((x, hx, r, z, n, hn))
        hx = (1 - z) * n + z * hx
        ys.append(hx)
    return np.stack(ys), (tape, w_ih, w_hh)
def backward(dys, cache):
    tape, w_ih, w_hh = cache
    dxs, dh = np.zeros((len(tape), *tape[0][0].shape)), 0
    dw_ih, dw_hh, db_ih, db_hh = np.zeros_like(w_ih), np.zeros_like(w_hh), 0, 0
    for t in range(len(tape) - 1, -1, -1):
        x, h, r, z, n, hn = tape[t]
        dh = dh + dys[t]
        dn = dh * (1 - z) * (1 - n * n)
        dr = dn * hn * r * (1 - r)
        dz = dh * (h - n) * z * (1 - z)
        dx_side, dh_side = np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r])
        dw_ih += dx_side.T @ x; dw_hh += dh_side.T @ h
        db_ih = db_ih + dx_side.sum(0); db_hh = db_hh + dh_side.sum(0)
        dxs[t] = dx_side @ w_ih
        dh = dh * z + dh_side @ w_hh
    return dxs, dh, dw_ih, dw_hh, db_ih, db_hh
"""
)

TORCH_RNN = """
import numpy as np

def forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ W_ih.T + b_ih + hs[-1] @ W_hh.T + b_hh))
    return np.stack(hs[1:], 1), (x, hs, W_ih, W_hh)
def backward(dhs, cache):
    x, hs, W_ih, W_hh = cache
    grads = {"W_ih": np.zeros_like(W_ih), "W_hh": np.zeros_like(W_hh), "b_ih": np.zeros(len(W_ih)), "b_hh": np.zeros(len(W_ih))}
    dh, dx = 0, np.zeros_like(x)
    for t in reversed(range(x.shape[1])):
        dz = (dh + dhs[:, t]) * (1 - hs[t + 1] ** 2)
        grads["W_ih"] += dz.T @ x[:, t]; grads["W_hh"] += dz.T @ hs[t]
        grads["b_ih"] += dz.sum(0); grads["b_hh"] += dz.sum(0)
        dx[:, t], dh = dz @ W_ih, dz @ W_hh
    return dx, dh, grads
"""

BIAS_ROW = (
    SIGMOID
    + """
def forward(X, WLSTM, c0=None, h0=None):
    B, T, D = X.shape
    H = WLSTM.shape[1] // 4
    c = np.zeros((B, H)) if c0 is None else c0
    h = np.zeros((B, H)) if h0 is None else h0
    hs, tape = [], []
    for t in range(T):
        row = np.concatenate([np.ones((B, 1)), X[:, t], h], axis=1)
        a = row @ WLSTM
        i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H:2*H]), sigmoid(a[:, 2*H:3*H])
        g = np.tanh(a[:, 3*H:])
        cn = f * c + i * g
        tape.append((row, c, i, f, o, g, np.tanh(cn)))
        c, h = cn, o * tape[-1][-1]
        hs.append(h)
    return np.stack(hs, 1), c, (tape, WLSTM, X)
def backward(dH, dc, cache):
    tape, W, X = cache
    D, dX, dW, dh = X.shape[2], np.zeros_like(X), np.zeros_like(W), 0
    for t in reversed(range(len(tape))):
        row, c, i, f, o, g, tc = tape[t]
        dh = dh + dH[:, t]
        dc = dc + dh * o * (1 - tc ** 2)
        da = np.hstack([dc*g*i*(1-i), dc*c*f*(1-f), dh*tc*o*(1-o), dc*i*(1-g**2)])
        dW += row.T @ da
        drow = da @ W.T
        dX[:, t], dh = drow[:, 1:1+D], drow[:, 1+D:]
        dc = dc * f
    return dX, dW, dc, dh
"""
)

BIAS_COLUMN = (
    SIGMOID
    + """
def step_forward(x, h_prev, c_prev, W):
    v = np.hstack([h_prev, x, np.ones((len(x), 1))])
    f, i, g, o = np.split(v @ W.T, 4, axis=1)
    f, i, g, o = sigmoid(f), sigmoid(i), np.tanh(g), sigmoid(o)
    c = f * c_prev + i * g
    return o * np.tanh(c), c, (v, c_prev, f, i, g, o, c, W)
def step_backward(dh, dc, cache):
    v, c_prev, f, i, g, o, c, W = cache
    H = c.shape[1]
    t = np.tanh(c)
    dc = dc + dh * o * (1 - t ** 2)
    da = np.hstack([dc * c_prev * f * (1 - f), dc * g * i * (1 - i), dc * i * (1 - g ** 2), dh * t * o * (1 - o)])
    dv = da @ W
    return dv[:, H:-1], dv[:, :H], dc * f, da.T @ v
"""
)

IN_LIST = (
    SIGMOID
    + """
def step_forward(x, h, weights):
    W, U, b = weights
    H = h.shape[1]
    z = sigmoid(x @ W[:, :H] + h @ U[:, :H] + b[:H])
    r = sigmoid(x @ W[:, H:2*H] + h @ U[:, H:2*H] + b[H:2*H])
    g = np.tanh(x @ W[:, 2*H:] + (r * h) @ U[:, 2*H:] + b[2*H:])
    return z * h + (1 - z) * g, (x, h, z, r, g, weights)
def step_backward(dh, cache):
    x, h, z, r, g, (W, U, b) = cache
    H = h.shape[1]
    az, ag = dh * (h - g) * z * (1 - z), dh * (1 - z) * (1 - g ** 2)
    drh = ag @ U[:, 2*H:].T
    ar = drh * h * r * (1 - r)
    da = np.hstack([az, ar, ag])
    dU = np.hstack([h.T @ az, h.T @ ar, (r * h).T @ ag])
    return da @ W.T, dh * z + drh * r + az @ U[:, :H].T + ar @ U[:, H:2*H].T, [x.T @ da, dU, da.sum(0)]
"""
)

TUPLE_STATE = """
import numpy as np

def forward(xs, h, params):
    hs = []
    for t in range(xs.shape[1]):
        h = np.tanh(xs[:, t] @ params[0] + h @ params[1] + params[2])
        hs.append(h)
    return np.array(hs).swapaxes(0, 1), params
def make(forward):
    kept = {}
    def ahead(xs, h, params):
        hs, _ = forward(xs, h, params)
        kept.update(xs=xs, h=h, hs=hs)
        return hs, params
    def back(dhs, params):
        Wx, Wh, b = params
        dx, dh, d = np.zeros_like(kept["xs"]), 0, [0, 0, 0]
        for t in range(dhs.shape[1])[::-1]:
            prev = kept["hs"][:, t-1] if t else kept["h"]
            dz = (dhs[:, t] + dh) * (1 - kept["hs"][:, t] ** 2)
            d = [d[0] + kept["xs"][:, t].T @ dz, d[1] + prev.T @ dz, d[2] + dz.sum(0)]
            dx[:, t], dh = dz @ Wx.T, dz @ Wh.T
        return dx, dh, tuple(d)
    return ahead, back
forward, backward = make(forward)
"""

GATE_AXIS = (
    SIGMOID
    + """
def step_forward(x, h, c, W, U, b):
    z = np.einsum("bd,gdh->gbh", x, W) + np.einsum("bk,gkh->gbh", h, U) + b[:, None]
    i, f, o, g = sigmoid(z[0]), sigmoid(z[1]), sigmoid(z[2]), np.tanh(z[3])
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (x, h, c, W, U, i, f, o, g, c_new)
def step_backward(dh, dc, cache):
    x, h, c, W, U, i, f, o, g, c_new = cache
    t = np.tanh(c_new)
    dc = dc + dh * o * (1 - t ** 2)
    dz = np.stack([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g ** 2)])
    dx, dh_prev = np.einsum("gbh,gdh->bd", dz, W), np.einsum("gbh,gkh->bk", dz, U)
    return dx, dh_prev, dc * f, np.einsum("bd,gbh->gdh", x, dz), np.einsum("bk,gbh->gkh", h, dz), dz.sum(1)
"""
)

KEYWORDS = (
    SIGMOID
    + """
def step_forward(x, h, c, *, W, U, b):
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    return o * np.tanh(new), new, dict(x=x, h=h, c=c, W=W, U=U, i=i, f=f, g=g, o=o, new=new)
def step_backward(dh, dc, *, cache):
    x, h, c, W, U, i, f, g, o, new = cache.values()
    t = np.tanh(new)
    dc = dc + dh * o * (1 - t * t)
    dz = np.hstack([dc*g*i*(1-i), dc*c*f*(1-f), dc*i*(1-g*g), dh*t*o*(1-o)])
    return dict(dx=dz @ W.T, dh=dz @ U.T, dc=dc * f, dW=x.T @ dz, dU=h.T @ dz, db=dz.sum(0))
"""
)

# style, cell, kind, text, adapter (None: called as it is), and a mistake: what is replaced, and words of its cause
LAYOUTS = [
    ("W (4H, D), two biases", "lstm", "step", TORCH_STEP, "pytorch(step_forward, step_backward)", ("dcy * f, dgates.T", "dcy, dgates.T"), "without the factor f"),
    ("PyTorch's GRU", "gru", "sequence", TORCH_GRU, "time_major(*adapters.pytorch(forward, backward))", ("dh = dh * z + dh_side", "dh = dh_side"), "missing direct path"),
    ("W (H, D), a dict of gradients", "simple_rnn", "sequence", TORCH_RNN, "pytorch(forward, backward)", ('grads["b_hh"] += dz.sum(0)', 'grads["b_hh"] = dz.sum(0)'), "only that of the first step is left"),
    ("bias a row of [1, x, h]", "lstm", "sequence", BIAS_ROW, None, ("dW += row.T @ da", "dW = row.T @ da"), "not accumulated over the steps"),
    ("bias a column of [h, x, 1]", "lstm", "step", BIAS_COLUMN, "pytorch(step_forward, step_backward)", ("dc * i * (1 - g ** 2)", "dc * i"), "missing derivative of the activation, in gate g"),
    ("weights in a list", "gru", "step", IN_LIST, "listed(step_forward, step_backward)", ("dh * (h - g) * z", "dh * (g - h) * z"), "dz has the wrong sign"),
    ("weights in a tuple, closure", "simple_rnn", "sequence", TUPLE_STATE, "listed(forward, backward)", ('kept["hs"][:, t-1] if t else', 'kept["hs"][:, t] if t else'), None),
    ("W (4, D, H)", "lstm", "step", GATE_AXIS, "blocks(step_forward, step_backward)", ("dh * t * o * (1 - o)", "dh * c_new * o * (1 - o)"), "tanh missing in do"),
    ("keyword-only", "lstm", "step", KEYWORDS, None, ("dc*c*f*(1-f)", "dc*new*f*(1-f)"), "df uses c_t"),
]  # fmt: skip


def _code(style: str, cell: str, kind: str, source: str, adapter: str | None) -> Right:
    return pair(style, cell, kind, source) if adapter is None else by(style, cell, kind, source, adapter)


RIGHT = [_code(*row) for *row, _, _ in LAYOUTS]
WRONG = [
    Wrong(_code(f"{style}, wrong", cell, kind, changed(source, change), adapter), words)
    for style, cell, kind, source, adapter, change, words in LAYOUTS
]
