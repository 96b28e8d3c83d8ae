"""Classes that make their own weights, as courses write them: right as they are, wrong once changed."""

from __future__ import annotations

import numpy as np
import pytest

from minilstm.gradient_check import adapters, check_step
from minilstm.gradient_check.student import runner

OPTIONS = {"adapter": None, "cell": None, "seed": 0, "length": 12}
HEAD = """
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))
"""
GATES = """
class LSTMCell:
    def __init__(self, input_dim, hidden_dim):
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        Z = input_dim + hidden_dim
        self.Wf = np.random.randn(Z, hidden_dim) * 0.1
        self.Wi = np.random.randn(Z, hidden_dim) * 0.1
        self.Wc = np.random.randn(Z, hidden_dim) * 0.1
        self.Wo = np.random.randn(Z, hidden_dim) * 0.1
        self.bf = np.zeros(hidden_dim)
        self.bi = np.zeros(hidden_dim)
        self.bc = np.zeros(hidden_dim)
        self.bo = np.zeros(hidden_dim)
    def forward(self, x, h_prev, c_prev):
        z = np.concatenate([h_prev, x], axis=1)
        f = sigmoid(z @ self.Wf + self.bf)
        i = sigmoid(z @ self.Wi + self.bi)
        g = np.tanh(z @ self.Wc + self.bc)
        o = sigmoid(z @ self.Wo + self.bo)
        c = f * c_prev + i * g
        h = o * np.tanh(c)
        self.cache = (z, f, i, g, o, c, c_prev)
        return h, c
    def backward(self, dh, dc):
        z, f, i, g, o, c, c_prev = self.cache
        tc = np.tanh(c)
        do = dh * tc
        dc = dc + dh * o * (1 - tc ** 2)
        df = dc * c_prev
        di = dc * g
        dg = dc * i
        dzf = df * f * (1 - f)
        dzi = di * i * (1 - i)
        dzg = dg * (1 - g ** 2)
        dzo = do * o * (1 - o)
        self.dWf = z.T @ dzf
        self.dWi = z.T @ dzi
        self.dWc = z.T @ dzg
        self.dWo = z.T @ dzo
        self.dbf = dzf.sum(0)
        self.dbi = dzi.sum(0)
        self.dbc = dzg.sum(0)
        self.dbo = dzo.sum(0)
        dz = dzf @ self.Wf.T + dzi @ self.Wi.T + dzg @ self.Wc.T + dzo @ self.Wo.T
        dh_prev = dz[:, :self.hidden_dim]
        dx = dz[:, self.hidden_dim:]
        dc_prev = dc * f
        return dx, dh_prev, dc_prev
"""
SEQUENCE = """
class LSTM:
    def __init__(self, input_size, hidden_size, seed=0):
        rng = np.random.default_rng(seed)
        self.input_size, self.hidden_size = input_size, hidden_size
        for g in "ifgo":
            setattr(self, f"W_x{g}", rng.normal(0, 0.1, (input_size, hidden_size)))
            setattr(self, f"W_h{g}", rng.normal(0, 0.1, (hidden_size, hidden_size)))
            setattr(self, f"b_{g}", np.zeros((1, hidden_size)))
    def forward(self, X):
        B, T, D = X.shape
        H = self.hidden_size
        h = np.zeros((B, H)); c = np.zeros((B, H))
        self.X = X
        self.cache = []
        hs = []
        for t in range(T):
            x = X[:, t]
            i = sigmoid(x @ self.W_xi + h @ self.W_hi + self.b_i)
            f = sigmoid(x @ self.W_xf + h @ self.W_hf + self.b_f)
            g = np.tanh(x @ self.W_xg + h @ self.W_hg + self.b_g)
            o = sigmoid(x @ self.W_xo + h @ self.W_ho + self.b_o)
            c_new = f * c + i * g
            h_new = o * np.tanh(c_new)
            self.cache.append((x, h, c, i, f, g, o, c_new))
            h, c = h_new, c_new
            hs.append(h)
        return np.stack(hs, axis=1)
    def backward(self, dhs):
        B, T, H = dhs.shape
        for g in "ifgo":
            for n in (f"W_x{g}", f"W_h{g}", f"b_{g}"):
                setattr(self, "d" + n, np.zeros_like(getattr(self, n)))
        dX = np.zeros_like(self.X)
        dh_next = np.zeros((B, H)); dc_next = np.zeros((B, H))
        for t in reversed(range(T)):
            x, h, c, i, f, g, o, c_new = self.cache[t]
            dh = dhs[:, t] + dh_next
            tc = np.tanh(c_new)
            dc = dc_next + dh * o * (1 - tc ** 2)
            d = {"o": dh * tc * o * (1 - o), "f": dc * c * f * (1 - f),
                 "i": dc * g * i * (1 - i), "g": dc * i * (1 - g ** 2)}
            dh_next = np.zeros((B, H))
            for k in "ifgo":
                getattr(self, "dW_x" + k)[...] += x.T @ d[k]
                getattr(self, "dW_h" + k)[...] += h.T @ d[k]
                getattr(self, "db_" + k)[...] += d[k].sum(0, keepdims=True)
                dX[:, t] += d[k] @ getattr(self, "W_x" + k).T
                dh_next += d[k] @ getattr(self, "W_h" + k).T
            dc_next = dc * f
        return dX
"""
TORCH = """
class Module:
    def __init__(self):
        self.params = {}
        self.grads = {}
    def zero_grad(self):
        for k in self.params:
            self.grads[k] = np.zeros_like(self.params[k])
    def __call__(self, *args):
        return self.forward(*args)

class LSTM(Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        s = 1 / np.sqrt(hidden_size)
        self.hidden_size = hidden_size
        self.params["weight_ih"] = np.random.uniform(-s, s, (4 * hidden_size, input_size))
        self.params["weight_hh"] = np.random.uniform(-s, s, (4 * hidden_size, hidden_size))
        self.params["bias_ih"] = np.random.uniform(-s, s, 4 * hidden_size)
        self.params["bias_hh"] = np.random.uniform(-s, s, 4 * hidden_size)
        self.zero_grad()
    def forward(self, x, state=None):
        # x: (T, B, D)
        T, B, D = x.shape
        H = self.hidden_size
        if state is None:
            h = np.zeros((B, H)); c = np.zeros((B, H))
        else:
            h, c = state
        p = self.params
        out, self.tape = [], []
        for t in range(T):
            z = x[t] @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
            i, f, g, o = np.split(z, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c2 = f * c + i * g
            h2 = o * np.tanh(c2)
            self.tape.append((x[t], h, c, i, f, g, o, c2))
            h, c = h2, c2
            out.append(h)
        return np.stack(out), (h, c)
    def backward(self, dout):
        T, B, H = dout.shape
        self.zero_grad()
        p, gr = self.params, self.grads
        dh = np.zeros((B, H)); dc = np.zeros((B, H))
        dx = []
        for t in reversed(range(T)):
            x, h, c, i, f, g, o, c2 = self.tape[t]
            dh = dh + dout[t]
            tc = np.tanh(c2)
            dc = dc + dh * o * (1 - tc ** 2)
            di, df, dg, do = dc * g, dc * c, dc * i, dh * tc
            dz = np.hstack([di * i * (1 - i), df * f * (1 - f), dg * (1 - g ** 2), do * o * (1 - o)])
            gr["weight_ih"] += dz.T @ x
            gr["weight_hh"] += dz.T @ h
            gr["bias_ih"] += dz.sum(0)
            gr["bias_hh"] += dz.sum(0)
            dx.append(dz @ p["weight_ih"])
            dh = dz @ p["weight_hh"]
            dc = dc * f
        return np.stack(dx[::-1])
"""
LISTS = """
class GRU:
    def __init__(self, n_in, n_hidden):
        self.H = n_hidden
        r = lambda *s: np.random.randn(*s) * 0.2
        self.Wz, self.Uz, self.bz = r(n_in, n_hidden), r(n_hidden, n_hidden), np.zeros(n_hidden)
        self.Wr, self.Ur, self.br = r(n_in, n_hidden), r(n_hidden, n_hidden), np.zeros(n_hidden)
        self.Wh, self.Uh, self.bh = r(n_in, n_hidden), r(n_hidden, n_hidden), np.zeros(n_hidden)
        self.params = [self.Wz, self.Uz, self.bz, self.Wr, self.Ur, self.br, self.Wh, self.Uh, self.bh]
        self.grads = [np.zeros_like(p) for p in self.params]
    def forward(self, x, h):
        Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh = self.params
        z = sigmoid(x @ Wz + h @ Uz + bz)
        r = sigmoid(x @ Wr + h @ Ur + br)
        n = np.tanh(x @ Wh + (r * h) @ Uh + bh)
        h_new = z * h + (1 - z) * n
        self.cache = x, h, z, r, n
        return h_new
    def backward(self, dh):
        Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh = self.params
        x, h, z, r, n = self.cache
        dn = dh * (1 - z) * (1 - n ** 2)
        dz = dh * (h - n) * z * (1 - z)
        drh = dn @ Uh.T
        dr = drh * h * r * (1 - r)
        self.grads = [x.T @ dz, h.T @ dz, dz.sum(0), x.T @ dr, h.T @ dr, dr.sum(0)]
        self.grads += [x.T @ dn, (r * h).T @ dn, dn.sum(0)]
        dx = dz @ Wz.T + dr @ Wr.T + dn @ Wh.T
        dh_prev = dh * z + dz @ Uz.T + dr @ Ur.T + drh * r
        return dx, dh_prev
"""
COLUMNS = """
class LSTMCell:
    def __init__(self, n_x, n_a):
        self.n_a = n_a
        r = lambda: np.random.randn(n_a, n_a + n_x) * 0.1
        self.W_f, self.W_i, self.W_c, self.W_o = r(), r(), r(), r()
        self.b_f, self.b_i, self.b_c, self.b_o = (np.zeros((n_a, 1)) for _ in range(4))
    def forward(self, xt, a_prev, c_prev):
        z = np.concatenate([a_prev, xt], axis=0)
        ft = sigmoid(self.W_f @ z + self.b_f)
        it = sigmoid(self.W_i @ z + self.b_i)
        cct = np.tanh(self.W_c @ z + self.b_c)
        ot = sigmoid(self.W_o @ z + self.b_o)
        c = ft * c_prev + it * cct
        a = ot * np.tanh(c)
        self.cache = z, ft, it, cct, ot, c, c_prev
        return a, c
    def backward(self, da, dc):
        z, ft, it, cct, ot, c, c_prev = self.cache
        dot = da * np.tanh(c) * ot * (1 - ot)
        dc = dc + da * ot * (1 - np.tanh(c) ** 2)
        dcct = dc * it * (1 - cct ** 2)
        dit = dc * cct * it * (1 - it)
        dft = dc * c_prev * ft * (1 - ft)
        grads = {}
        for k, d in (("f", dft), ("i", dit), ("c", dcct), ("o", dot)):
            grads["dW_" + k] = d @ z.T
            grads["db_" + k] = d.sum(axis=1, keepdims=True)
        dz = self.W_f.T @ dft + self.W_i.T @ dit + self.W_c.T @ dcct + self.W_o.T @ dot
        grads["da_prev"] = dz[:self.n_a]
        grads["dxt"] = dz[self.n_a:]
        grads["dc_prev"] = dc * ft
        return grads
"""
PARAMETERS = """
class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)

class RNN:
    def __init__(self, input_size, hidden_size):
        self.W_xh = Parameter(np.random.randn(input_size, hidden_size) * 0.1)
        self.W_hh = Parameter(np.random.randn(hidden_size, hidden_size) * 0.1)
        self.b_h = Parameter(np.zeros(hidden_size))
    def parameters(self):
        return [self.W_xh, self.W_hh, self.b_h]
    def forward(self, x):
        B, T, D = x.shape
        h = np.zeros((B, self.W_hh.data.shape[0]))
        self.x, self.hs = x, [h]
        for t in range(T):
            h = np.tanh(x[:, t] @ self.W_xh.data + h @ self.W_hh.data + self.b_h.data)
            self.hs.append(h)
        return np.stack(self.hs[1:], axis=1)
    def backward(self, dout):
        for p in self.parameters():
            p.grad = np.zeros_like(p.data)
        dx = np.zeros_like(self.x)
        dh = 0
        for t in reversed(range(dout.shape[1])):
            dz = (dout[:, t] + dh) * (1 - self.hs[t + 1] ** 2)
            self.W_xh.grad += self.x[:, t].T @ dz
            self.W_hh.grad += self.hs[t].T @ dz
            self.b_h.grad += dz.sum(0)
            dx[:, t] = dz @ self.W_xh.data.T
            dh = dz @ self.W_hh.data.T
        return dx
"""
PARTS = """
class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.1
        self.b = np.zeros(n_out)
        self.zero_grad()
    def zero_grad(self):
        self.dW = np.zeros_like(self.W); self.db = np.zeros_like(self.b)
    def forward(self, x):
        return x @ self.W + self.b
    def backward(self, dz, x):
        self.dW = self.dW + x.T @ dz
        self.db = self.db + dz.sum(0)
        return dz @ self.W.T

class LSTMCell:
    def __init__(self, input_dim, hidden_dim):
        self.D = input_dim
        self.forget_gate = Linear(input_dim + hidden_dim, hidden_dim)
        self.input_gate = Linear(input_dim + hidden_dim, hidden_dim)
        self.candidate = Linear(input_dim + hidden_dim, hidden_dim)
        self.output_gate = Linear(input_dim + hidden_dim, hidden_dim)
    def forward(self, x, state):
        h, c = state
        z = np.hstack([x, h])
        f = sigmoid(self.forget_gate.forward(z)); i = sigmoid(self.input_gate.forward(z))
        g = np.tanh(self.candidate.forward(z)); o = sigmoid(self.output_gate.forward(z))
        c_new = f * c + i * g
        self.cache = z, c, f, i, g, o, c_new
        return o * np.tanh(c_new), c_new
    def backward(self, dh, dc):
        z, c, f, i, g, o, c_new = self.cache
        for l in (self.forget_gate, self.input_gate, self.candidate, self.output_gate):
            l.zero_grad()
        tc = np.tanh(c_new)
        dc = dc + dh * o * (1 - tc ** 2)
        dz = self.forget_gate.backward(dc * c * f * (1 - f), z)
        dz = dz + self.input_gate.backward(dc * g * i * (1 - i), z)
        dz = dz + self.candidate.backward(dc * i * (1 - g ** 2), z)
        dz = dz + self.output_gate.backward(dh * tc * o * (1 - o), z)
        return dz[:, :self.D], dz[:, self.D:], dc * f
"""
LOSS = """
class LSTMClassifier:
    def __init__(self, input_dim, hidden_dim, num_classes):
        s = 0.1
        D, H, C = input_dim, hidden_dim, num_classes
        self.H = H
        self.params = {
            "Wf": np.random.randn(D + H, H) * s, "bf": np.zeros(H),
            "Wi": np.random.randn(D + H, H) * s, "bi": np.zeros(H),
            "Wc": np.random.randn(D + H, H) * s, "bc": np.zeros(H),
            "Wo": np.random.randn(D + H, H) * s, "bo": np.zeros(H),
            "Wy": np.random.randn(H, C) * s, "by": np.zeros(C),
        }
    def forward(self, X):
        B, T, D = X.shape
        p = self.params
        h = np.zeros((B, self.H)); c = np.zeros((B, self.H))
        self.steps = []
        for t in range(T):
            z = np.hstack([X[:, t], h])
            f = sigmoid(z @ p["Wf"] + p["bf"]); i = sigmoid(z @ p["Wi"] + p["bi"])
            g = np.tanh(z @ p["Wc"] + p["bc"]); o = sigmoid(z @ p["Wo"] + p["bo"])
            c_new = f * c + i * g
            h = o * np.tanh(c_new)
            self.steps.append((z, c, f, i, g, o, c_new))
            c = c_new
        self.h = h
        scores = h @ p["Wy"] + p["by"]
        e = np.exp(scores - scores.max(1, keepdims=True))
        self.probs = e / e.sum(1, keepdims=True)
        return self.probs
    def loss(self, X, y):
        probs = self.forward(X)
        return -np.log(probs[np.arange(len(y)), y]).mean()
    def backward(self, y):
        p = self.params
        B = len(y)
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        ds = self.probs.copy(); ds[np.arange(B), y] -= 1; ds /= B
        grads["Wy"] = self.h.T @ ds; grads["by"] = ds.sum(0)
        dh = ds @ p["Wy"].T; dc = np.zeros_like(dh)
        D = len(p["Wf"]) - self.H
        for z, c, f, i, g, o, c_new in reversed(self.steps):
            tc = np.tanh(c_new)
            dc = dc + dh * o * (1 - tc ** 2)
            dzs = {"f": dc * c * f * (1 - f), "i": dc * g * i * (1 - i), "c": dc * i * (1 - g ** 2)}
            dzs["o"] = dh * tc * o * (1 - o)
            dz = 0
            for k, d in dzs.items():
                grads["W" + k] += z.T @ d; grads["b" + k] += d.sum(0)
                dz = dz + d @ p["W" + k].T
            dh = dz[:, D:]; dc = dc * f
        return grads

rng = np.random.default_rng(0)
parameters = model = LSTMClassifier(2, 3, 4)
arguments = rng.normal(size=(5, 7, 2)), rng.integers(0, 4, 5)

def loss_and_gradients(x, y):
    return model.loss(x, y), model.backward(y)
"""


def report_of(tmp_path, text):
    (tmp_path / "mine.py").write_text(HEAD + text, encoding="utf-8")
    ((_, report),) = runner.run(str(tmp_path / "mine.py"), OPTIONS)["reports"].items()
    return report


@pytest.mark.parametrize(
    ("text", "tensors"),
    [
        (GATES, "dx dh_prev dc_prev dW db"),
        (SEQUENCE, "dx dW dU db"),
        (TORCH, "dx dW dU db drb"),
        (LISTS, "dx dh_prev dW dU db"),
        (COLUMNS, "dx dh_prev dc_prev dW db"),
        (PARAMETERS, "dx dW dU db"),
        (PARTS, "dx dh_prev dc_prev dW db"),
        (LOSS, "dWf dbf dWi dbi dWc dbc dWo dbo dWy dby"),
    ],
)
def test_is_right_as_it_is(tmp_path, text, tensors):
    report = report_of(tmp_path, text)
    assert report["ok"], report["text"]
    assert [one["tensor"] for one in report["tensors"] if "," not in one["tensor"]] == tensors.split()
    assert not any("this cell's" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("text", "right", "wrong", "cause"),
    [
        (GATES, "self.dbf = dzf.sum(0)", "self.dbf = dzf.mean(0)", "factor 1/(B, the batch size): averaged"),
        (GATES, "z.T @ dzo", "z.T @ dzi", "gradient of W and U of gate o is that of another gate, i"),
        (GATES, "+ dzo @ self.Wo.T", "", "gate o missing in dx and dh_prev"),
        (GATES, "dc_prev = dc * f", "dc_prev = dc", "missing forget-gate path"),
        (SEQUENCE, "h.T @ d[k]", "c.T @ d[k]", "c_{t-1} used where h_{t-1} belongs in the gradient of U"),
        (SEQUENCE, "dc = dc_next + dh * o", "dc = dh * o", "missing forget-gate path"),
        (SEQUENCE, '"db_" + k)[...] +=', '"db_" + k)[...] =', "gradient of b not accumulated over the steps"),
        (TORCH, 'gr["bias_hh"] += dz.sum(0)', "pass", "all zero, in drb"),
        (TORCH, "dh = dh + dout[t]", "dh = dout[t]", "dh_prev is not passed on"),
        (LISTS, "(r * h).T @ dn", "h.T @ dn", "missing reset gate in dU"),
        (LISTS, "dz = dh * (h - n)", "dz = dh * (n - h)", "dz has the wrong sign"),
        (COLUMNS, 'dc_prev"] = dc * ft', 'dc_prev"] = dc * it', "dc is passed on with the input gate i"),
        (PARAMETERS, "self.hs[t].T @ dz", "self.hs[t + 1].T @ dz", "h_t used where h_{t-1} belongs"),
        (PARTS, "dc * g * i * (1 - i)", "dc * g * i", "gate i"),
        (LOSS, "ds /= B", "pass", "every entry is 5 times what it must be"),
        (
            GATES,
            "dh_prev = dz[:, :self.hidden_dim]",
            "dh_prev = dz[:, -dh.shape[1]:]",
            "a wrong slice: dh_prev",
        ),
        (
            GATES,
            "dx = dz[:, self.hidden_dim:]",
            "dx = dz[:, :self.input_dim]",
            "a wrong slice: dx takes the fir",
        ),
        (GATES, "df = dc * c_prev", "df = dh * c_prev", "df uses dh where dc belongs, in dc * c_prev"),
        (
            GATES,
            "self.dbo = dzo.sum(0)",
            "self.dbo = dzo[0]",
            "db of gate o is that of the first sample only",
        ),
        (GATES, "+ dzi @ self.Wi.T", "- dzi @ self.Wi.T", "the share of gate i has the wrong sign in dx and"),
        (
            GATES,
            "+ dzi @ self.Wi.T",
            "+ dzo @ self.Wi.T",
            "gate o's gradient is used for gate i in dx and dh",
        ),
        (GATES, "dc_prev = dc * f", "dc_prev = dc * f * (1 - f)", "dc_prev has a factor 1 - f too many"),
        (
            SEQUENCE,
            'getattr(self, "W_h" + k).T',
            "self.W_ho.T",
            "the kernel of gate o is used for every gate",
        ),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path, text, right, wrong, cause):
    assert text.count(right) == 1
    report = report_of(tmp_path, text.replace(right, wrong))
    assert not report["ok"]
    assert any(cause in one for one in report["causes"]), report["text"]


@pytest.mark.parametrize(
    ("text", "changes", "causes"),
    [
        (
            GATES,
            {
                "dc_prev = dc * f": "dc_prev = dc * i",
                "dzo = do * o * (1 - o)": "dzo = do",
                "dz[:, :self.hidden_dim]": "dz[:, -self.hidden_dim:]",
            },
            [
                "dc is passed on with the input gate",
                "missing derivative of the activation, in gate o",
                "a wrong slice",
            ],
        ),
        (
            SEQUENCE,
            {"dc * c * f * (1 - f)": "dc * c * f", '"db_" + k)[...] +=': '"db_" + k)[...] ='},
            ["gate f", "gradient of b not accumulated over the steps"],
        ),
        (
            SEQUENCE,
            {
                "dh * tc * o * (1 - o)": "dh * tc * o",
                "dc_next = dc * f": "dc_next = dc",
                "h.T @ d[k]": "c.T @ d[k]",
            },
            ["in gate o", "missing forget-gate path", "c_{t-1} used where h_{t-1} belongs"],
        ),
    ],
)
def test_several_mistakes_in_it_are_all_named(tmp_path, text, changes, causes):
    for right, wrong in changes.items():
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    report = report_of(tmp_path, text)
    assert not report["ok"]
    assert len(report["causes"]) == len(causes), report["causes"]
    assert all(any(cause in one for one in report["causes"]) for cause in causes), report["causes"]


def test_a_try_that_failed_is_told_as_what_its_arguments_say(tmp_path):
    """A step whose forward raises is told as a step, not with what it raises when it is given a sequence."""
    wrong = GATES.replace("z @ self.Wo", "z @ self.Wo.T")
    assert "size 3 is different from 5" in report_of(tmp_path, wrong)["fault"]
    functions = """
def forward(x, h_prev, W, U, b):
    return np.tanh(x @ W + h_prev @ U + b.reshape(4, 5)), x
def backward(dh, cache):
    return dh
"""
    assert report_of(tmp_path, functions)["fault"].startswith(
        "As a step: forward raised ValueError: cannot reshape"
    )


def test_what_is_not_understood_is_told_with_what_to_write(tmp_path):
    odd = report_of(tmp_path, GATES.replace("self.W", "self.matrix_").replace("self.dW", "self.grad_"))
    assert "LSTMCell makes its own weights, and their names do not tell those of the gates" in odd["fault"]
    softmax = report_of(tmp_path, LOSS.partition("rng = ")[0])
    assert (
        "forward must return h of shape (4, 12, 3), got (4, 4). To check it with its loss" in softmax["fault"]
    )
    lacking = report_of(tmp_path, GATES.replace("self.dWo = z.T @ dzo", "pass"))
    assert (
        "backward leaves no gradient of Wo: it is looked for as dWo, grad_Wo and grads['Wo']"
        in lacking["fault"]
    )


def test_an_object_is_as_it_was_after_the_check():
    scope: dict = {}
    exec(HEAD + GATES, scope)
    cell = scope["LSTMCell"](2, 3)
    before = {name: np.copy(array) for name, array in vars(cell).items()}
    assert check_step(*adapters.layer(cell), "lstm").ok
    assert vars(cell).keys() == before.keys()
    assert all(np.array_equal(array, before[name]) for name, array in vars(cell).items())
