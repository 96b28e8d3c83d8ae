# ruff: noqa: E501
"""Planted bugs: hand-written steps as students write them, each with one small mistake.

The code below is text. A bug replaces a line or two of it, and `functions` runs the result: so each
mistake is seen as it stands in a student's file. The code shares nothing with the package; x is
(B, T, D). Each bug names the public report of its kind, where one was found.

Not a test by itself: `test_gradient_check` and benchmarks/gradcheck_power.py run it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LSTM = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def step_forward(x, h_prev, c_prev, W, U, b):
    z = x @ W + h_prev @ U + b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c, (x, h_prev, c_prev, W, U, i, f, g, o, c, z, h)

def step_backward(dh, dc, cache):
    x, h_prev, c_prev, W, U, i, f, g, o, c, z, h = cache
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    tanh_c = np.tanh(c)
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c ** 2)
    di = dc * g
    df = dc * c_prev
    dg = dc * i
    dz_i = di * i * (1 - i)
    dz_f = df * f * (1 - f)
    dz_g = dg * (1 - g ** 2)
    dz_o = do * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)
    dx = dz @ W.T
    dh_prev = dz @ U.T
    dc_prev = dc * f
    dW = x.T @ dz
    dU = h_prev.T @ dz
    db = dz.sum(axis=0)
    return dx, dh_prev, dc_prev, dW, dU, db

def forward(x, h0, c0, W, U, b, mask=None):
    B, T, D = x.shape
    h, c, hs, caches = h0, c0, [], []
    for t in range(T):
        h_new, c_new, cache = step_forward(x[:, t], h, c, W, U, b)
        if mask is not None:
            m = mask[:, t][:, None]
            h_new, c_new = np.where(m, h_new, h), np.where(m, c_new, c)
        h, c = h_new, c_new
        hs.append(h)
        caches.append(cache)
    return np.stack(hs, axis=1), c, (caches, x, W, U, b, mask)

def backward(dh, dc_last, cache):
    caches, x, W, U, b, mask = cache
    B, T, D = x.shape
    dW, dU, db, dx = np.zeros(W.shape), np.zeros(U.shape), np.zeros(b.shape), np.zeros(x.shape)
    dh_next, dc_next = np.zeros(dc_last.shape), dc_last
    for t in reversed(range(T)):
        dh_t = dh[:, t] + dh_next
        dc_t = dc_next
        m = np.ones((B, 1), bool) if mask is None else mask[:, t][:, None]
        dx_t, dh_prev, dc_prev, dW_t, dU_t, db_t = step_backward(
            np.where(m, dh_t, 0), np.where(m, dc_t, 0), caches[t]
        )
        dh_next, dc_next = np.where(m, dh_prev, dh_t), np.where(m, dc_prev, dc_t)
        dx[:, t] = dx_t
        dW += dW_t
        dU += dU_t
        db += db_t
    return dx, dh_next, dc_next, dW, dU, db
"""

GRU = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def forward(x, h0, W, U, b, rb, mask=None):
    h, hs, caches = h0, [], []
    for t in range(x.shape[1]):
        xz, xr, xg = np.split(x[:, t] @ W + b, 3, axis=-1)
        hz, hr, q = np.split(h @ U + rb, 3, axis=-1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        g = np.tanh(xg + r * q)
        m = np.ones((len(x), 1), bool) if mask is None else mask[:, t][:, None]
        caches.append((h, z, r, g, q, m))
        h = np.where(m, z * h + (1 - z) * g, h)
        hs.append(h)
    return np.stack(hs, axis=1), (caches, x, W, U)

def backward(dh, cache):
    caches, x, W, U = cache
    dW, dU, db, drb, dx = np.zeros(W.shape), np.zeros(U.shape), 0, 0, np.zeros(x.shape)
    dh_next = np.zeros(dh[:, 0].shape)
    for t in reversed(range(x.shape[1])):
        h_prev, z, r, g, q, m = caches[t]
        dh_t = dh[:, t] + dh_next
        dg = dh_t * (1 - z)
        dz = dh_t * (h_prev - g)
        dz_g = dg * (1 - g ** 2)
        dr = dz_g * q
        dz_r = dr * r * (1 - r)
        dz_z = dz * z * (1 - z)
        dxw = np.where(m, np.concatenate([dz_z, dz_r, dz_g], axis=-1), 0)
        dhu = np.where(m, np.concatenate([dz_z, dz_r, dz_g * r], axis=-1), 0)
        direct = dh_t * z
        dh_next = np.where(m, dhu @ U.T + direct, dh_t)
        dx[:, t] = dxw @ W.T
        dW += x[:, t].T @ dxw
        dU += h_prev.T @ dhu
        db += dxw.sum(axis=0)
        drb += dhu.sum(axis=0)
    return dx, dh_next, dW, dU, db, drb
"""

SIMPLE_RNN = """
import numpy as np

def forward(x, h0, W, U, b, mask=None):
    h, hs = h0, [h0]
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ W + h @ U + b)
        h = new if mask is None else np.where(mask[:, t][:, None], new, h)
        hs.append(h)
    return np.stack(hs[1:], axis=1), (x, hs, W, U, mask)

def backward(dh, cache):
    x, hs, W, U, mask = cache
    dW, dU, db, dx = np.zeros(W.shape), np.zeros(U.shape), 0, np.zeros(x.shape)
    dh_next = np.zeros(dh[:, 0].shape)
    for t in reversed(range(x.shape[1])):
        dh_t = dh[:, t] + dh_next
        m = np.ones((len(x), 1), bool) if mask is None else mask[:, t][:, None]
        dz = np.where(m, dh_t * (1 - hs[t + 1] ** 2), 0)
        dh_next = np.where(m, dz @ U.T, dh_t)
        dx[:, t] = dz @ W.T
        dW += x[:, t].T @ dz
        dU += hs[t].T @ dz
        db += dz.sum(axis=0)
    return dx, dh_next, dW, dU, db
"""

REFERENCES = {"lstm": LSTM, "gru": GRU, "simple_rnn": SIMPLE_RNN}


OWN = "own, no public report found"


class Bug(NamedTuple):
    """A mistake: the text it replaces, what stands there instead, and words its verdict should have.

    seen : where its kind was seen, a repository and the number of an issue, or OWN;  also : more replacements.
    """

    name: str
    old: str
    new: str
    names_cause: str | None = None
    cell: str = "lstm"
    masked: bool = False
    also: tuple[tuple[str, str], ...] = ()
    seen: str = ""

    @property
    def source(self) -> str:
        """The student's file."""
        source = REFERENCES[self.cell]
        for old, new in ((self.old, self.new), *self.also):
            assert source.count(old) == 1, (self.name, old, source.count(old))
            source = source.replace(old, new)
        return source


def functions(source: str) -> dict[str, Any]:
    """What a file of that text defines."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<student>", "exec"), namespace)
    return namespace


def mask_for(bug: Bug, batch: int, length: int) -> np.ndarray | None:
    """Masked steps at both ends and in the middle, for the bugs that need them."""
    if not bug.masked:
        return None
    mask = np.random.default_rng(3).random((batch, length)) < 0.8
    mask[0, : length // 4] = False
    mask[-1, -length // 4 :] = False
    return mask


IN_FORWARD_ORDER = """
def in_forward_order(dh, hs, U):
    total = np.zeros(dh.shape)
    for s in range(dh.shape[1]):
        d = dh[:, s:].copy()
        for k in range(1, d.shape[1]):
            d[:, k:] = (d[:, k:] * (1 - hs[s + k + 1] ** 2)[:, None]) @ U.T
        total[:, s] = d.sum(axis=1)
    return total
"""
LAST_ONLY = """
def last_only(dh, hs, U):
    total = np.zeros(dh.shape)
    for t in range(dh.shape[1]):
        total[:, t] += dh[:, t]
        total[:, :t] += ((dh[:, t] * (1 - hs[t + 1] ** 2)) @ U.T)[:, None]
    return total
"""
BUGS = [
    # the cell state: what makes an LSTM an LSTM
    Bug(
        "dc set to zero",
        "dc_prev = dc * f",
        "dc_prev = np.zeros_like(dc)",
        "forget-gate path",
        seen="PaddlePaddle/Paddle#6970",
    ),
    Bug("no forget gate in dc_prev", "dc_prev = dc * f", "dc_prev = dc", "forget-gate path", seen=OWN),
    Bug("dc_prev with i", "dc_prev = dc * f", "dc_prev = dc * i", "input gate i instead of f", seen=OWN),
    Bug("missing 1 - tanh(c)^2", "dh * o * (1 - tanh_c ** 2)", "dh * o", "missing 1 - tanh(c)^2", seen=OWN),
    Bug(
        "1 - tanh(tanh c)^2",
        "(1 - tanh_c ** 2)",
        "(1 - np.tanh(tanh_c) ** 2)",
        "applied twice",
        seen="nicklashansen/rnn_lstm_from_scratch#1",
    ),
    Bug("1 - c^2", "(1 - tanh_c ** 2)", "(1 - c ** 2)", "1 - c^2", seen=OWN),
    Bug("1 - tanh(c)", "(1 - tanh_c ** 2)", "(1 - tanh_c)", "the square is missing", seen=OWN),
    Bug("no output gate to dc", "dh * o * (1 -", "dh * (1 -", "missing output gate", seen=OWN),
    Bug(
        "dh never reaches dc",
        "dc = dc + dh * o * (1 - tanh_c ** 2)",
        "dc = dc",
        "missing path from h to c",
        seen=OWN,
    ),
    Bug(
        "dc_next never used",
        "dc = dc + dh * o * (1 - tanh_c ** 2)",
        "dc = dh * o * (1 - tanh_c ** 2)",
        "dc of later steps is dropped",
        seen="apache/mxnet#4057",
    ),
    Bug(
        "do without tanh",
        "do = dh * tanh_c",
        "do = dh * c",
        "tanh missing in do",
        seen="nicodjimenez/lstm#47",
    ),
    Bug("do from c_prev", "do = dh * tanh_c", "do = dh * np.tanh(c_prev)", "before the step", seen=OWN),
    # the gates
    Bug("di uses i for g", "di = dc * g", "di = dc * i", "di uses i", seen="wvabrinskas/Neuron#181"),
    Bug("dg uses g for i", "dg = dc * i", "dg = dc * g", "dg uses g", seen="wvabrinskas/Neuron#181"),
    Bug("df uses c_t", "df = dc * c_prev", "df = dc * c", "off by one step", seen=OWN),
    Bug(
        "no sigmoid'",
        "dz_i = di * i * (1 - i)",
        "dz_i = di",
        "missing derivative",
        seen="CaptainE/RNN-LSTM-in-numpy#1",
    ),
    Bug(
        "sigmoid' at z",
        "dz_f = df * f * (1 - f)",
        "dz_f = df * z_f * (1 - z_f)",
        "pre-activation",
        seen="BoltzmannEntropy/interviews.ai#15",
    ),
    Bug(
        "tanh' at z",
        "(1 - g ** 2)",
        "(1 - z_g ** 2)",
        "pre-activation",
        seen="BoltzmannEntropy/interviews.ai#4",
    ),
    Bug("sigmoid' for the candidate", "dg * (1 - g ** 2)", "dg * g * (1 - g)", "wrong activation", seen=OWN),
    Bug(
        "no tanh' of the candidate",
        "dg * (1 - g ** 2)",
        "dg",
        "missing derivative",
        seen="llSourcell/LSTM_Networks#4",
    ),
    Bug("tanh' without the square", "dg * (1 - g ** 2)", "dg * (1 - g)", "1 - s", seen=OWN),
    Bug(
        "tanh applied twice to g",
        "dg * (1 - g ** 2)",
        "dg * (1 - np.tanh(g) ** 2)",
        "applied twice",
        seen="davidrmiller/neural2d#40",
    ),
    Bug("sign of the forget gate", "dz_f = df *", "dz_f = -df *", "sign flipped", seen="neoml-lib/neoml#453"),
    Bug(
        "i and f swapped",
        "[dz_i, dz_f, dz_g, dz_o]",
        "[dz_f, dz_i, dz_g, dz_o]",
        "swapped",
        seen="ooples/AiDotNet.Tensors#907",
    ),
    Bug(
        "g and o swapped",
        "[dz_i, dz_f, dz_g, dz_o]",
        "[dz_i, dz_f, dz_o, dz_g]",
        "swapped",
        seen="apple/coremltools#93",
    ),
    Bug(
        "factor 2 in dz_o",
        "dz_o = do * o * (1 - o)",
        "dz_o = 2 * do * o * (1 - o)",
        "factor 2",
        seen="markroxor/fromscratchtoml#65",
    ),
    # the products
    Bug(
        "bias of another gate",
        "db = dz.sum(axis=0)",
        "db = np.concatenate([dz_f, dz_f, dz_g, dz_o], axis=-1).sum(axis=0)",
        "bias gradient of gate i",
        seen="hanbt/learn_dl#53",
    ),
    Bug("db averaged", "db = dz.sum(axis=0)", "db = dz.mean(axis=0)", "averaged", seen="kvfrans/notes#5"),
    Bug(
        "dW of one sample",
        "dW = x.T @ dz",
        "dW = x[:1].T @ dz[:1]",
        "accumulated over the batch",
        seen="mlpack/mlpack#3679",
    ),
    Bug(
        "dU with h_t", "dU = h_prev.T @ dz", "dU = h.T @ dz", "h_t used where", seen="wvabrinskas/Neuron#181"
    ),
    Bug(
        "dW twice",
        "dW = x.T @ dz",
        "dW = 2 * x.T @ dz",
        "factor 2",
        seen="bighuang624/Andrew-Ng-Deep-Learning-notes#10",
    ),
    Bug("dW negative", "dW = x.T @ dz", "dW = -x.T @ dz", "sign flipped", seen="neoml-lib/neoml#453"),
    Bug(
        "U of one gate not transposed",
        "dh_prev = dz @ U.T",
        "H = h.shape[1]; dh_prev = dz[:, H:] @ U.T[H:] + dz[:, :H] @ U[:, :H]",
        "not transposed",
        seen=OWN,
    ),
    Bug(
        "dU of one gate transposed",
        "dU = h_prev.T @ dz",
        "dU = h_prev.T @ dz; H = h.shape[1]; dU[:, :H] = dU[:, :H].T.copy()",
        "transposed",
        seen="iamtrask/Grokking-Deep-Learning#23",
    ),
    Bug(
        "one gate missing in dh_prev",
        "dh_prev = dz @ U.T",
        "dz[:, :1]; dh_prev = np.concatenate([dz_i, dz_f, dz_g, 0 * dz_o], axis=-1) @ U.T",
        "missing in dh_prev",
        seen="ooples/AiDotNet#722",
    ),
    # the loop over time
    Bug(
        "dh_T ignored",
        "for t in reversed(range(T)):",
        "dh = dh.copy(); dh[:, -1] = 0\n    for t in reversed(range(T)):",
        "dh_T ignored",
        seen="oxford-cs-ml-2015/practical6#1",
    ),
    Bug(
        "dc_T ignored",
        "np.zeros(dc_last.shape), dc_last",
        "np.zeros(dc_last.shape), 0 * dc_last",
        "dc_T ignored",
        seen="deeplearning4j/deeplearning4j#8838",
    ),
    Bug(
        "dh of later steps ignored",
        "dh_t = dh[:, t] + dh_next",
        "dh_t = dh[:, t]",
        "not accumulated",
        seen="CaptainE/RNN-LSTM-in-numpy#1",
    ),
    Bug("dh_next doubled", "dh_t = dh[:, t] + dh_next", "dh_t = dh[:, t] + 2 * dh_next", "twice", seen=OWN),
    Bug(
        "dh off by one step",
        "dh_t = dh[:, t] + dh_next",
        "dh_t = dh[:, t - 1] + dh_next",
        "off by one step",
        seen=OWN,
    ),
    Bug(
        "only the last dW (=)",
        "dW += dW_t",
        "dW = dW_t",
        "not accumulated over the steps",
        seen="hanbt/learn_dl#30",
    ),
    Bug(
        "first 10 steps dropped",
        "for t in reversed(range(T)):",
        "for t in reversed(range(min(10, T - 1), T)):",
        "truncated",
        seen=OWN,
    ),
    Bug(
        "stops after 30 steps",
        "for t in reversed(range(T)):",
        "for t in reversed(range(max(0, T - 30), T)):",
        "truncated after 30",
        seen="rsokl/MyGrad#4",
    ),
    Bug(
        "cut every 16 steps",
        "        dx[:, t] = dx_t",
        "        dx[:, t] = dx_t\n        if t % 16 == 0: dh_next, dc_next = 0 * dh_next, 0 * dc_next",
        "truncated after 16 steps: the gradient is cut at every 16. step",
        seen="deeplearning4j/deeplearning4j#671",
    ),
    Bug(
        "lost below 1e-5",
        "        dx[:, t] = dx_t",
        "        dx[:, t] = dx_t * (np.abs(dx_t) > 1e-5)",
        "lost",
        seen=OWN,
    ),
    Bug(
        "clipped to 1",
        "        dx[:, t] = dx_t",
        "        dx[:, t] = dx_t\n        dh_next = np.clip(dh_next, -1, 1)",
        "linear",
        seen="open-lm-engine/lm-engine#505",
    ),
    Bug(
        "normalised",
        "return dx, dh_next, dc_next, dW, dU, db",
        "return dx, dh_next, dc_next, dW / np.linalg.norm(dW), dU, db",
        "linear",
        seen="wvabrinskas/Neuron#181",
    ),
    # masks
    Bug(
        "mask ignored",
        "m = np.ones((B, 1), bool) if mask is None else mask[:, t][:, None]",
        "m = np.ones((B, 1), bool)",
        "mask ignored",
        masked=True,
        seen="intel/BigDL#1253",
    ),
    Bug(
        "gradient cut at masked steps",
        "np.where(m, dh_prev, dh_t), np.where(m, dc_prev, dc_t)",
        "np.where(m, dh_prev, 0), np.where(m, dc_prev, 0)",
        "cut instead of passed",
        masked=True,
        seen="deeplearning4j/deeplearning4j#4631",
    ),
    # other cells
    Bug("GRU without its direct path", "direct = dh_t * z", "direct = 0", "direct path", "gru", seen=OWN),
    Bug(
        "GRU, z for 1 - z",
        "dg = dh_t * (1 - z)",
        "dg = dh_t * z",
        "exchanged in dg",
        "gru",
        seen="ooples/AiDotNet#722",
    ),
    Bug("GRU without reset in dU", "dz_r, dz_g * r]", "dz_r, dz_g]", "missing reset gate", "gru", seen=OWN),
    Bug(
        "GRU, one bias for two",
        "drb += dhu.sum(axis=0)",
        "drb += dxw.sum(axis=0)",
        "the same",
        "gru",
        seen=OWN,
    ),
    Bug("GRU, dz without h", "dh_t * (h_prev - g)", "dh_t * -g", "lacks h_{t-1}", "gru", seen=OWN),
    Bug(
        "RNN without the square",
        "(1 - hs[t + 1] ** 2)",
        "(1 - hs[t + 1])",
        "the square",
        "simple_rnn",
        seen=OWN,
    ),
    Bug(
        "RNN, dU with h_t",
        "dU += hs[t].T",
        "dU += hs[t + 1].T",
        "h_t used where",
        "simple_rnn",
        seen="VikParuchuri/zero_to_gpt#9",
    ),
    Bug(
        "RNN, x of the step before",
        "dW += x[:, t].T",
        "dW += x[:, t - 1].T",
        "off by one step",
        "simple_rnn",
        seen="Theano/Theano#166",
    ),
    Bug(
        "RNN, dh not passed on",
        "dh_next = np.where(m, dz @ U.T, dh_t)",
        "dh_next = 0 * dh_t",
        "own",
        "simple_rnn",
        seen="qixianbiao/RNN#2",
    ),
    # what public code was seen to do
    Bug(
        "states' gradients not passed on, dc_T used",
        "dh_next, dc_next = np.where(m, dh_prev, dh_t), np.where(m, dc_prev, dc_t)",
        "dh_0, dc_0 = np.where(m, dh_prev, dh_t), np.where(m, dc_prev, dc_t); dh_next, dc_next = 0 * dh_0, 0 * dc_0",
        "not passed from step t to t-1",
        seen="ooples/AiDotNet#722",
    ),
    Bug(
        "states' gradients not passed on, dc_T unused",
        "        dh_t = dh[:, t] + dh_next\n        dc_t = dc_next",
        "        dh_t = dh[:, t]\n        dc_t = 0 * dc_next",
        "not passed from step t to t-1",
        seen="qixianbiao/RNN#2",
    ),
    Bug(
        "h of step 0 from index -1",
        "np.where(m, dh_t, 0), np.where(m, dc_t, 0), caches[t]",
        "np.where(m, dh_t, 0), np.where(m, dc_t, 0), caches[t][:1] + (caches[t - 1][-1],) + caches[t][2:]",
        "h of step 0 is read from index -1",
        seen="csxeba/brainforge, in _lllstm.py",
    ),
    Bug(
        "c of step 0 from index -1",
        "np.where(m, dh_t, 0), np.where(m, dc_t, 0), caches[t]",
        "np.where(m, dh_t, 0), np.where(m, dc_t, 0), caches[t][:2] + (caches[t - 1][9],) + caches[t][3:]",
        "c of step 0 is read from index -1",
        seen="csxeba/brainforge, in _lllstm.py",
    ),
    Bug(
        "weight gradients of the last step only",
        "        dW += dW_t\n        dU += dU_t\n        db += db_t",
        "        if t == T - 1: dW, dU, db = dW_t, dU_t, db_t",
        "of the last step only",
        seen="hanbt/learn_dl#30",
    ),
    Bug(
        "a gate's derivative at another gate's value",
        "dz_i = di * i * (1 - i)",
        "dz_i = di * f * (1 - f)",
        "gate i is taken at gate f's value",
        seen="hanbt/learn_dl#53",
    ),
    Bug(
        "a gate's derivative with another gate's bias",
        "dz_i = di * i * (1 - i)",
        "H = h.shape[1]; bias = (z - x @ W - h_prev @ U)[0]; s = sigmoid(z_i - bias[:H] + bias[H:2*H]); dz_i = di * s * (1 - s)",
        "gate i is taken with the bias of gate f",
        seen="ddbourgin/numpy-ml#42",
    ),
    Bug(
        "dx summed over the steps",
        "        dx[:, t] = dx_t",
        "        dx[:, t] = dx_t + (dx[:, t + 1] if t < T - 1 else 0)",
        "dx is summed over the steps",
        seen=OWN,
    ),
    Bug(
        "a misplaced bracket",
        "dz_o = do * o * (1 - o)",
        "dz_o = do * o * 1 - o",
        "backward(0) is not 0",
        seen=OWN,
    ),
    Bug(
        "dh never used",
        "dh_t = dh[:, t] + dh_next",
        "dh_t = dh_next",
        "dh is never used",
        seen="k2-fsa/k2#341",
    ),
    Bug(
        "weights updated first",
        "    dx = dz @ W.T",
        "    W -= 0.1 * (x.T @ dz); U -= 0.1 * (h_prev.T @ dz); dx = dz @ W.T",
        "weights are updated before",
        seen="VikParuchuri/zero_to_gpt#12",
    ),
    Bug(
        "dc added after the step",
        "    dc = dc + dh * o * (1 - tanh_c ** 2)\n",
        "    dc_in = dc; dc = dh * o * (1 - tanh_c ** 2)\n",
        "the incoming dc is added after the step",
        also=(("dc_prev = dc * f", "dc_prev = (dc + dc_in) * f"),),
        seen=OWN,
    ),
    Bug(
        "dh's part of dc added after the step",
        "    dc = dc + dh * o * (1 - tanh_c ** 2)\n",
        "    more = dh * o * (1 - tanh_c ** 2)\n",
        "dh's part of dc is added after the step",
        also=(("dc_prev = dc * f", "dc_prev = (dc + more) * f"),),
        seen=OWN,
    ),
    Bug(
        "half of dc",
        "dc = dc + dh * o * (1 - tanh_c ** 2)",
        "dc = 0.5 * dc + dh * o * (1 - tanh_c ** 2)",
        "only half of the incoming dc",
        seen=OWN,
    ),
    Bug(
        "tanh(c) stored as the state",
        "    c = f * c_prev + i * g\n    h = o * np.tanh(c)",
        "    c = np.tanh(f * c_prev + i * g)\n    h = o * c",
        "which is the stored state",
        also=(("tanh_c = np.tanh(c)", "tanh_c = c"),),
        seen=OWN,
    ),
    Bug(
        "masked steps cut dh",
        "np.where(m, dh_prev, dh_t), np.where(m, dc_prev, dc_t)",
        "np.where(m, dh_prev, 0), np.where(m, dc_prev, dc_t)",
        "at a masked step dh is cut",
        masked=True,
        seen="Element-Research/rnn#158",
    ),
    Bug("dx all zero", "        dx[:, t] = dx_t", "        dx[:, t] = 0 * dx_t", "all zero, in dx", seen=OWN),
    Bug(
        "Jacobians in forward order",
        "    dh_next = np.zeros(dh[:, 0].shape)\n    for t in reversed(range(x.shape[1])):\n        dh_t = dh[:, t] + dh_next",
        "    dh_next = np.zeros(dh[:, 0].shape)\n    total = in_forward_order(dh, hs, U)\n"
        "    for t in reversed(range(x.shape[1])):\n        dh_t = total[:, t]",
        "multiplied in forward order",
        "simple_rnn",
        also=(("def backward", IN_FORWARD_ORDER + "\ndef backward"),),
        seen="elixir-nx/axon#646",
    ),
    Bug(
        "all Jacobians but the last dropped",
        "    dh_next = np.zeros(dh[:, 0].shape)\n    for t in reversed(range(x.shape[1])):\n        dh_t = dh[:, t] + dh_next",
        "    dh_next = np.zeros(dh[:, 0].shape)\n    total = last_only(dh, hs, U)\n"
        "    for t in reversed(range(x.shape[1])):\n        dh_t = total[:, t]",
        "all Jacobians of the steps but the last are dropped",
        "simple_rnn",
        also=(("def backward", LAST_ONLY + "\ndef backward"),),
        seen="FluxML/Flux.jl#1209",
    ),
]
